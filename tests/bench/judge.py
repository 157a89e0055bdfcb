"""What the samples of a workload say: medians, spread, and the ratio to the best peer."""

import statistics
from dataclasses import dataclass, field
from typing import Any

from measure import Sample
from workloads import BOUND, CLIENT_CPU, DNSMASQ, GOODPUT, LIMIT, Target, Workload


#: What bench_limit says of a metric; of all others, the cost of the sender.
LIMIT_FIGURES = {GOODPUT: "mib_per_s", CLIENT_CPU: "receiver_us_per_block"}


@dataclass(frozen=True)
class Spread:
    """The middle and the ends of some runs."""

    median: float
    least: float
    most: float

    @staticmethod
    def of(values: list[float]) -> "Spread":
        """values: at least one."""
        return Spread(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Verdict:
    """A ratio, or a figure of ours, against its target."""

    target: Target
    #: Who the ratio is to; None when no such peer completed, and for a figure.
    peer: str | None
    value: float | None
    #: "aim", "must" (reached), "missed", or "-" without a value.
    reached: str
    #: The ratio that the limit itself has to the same peer; None where that is not measured.
    of_limit: float | None = None
    #: It does not reach the target either.
    missed_by_limit: bool = False


@dataclass
class Result:
    """All samples of a workload."""

    workload: Workload
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    limits: list[dict[str, float]] = field(default_factory=list)
    #: The same with the octets of the file that is served.
    file_limits: list[dict[str, float]] = field(default_factory=list)
    #: Where the CPU time of ours went: parts of 1.
    shares: dict[str, float] = field(default_factory=dict)
    #: Subjects that could not be measured, and why.
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, sample: Sample) -> None:
        """Adds one run."""
        self.samples.setdefault(sample.subject, []).append(sample)

    def spread(self, server: str) -> Spread | None:
        """The figure of the workload's metric over the runs of `server`; None without one."""
        values = [sample.figures[self.workload.metric] for sample in self.samples.get(server, [])]
        return Spread.of(values) if values else None

    def trouble(self, server: str) -> list[str]:
        """What went wrong in any run of `server`, each once."""
        found = [text for sample in self.samples.get(server, []) for text in sample.trouble]
        if server in self.failures:
            found.append(self.failures[server])
        return list(dict.fromkeys(found))

    def twice(self) -> float:
        """The largest part of the blocks of ours that came twice."""
        return max(
            (s.load.get("blocks_twice", 0) / max(1, s.load["blocks"]) for s in self.samples.get(self.workload.ours, [])),
            default=0.0,
        )

    def limit_figure(self) -> float | None:
        """The figure of the workload's metric of the limit, with the octets of the file where that was measured; None
        without one."""
        found = self.file_limits or self.limits
        key = LIMIT_FIGURES.get(self.workload.metric, "sender_us_per_block")
        return statistics.median(each[key] for each in found) if found else None

    def verdicts(self) -> list[Verdict]:
        """One for each target."""
        return [self._verdict(target) for target in self.workload.targets]

    def reached(self) -> str:
        """The worst of all verdicts; "missed" as well when ours did not complete."""
        ours = self.workload.ours
        if ours not in self.samples or self.trouble(ours):
            return "missed"
        twice_max = self.workload.twice_max
        if twice_max is not None and self.twice() > twice_max:
            return "missed"
        again_max = self.workload.requests_again_max
        if again_max is not None and any(s.load["requests_again"] > again_max for s in self.samples[ours]):
            return "missed"
        found = {verdict.reached for verdict in self.verdicts()}
        for worst in ("missed", "must", "aim"):
            if worst in found:
                return worst
        return "-"

    def _candidates(self, against: str) -> list[str]:
        # A peer that loses transfers did less work; under loss it is cut, and its goodput counts.
        cut = self.workload.metric == GOODPUT or self.workload.unfinished_counts
        sound = [name for name in self.samples if name != self.workload.ours and (cut or not self.trouble(name))]
        if against == "best":
            return sound
        if against == "others":
            return [name for name in sound if name != DNSMASQ]
        return [name for name in sound if name == against]

    def _ratio(self, ours: float, against: str, more_is_better: bool) -> tuple[str | None, float]:
        """The peer to compare with, None when there is none, and the ratio to it."""
        medians: dict[str, float] = {}
        for name in self._candidates(against):
            found = self.spread(name)
            if found is not None and found.median > 0:
                medians[name] = found.median
        if not medians:
            return None, 0.0
        best = (max if more_is_better else min)(medians, key=lambda name: medians[name])
        return best, ours / medians[best]

    def _verdict(self, target: Target) -> Verdict:
        ours = self.spread(self.workload.ours)
        more_is_better = self.workload.metric == GOODPUT
        if ours is None:
            return Verdict(target, None, None, "-")
        peer = None
        value = ours.median
        of_limit = None
        if target.against == LIMIT:
            if not self.limits:
                return Verdict(target, None, None, "-")
            peer, value = LIMIT, ours.median / statistics.median(found["mib_per_s"] for found in self.limits)
        elif target.against != BOUND:
            peer, value = self._ratio(ours.median, target.against, more_is_better)
            if peer is None:
                return Verdict(target, None, None, "-")
            limit = self.limit_figure()
            of_limit = None if limit is None else value * limit / ours.median

        def within(figure: float, bound: float) -> bool:
            return figure >= bound if more_is_better else figure <= bound

        reached = "missed"
        if within(value, target.must):
            reached = "aim" if target.aim is not None and within(value, target.aim) else "must"
        missed_by_limit = of_limit is not None and not within(of_limit, target.must)
        return Verdict(target, peer, value, reached, of_limit, missed_by_limit)


def to_json(result: Result) -> dict[str, Any]:
    """All that is known of a workload."""
    work = result.workload
    return {
        "row": work.row,
        "title": work.title,
        "metric": work.metric,
        "together": work.together,
        "reached": result.reached(),
        "targets": [
            {
                "against": verdict.target.against,
                "must": verdict.target.must,
                "aim": verdict.target.aim,
                "peer": verdict.peer,
                "value": verdict.value,
                "reached": verdict.reached,
                "of_limit": verdict.of_limit,
            }
            for verdict in result.verdicts()
        ],
        "servers": {name: _server_json(result, name) for name in (*result.samples, *result.failures)},
        "limits": result.limits,
        "file_limits": result.file_limits,
        "cpu_shares": result.shares,
    }


def _server_json(result: Result, name: str) -> dict[str, Any]:
    spread = result.spread(name)
    return {
        "median": spread and spread.median,
        "least": spread and spread.least,
        "most": spread and spread.most,
        "trouble": result.trouble(name),
        "runs": [
            {"figures": sample.figures, "transfers": sample.transfers, **sample.load}
            for sample in result.samples.get(name, [])
        ],
    }
