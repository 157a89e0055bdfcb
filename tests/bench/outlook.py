"""What the figures say of machines larger than the one they were taken on."""

from judge import Result
from workloads import CPU_BLOCK, IDLE, KERNEL_MEMORY, MOST, USER_MEMORY, Kind

#: The link that is asked about, bits a second, and the crowd.
LINK = 10e9
CROWD = 100_000
#: Octets on the wire around each block: Ethernet with preamble and gap, IPv4, UDP, TFTP.
AROUND = 38 + 20 + 8 + 4
#: Ports of one address that Linux gives out by itself: 32768 to 60999.
PORTS = 28_232


def _lines_of_link(results: list[Result]) -> list[str]:
    """Cores for the link, by window."""
    out = []
    for result in results:
        work = result.workload
        single = work.kind is Kind.LOAD and work.full.clients == 1 and work.blksize == 1468
        counts = work.metric == CPU_BLOCK and not work.put and work.windowsize in (1, 16, 64)
        spread = result.spread(work.ours)
        if not (single and counts and spread) or (work.windowsize > 1 and not work.batched):
            continue
        blocks = LINK / 8 / (work.blksize + AROUND)
        out.append(
            f"| {work.windowsize} | {spread.median:.2f} | {blocks:,.0f} | {blocks * spread.median / 1e6:.1f} |"
        )
    return out


def _memory(results: list[Result]) -> list[str]:
    """Memory of the crowd, from what one transfer has."""
    found = {}
    for result in results:
        work = result.workload
        spread = result.spread(work.ours)
        if work.kind is Kind.HELD and spread:
            found.setdefault(work.metric, spread.median)
            most = result.spread(MOST) if MOST in work.peers else None
            if most:
                found["most"] = most.median
    if USER_MEMORY not in found:
        return []
    parts = [f"{found[USER_MEMORY]:.2g} KiB of the server's own"]
    total_kib = found[USER_MEMORY]
    if KERNEL_MEMORY in found:
        parts.append(f"{found[KERNEL_MEMORY]:.2g} KiB of the kernel's, with the socket of the client on this machine")
        total_kib += found[KERNEL_MEMORY]
    flat = f" At {MOST} it is {found['most']:.2g} KiB of the server's." if "most" in found else ""
    idle = f" The idle server has {found[IDLE] / 1024:.1f} MiB." if IDLE in found else ""
    return [
        f"- Memory: a transfer has {' and '.join(parts)}: {total_kib * CROWD / 2**20:.2g} GiB for"
        f" {CROWD:,} at most.{flat}{idle}"
    ]


def section(results: list[Result]) -> list[str]:
    """Lines of the report; empty without the figures they need."""
    link = _lines_of_link(results)
    memory = _memory(results)
    if not link and not memory:
        return []
    out = [f"## 10 Gb/s and {CROWD:,} clients", "", "Computed from the figures here, not measured.", ""]
    if link:
        out += [
            "| window | server CPU per block, us | blocks a second at 10 Gb/s | cores |",
            "|---|---|---|---|",
            *link,
            "",
            "The CPU time is that of both ends' kernel work that the sender does on loopback, where delivery to the"
            " receiver runs in the call that sends. With a network card that takes UDP_SEGMENT (`ethtool -k`:"
            " tx-udp-segmentation) a window leaves as one descriptor list and the card makes the checksums; without,"
            " the kernel cuts it just before the driver, and checksums in software add what reading each octet once"
            " costs.",
            "",
        ]
    needed = -(-CROWD // PORTS)
    return [
        *out,
        *memory,
        f"- Ports: one address has {PORTS:,} that Linux gives out by itself, so {CROWD:,} transfers with a port each"
        f" need {needed} addresses or a wider ip_local_port_range; with `--tid-mode pooled` they share ports, and need"
        " neither ports nor descriptors of their own.",
        "- Limits: `--max-transfers`, and `--max-per-client` where clients share an address.",
        "",
    ]
