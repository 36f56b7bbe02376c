"""What each fault did to the fleet, as a table for people and as JSON."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HEAD = ("fault", "done", "lasted", "seen", "accepted", "delivered", "doubled", "healed", "verdict")


@dataclass(frozen=True, slots=True)
class Row:
    """One fault; `healed_s` counts from its end, and is None if it did not heal."""

    fault: str
    done: str
    lasted_s: float
    seen: tuple[str, ...]
    accepted: int
    delivered: int
    doubled: int
    healed_s: float | None
    trouble: str

    def cells(self) -> tuple[str, ...]:
        """Return the row as text."""
        return (
            self.fault,
            self.done,
            f"{self.lasted_s:.0f} s",
            ", ".join(self.seen),
            str(self.accepted),
            str(self.delivered),
            str(self.doubled),
            "no" if self.healed_s is None else f"{self.healed_s:.1f} s",
            self.trouble or "passed",
        )


class Report:
    """The rows so far, written anew after each group, so that a broken-off run leaves them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: list[Row] = []
        self._began = datetime.now(UTC)

    def add(self, rows: Sequence[Row]) -> None:
        """Take more rows and write `faults.md` and `faults.json`."""
        self._rows += rows
        took_s = (datetime.now(UTC) - self._began).total_seconds()
        facts = {
            "began_at": self._began.isoformat(timespec="seconds"),
            "took_s": round(took_s),
            "machine": machine(),
            "faults": [asdict(row) for row in self._rows],
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "faults.json").write_text(json.dumps(facts, indent=2) + "\n")
        title = f"{self._began:%Y-%m-%d %H:%M} UTC, {took_s:.0f} s, {machine()}\n\n"
        (self._folder / "faults.md").write_text(title + table(self._rows))


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [HEAD, tuple("-" for _ in HEAD), *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    return "".join(
        "| "
        + " | ".join(
            "-" * width if cell == "-" else cell.ljust(width)
            for cell, width in zip(line, widths, strict=True)
        )
        + " |\n"
        for line in lines
    )


def machine() -> str:
    """Return the kind of machine that the run used, without its name."""
    import os

    return f"{os.cpu_count()} cores, {platform.system()} {platform.release()}"
