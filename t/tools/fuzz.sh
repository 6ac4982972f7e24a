#!/bin/bash
#
# usage: fuzz.sh SECONDS TARGET...
#
# Runs each fuzz target for so long, from its seeds in t/fuzz/seeds and from
# what earlier runs found, both kept apart.

seconds=$1
shift

for target; do
    name=${target##*/}
    found=build/fuzz/corpus/$name

    mkdir -p "$found" build/fuzz/crashes
    echo "fuzzing $name for $seconds s"

    seeds=(t/fuzz/seeds/"$name")
    [ -d "${seeds[0]}" ] || seeds=()

    "$target" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=2048 \
        -artifact_prefix="build/fuzz/crashes/$name-" -print_final_stats=0 \
        "$found" "${seeds[@]}" > "build/fuzz/$name.log" 2>&1 || {
            tail -n 40 "build/fuzz/$name.log" >&2
            exit 1
        }

    grep -E '^Done [0-9]+ runs' "build/fuzz/$name.log"
done
