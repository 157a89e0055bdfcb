#!/usr/bin/env bash
# Runs clang-tidy over the library, the programs and the examples.
# usage: clang_tidy.sh [--deep] BUILD_DIR [PATH_REGEX]
#   BUILD_DIR holds compile_commands.json. --deep: clang's analyzer looks further into what a
#   function calls, which takes half as long again.
set -euo pipefail

# The commands are those of g++, and some of its options are no business of clang's.
arguments=(-extra-arg=-Wno-ignored-optimization-argument)
if [[ ${1:-} == --deep ]]; then
    shift
else
    arguments+=(-extra-arg={-Xclang,-analyzer-config,-Xclang,mode=shallow})
fi
build=$1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
paths=${2:-"^$root/(libtftp/src|tftpd|tftp|docs/examples)/.*\.cpp$"}

run-clang-tidy -quiet -j "$(nproc)" -p "$build" "${arguments[@]}" "$paths" 2>/dev/null |
    sed -e 's/\x1b\[[0-9;]*m//g' -e '/^clang-tidy/d' -e '/^$/d'
