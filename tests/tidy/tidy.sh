#!/usr/bin/env bash
# The checks that need no build: rules of the tree, and clang-format.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

python3 -B "$root/tests/tidy/check_tree.py" "$root"

find "$root"/{libtftp,tftpd,tftp,tests,docs} -name '*.[ch]pp' -print0 |
    xargs -0 clang-format-14 --style=file --dry-run --Werror
