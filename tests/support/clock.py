"""A clock that only moves when a test says so."""

from __future__ import annotations

DAY_S = 86_400.0


class FakeClock:
    """Time stands still until `advance`; `jump` moves the wall alone, as setting a clock does."""

    def __init__(self, *, wall_ms: int = 1_790_000_000_000) -> None:
        self.wall_ms = wall_ms
        self.kept_ms = wall_ms
        self.counted_s = 1000.0

    def now_ms(self) -> int:
        return self.wall_ms

    def steady_ms(self) -> int:
        return self.kept_ms

    def monotonic(self) -> float:
        return self.counted_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.wall_ms += round(seconds * 1000)
        self.kept_ms += round(seconds * 1000)
        self.counted_s += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock; no time passes."""
        self.wall_ms += round(seconds * 1000)
