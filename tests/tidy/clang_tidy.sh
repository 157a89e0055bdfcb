#!/usr/bin/env bash
# Runs clang-tidy over the library, the programs and the examples.
# usage: clang_tidy.sh BUILD_DIR [PATH_REGEX]   (BUILD_DIR holds compile_commands.json)
set -euo pipefail

build=$1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
paths=${2:-"^$root/(libtftp/src|tftpd|tftp|docs/examples)/.*\.cpp$"}

# The commands are those of g++, and some of its options are no business of clang's.
run-clang-tidy -quiet -j "$(nproc)" -p "$build" \
    -extra-arg=-Wno-ignored-optimization-argument "$paths" 2>/dev/null |
    sed -e 's/\x1b\[[0-9;]*m//g' -e '/^clang-tidy/d' -e '/^$/d'
