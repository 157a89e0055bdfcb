"""The table of workloads: what is asked of each server, and what ours must reach.

One entry is one measurement. To add one, append it to WORKLOADS; nothing else knows the rows.
"""

from dataclasses import dataclass, field, replace
from enum import Enum, auto

KIB = 1024
MIB = 1024 * KIB

OURS = "tftpd"
ATFTPD = "atftpd"
HPA = "in.tftpd"
DNSMASQ = "dnsmasq"
ALL = (ATFTPD, HPA, DNSMASQ)

#: Clients, that all fetch from our server.
OUR_CLIENT = "tftp"
ATFTP = "atftp"
CURL = "curl"
BUSYBOX = "busybox"
#: Clients with servers of the same people.
OUR_PAIR = "tftpd, tftp"
ATFTP_PAIR = "atftpd, atftp"

#: What the ratio of a row is made of.
CPU_BLOCK = "server CPU per block"
CPU_TRANSFER = "server CPU per transfer"
CLIENT_CPU = "client CPU per block"
GOODPUT = "goodput"
DELAY = "longest wait for a block, more than without the slow disk"
DELAY_P999 = "99.9 % of the waits for a block, more than without the slow disk"
IDLE = "memory of an idle server (PSS)"
USER_MEMORY = "user memory per transfer"
KERNEL_MEMORY = "kernel memory per transfer, the client's socket included"
FETCH = "a fetch of 300 octets meanwhile"
UNITS = {
    CPU_BLOCK: "us",
    CPU_TRANSFER: "us",
    CLIENT_CPU: "us",
    GOODPUT: "MiB/s",
    IDLE: "KiB",
    USER_MEMORY: "KiB",
    KERNEL_MEMORY: "KiB",
    FETCH: "ms",
    DELAY: "ms",
    DELAY_P999: "ms",
}
#: Target.against of a bound of our own figure, not of a ratio.
BOUND = "bound"
#: Target.against of the same packets without TFTP.
LIMIT = "limit"

#: Thousands of clients share the CPU of the load: an answer may wait there for more than a second,
#: which it does not on machines of their own.
STORM_TIMEOUT_MS = 3000


class Kind(Enum):
    """How a workload is measured."""

    #: bench_load, from the first request to the last ACK.
    LOAD = auto()
    #: bench_load stops all transfers at their first block, and figures are taken while they stand still.
    HELD = auto()
    #: One transfer by a client program.
    PROGRAM = auto()
    #: A client of a warm file, without and with others that read from a slow disk.
    SLOW_DISK = auto()


class Into(Enum):
    """Where a client program puts what it fetches."""

    #: A file system of a disk: that of the directory for temporary files.
    DISK = "a file on disk"
    #: A file in memory (tmpfs).
    MEMORY = "a file in memory"
    #: /dev/null; one more run, that does not count, is compared.
    NOWHERE = "not written"


@dataclass(frozen=True)
class Subject:
    """Who is measured: a server, a client, or both."""

    server: str
    #: For Kind.PROGRAM.
    client: str | None = None
    #: More of the server's command line.
    options: tuple[str, ...] = ()
    #: Files that the server may have open; None: what it inherits.
    descriptors: int | None = None


@dataclass(frozen=True)
class Amount:
    """How much one run moves."""

    size: int
    transfers: int = 1
    clients: int = 1


@dataclass(frozen=True)
class Target:
    """A bound of the ratio of ours to a peer: at most, or at least for what should be large."""

    #: "best" of all peers that completed, one peer's name, "others": the best but dnsmasq; LIMIT or BOUND.
    against: str
    must: float
    aim: float | None = None


@dataclass(frozen=True)
class Workload:
    """One measurement; every server gets the same, but for the amount."""

    row: int
    title: str
    full: Amount
    quick: Amount
    peers: tuple[str, ...]
    targets: tuple[Target, ...]
    blksize: int = 1468
    windowsize: int = 1
    batched: bool = False
    put: bool = False
    metric: str = CPU_BLOCK
    kind: Kind = Kind.LOAD
    #: For Kind.PROGRAM.
    into: Into = Into.NOWHERE
    #: The subject that is judged.
    ours: str = OURS
    #: Server and load on one CPU, or each on its own.
    together: bool = True
    #: Transfers of ours are this many times those of the peers: a fast server needs more of them
    #: for as much CPU time.
    own_times: int = 1
    #: Amounts of single subjects, where the common one would last too long: full and quick.
    peer_amounts: dict[str, tuple[Amount, Amount]] = field(default_factory=dict)
    #: Clients that wait for a first answer at a time.
    opening_max: int = 100_000
    loss_ppm: int = 0
    timeout_ms: int = 1000
    limit_s: int = 60
    quick_limit_s: int = 20
    #: Most blocks of ours that may come twice, as a part of all; None: not judged.
    twice_max: float | None = None
    #: Most requests of ours that may have to be sent again; None: not judged.
    requests_again_max: int | None = None
    #: A peer that did not complete is compared as well, by what it delivered.
    unfinished_counts: bool = False
    #: Measure the same packets without TFTP as well, written to the same place.
    with_limit: bool = False
    #: And with the octets of the file that is served, from where the page cache has them.
    with_file_limit: bool = False
    #: Find out where the CPU time of ours goes.
    profiled: bool = False

    def limit(self, scale: str) -> int:
        """Seconds until a run is cut."""
        return self.quick_limit_s if scale == "quick" else self.limit_s

    def amount(self, server: str, scale: str) -> Amount:
        """What `server` is asked for at `scale`: full, quick or smoke."""
        if scale == "smoke":
            return self._smoke()
        chosen = (self.full, self.quick)
        if server in self.peer_amounts:
            chosen = self.peer_amounts[server]
        amount = chosen[0] if scale == "full" else chosen[1]
        if server == self.ours:
            return Amount(amount.size, amount.transfers * self.own_times, amount.clients)
        return amount

    def _smoke(self) -> Amount:
        """So little that all of the table takes seconds, past one window and one block."""
        size_max = 16 * KIB if self.loss_ppm else max(128 * KIB, 3 * self.blksize)
        clients = min(self.full.clients, 20)
        transfers = 2 * clients if clients > 1 and self.kind is not Kind.HELD else clients
        return Amount(min(self.full.size, size_max), transfers, clients)


def _single_reads() -> list[Workload]:
    rows = []
    for blksize, full, quick in (
        (512, Amount(16 * MIB, 8), Amount(16 * MIB, 1)),
        (1468, Amount(64 * MIB, 4), Amount(16 * MIB, 2)),
    ):
        rows.append(
            Workload(
                row=1,
                title=f"one client, lockstep, {blksize}",
                full=full,
                quick=quick,
                blksize=blksize,
                peers=ALL,
                targets=(Target("best", 1.0, 0.88),),
                with_limit=True,
                profiled=blksize == 1468,
            )
        )
    for row, windowsize, bounds in (
        (2, 16, ((1 / 5, 1 / 8), (1 / 3, 1 / 4))),
        (3, 64, ((1 / 8, 1 / 12), (1 / 4, 1 / 6))),
    ):
        for batched, (must, aim) in zip((True, False), bounds):
            rows.append(
                Workload(
                    row=row,
                    title=f"one client, 1468, window {windowsize}, {'UDP_GRO' if batched else 'plain'}",
                    full=Amount(64 * MIB, 4),
                    quick=Amount(64 * MIB, 1),
                    windowsize=windowsize,
                    batched=batched,
                    peers=(ATFTPD,),
                    targets=(Target("best", must, aim),),
                    own_times=5,
                    with_limit=batched,
                    with_file_limit=batched,
                    profiled=batched and windowsize == 64,
                )
            )
    return rows


def _large_blocks() -> list[Workload]:
    return [
        Workload(
            row=5,
            title="one client, 65464, window 1",
            full=Amount(256 * MIB, 16),
            quick=Amount(256 * MIB, 4),
            blksize=65464,
            peers=(ATFTPD, HPA),
            targets=(Target("best", 0.87, 0.78),),
            with_limit=True,
            with_file_limit=True,
        ),
        Workload(
            row=5,
            title="one client, 65464, window 8",
            full=Amount(256 * MIB, 16),
            quick=Amount(256 * MIB, 4),
            blksize=65464,
            windowsize=8,
            peers=(ATFTPD,),
            targets=(Target("best", 0.75, 0.65),),
            with_limit=True,
            with_file_limit=True,
        ),
    ]


def _many_readers() -> list[Workload]:
    rows = [
        Workload(
            row=6,
            title="100 clients x 1 MiB, lockstep",
            full=Amount(MIB, 400, 100),
            quick=Amount(256 * KIB, 100, 100),
            peers=ALL,
            targets=(Target(DNSMASQ, 1.0, 0.9), Target("others", 0.5)),
            together=False,
            with_limit=True,
        ),
        Workload(
            row=7,
            title="1,000 clients x 1 MiB, lockstep",
            full=Amount(MIB, 1000, 1000),
            quick=Amount(128 * KIB, 1000, 1000),
            peers=(DNSMASQ,),
            targets=(Target("best", 0.95, 0.85),),
            together=False,
            timeout_ms=STORM_TIMEOUT_MS,
            limit_s=90,
            twice_max=0.001,
            unfinished_counts=True,
            with_limit=True,
        ),
        Workload(
            row=7,
            title="5,000 clients x 256 KiB, lockstep",
            full=Amount(256 * KIB, 5000, 5000),
            quick=Amount(32 * KIB, 5000, 5000),
            peers=(DNSMASQ,),
            targets=(Target("best", 0.75, 0.62),),
            together=False,
            timeout_ms=STORM_TIMEOUT_MS,
            limit_s=90,
            twice_max=0.001,
            unfinished_counts=True,
            with_limit=True,
        ),
    ]
    for clients in (100, 400, 1000, 5000):
        # atftpd aborts at about 500 transfers: two descriptors each, and an fd_set.
        peers = (ATFTPD,) if clients < 500 else ()
        rows.append(
            Workload(
                row=8,
                title=f"{clients:,} clients x 1 MiB, window 16",
                full=Amount(MIB, 2 * clients if peers else clients, clients),
                quick=Amount(256 * KIB, clients, clients),
                windowsize=16,
                batched=True,
                peers=peers,
                targets=(Target("best", 1 / 6, 1 / 9),) if peers else (),
                together=False,
                own_times=2 if peers else 1,
                timeout_ms=1000 if peers else STORM_TIMEOUT_MS,
                limit_s=90,
            )
        )
    return rows


def _others() -> list[Workload]:
    rows = [
        Workload(
            row=9,
            title="20,000 transfers of 300 octets, 64 at a time",
            full=Amount(300, 20_000, 64),
            quick=Amount(300, 5000, 64),
            peers=ALL,
            peer_amounts={HPA: (Amount(300, 4000, 64), Amount(300, 500, 64))},
            targets=(Target(DNSMASQ, 0.65, 0.5), Target("others", 1 / 4)),
            metric=CPU_TRANSFER,
            together=False,
        ),
    ]
    rows.append(replace(rows[0], title=f"{rows[0].title}, tftpd --tid-mode single", ours=SINGLE_PORT))
    # One after the other, as a single one may be lucky.
    slow = {name: (Amount(256 * KIB, 8), Amount(256 * KIB, 2)) for name in ALL}
    for windowsize, peers, target in (
        (1, ALL, Target("best", 20, 40)),
        (16, (ATFTPD,), Target("best", 40, 100)),
    ):
        rows.append(
            Workload(
                row=10,
                title=f"1 % loss each way, {'lockstep' if windowsize == 1 else 'window 16'}",
                full=Amount(4 * MIB),
                quick=Amount(4 * MIB),
                windowsize=windowsize,
                batched=windowsize > 1,
                peers=peers,
                peer_amounts=slow,
                targets=(target,),
                metric=GOODPUT,
                loss_ppm=10_000,
                timeout_ms=3000,
                limit_s=30,
                quick_limit_s=5,
            )
        )
    for windowsize, peers, target in (
        (1, (ATFTPD, HPA), Target("best", 1.0, 0.88)),
        (16, (ATFTPD,), Target("best", 0.55, 0.35)),
    ):
        rows.append(
            Workload(
                row=11,
                title=f"upload of 64 MiB, {'lockstep' if windowsize == 1 else 'window 16'}",
                full=Amount(64 * MIB, 2),
                quick=Amount(64 * MIB),
                windowsize=windowsize,
                batched=windowsize > 1,
                put=True,
                peers=peers,
                targets=(target,),
            )
        )
    return rows


def _held() -> list[Workload]:
    """Transfers that stand still: the clients have a first block, and say nothing."""
    few = {name: (Amount(64 * KIB, 400, 400), Amount(64 * KIB, 100, 100)) for name in (ATFTPD, HPA)}
    rows = [
        Workload(
            row=12,
            title=metric,
            full=Amount(64 * KIB, 4000, 4000),
            quick=Amount(64 * KIB, 1000, 1000),
            peers=ALL,
            peer_amounts=few,
            targets=(Target(BOUND, must, aim),),
            metric=metric,
            kind=Kind.HELD,
            together=False,
            timeout_ms=STORM_TIMEOUT_MS,
        )
        for metric, must, aim in ((IDLE, 4096, 3072), (USER_MEMORY, 4, 2), (KERNEL_MEMORY, 6, 4))
    ]
    rows.append(
        Workload(
            row=13,
            title="5,000 requests at once that are never acknowledged, and a small fetch meanwhile",
            full=Amount(4 * KIB, 5000, 5000),
            quick=Amount(4 * KIB, 5000, 5000),
            # No options, so that each is answered by DATA and stays half open.
            blksize=512,
            peers=(DNSMASQ,),
            targets=(Target(BOUND, 20, 5),),
            metric=FETCH,
            kind=Kind.HELD,
            together=False,
            timeout_ms=STORM_TIMEOUT_MS,
            limit_s=20,
            requests_again_max=0,
        )
    )
    return rows


def _pairs() -> list[Workload]:
    """Both ends are programs."""
    return [
        Workload(
            row=4,
            title=f"our server with our client, 1468, window 64, {'one CPU' if together else 'two CPUs'}",
            full=Amount(2048 * MIB),
            quick=Amount(256 * MIB),
            windowsize=64,
            batched=True,
            peers=(ATFTP_PAIR,),
            peer_amounts={ATFTP_PAIR: (Amount(256 * MIB), Amount(32 * MIB))},
            targets=(Target(LIMIT, 0.4, 0.6), Target("best", 5, 10)),
            metric=GOODPUT,
            kind=Kind.PROGRAM,
            ours=OUR_PAIR,
            together=together,
            with_limit=True,
            with_file_limit=True,
        )
        for together in (True, False)
    ]


def _clients() -> list[Workload]:
    """Programs that fetch a file from our server."""
    return [
        Workload(
            row=14,
            title=f"clients, {into.value}, {blksize} x {windowsize}",
            full=Amount(size),
            quick=Amount(64 * MIB),
            blksize=blksize,
            windowsize=windowsize,
            peers=peers,
            targets=(Target("best", must, aim),),
            metric=CLIENT_CPU,
            kind=Kind.PROGRAM,
            into=into,
            ours=OUR_CLIENT,
            with_limit=True,
        )
        for into in (Into.DISK, Into.MEMORY)
        for blksize, windowsize, size, peers, must, aim in (
            (1468, 1, 128 * MIB, (ATFTP, CURL, BUSYBOX), 1.0, 0.9),
            # curl and BusyBox know no windowsize; atftp hangs in windows of 65464 octets.
            (1468, 16, 256 * MIB, (ATFTP,), 1 / 2.5, 1 / 4),
            (1468, 64, 256 * MIB, (ATFTP,), 1 / 4, 1 / 6),
            (65464, 1, 512 * MIB, (ATFTP, CURL, BUSYBOX), 0.7, 0.5),
        )
    ]


#: Transfers at a time, of row 15; the last are what 20,000 descriptors, a common hard limit, allow the load.
FEW, SOME, MANY, MOST = "100 at a time", "1,000 at a time", "10,000 at a time", "19,900 at a time"
#: 10,000 at a time, of a server that may open this many files; by itself it shares ports.
FEW_DESCRIPTORS = "1,024 descriptors"
#: All through the port of the requests.
SINGLE_PORT = "tftpd, single"
#: No limit of its own is in the way of these: by default one address may have 8,192 transfers.
_UNLIMITED = ("--max-transfers", "100000", "--max-per-client", "100000")


def _crowds() -> list[Workload]:
    """The same server with ever more transfers at the same time."""
    counts = {FEW: 100, SOME: 1000, MANY: 10_000, MOST: 19_900}
    work = Workload(
        row=15,
        title="10,000 clients x 64 KiB, lockstep, against fewer and more at a time",
        full=Amount(64 * KIB, 10_000, 10_000),
        quick=Amount(8 * KIB, 10_000, 10_000),
        peers=(FEW, SOME, MOST),
        peer_amounts={
            name: (Amount(64 * KIB, max(10_000, count), count), Amount(8 * KIB, max(10_000, count), count))
            for name, count in counts.items()
        },
        targets=(Target(FEW, 1.3),),
        ours=MANY,
        # All at once are a flood of requests: that is row 13.
        opening_max=1000,
        together=False,
        timeout_ms=STORM_TIMEOUT_MS,
        limit_s=90,
    )
    held = replace(
        work,
        title="10,000 transfers that stand still at the same time, against fewer and more",
        full=Amount(16 * KIB, 10_000, 10_000),
        quick=Amount(16 * KIB, 2000, 2000),
        peers=(SOME, MOST),
        peer_amounts={
            name: (Amount(16 * KIB, count, count), Amount(16 * KIB, count // 5, count // 5))
            for name, count in counts.items()
        },
        # Flat shows beside the others: few transfers live in memory that was there before.
        targets=(Target(BOUND, 4, 2),),
        limit_s=120,
        metric=USER_MEMORY,
        kind=Kind.HELD,
    )
    few = replace(
        work,
        title="10,000 clients x 64 KiB, lockstep, of a server with 1,024 descriptors",
        peers=(MANY,),
        targets=(Target(MANY, 1.3),),
        ours=FEW_DESCRIPTORS,
    )
    return [work, held, few]


def _slow_disk() -> list[Workload]:
    return [
        Workload(
            row=16,
            title=f"a warm file, while 8 others read from a disk of 50 ms a read: {figure}",
            full=Amount(128 * MIB),
            quick=Amount(32 * MIB),
            peers=(),
            targets=(Target(BOUND, 5),),
            metric=metric,
            kind=Kind.SLOW_DISK,
            together=False,
        )
        for metric, figure in ((DELAY, "the longest wait"), (DELAY_P999, "99.9 % of the waits"))
    ]


#: Who is behind a name; a server alone stands for itself.
SUBJECTS: dict[str, Subject] = {
    **{name: Subject(OURS, name) for name in (OUR_CLIENT, ATFTP, CURL, BUSYBOX)},
    OUR_PAIR: Subject(OURS, OUR_CLIENT),
    ATFTP_PAIR: Subject(ATFTPD, ATFTP),
    SINGLE_PORT: Subject(OURS, None, ("--tid-mode", "single")),
    FEW_DESCRIPTORS: Subject(OURS, None, _UNLIMITED, 1024),
    **{name: Subject(OURS, None, _UNLIMITED) for name in (FEW, SOME, MANY, MOST)},
}

WORKLOADS: tuple[Workload, ...] = tuple(
    sorted(
        _single_reads() + _pairs() + _large_blocks() + _many_readers() + _others() + _held() + _clients()
        + _crowds() + _slow_disk(),
        key=lambda w: w.row,
    )
)
