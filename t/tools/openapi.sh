#!/bin/bash
#
# usage: openapi.sh
#
# What the tests of OpenAPI need in build/openapi: the scripts of t/tools/openapi
# and the npm packages that they ask, which are installed when their list has
# changed.

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

# another test may be reading them

for file in "$from"/*.mjs "$from"/*.ts; do
    cmp -s "$file" "$to/${file##*/}" || {
        cp "$file" "$to/new"
        mv "$to/new" "$to/${file##*/}"
    }
done

cmp -s "$from/package-lock.json" "$to/installed" && exit 0

cp "$from/package.json" "$from/package-lock.json" "$to/"

if ! (cd "$to" && npm ci --no-audit --no-fund --ignore-scripts) >&2; then
    echo "npm ci has failed, see above: it needs npm's registry" >&2
    exit 1
fi

cp "$from/package-lock.json" "$to/installed"
