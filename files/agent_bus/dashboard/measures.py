"""The latency page's figures: distributions and quantiles over time, of the fleet or of one host.

The fleet's are counted as things happen, since the hub started; a host's are read from the times
that its newest deliveries carry, so they reach back as far as those do.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core import states
from agent_bus.core.guards import wakes
from agent_bus.core.latency import HOP_BOUNDS_MS, Durations, Histogram, quantile
from agent_bus.core.model import rfc3339
from agent_bus.runtime import greenlets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_bus.bus.counters import Counters
    from agent_bus.bus.directory import Directory
    from agent_bus.bus.guards.wake_budgets import WakeBudgets
    from agent_bus.core.clock import Clock
    from agent_bus.core.guards.budgets import Use
    from agent_bus.core.guards.wakes import WakeCount
    from agent_bus.core.latency import Latency
    from agent_bus.core.model import Crossing, NodeName
    from agent_bus.core.states import HopName
    from agent_bus.operate.samples import Sample, Samples
    from agent_bus.store.contract import Records, Vitals
    from agent_bus.store.guards.wake_book import WakeBook

TITLES: Final[dict[HopName, str]] = {
    states.PUSHED: "pushed to the stream",
    states.RECEIVED: "received by the watcher",
    states.ACCEPTED: "wake accepted by the gateway",
    states.FETCHED: "fetched by the agent",
    states.READ: "read (acked)",
}
DISK: Final = {
    "transaction_s": "transaction of a batch, its commit included",
    "commit_s": "commit: written and synced (fsync)",
}
POINTS: Final = 60
"""Points of a line: one per minute of the hour that the samples cover."""
Line = list[tuple[int, float, float]]
"""(wall ms, one figure, another) of each point."""

WAKE_DAYS: Final = 7
WAKE_ROWS: Final = 30
"""Agents with the most wakes; the operator's tool shows all."""
CAUSES: Final = 3
HEATS: Final = 4
"""Shades of a cell, by its share of the largest one."""


class Measures:
    """Measures hops and the disk for the latency page."""

    def __init__(
        self,
        *,
        vitals: Vitals,
        records: Records,
        counters: Counters,
        directory: Directory,
        latency: Latency,
        samples: Samples,
    ) -> None:
        self._vitals = vitals
        self._records = records
        self._counters = counters
        self._directory = directory
        self._latency = latency
        self._samples = samples

    def of_fleet(self) -> dict[str, Any]:
        """Everything that the page draws of the fleet; blocks the greenlet for one read."""
        told = _thinned(list(self._samples.kept))
        hops = []
        for hop, title in TITLES.items():
            histogram = self._latency.hops.get(hop, Durations()).histogram
            line = _grown(told, HOP_BOUNDS_MS, lambda s, hop=hop: s.hops.get(hop))  # type: ignore[misc] # bound now
            hops.append(_card(title, histogram.counts, HOP_BOUNDS_MS, line))
        disk = []
        measured = self._vitals.histograms()
        for name, title in DISK.items():
            bounds_ms = [bound * 1000 for bound in measured[name].bounds]
            line = _grown(told, bounds_ms, lambda s, name=name: s.disk[name])  # type: ignore[misc] # bound now
            disk.append(_card(title, measured[name].counts, bounds_ms, line))
        crossings = self._records.crossings(head=self._counters.head)
        hosts = greenlets.offload(lambda: _hosts(self._directory, crossings))
        return {"cards": hops + disk, "throughput": _throughput(told), "hosts": hosts}

    def of_host(self, node: NodeName) -> dict[str, Any]:
        """The same of one host's agents, over their newest deliveries."""
        taken = self._records.crossings_of(self._directory.agents_of(node))

        def drawn() -> dict[str, Any]:
            cards = []
            for hop, title in TITLES.items():
                histogram = Histogram(HOP_BOUNDS_MS)
                times = _times(taken, hop)
                for _, took in times:
                    histogram.observe(took)
                cards.append(_card(title, histogram.counts, HOP_BOUNDS_MS, _spans(times)))
            hosts = _hosts(self._directory, taken)
            return {"cards": cards, "throughput": _rates(taken), "hosts": hosts}

        return greenlets.offload(drawn)


def _card(
    title: str, counts: Sequence[int], bounds: Sequence[float], line: Line
) -> dict[str, Any]:
    figures = {f"p{q * 100:g}": round(quantile(counts, bounds, q), 3) for q in (0.5, 0.9, 0.99)}
    told = list(counts)
    return {
        "title": title, "counts": told, "bounds": bounds, "count": sum(told), **figures,
        "over_time": line,
    }  # fmt: skip


def _thinned(samples: list[Sample]) -> list[Sample]:
    """At most POINTS + 1 of the samples, the newest among them."""
    step = max(1, -(-len(samples) // POINTS))
    return samples[::-1][::step][::-1]


def _grown(
    samples: list[Sample],
    bounds: Sequence[float],
    counts_of: Callable[[Sample], Sequence[int] | None],
) -> Line:
    """(wall ms, p50, p99) of what came in between two samples; quiet times are left out."""
    points = []
    for before, after in pairwise(samples):
        new = counts_of(after)
        if new is None:
            continue
        old = counts_of(before) or [0] * len(new)
        grown = [b - a for a, b in zip(old, new, strict=True)]
        if any(grown):
            median = quantile(grown, bounds, 0.5)
            points.append((after.wall, median, quantile(grown, bounds, 0.99)))
    return points


def _throughput(samples: list[Sample]) -> Line:
    """(wall ms, messages per minute, acks per minute) between samples."""
    return [
        (
            after.wall,
            round((after.sent - before.sent) * 60 / (after.at - before.at), 2),
            round((after.acked - before.acked) * 60 / (after.at - before.at), 2),
        )
        for before, after in pairwise(samples)
        if after.at > before.at
    ]


def _times(crossings: Sequence[Crossing], hop: HopName) -> list[tuple[int, int]]:
    """(when stored, ms from then to the hop) of those that reached it."""
    return [
        (one.stored_at, max(0, at - one.stored_at))
        for one in crossings
        if (at := getattr(one, f"{hop}_at")) is not None
    ]


def _spans(times: Sequence[tuple[int, int]]) -> Line:
    """(wall ms, p50, p99) in each of POINTS spans of the time that was looked at."""
    parts: dict[int, list[int]] = {}
    for at, took in times:
        parts.setdefault(_span(times[0][0], times[-1][0], at), []).append(took)
    line: Line = []
    for number, found in sorted(parts.items()):
        found.sort()
        last = len(found) - 1
        wall = times[0][0] + (times[-1][0] - times[0][0]) * (number + 1) // POINTS
        line.append((wall, found[round(0.5 * last)], found[round(0.99 * last)]))
    return line


def _span(start: int, end: int, at: int) -> int:
    return min(POINTS - 1, (at - start) * POINTS // max(1, end - start))


def _rates(crossings: Sequence[Crossing]) -> Line:
    """(wall ms, deliveries per minute, and how many of them were read) in each span."""
    if not crossings:
        return []
    start, end = crossings[0].stored_at, crossings[-1].stored_at
    stored, read = [0] * POINTS, [0] * POINTS
    for one in crossings:
        number = _span(start, end, one.stored_at)
        stored[number] += 1
        read[number] += one.read_at is not None
    minutes = max(1, end - start) / POINTS / 60_000
    return [
        (start + (end - start) * (n + 1) // POINTS, stored[n] / minutes, read[n] / minutes)
        for n in range(POINTS)
    ]


def _hosts(directory: Directory, crossings: Sequence[Crossing]) -> list[dict[str, Any]]:
    """The median and the worst of each hop, by host, over the newest deliveries."""
    by_node: dict[NodeName, list[Crossing]] = {}
    for one in crossings:
        node = directory.node_of(one.agent)
        if node is not None:
            by_node.setdefault(node, []).append(one)
    return [
        {"node": node, **{hop: _middle(_times(found, hop)) for hop in TITLES}}
        for node, found in sorted(by_node.items())
    ]


def _middle(times: Sequence[tuple[int, int]]) -> dict[str, int] | None:
    ordered = sorted(took for _, took in times)
    if not ordered:
        return None
    return {"count": len(ordered), "p50": ordered[len(ordered) // 2], "max": ordered[-1]}


class WakeTable:
    """Makes the table; reads the database once per page."""

    def __init__(self, *, book: WakeBook, budgets: WakeBudgets, clock: Clock) -> None:
        self._book = book
        self._budgets = budgets
        self._clock = clock

    def shown(self) -> dict[str, Any]:
        """Budgets, days (oldest first) and rows for the template."""
        since = wakes.first_day(self._clock.now_ms(), WAKE_DAYS)
        counts = self._book.counts(since=since)
        days = [since + number * wakes.DAY_MS for number in range(WAKE_DAYS)]
        return {
            "budgets": [
                {"who": use.who, "words": budget_words(use)} for use in self._budgets.uses()
            ],
            "days": [str(rfc3339(day))[:10] for day in days],
            "rows": wake_rows(counts, days),
        }


def wake_rows(counts: Sequence[WakeCount], days: Sequence[int]) -> list[dict[str, Any]]:
    """A row per agent, who has the most wakes first."""
    found: dict[str, dict[int, int]] = defaultdict(dict)
    for one in wakes.by_day(counts):
        found[one.agent][one.day_at] = one.total
    causes: dict[str, list[str]] = defaultdict(list)
    for sender, agent, count in wakes.by_sender(counts):
        causes[agent].append(f"{sender or 'unknown'} ({count})")
    most = max((count for of in found.values() for count in of.values()), default=1)
    ordered = sorted(found.items(), key=lambda entry: (-sum(entry[1].values()), entry[0]))
    return [
        {
            "agent": agent,
            "cells": [_cell(of.get(day, 0), most) for day in days],
            "causes": ", ".join(causes[agent][:CAUSES]),
        }
        for agent, of in ordered[:WAKE_ROWS]
    ]


def budget_words(use: Use) -> str:
    """How much of a budget is used."""
    parts = [
        f"{used} of {limit} {window}"
        for used, limit, window in (
            (use.hour, use.budget.per_hour, "in 60 min"),
            (use.day, use.budget.per_day, "in 24 h"),
        )
        if limit is not None
    ]
    return ", ".join(parts)


def _cell(count: int, most: int) -> dict[str, int]:
    return {"count": count, "heat": -(-count * HEATS // most)}
