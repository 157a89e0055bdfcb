"""Where the CPU time of our server goes, by the symbols that perf found it in."""

import re
import shutil
import subprocess
from pathlib import Path

#: What a function of the kernel is there for; the first that fits.
KERNEL = (
    ("copying", r"copy_(to|from|page)|_copy_|memcpy|memmove|rep_movs"),
    ("file", r"filemap|folio|readahead|ext4|shmem|btrfs|xfs|overlay|ovl_|vfs_|xas_|kiocb|mmap|fault|pread"),
    ("epoll", r"epoll|^ep_|_poll|poll_"),
    ("receive", r"recv|rcv|netif_receive|net_rx|napi|backlog|udp4_lib_lookup|gro_"),
    ("UDP/IP send", r"udp|^_*ip_|skb|sock|dev_|fib_|send|loopback|xmit|sk_|neigh|route|csum|nf_|iovec"),
    ("scheduling", r"sched|switch|wake|idle|futex|rseq|irq|spin|timer|tick|enqueue|dequeue|rcu|task"),
    ("system calls", r"syscall|seccomp|fdget|fput|entry|exit_to|bpf"),
    ("memory", r"alloc|free|slab|kmem|page|memcg|obj_|tlb"),
)
#: Functions of libc that copy.
LIBC_COPIES = re.compile(r"mem(cpy|move|set)")


def group_of(program: str, symbol: str) -> str:
    """The group of a function in `program`: a file name, or [kernel...]."""
    if program.startswith("[kernel") or program.startswith("[guest"):
        return next((name for name, pattern in KERNEL if re.search(pattern, symbol)), "kernel, other")
    if program == "tftpd":
        return "tftpd's own code"
    if LIBC_COPIES.search(symbol):
        return "copying"
    return "libc"


def available() -> bool:
    """True when perf is installed; the kernel may still forbid it."""
    return shutil.which("perf") is not None


def record(pids: list[int], into: Path) -> list[str]:
    """A prefix of a command: while that runs, the CPU time of these processes is sampled."""
    who = ",".join(map(str, pids))
    return ["perf", "record", "-q", "-e", "cpu-clock", "-F", "4999", "-p", who, "-o", str(into), "--"]


def shares(samples: Path) -> dict[str, float]:
    """Each group's part of all samples, the largest first; empty when there are none."""
    command = [
        "perf", "report", "-i", str(samples), "--stdio", "--no-children", "-F", "overhead,dso,symbol", "-t", ";",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    out: dict[str, float] = {}
    for line in done.stdout.splitlines():
        found = re.match(r"\s*([\d.]+)%\s*;\s*(\S+)\s*;\s*\[.\]\s*(\S+)", line)
        if found:
            group = group_of(found[2], found[3])
            out[group] = out.get(group, 0.0) + float(found[1]) / 100
    return dict(sorted(out.items(), key=lambda item: -item[1]))
