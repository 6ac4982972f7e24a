#!/bin/bash
#
# usage: nginx-source.sh DIR
#
# Unpacks the source package of the installed nginx into DIR/nginx, with a
# package list of its own: the system's apt is not changed.

dir=$1

[ ! -f "$dir/nginx/src/core/nginx.c" ] || exit 0

version=$(dpkg-query -W -f '${source:Version}' nginx) || exit 1
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")

mkdir -p "$dir/apt/lists/partial" && cd "$dir" || exit 1

cat > apt/sources.list <<LIST
deb-src http://deb.debian.org/debian $codename main
deb-src http://deb.debian.org/debian $codename-updates main
deb-src http://deb.debian.org/debian-security $codename-security main
LIST

options=(-qq -o "Dir::Etc::SourceList=$PWD/apt/sources.list"
         -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$PWD/apt/lists"
         -o Debug::NoLocking=1 -o APT::Sandbox::User=root)

echo "fetching the source of nginx $version"

apt-get "${options[@]}" update || exit 1

# a mirror may lack the newest; any version of this release will do

others=$(apt-cache "${options[@]}" showsrc nginx | sed -n 's/^Version: //p' \
         | sort -rV)

for version in $version $others; do
    if apt-get "${options[@]}" source "nginx=$version" > source.log 2>&1; then
        mv nginx-[0-9]*/ nginx
        exit
    fi
done

tail -n 5 source.log >&2
echo "no source of nginx: try make asan NGINX_SRC=DIR" >&2
exit 1
