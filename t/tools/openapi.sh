#!/bin/bash
#
# usage: openapi.sh
#
# What t/66-openapi.t asks of a document with other people's programs, in
# build/openapi: the scripts of t/tools/openapi and the npm packages they need,
# which are installed when their list has changed.

set -e

cd "$(dirname "$0")/../.."

from=t/tools/openapi
to=build/openapi

if ! command -v node > /dev/null || ! command -v npm > /dev/null; then
    echo "no node and npm in PATH: t/tools/packages.sh test installs them" >&2
    exit 1
fi

mkdir -p "$to"

exec 9> "$to/lock"
flock 9

cp "$from"/*.mjs "$from"/*.ts "$to/"

cmp -s "$from/package-lock.json" "$to/installed" && exit 0

cp "$from/package.json" "$from/package-lock.json" "$to/"

if ! (cd "$to" && npm ci --no-audit --no-fund --ignore-scripts) >&2; then
    echo "npm ci has failed, see above: it needs npm's registry" >&2
    exit 1
fi

cp "$from/package-lock.json" "$to/installed"
