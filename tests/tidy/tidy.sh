#!/usr/bin/env bash
# The checks that need no build: rules of the tree, and clang-format. Shows all that is wrong.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
status=0

python3 -B "$root/tests/tidy/check_tree.py" "$root" || status=1

find "$root"/{libtftp,tftpd,tftp,tests,docs} \( -name '*.[ch]pp' -o -name '*.[ch]' \) -print0 |
    xargs -0 clang-format-14 --style=file --dry-run --Werror || status=1

exit "$status"
