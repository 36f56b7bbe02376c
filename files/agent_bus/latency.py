"""Latency of the hops, as quantiles over the most recent observations."""

from __future__ import annotations

from collections import deque
from typing import Final

KEPT: Final = 2000
QUANTILES: Final = (0.5, 0.9, 0.99)


class Latency:
    """Remembers the last KEPT durations of each hop, in milliseconds."""

    def __init__(self) -> None:
        self._recent: dict[str, deque[float]] = {}

    def observe(self, hop: str, duration_ms: float) -> None:
        """Add one duration."""
        recent = self._recent.get(hop)
        if recent is None:
            recent = self._recent[hop] = deque(maxlen=KEPT)
        recent.append(duration_ms)

    def quantiles(self) -> dict[str, dict[str, float]]:
        """{hop: {"count": n, "p50": ms, "p90": ms, "p99": ms, "max": ms}}."""
        return {hop: _summary(sorted(recent)) for hop, recent in self._recent.items()}


def _summary(ordered: list[float]) -> dict[str, float]:
    last = len(ordered) - 1
    found = {f"p{q * 100:g}": round(ordered[round(q * last)], 3) for q in QUANTILES}
    return {"count": len(ordered), **found, "max": round(ordered[-1], 3)}
