#!/usr/bin/env python3
"""Lists and counts what the last run of ctest skipped, with its reasons.

usage: skips.py [--none] BUILD_DIR...

Reads Testing/Temporary/LastTest.log of each, in which ctest calls skipped tests passed. A test program
says "skipped: REASON" for each case, or part of one, that cannot run here; its other cases have run. With --none anything skipped is a
failure. Exit codes: 0, 1 something was skipped with --none, 2 no log.
"""

import re
import sys
from pathlib import Path

LOG = Path("Testing/Temporary/LastTest.log")
BEGIN = re.compile(r"^\d+/\d+ Testing: (.+)$")
REASON = re.compile(r"^skipped: (.+)$")


def skipped_in(lines: list[str]) -> dict[str, list[str]]:
    """The reasons of each test that skipped something, in the order of the log."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in lines:
        if begun := BEGIN.match(line):
            name = begun[1]
        elif reason := REASON.match(line):
            found.setdefault(name, []).append(reason[1])
    return found


def main() -> int:
    """Returns the exit code."""
    arguments = sys.argv[1:]
    none = "--none" in arguments
    builds = [Path(each) for each in arguments if each != "--none"]
    if not builds:
        print((__doc__ or "").strip(), file=sys.stderr)
        return 2
    total = 0
    for build in builds:
        try:
            text = (build / LOG).read_text(encoding="utf-8", errors="replace")
        except OSError as why:
            print(f"skips: {why}", file=sys.stderr)
            return 2
        found = skipped_in(text.splitlines())
        count = sum(len(reasons) for reasons in found.values())
        total += count
        print(f"{build}: {count} skipped" + (f", in {len(found)} tests:" if count else ""))
        for name, reasons in found.items():
            for reason in reasons:
                print(f"  {name}: {reason}")
    if none and total:
        print("skips: on this machine nothing may be skipped", file=sys.stderr)
    return 1 if none and total else 0


if __name__ == "__main__":
    sys.exit(main())
