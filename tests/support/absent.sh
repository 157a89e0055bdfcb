#!/bin/sh
# absent.sh REASON: stands for a test that was not built, see tftp_add_absent_test(). Skipped, or, where
# nothing may be skipped (TFTP_REQUIRE_ALL), failed.
echo "skipped: $1"
[ -z "${TFTP_REQUIRE_ALL:-}" ] && exit 77
exit 1
