#!/usr/bin/env bash
# Runs the fuzz targets of a build, two at a time.
#
# usage: tests/fuzz/run.sh SECONDS BUILD_DIR [TARGET...]
#
#   SECONDS    how long each target runs
#   BUILD_DIR  a build for libFuzzer: build/asan
#   TARGET     decode, options, ... (default: all that were built)
#
# New inputs are kept in BUILD_DIR/fuzz/TARGET; they count in the next run. What breaks a target is
# written to BUILD_DIR/fuzz/findings, and how to run it again is printed; the exit code is 1 then.
set -euo pipefail

if [[ $# -lt 2 ]]; then
    sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 2
fi
seconds=$1
build=$(cd "$2" && pwd)
shift 2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
targets=("$@")
if [[ ${#targets[@]} -eq 0 ]]; then
    for program in "$build"/tests/fuzz_*; do
        targets+=("${program##*/fuzz_}")
    done
fi
findings=$build/fuzz/findings
mkdir -p "$findings"

# The sanitizers of clang 14 need the address space as it was before Linux 6.5.
fixed=()
if setarch --addr-no-randomize true 2>/dev/null; then
    fixed=(setarch --addr-no-randomize)
fi

# fuzz TARGET: one target, its output in a log; says in one line how it went.
fuzz() {
    local name=$1
    local kept=$build/fuzz/$name log=$build/fuzz/$name.log
    local command=("${fixed[@]}" "$build/tests/fuzz_$name")
    local options=(
        "-max_total_time=$seconds" -max_len=4096 -timeout=20 -rss_limit_mb=2048
        -print_final_stats=1 "-artifact_prefix=$findings/$name-"
    )
    if [[ -f $here/dictionaries/$name.dict ]]; then
        options+=("-dict=$here/dictionaries/$name.dict")
    fi
    mkdir -p "$kept"
    if "${command[@]}" "${options[@]}" "$kept" "$here/corpus/$name" >"$log" 2>&1; then
        printf '%-10s %s executions, no finding\n' "$name" \
            "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
        return
    fi
    grep -v '^#[0-9]' "$log" | tail -n 40
    printf '%s: a finding; run it again with\n' "$name"
    sed -n "s|^.*Test unit written to |    ${command[*]} |p" "$log"
    return 1
}

status=0
for name in "${targets[@]}"; do
    while [[ $(jobs -pr | wc -l) -ge 2 ]]; do
        wait -n || status=1
    done
    fuzz "$name" &
done
while [[ -n $(jobs -p) ]]; do
    wait -n || status=1
done
exit "$status"
