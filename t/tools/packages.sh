#!/bin/bash
#
# usage: packages.sh GROUP...
#
# Installs the Debian packages of the groups that are missing; asks apt
# nothing when none is.

declare -A group=(
    [build]="gcc libc6-dev make pkg-config nginx nginx-dev libpq-dev
             libcjson-dev libhiredis-dev"
    [run]="postgresql-15 redis-server curl"
    [test]="perl libmojolicious-perl libdbd-pg-perl pgbouncer"
    [bench]="wrk"
    [asan]="libasan8 libubsan1 dpkg-dev"
    [lint]="clang clang-tidy cppcheck"
    [fuzz]="clang libclang-rt-dev"
)

# another node than Debian's will do as well

command -v node > /dev/null && command -v npm > /dev/null \
    || group[test]+=" nodejs npm"

missing=()

for name; do
    for package in ${group[$name]}; do
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)
        [ "$status" = installed ] || missing+=("$package")
    done
done

[ ${#missing[@]} -gt 0 ] || exit 0

echo "installing ${missing[*]}"

root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo > /dev/null; then
        echo "without root and sudo; please install: ${missing[*]}" >&2
        exit 1
    fi
    root=(sudo)
fi

apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y
     -o Dpkg::Use-Pty=0)
install=("${apt[@]}" install --no-install-recommends "${missing[@]}")

# the package lists may be old or absent

"${install[@]}" 2> /dev/null || { "${apt[@]}" update && "${install[@]}"; }
