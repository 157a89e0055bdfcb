"""The programs that are measured: where they are, how they are started, what they cost."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from workloads import ATFTP, ATFTPD, BUSYBOX, CURL, DNSMASQ, HPA, OUR_CLIENT, OURS, Subject

START_LIMIT_S = 10.0
REST_LIMIT_S = 5.0
#: Where dnsmasq listens: it cannot be told otherwise.
TFTP_PORT = 69
#: Control groups of version 2, whatever was there; run mounts them in a mount namespace of its own.
GROUPS = Path("/sys/fs/cgroup")
#: A file system in memory, likewise: no disk counts in what a client costs that writes there.
MEMORY = Path("/mnt")
#: What is not ours.
PEERS = (ATFTPD, HPA, DNSMASQ, ATFTP, CURL, BUSYBOX)
#: A request for a file that nobody has.
PROBE = b"\0\1no such file\0octet\0"


class Failure(Exception):
    """A measurement that cannot be made; the text says why."""


@dataclass(frozen=True)
class Program:
    """A server or a client that was found."""

    name: str
    path: Path
    version: str
    environment: dict[str, str]


def _library_path(peers: Path) -> str:
    found = [str(p) for base in ("usr/lib", "lib") for p in sorted((peers / base).glob("*-linux-gnu"))]
    return ":".join(found)


def _version(path: Path, flag: str, environment: dict[str, str]) -> str:
    try:
        done = subprocess.run(
            [path, flag], env=environment, capture_output=True, text=True, timeout=START_LIMIT_S, check=False
        )
    except OSError:
        return ""
    line = (done.stdout or done.stderr).partition("\n")[0]
    for end in (" (", ",", "  "):
        line = line.partition(end)[0]
    return line.strip()


def find(build: Path, peers: Path) -> dict[str, Program]:
    """Returns the programs that are there: ours of `build`, the others unpacked in `peers`, or installed."""
    unpacked = dict(os.environ, LD_LIBRARY_PATH=_library_path(peers))
    installed = dict(os.environ)
    places = [
        (OURS, build / "bin/tftpd", installed, "--version", "tftpd"),
        (OUR_CLIENT, build / "bin/tftp", installed, "--version", "tftp"),
    ]
    for name, where, flag, mark in (
        (ATFTPD, "usr/sbin", "-V", "atftp-"),
        (HPA, "usr/sbin", "-V", "tftp-hpa"),
        (DNSMASQ, "usr/sbin", "--version", "Dnsmasq"),
        (ATFTP, "usr/bin", "-V", "atftp-"),
        (CURL, "usr/bin", "--version", "curl"),
        (BUSYBOX, "bin", "--help", "BusyBox"),
    ):
        places.append((name, peers / where / name, unpacked, flag, mark))
        places.append((name, Path("/") / where / name, installed, flag, mark))
    out: dict[str, Program] = {}
    for name, path, environment, flag, mark in places:
        if name in out or not os.access(path, os.X_OK):
            continue
        version = _version(path, flag, environment)
        if mark in version:
            out[name] = Program(name, path, version, environment)
    return out


def options(name: str, port: int, root: Path) -> list[str]:
    """The command line of each server: no limit of its own comes in the way of the load.

    Nobody but ours can make an upload durable before it is acknowledged, so ours does not either.
    """
    match name:
        case "tftpd":
            return [
                "--listen", f"127.0.0.1:{port}", "--threads", "1", "--writable", "create",
                "--fsync", "no", "--request-rate", "1000000", "--total-request-rate", "1000000",
                str(root),
            ]  # fmt: skip
        case "atftpd":
            return [
                "--daemon", "--no-fork", "--port", str(port), "--bind-address", "127.0.0.1",
                "--user", "root.root", "--logfile", "/dev/null", "--maxthread", "100000", str(root),
            ]  # fmt: skip
        case "in.tftpd":
            return ["-L", "-a", f"127.0.0.1:{port}", "-u", "root", "-c", "-p", "-s", str(root)]
        case "dnsmasq":
            return [
                "--no-daemon", "--conf-file=/dev/null", "--port=0", "--pid-file=", "--user=root",
                "--enable-tftp", f"--tftp-root={root}", "--bind-interfaces",
                "--listen-address=127.0.0.1", "--tftp-max=100000", "--quiet-tftp",
            ]  # fmt: skip
    raise ValueError(name)


def fetch(name: str, port: int, file: str, into: Path, blksize: int, windowsize: int) -> list[str]:
    """The arguments of each client that fetches `file` from 127.0.0.1. curl and BusyBox know no windowsize."""
    match name:
        case "tftp":
            return [
                "--quiet", "--blksize", str(blksize), "--windowsize", str(windowsize),
                "get", f"127.0.0.1:{port}", file, str(into),
            ]  # fmt: skip
        case "atftp":
            window = ["--option", f"windowsize {windowsize}"] if windowsize > 1 else []
            return [
                "-g", "-r", file, "-l", str(into), "--option", f"blksize {blksize}", *window, "127.0.0.1", str(port),
            ]  # fmt: skip
        case "curl":
            url = f"tftp://127.0.0.1:{port}/{file}"
            return ["--silent", "--show-error", "--tftp-blksize", str(blksize), "--output", str(into), url]
        case "busybox":
            return ["tftp", "-g", "-r", file, "-l", str(into), "-b", str(blksize), "127.0.0.1", str(port)]
    raise ValueError(name)


class Group:
    """A control group: all processes of a program, wherever they go, and the CPU time of all that ever
    were in it.

    /proc/PID/stat knows no children that nobody waits for: in.tftpd has many of these.
    """

    def __init__(self) -> None:
        self._path = Path(tempfile.mkdtemp(prefix="tftp-bench-", dir=GROUPS))

    def enter(self) -> list[str]:
        """A prefix of a command that is then started in the group."""
        return ["sh", "-c", f'echo $$ >{self._path}/cgroup.procs && exec "$@"', "sh"]

    def cpu_s(self) -> float:
        """User and system time of all, of those that have ended too."""
        for line in (self._path / "cpu.stat").read_text(encoding="ascii").splitlines():
            key, _, value = line.partition(" ")
            if key == "usage_usec":
                return int(value) / 1e6
        raise Failure("cpu.stat of a control group has no usage_usec")

    def processes(self) -> list[int]:
        """Their process ids."""
        return [int(line) for line in (self._path / "cgroup.procs").read_text(encoding="ascii").split()]

    def pss_kib(self) -> int:
        """Memory of all processes in user space, what they share counted once."""
        total = 0
        for pid in self.processes():
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
            except (FileNotFoundError, ProcessLookupError):
                # It has just ended.
                continue
            total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
        return total

    def end(self) -> None:
        """Kills all, and removes the group."""
        self.kill()
        self._path.rmdir()

    def kill(self) -> None:
        """Kills all, and waits for their end."""
        limit = time.monotonic() + REST_LIMIT_S
        # Threads may be there for longer than the process that is listed.
        while "populated 1" in (self._path / "cgroup.events").read_text(encoding="ascii"):
            if time.monotonic() > limit:
                raise Failure(f"processes that do not end: {self.processes()}")
            for pid in self.processes():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.01)


class Running:
    """A server that runs, pinned to a CPU, until the end of the `with` block."""

    def __init__(
        self, program: Program, group: Group, cpu: int, port: int, root: Path, subject: Subject
    ) -> None:
        self.port = TFTP_PORT if program.name == DNSMASQ else port
        self.name = program.name
        self.group = group
        limit = ["prlimit", f"--nofile={subject.descriptors}"] if subject.descriptors else []
        command = [
            *group.enter(), *limit, "taskset", "-c", str(cpu),
            str(program.path), *subject.options, *options(program.name, self.port, root),
        ]  # fmt: skip
        self._process = subprocess.Popen(
            command, env=program.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def __enter__(self) -> "Running":
        try:
            self._wait_for_answer()
        except Failure:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def alive(self) -> bool:
        """False once the server has ended by itself."""
        return self._process.poll() is None

    def cpu_at_rest_s(self) -> float:
        """CPU time once nothing is done any more: the last processes may still end."""
        quiet_s = 0.001
        limit = time.monotonic() + REST_LIMIT_S
        last = self.group.cpu_s()
        while time.monotonic() < limit:
            time.sleep(0.05)
            now = self.group.cpu_s()
            if abs(now - last) < quiet_s:
                return now
            last = now
        return last

    def _wait_for_answer(self) -> None:
        limit = time.monotonic() + START_LIMIT_S
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.1)
            while time.monotonic() < limit and self.alive():
                probe.sendto(PROBE, ("127.0.0.1", self.port))
                try:
                    probe.recv(1024)
                    return
                except TimeoutError:
                    continue
        raise Failure(f"{self.name} does not answer")

    def _stop(self) -> None:
        self.group.end()
        self._process.wait()
