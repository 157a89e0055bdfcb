"""docs/bench/performance.md: the results as tables."""

import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from judge import LIMIT_FIGURES, Result, Verdict
from measure import Placement
from outlook import section as outlook
from servers import Program
from workloads import BOUND, GOODPUT, MIB, UNITS, Into

#: What no program can say about the figures.
REMARKS = Path(__file__).with_name("remarks.md")
#: Load average of a machine on which nothing else runs; its own last runs are part of it.
IDLE_LOAD_MAX = 0.5

@dataclass(frozen=True)
class Circumstances:
    """Where and how the figures were taken."""

    machine: str
    kernel: str
    commit: str
    command: str
    date: str
    load_average: float
    runs: int
    placement: Placement
    programs: dict[str, Program]
    #: Of the whole run, and what a hypervisor took of it, of all CPUs.
    duration_s: float = 0.0
    stolen_s: float = 0.0
    plots: tuple[str, ...] = ()
    #: What bench_micro says of each benchmark.
    micro: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """For the file of results."""
        return {
            "machine": self.machine,
            "kernel": self.kernel,
            "commit": self.commit,
            "command": self.command,
            "date": self.date,
            "load_average_at_start": self.load_average,
            "duration_s": self.duration_s,
            "stolen_s": self.stolen_s,
            "runs": self.runs,
            "server_cpu": self.placement.server,
            "load_cpu": self.placement.load,
            "micro": self.micro,
            "versions": {name: program.version for name, program in self.programs.items()},
        }


def number(value: float) -> str:
    """Three figures that mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _warning(where: Circumstances) -> list[str]:
    """Said where the figures are worth less."""
    if where.load_average <= IDLE_LOAD_MAX:
        return []
    return ["**Other programs ran at the same time: these figures are not to be relied on.**", ""]


def _head(where: Circumstances) -> list[str]:
    versions = ", ".join(program.version for program in where.programs.values())
    return [
        "# Performance",
        "",
        f"Written by `{where.command}`; [testing.md](testing.md#benchmarks) says what is measured and how.",
        "",
        f"- Commit {where.commit}, {where.date}.",
        f"- {where.machine}; kernel {where.kernel}; load average when it began: {where.load_average:.2f};"
        f" the run took {where.duration_s:.0f} s, of which a hypervisor gave {where.stolen_s:.1f} s to others.",
        f"- {versions}.",
        f"- Median of {where.runs} interleaved {'run' if where.runs == 1 else 'runs'},"
        " smallest and largest in brackets. Loopback of a network"
        " namespace of its own; every octet compared.",
        f"- Servers on CPU {where.placement.server}; the load on the same CPU where one client waits for the server"
        f" (\"one CPU\"), otherwise on CPU {where.placement.load}.",
        "",
        *_warning(where),
        "Server CPU is user and system time of the whole process tree. A ratio is ours to the peer's, of"
        " the medians: less is better, but for goodput. A peer that did not complete is no measure,"
        " but for row 7, where what it delivered is what it is measured by. The limit is the same packets"
        " without TFTP, of the file that is served where that is measured; its ratio is to the same peer.",
        "",
    ]


def _verdict_cells(verdict: Verdict, metric: str) -> tuple[str, str]:
    """What was reached, and what was wanted."""
    target = verdict.target
    unit = f" {UNITS[metric]}" if target.against == BOUND else "x"
    sign = ">=" if metric == GOODPUT else "<="
    bounds = f"{sign} {number(target.must)}{unit}"
    if target.aim is not None:
        bounds += f", aim {sign} {number(target.aim)}{unit}"
    if verdict.value is None:
        return "-", bounds
    return f"{number(verdict.value)}{unit} {verdict.peer or ''}".strip(), bounds


def _summary(results: list[Result]) -> list[str]:
    out = [
        "## Targets",
        "",
        "| row | workload | ratio | the limit's | target | reached |",
        "|---|---|---|---|---|---|",
    ]
    for result in results:
        metric = result.workload.metric
        verdicts = result.verdicts()
        cells = [_verdict_cells(verdict, metric) for verdict in verdicts] or [("-", "-")]
        limits = ["-" if v.of_limit is None else f"{number(v.of_limit)}x" for v in verdicts] or ["-"]
        reached = result.reached()
        if reached == "missed" and any(verdict.missed_by_limit for verdict in verdicts):
            reached = "missed, as by the limit"
        out.append(
            f"| {result.workload.row} | {result.workload.title} | {'; '.join(c[0] for c in cells)} | "
            f"{'; '.join(limits)} | {'; '.join(c[1] for c in cells)} | {reached} |"
        )
    return [*out, ""]


def _server_row(result: Result, name: str, wanted_runs: int) -> str:
    spread = result.spread(name)
    if spread is None:
        return f"| {name} | - | - | - | {'; '.join(result.trouble(name))} |"
    runs = result.samples[name]
    rate = statistics.median(s.load["octets"] / MIB / s.load["wall_s"] for s in runs)
    load_us = statistics.median(s.load["cpu_s"] * 1e6 / max(1, s.load["blocks"]) for s in runs)
    notes = result.trouble(name)
    if len(runs) < wanted_runs:
        notes = [*notes, f"runs: {len(runs)}"]
    again = sum(s.load.get("requests_again", 0) for s in runs)
    if again:
        notes = [*notes, f"{again} requests sent again"]
    twice = sum(s.load.get("blocks_twice", 0) for s in runs)
    if twice:
        notes = [*notes, f"{twice} of {sum(s.load['blocks'] for s in runs)} blocks twice"]
    figure = f"{number(spread.median)} [{number(spread.least)} to {number(spread.most)}]"
    return f"| {name} | {figure} | {number(rate)} | {number(load_us)} | {'; '.join(notes)} |"


def _limit_rows(result: Result) -> list[str]:
    work = result.workload
    own = LIMIT_FIGURES.get(work.metric, "sender_us_per_block")
    out = []
    for name, runs, what in (
        ("limit", result.limits, "the same packets without TFTP"),
        ("limit, of the file", result.file_limits, "and each octet from the page cache"),
    ):
        if runs:
            middle = {key: statistics.median(found[key] for found in runs) for key in runs[0]}
            where = "" if work.into is Into.NOWHERE else ", to the same place"
            out.append(
                f"| {name} | {number(middle[own])} | {number(middle['mib_per_s'])} | "
                f"{number(middle['receiver_us_per_block'])} | {what}{where} |"
            )
    return out


def _details(result: Result, wanted_runs: int) -> list[str]:
    work = result.workload
    place = "one CPU" if work.together else "two CPUs"
    subjects = [name for name in (work.ours, *work.peers) if name in result.samples or name in result.failures]
    return [
        f"### Row {work.row}: {work.title}",
        "",
        f"| {place} | {work.metric}, {UNITS[work.metric]} | MiB/s | load CPU per block, us | |",
        "|---|---|---|---|---|",
        *(_server_row(result, name, wanted_runs) for name in subjects),
        *_limit_rows(result),
        "",
    ]


def _micro(where: Circumstances) -> list[str]:
    """What bench_micro says."""
    if not where.micro:
        return ["bench_micro was not built: no figures of codec and engine.", ""]
    out = [
        "## Codec and engine",
        "",
        "Without sockets and files; windows of 1 and 64 blocks of 1468 octets, ACKs counted as packets.",
        "",
        "| | ns per packet | allocations per packet |",
        "|---|---|---|",
    ]
    for found in where.micro:
        name = found["name"].replace("_", " ").replace("/", ", ")
        out.append(f"| {name} | {number(found['packet'] * 1e9)} | {number(found['allocations'])} |")
    return [*out, ""]


def _shares(results: list[Result]) -> list[str]:
    """Where the CPU time of our server goes."""
    profiled = [result for result in results if result.workload.profiled]
    found = [result for result in profiled if result.shares]
    if not profiled:
        return []
    out = ["## Where each microsecond goes", ""]
    if not found:
        return [*out, "Left out: there is no perf here, or it may not be used.", ""]
    groups = list(dict.fromkeys(group for result in found for group in result.shares))
    out += [
        "Parts of the CPU time of our server, sampled by `perf record -e cpu-clock` in a run of its own, grouped by"
        " the function it is spent in. On loopback the sender's call delivers to the receiver: that is in its part.",
        "",
        "| | " + " | ".join(result.workload.title for result in found) + " |",
        "|---|" + "---|" * len(found),
    ]
    for group in groups:
        out.append(f"| {group} | " + " | ".join(f"{r.shares.get(group, 0.0):.1%}" for r in found) + " |")
    return [*out, ""]


def markdown(results: list[Result], left_out: list[tuple[int, str]], where: Circumstances) -> str:
    """The whole document."""
    lines = _head(where)
    lines += _summary(results)
    if left_out:
        lines += ["Not measured:", ""]
        lines += [f"- row {row}: {why}" for row, why in sorted(left_out)]
        lines += [""]
    lines += [REMARKS.read_text(encoding="utf-8")]
    for plot in where.plots:
        lines += [f"![{plot}]({plot})", ""]
    lines += ["## Figures", ""]
    for result in results:
        lines += _details(result, where.runs)
    lines += _micro(where)
    lines += _shares(results)
    lines += outlook(results)
    return "\n".join(lines).rstrip() + "\n"
