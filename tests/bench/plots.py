"""The plots of the report, as far as there are figures for them."""

import statistics
from pathlib import Path

import svg
from judge import Result
from workloads import CPU_BLOCK, MIB, OURS, Kind, Workload


def _rate(result: Result, server: str) -> float:
    return statistics.median(s.load["octets"] / MIB / s.load["wall_s"] for s in result.samples[server])


def _of_servers(work: Workload) -> bool:
    """True when servers are compared under the load."""
    return work.kind is Kind.LOAD and work.ours == OURS


def _by_window(results: list[Result]) -> str | None:
    """Throughput of one client by window."""
    chart = svg.Lines("One client, 1468 octets, both ends on one CPU", "window, blocks", "MiB/s", log_x=True)
    for result in results:
        work = result.workload
        single = work.full.clients == 1 and work.blksize == 1468 and not work.put and not work.loss_ppm
        if _of_servers(work) and single and (work.windowsize == 1 or work.batched):
            for name in result.samples:
                chart.lines.setdefault(name, []).append((work.windowsize, _rate(result, name)))
    return chart.draw() if any(len(line) > 1 for line in chart.lines.values()) else None


def _by_clients(results: list[Result]) -> str | None:
    """Server CPU per block by the number of clients."""
    chart = svg.Lines("Server CPU per block of 1468 octets", "clients", "us", log_x=True)
    for result in results:
        work = result.workload
        if not _of_servers(work) or work.full.clients == 1 or work.metric != CPU_BLOCK:
            continue
        window = "" if work.windowsize == 1 else f", window {work.windowsize}"
        for name in result.samples:
            spread = result.spread(name)
            if spread is not None and not result.trouble(name):
                chart.lines.setdefault(name + window, []).append((work.full.clients, spread.median))
    return chart.draw() if chart.lines else None


def _storm(results: list[Result]) -> str | None:
    """When the clients of the largest lockstep storm were done; of each server one run."""
    storms = [
        r
        for r in results
        if _of_servers(r.workload) and r.workload.windowsize == 1 and r.workload.full.clients >= 1000 and r.samples
    ]
    if not storms:
        return None
    largest = max(storms, key=lambda r: r.workload.full.clients)
    chart = svg.Lines(f"{largest.workload.title}: when they were done", "time, s", "clients, %")
    for name, samples in largest.samples.items():
        times = samples[0].load["completion_times_s"]
        whole = samples[0].load["completed"] / samples[0].transfers * 100
        if times:
            chart.lines[name] = [(time, whole * (i + 1) / len(times)) for i, time in enumerate(times)]
    return chart.draw() if chart.lines else None


def _goodput(results: list[Result]) -> str | None:
    """Goodput under loss."""
    found = [
        (f"{name}\n{'lockstep' if result.workload.windowsize == 1 else 'window 16'}", _rate(result, name))
        for result in results
        if result.workload.loss_ppm
        for name in result.samples
    ]
    if not any(value > 0 for _, value in found):
        return None
    return svg.bars("Goodput at 1 % loss each way", "MiB/s", found)


PLOTS = {"window": _by_window, "clients": _by_clients, "storm": _storm, "loss": _goodput}


def draw(results: list[Result], directory: Path) -> tuple[str, ...]:
    """Draws what the results have figures for; returns the names of the files in `directory`."""
    out = []
    for name, plot in PLOTS.items():
        text = plot(results)
        if text is not None:
            out.append(f"performance-{name}.svg")
            (directory / out[-1]).write_text(text, encoding="utf-8")
    return tuple(out)
