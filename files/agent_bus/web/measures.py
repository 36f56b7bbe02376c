"""The latency view's figures: distributions, quantiles over time, and each host's hops."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from agent_bus.latency import HOP_BOUNDS_MS, quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_bus.board import Sample
    from agent_bus.bus import Bus
    from agent_bus.model import Crossing

HOPS: Final = ("pushed", "received", "accepted", "fetched", "read")
TITLES: Final = {
    "pushed": "pushed to the stream",
    "received": "received by the watcher",
    "accepted": "wake accepted by the gateway",
    "fetched": "fetched by the agent",
    "read": "read (acked)",
}
POINTS: Final = 60
"""Points of a line: one a minute over the hour that samples last."""


def of(bus: Bus, samples: Sequence[Sample]) -> dict[str, Any]:
    """Everything that the page draws; blocks the greenlet for one read."""
    told = list(samples)
    histograms = bus.latency.histograms
    commits = bus.store.histograms()["commit_s"]
    hops = []
    for hop in HOPS:
        histogram = histograms.get(f"stored_to_{hop}")
        counts = list(histogram.counts) if histogram else [0] * (len(HOP_BOUNDS_MS) + 1)
        hops.append(
            {
                "hop": hop,
                "title": TITLES[hop],
                "counts": counts,
                "bounds": HOP_BOUNDS_MS,
                "count": sum(counts),
                **_quantiles(counts, HOP_BOUNDS_MS),
                "over_time": _over_time(told, f"stored_to_{hop}"),
            }
        )
    bounds_ms = [bound * 1000 for bound in commits.bounds]
    return {
        "hops": hops,
        "commit": {
            "title": "commit, fsync included",
            "counts": list(commits.counts),
            "bounds": bounds_ms,
            "count": sum(commits.counts),
            **_quantiles(commits.counts, bounds_ms),
        },
        "throughput": _throughput(told),
        "hosts": _hosts(bus, bus.store.desk.crossings(head=bus.head)),
    }


def _quantiles(counts: Sequence[int], bounds: Sequence[float]) -> dict[str, float]:
    return {f"p{q * 100:g}": round(quantile(counts, bounds, q), 3) for q in (0.5, 0.9, 0.99)}


def _thinned(samples: list[Sample]) -> list[Sample]:
    """At most POINTS + 1 of the samples, the newest among them."""
    step = max(1, -(-len(samples) // POINTS))
    return samples[::-1][::step][::-1]


def _over_time(samples: list[Sample], name: str) -> list[tuple[int, float, float]]:
    """(wall ms, p50, p99) of what came in between two samples; quiet times are left out."""
    points = []
    for before, after in pairwise(_thinned(samples)):
        new = after.hops.get(name)
        if new is None:
            continue
        old = before.hops.get(name, [0] * len(new))
        grown = [b - a for a, b in zip(old, new, strict=True)]
        if any(grown):
            median = quantile(grown, HOP_BOUNDS_MS, 0.5)
            points.append((after.wall, median, quantile(grown, HOP_BOUNDS_MS, 0.99)))
    return points


def _throughput(samples: list[Sample]) -> list[tuple[int, float, float]]:
    """(wall ms, messages a minute, acks a minute) between samples."""
    return [
        (
            after.wall,
            round((after.sent - before.sent) * 60 / (after.at - before.at), 2),
            round((after.acked - before.acked) * 60 / (after.at - before.at), 2),
        )
        for before, after in pairwise(_thinned(samples))
        if after.at > before.at
    ]


def _hosts(bus: Bus, crossings: Sequence[Crossing]) -> list[dict[str, Any]]:
    """The median and the worst of each hop, by host, over the newest deliveries."""
    taken: dict[str, dict[str, list[int]]] = {}
    for one in crossings:
        node = bus.directory.node_of(one.agent)
        if node is None:
            continue
        hops = taken.setdefault(node, {hop: [] for hop in HOPS})
        for hop in HOPS:
            at = getattr(one, f"{hop}_at")
            if at is not None:
                hops[hop].append(max(0, at - one.stored_at))
    return [
        {"node": node, **{hop: _middle(sorted(times)) for hop, times in hops.items()}}
        for node, hops in sorted(taken.items())
    ]


def _middle(ordered: list[int]) -> dict[str, int] | None:
    if not ordered:
        return None
    return {"count": len(ordered), "p50": ordered[len(ordered) // 2], "max": ordered[-1]}
