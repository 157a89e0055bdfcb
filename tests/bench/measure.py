"""One sample: a fresh server, one run of the load, every octet compared, the CPU time of both."""

import filecmp
import itertools
import json
import os
import random
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cost
from servers import MEMORY, Failure, Group, Program, Running, fetch
from workloads import (
    CLIENT_CPU,
    CPU_BLOCK,
    CPU_TRANSFER,
    DELAY,
    DELAY_P999,
    FETCH,
    GOODPUT,
    IDLE,
    KERNEL_MEMORY,
    MIB,
    OURS,
    SUBJECTS,
    USER_MEMORY,
    Into,
    Kind,
    Subject,
    Workload,
)

#: The disk of Kind.SLOW_DISK: its one file, how long each read takes, how many clients read.
SLOW_FILE = 16 * MIB
SLOW_READ_MS = 50
SLOW_CLIENTS = 8
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
    """What one run of one subject came to."""

    subject: str
    #: The counters of bench_load, or what is known of them.
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

    def __init__(
        self, build: Path, scratch: Path, placement: Placement, scale: str, programs: dict[str, Program]
    ) -> None:
        self.placement = placement
        self._programs = programs
        self._scale = scale
        self._load_program = build / "tests/bench_load"
        self._limit_program = build / "tests/bench_limit"
        self._disk_program = build / "tests/bench_disk"
        self._micro_program = build / "tests/bench_micro"
        self._samples = scratch / "perf.data"
        self._into = {
            Into.DISK: scratch / "fetched", Into.MEMORY: MEMORY / "fetched", Into.NOWHERE: Path(os.devnull),
        }  # fmt: skip
        self._root = scratch / "root"
        self._root.mkdir()
        # Servers that give up their identity must be able to write into it.
        self._root.chmod(0o777)
        self._ports = itertools.count(6900)
        #: Before all others on its CPU, where that is allowed.
        self._first = ["chrt", "--fifo", "1"]
        if subprocess.run([*self._first, "true"], capture_output=True, check=False).returncode != 0:
            self._first = []

    def can(self, name: str) -> bool:
        """True when the programs of a subject are there."""
        subject = SUBJECTS.get(name, Subject(name))
        return all(program is None or program in self._programs for program in (subject.server, subject.client))

    def sample(self, workload: Workload, name: str, run: int) -> Sample:
        """Measures one run of one subject."""
        amount = workload.amount(name, self._scale)
        content = self._content(amount.size)
        subject = SUBJECTS.get(name, Subject(name))
        out = Sample(name, {}, amount.transfers)
        try:
            with self._running(subject) as server:
                match workload.kind:
                    case Kind.LOAD:
                        self._load(workload, server, out, content, run)
                    case Kind.HELD:
                        self._hold(workload, server, out, content, run)
                    case Kind.PROGRAM:
                        self._run_client(workload, server, out, content, run)
                    case Kind.SLOW_DISK:
                        self._slow_disk(workload, server, out, content, run)
                if not server.alive():
                    out.trouble.append("the server ended")
            if workload.put:
                out.trouble += self._check_uploads(content, amount.transfers)
        finally:
            # Of a run that failed, too: the next one is not to find them.
            for path in self._root.glob("upload.*"):
                path.unlink()
        return out

    def _running(self, subject: Subject) -> Running:
        program = self._programs[subject.server]
        return Running(program, Group(), self.placement.server, next(self._ports), self._root, subject)

    def _load(self, workload: Workload, server: Running, out: Sample, content: Path, run: int) -> None:
        """Runs the load to its end, and takes the CPU time."""
        before = server.cpu_at_rest_s()
        command = self._command(workload, server, out.subject, content, run)
        out.load = self._json_of(command, workload.limit(self._scale) + MARGIN_S)
        cpu_us = (server.cpu_at_rest_s() - before) * 1e6
        out.figures = {
            CPU_BLOCK: cpu_us / max(1, out.load["blocks"]),
            CPU_TRANSFER: cpu_us / max(1, out.load["completed"]),
            GOODPUT: out.load["octets"] / MIB / out.load["wall_s"],
            "server CPU, s": cpu_us / 1e6,
        }
        out.trouble = self._trouble(workload, out)

    def _hold(self, workload: Workload, server: Running, out: Sample, content: Path, run: int) -> None:
        """Stops all transfers at their first block, looks, and lets them go on."""
        server.cpu_at_rest_s()
        idle_kib = server.group.pss_kib()
        kernel_kib = kernel_memory_kib()
        command = [*self._command(workload, server, out.subject, content, run), "--hold"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
            try:
                if running.stdout is None or running.stdout.readline() != "holding\n":
                    raise Failure(f"{out.subject}: not every transfer got its first block")
                out.figures = {
                    IDLE: float(idle_kib),
                    USER_MEMORY: (server.group.pss_kib() - idle_kib) / out.transfers,
                    KERNEL_MEMORY: (kernel_memory_kib() - kernel_kib) / out.transfers,
                    FETCH: self._fetch_ms(server),
                }
                text, _ = running.communicate("\n", timeout=workload.limit(self._scale) + MARGIN_S)
            except subprocess.TimeoutExpired as error:
                raise Failure(f"{out.subject}: transfers that stood still did not end") from error
            finally:
                running.kill()
        out.load = json.loads(text)
        out.trouble = self._trouble(workload, out)

    def _run_client(self, workload: Workload, server: Running, out: Sample, content: Path, run: int) -> None:
        """Runs a client program once, and compares the file that it wrote. Of a transfer that is not written, one more
        is."""
        into = self._into[workload.into]
        before = server.cpu_at_rest_s()
        wall_s, client_s = self._fetch_by_program(workload, server, out, content, into)
        server_s = server.cpu_at_rest_s() - before
        blocks = content.stat().st_size // workload.blksize + 1
        out.load = {"octets": content.stat().st_size, "blocks": blocks, "wall_s": wall_s, "cpu_s": client_s}
        out.figures = {
            CPU_BLOCK: server_s * 1e6 / blocks,
            CLIENT_CPU: client_s * 1e6 / blocks,
            GOODPUT: out.load["octets"] / MIB / wall_s,
        }
        if workload.into is Into.NOWHERE:
            if run > 0:
                return
            into = self._into[Into.MEMORY]
            self._fetch_by_program(workload, server, out, content, into)
        if not into.exists() or not filecmp.cmp(into, content, shallow=False):
            out.trouble.append("the file is wrong")
        into.unlink(missing_ok=True)

    def _fetch_by_program(
        self, workload: Workload, server: Running, out: Sample, content: Path, into: Path
    ) -> tuple[float, float]:
        """Runs the client program; returns its seconds of time, and of CPU time."""
        name = SUBJECTS[out.subject].client or ""
        program = self._programs[name]
        group = Group()
        command = [
            *group.enter(), "taskset", "-c", str(self.placement.load_of(workload)), str(program.path),
            *fetch(name, server.port, content.name, into, workload.blksize, workload.windowsize),
        ]  # fmt: skip
        begun = time.monotonic()
        try:
            done = subprocess.run(
                command, env=program.environment, stdin=subprocess.DEVNULL, capture_output=True,
                timeout=workload.limit(self._scale), check=False,
            )  # fmt: skip
            taken = time.monotonic() - begun, group.cpu_s()
        except subprocess.TimeoutExpired as error:
            raise Failure(f"{name}: did not end") from error
        finally:
            group.end()
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            out.trouble.append(f"exit code {done.returncode}: {said}")
        return taken

    def _slow_disk(self, workload: Workload, server: Running, out: Sample, content: Path, run: int) -> None:
        """Reads a warm file alone, and again beside clients that read from the slow disk. Those and the disk share the
        CPU of the client that takes the time: it runs when it can, so that it does not wait for them."""
        far = self._content(SLOW_FILE, MEMORY)
        where = self._root / "slow"
        where.mkdir(exist_ok=True)
        server.cpu_at_rest_s()
        warm = [*self._first, *self._command(workload, server, out.subject, content, run), "--waits"]
        limit_s = workload.limit(self._scale) + MARGIN_S
        alone = self._json_of(warm, limit_s)
        beside = ["taskset", "-c", str(self.placement.load)]
        disk = [*beside, str(self._disk_program), str(where), str(far), str(SLOW_READ_MS)]
        slow = [
            *beside, str(self._load_program),
            "--server", f"127.0.0.1:{server.port}", "--file", f"{where.name}/file", "--content", str(far),
            "--clients", str(SLOW_CLIENTS), "--transfers", str(SLOW_CLIENTS),
            "--blksize", str(workload.blksize), "--limit", str(1000 * int(limit_s)),
        ]  # fmt: skip
        with subprocess.Popen(disk, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as mounted:
            try:
                if mounted.stdout is None or mounted.stdout.readline() != "mounted\n":
                    raise Failure("the slow disk cannot be mounted: that needs /dev/fuse")
                with subprocess.Popen(slow, stdout=subprocess.DEVNULL) as readers:
                    try:
                        if mounted.stdout.readline() != "used\n":
                            raise Failure("nobody reads from the slow disk")
                        out.load = self._json_of(warm, limit_s)
                        if readers.poll() is not None:
                            out.trouble.append("nobody read from the slow disk at the end")
                    finally:
                        readers.kill()
            finally:
                # Ends by itself, and unmounts, when its standard input does.
                reads, _ = mounted.communicate(timeout=MARGIN_S)
        out.figures = {
            figure: (out.load["wait_s"][key] - alone["wait_s"][key]) * 1e3
            for figure, key in ((DELAY, "max"), (DELAY_P999, "p999"))
        }
        out.load["wait_alone_s"] = alone["wait_s"]
        out.load["slow_reads"] = int(reads)
        if out.load["slow_reads"] == 0:
            out.trouble.append("nobody read from the slow disk")
        out.trouble += self._trouble(workload, out)

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

    def limit(self, workload: Workload, from_file: bool = False) -> dict[str, float]:
        """Measures the same packets without TFTP, of the same octets each time or of the file that is served."""
        amount = workload.amount(workload.ours, self._scale)
        blocks = amount.size * amount.transfers // workload.blksize + 1
        cpu = self.placement.server
        command = [
            str(self._limit_program), "--blksize", str(workload.blksize), "--windowsize", str(workload.windowsize),
            "--blocks", str(max(amount.clients, min(blocks, 200_000))), "--sender-cpu", str(cpu),
            "--receiver-cpu", str(self.placement.load_of(workload)), "--pairs", str(amount.clients),
        ]  # fmt: skip
        if from_file:
            command += ["--from", str(self._content(amount.size))]
        into = self._into[workload.into]
        if workload.into is not Into.NOWHERE:
            command += ["--into", str(into)]
        try:
            return self._json_of(command, MARGIN_S)
        finally:
            if workload.into is not Into.NOWHERE:
                into.unlink(missing_ok=True)

    def profile(self, workload: Workload) -> dict[str, float]:
        """Where the CPU time of our server goes, in parts of 1; empty without perf, or where that is forbidden."""
        if not cost.available():
            return {}
        content = self._content(workload.amount(workload.ours, self._scale).size)
        with self._running(Subject(OURS)) as server:
            server.cpu_at_rest_s()
            command = [
                *cost.record(server.group.processes(), self._samples),
                *self._command(workload, server, workload.ours, content, 0),
            ]
            try:
                subprocess.run(
                    command, capture_output=True, timeout=workload.limit(self._scale) + MARGIN_S, check=False
                )
            except subprocess.TimeoutExpired:
                return {}
        return cost.shares(self._samples)

    def micro(self) -> list[dict[str, Any]]:
        """What bench_micro says; nothing where it was not built."""
        if not self._micro_program.exists():
            return []
        least_s = {"full": 0.5, "quick": 0.1, "smoke": 0.001}[self._scale]
        command = [
            "taskset", "-c", str(self.placement.server), str(self._micro_program),
            f"--benchmark_min_time={least_s}", "--benchmark_format=json",
        ]  # fmt: skip
        out: list[dict[str, Any]] = self._json_of(command, MARGIN_S)["benchmarks"]
        return out

    def check_load(self) -> list[str]:
        """Returns what bench_load fails to notice: an octet that is wrong, a server that dies."""
        missed = []
        content = self._content(100_000)
        altered = self._root.parent / "altered"
        octets = bytearray(content.read_bytes())
        octets[70_000] ^= 1
        altered.write_bytes(octets)
        with self._running(Subject(OURS)) as server:
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
                    server.group.kill()
                    text, _ = running.communicate("\n", timeout=MARGIN_S)
                finally:
                    running.kill()
            if json.loads(text)["reasons"] != {"connection refused": 1}:
                missed.append("a server that died")
        return missed

    def _content(self, size: int, directory: Path | None = None) -> Path:
        """Returns a file of this size, in the directory that is served if in no other; its octets
        repeat in no block."""
        path = (directory or self._root) / f"content.{size}"
        if not path.exists():
            source = random.Random(size)
            with path.open("wb") as out:
                for start in range(0, size, MIB):
                    out.write(source.randbytes(min(MIB, size - start)))
            path.chmod(0o644)
        return path

    def _command(
        self, workload: Workload, server: Running, subject: str, content: Path, run: int
    ) -> list[str]:
        amount = workload.amount(subject, self._scale)
        command = [
            "taskset", "-c", str(self.placement.load_of(workload)), str(self._load_program),
            "--server", f"127.0.0.1:{server.port}",
            "--file", "upload.%" if workload.put else content.name,
            "--content", str(content),
            "--clients", str(amount.clients), "--transfers", str(amount.transfers),
            "--opening", str(workload.opening_max),
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
            raise Failure(f"{command} did not end") from error
        if not done.stdout:
            raise Failure(done.stderr.strip() or f"{command[0]} ended with status {done.returncode}")
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
        """Compares what was uploaded."""
        wrong = 0
        expected = content.read_bytes()
        for number in range(transfers):
            path = self._root / f"upload.{number}"
            if not path.exists() or path.read_bytes() != expected:
                wrong += 1
        return [f"{wrong} uploads wrong"] if wrong else []
