#!/usr/bin/env python3
"""Counts the user-space instructions of one block, and compares them with the figures on record.

usage: instructions.py [--write] PROGRAM

PROGRAM is bench_instructions of a release build. It runs under valgrind's callgrind, once for each
workload and side; what the kernel does is not counted, so the load of the machine does not matter.
A figure above the one on record in instructions.json by more than 5 % is a failure. One below it by
more than 5 % is one, too: the record is to be written anew, with --write, so that it stays gained.
Exit codes: 0 as on record, 1 not, 77 without valgrind.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

# One memcpy for all processors: the fastest of each takes another number of instructions.
ENVIRONMENT = {
    **os.environ,
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX_Fast_Unaligned_Load,-AVX2,-AVX512F,-AVX512VL,-ERMS,-FSRM",
}
RECORD = pathlib.Path(__file__).with_name("instructions.json")
TOLERANCE = 0.05
SIDES = ("server", "client")


def count(program: str, workload: str, side: str) -> float:
    """Returns the instructions that `side` takes for one block."""
    with tempfile.NamedTemporaryFile() as out:
        done = subprocess.run(
            [
                "valgrind",
                "--tool=callgrind",
                f"--callgrind-out-file={out.name}",
                f"--toggle-collect=count_{side}",
                program,
                workload,
            ],
            capture_output=True,
            text=True,
            check=False,
            env=ENVIRONMENT,
        )
        if done.returncode != 0:
            sys.exit(f"instructions: {workload}, {side}:\n{done.stderr}")
        total = re.search(r"^(?:summary|totals): (\d+)", pathlib.Path(out.name).read_text(), re.M)
    if total is None:
        sys.exit(f"instructions: {workload}, {side}: callgrind counted nothing")
    return int(total.group(1)) / int(done.stdout)


def measure(program: str) -> dict[str, dict[str, float]]:
    """Counts all workloads."""
    names = subprocess.run([program, "list"], capture_output=True, text=True, check=True).stdout.split()
    return {name: {side: round(count(program, name, side), 1) for side in SIDES} for name in names}


def compare(found: dict[str, dict[str, float]], record: dict[str, dict[str, float]]) -> bool:
    """Prints both; returns whether all is as on record."""
    good = found.keys() == record.keys()
    if not good:
        print("the workloads are not those on record")
    print(f"{'instructions a block':<22}{'side':<8}{'here':>10}{'on record':>12}")
    for name, sides in found.items():
        for side, here in sides.items():
            known = record.get(name, {}).get(side, 0.0)
            changed = abs(here - known) > TOLERANCE * known
            good = good and not changed
            print(f"{name:<22}{side:<8}{here:>10}{known:>12}{'  <- changed' if changed else ''}")
    return good


def main() -> int:
    arguments = sys.argv[1:]
    write = "--write" in arguments
    programs = [each for each in arguments if each != "--write"]
    if len(programs) != 1:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    if shutil.which("valgrind") is None:
        print("skipped: valgrind is not installed")
        return 1 if os.environ.get("TFTP_REQUIRE_ALL") else 77
    found = measure(programs[0])
    if write:
        RECORD.write_text(json.dumps(found, indent=4) + "\n")
        return 0
    return 0 if compare(found, json.loads(RECORD.read_text())) else 1


if __name__ == "__main__":
    sys.exit(main())
