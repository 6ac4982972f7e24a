#!/bin/bash
#
# usage: configure.sh NGINX_SRC BUILD_DIR OPTIONS
#
# Configures a build of nginx or of the module in BUILD_DIR: Debian's headers
# with the flags of Debian's binary, a release or a checkout of nginx with
# the options given.

src=$1 out=$2
shift 2

cd "$src" || exit 1

flags=()
if [ -f conf_flags ]; then
    . ./conf_flags
    flags=("${NGX_CONF_FLAGS[@]}")
fi

configure=./configure
[ -x $configure ] || configure=auto/configure

echo "configuring in $out"
mkdir -p "$out"

if ! $configure "${flags[@]}" "$@" --builddir="$out" > "$out/configure.log" 2>&1
then
    tail -n 20 "$out/configure.log" >&2
    rm -f "$out/Makefile"
    exit 1
fi
