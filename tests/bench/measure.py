"""One sample: a fresh server, one run of the load, every octet compared, the CPU time of both."""

import itertools
import json
import random
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers import Failure, Group, Program, Running
from workloads import (
    CPU_BLOCK,
    CPU_TRANSFER,
    FETCH,
    GOODPUT,
    HELD,
    IDLE,
    KERNEL_MEMORY,
    MIB,
    OURS,
    USER_MEMORY,
    Workload,
)

#: What a run may take longer than its limit: start, comparison of uploads, end.
MARGIN_S = 60


@dataclass(frozen=True)
class Placement:
    """The CPUs of a run."""

    server: int
    load: int

    def load_of(self, workload: Workload) -> int:
        """The CPU of the load: the server's own where one waits for the other."""
        return self.server if workload.together else self.load


@dataclass
class Sample:
    """What one run of one server came to."""

    server: str
    #: The counters of bench_load.
    load: dict[str, Any]
    transfers: int
    #: By metric.
    figures: dict[str, float] = field(default_factory=dict)
    #: Empty when every transfer was completed and every octet was right.
    trouble: list[str] = field(default_factory=list)


def kernel_memory_kib() -> int:
    """What the kernel has for its own objects, of the whole machine: other programs disturb it."""
    total = 0
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith(("SUnreclaim:", "SReclaimable:", "KernelStack:", "PageTables:")):
            total += int(line.split()[1])
    return total


class Bench:
    """The directory that is served, and the programs that measure."""

    def __init__(self, build: Path, scratch: Path, placement: Placement, scale: str) -> None:
        self.placement = placement
        self._scale = scale
        self._load_program = build / "tests/bench_load"
        self._limit_program = build / "tests/bench_limit"
        self._root = scratch / "root"
        self._root.mkdir()
        # Servers that give up their identity must be able to write into it.
        self._root.chmod(0o777)
        self._ports = itertools.count(6900)
    def sample(self, workload: Workload, program: Program, run: int) -> Sample:
        """Measures one run of one server."""
        amount = workload.amount(program.name, self._scale)
        content = self._content(amount.size)
        group = Group()
        with Running(program, group, self.placement.server, next(self._ports), self._root) as server:
            if workload.metric in HELD:
                out = self._hold(workload, server, content, run)
            else:
                out = self._load(workload, server, content, run)
            if not server.alive():
                out.trouble.append("the server ended")
        if workload.put:
            out.trouble += self._check_uploads(content, amount.transfers)
        return out

    def _load(self, workload: Workload, server: Running, content: Path, run: int) -> Sample:
        """Runs the load to its end, and takes the CPU time."""
        before = server.cpu_at_rest_s()
        command = self._command(workload, server, content, run)
        load = self._json_of(command, workload.limit(self._scale) + MARGIN_S)
        cpu_us = (server.cpu_at_rest_s() - before) * 1e6
        out = Sample(server.name, load, workload.amount(server.name, self._scale).transfers)
        out.figures = {
            CPU_BLOCK: cpu_us / max(1, load["blocks"]),
            CPU_TRANSFER: cpu_us / max(1, load["completed"]),
            GOODPUT: load["octets"] / MIB / load["wall_s"],
            "server CPU, s": cpu_us / 1e6,
        }
        out.trouble = self._trouble(workload, out)
        return out

    def _hold(self, workload: Workload, server: Running, content: Path, run: int) -> Sample:
        """Stops all transfers at their first block, looks, and lets them go on."""
        transfers = workload.amount(server.name, self._scale).transfers
        server.cpu_at_rest_s()
        idle_kib = server.group.pss_kib()
        kernel_kib = kernel_memory_kib()
        command = [*self._command(workload, server, content, run), "--hold"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
            try:
                if running.stdout is None or running.stdout.readline() != "holding\n":
                    raise Failure(f"{server.name}: not every transfer got its first block")
                figures = {
                    IDLE: float(idle_kib),
                    USER_MEMORY: (server.group.pss_kib() - idle_kib) / transfers,
                    KERNEL_MEMORY: (kernel_memory_kib() - kernel_kib) / transfers,
                    FETCH: self._fetch_ms(server),
                }
                text, _ = running.communicate("\n", timeout=workload.limit(self._scale) + MARGIN_S)
            except subprocess.TimeoutExpired as error:
                raise Failure(f"{server.name}: transfers that stood still did not end") from error
            finally:
                running.kill()
        out = Sample(server.name, json.loads(text), transfers, figures)
        out.trouble = self._trouble(workload, out)
        return out

    def _fetch_ms(self, server: Running) -> float:
        """How long a small transfer of another client takes."""
        content = self._content(300)
        command = [
            "taskset", "-c", str(self.placement.load), str(self._load_program),
            "--server", f"127.0.0.1:{server.port}", "--file", content.name, "--content", str(content),
        ]  # fmt: skip
        found = self._json_of(command, MARGIN_S)
        if not found["completed"]:
            raise Failure(f"{server.name}: the small fetch failed")
        return float(found["completion_s"]["max"]) * 1e3

    def limit(self, workload: Workload) -> dict[str, float]:
        """Measures the same packets without TFTP."""
        amount = workload.amount(OURS, self._scale)
        blocks = amount.size * amount.transfers // workload.blksize + 1
        cpu = self.placement.server
        command = [
            str(self._limit_program), "--blksize", str(workload.blksize), "--windowsize", str(workload.windowsize),
            "--blocks", str(min(blocks, 200_000)), "--sender-cpu", str(cpu),
            "--receiver-cpu", str(self.placement.load_of(workload)),
        ]  # fmt: skip
        return self._json_of(command, MARGIN_S)

    def check_load(self, program: Program) -> list[str]:
        """Returns what bench_load fails to notice: an octet that is wrong, a server that dies."""
        missed = []
        content = self._content(100_000)
        altered = self._root.parent / "altered"
        octets = bytearray(content.read_bytes())
        octets[70_000] ^= 1
        altered.write_bytes(octets)
        group = Group()
        with Running(program, group, self.placement.server, next(self._ports), self._root) as server:
            command = [
                "taskset", "-c", str(self.placement.load), str(self._load_program),
                "--server", f"127.0.0.1:{server.port}", "--file", content.name,
            ]  # fmt: skip
            if self._json_of([*command, "--content", str(altered)], MARGIN_S)["wrong"] != 1:
                missed.append("an octet that is wrong")
            held = [*command, "--content", str(content), "--hold"]
            with subprocess.Popen(held, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
                try:
                    if running.stdout is None or running.stdout.readline() != "holding\n":
                        raise Failure("bench_load does not hold")
                    group.kill()
                    text, _ = running.communicate("\n", timeout=MARGIN_S)
                finally:
                    running.kill()
            if json.loads(text)["reasons"] != {"connection refused": 1}:
                missed.append("a server that died")
        return missed

    def _content(self, size: int) -> Path:
        """Returns a file of this size in the directory; its octets repeat in no block."""
        path = self._root / f"content.{size}"
        if not path.exists():
            source = random.Random(size)
            with path.open("wb") as out:
                for start in range(0, size, MIB):
                    out.write(source.randbytes(min(MIB, size - start)))
            path.chmod(0o644)
        return path

    def _command(self, workload: Workload, server: Running, content: Path, run: int) -> list[str]:
        amount = workload.amount(server.name, self._scale)
        command = [
            "taskset", "-c", str(self.placement.load_of(workload)), str(self._load_program),
            "--server", f"127.0.0.1:{server.port}",
            "--file", "upload.%" if workload.put else content.name,
            "--content", str(content),
            "--clients", str(amount.clients), "--transfers", str(amount.transfers),
            "--blksize", str(workload.blksize), "--windowsize", str(workload.windowsize),
            "--timeout", str(workload.timeout_ms), "--limit", str(workload.limit(self._scale) * 1000),
            "--loss", str(workload.loss_ppm), "--seed", str(run + 1),
            "--gro" if workload.batched else "--plain",
        ]  # fmt: skip
        if workload.put:
            command.append("--put")
        return command

    @staticmethod
    def _json_of(command: list[str], limit_s: float) -> dict[str, Any]:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
        except subprocess.TimeoutExpired as error:
            raise Failure(f"{command[3]} did not end") from error
        if not done.stdout:
            raise Failure(done.stderr.strip())
        out: dict[str, Any] = json.loads(done.stdout)
        return out

    @staticmethod
    def _trouble(workload: Workload, sample: Sample) -> list[str]:
        load = sample.load
        out = []
        if workload.metric == FETCH:
            # A server may give up a client that says nothing; it must have answered it.
            if load["answered"] != sample.transfers:
                out.append(f"{load['answered']} of {sample.transfers} answered")
        elif load["completed"] != sample.transfers:
            reasons = ", ".join(f"{count} {why}" for why, count in load["reasons"].items())
            out.append(f"{load['completed']} of {sample.transfers} completed ({reasons})")
        if load["wrong"]:
            out.append(f"{load['wrong']} wrong")
        granted = (load["blksize"], load["windowsize"])
        if load["completed"] and granted != (workload.blksize, workload.windowsize):
            out.append(f"granted blksize {granted[0]} and windowsize {granted[1]}")
        return out

    def _check_uploads(self, content: Path, transfers: int) -> list[str]:
        """Compares what was uploaded, and removes it."""
        wrong = 0
        expected = content.read_bytes()
        for number in range(transfers):
            path = self._root / f"upload.{number}"
            if not path.exists() or path.read_bytes() != expected:
                wrong += 1
            path.unlink(missing_ok=True)
        return [f"{wrong} uploads wrong"] if wrong else []
