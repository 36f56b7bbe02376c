"""What each fault did to the fleet, as a table for people and as JSON."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

HEAD = ("fault", "done", "lasted", "seen", "accepted", "delivered", "doubled", "healed", "verdict")

HUBS_HEAD = (
    "fault",
    "done",
    "lasted",
    "longest pause",
    "clients elsewhere",
    "refused",
    "accepted",
    "lost",
    "doubled",
    "gaps",
    "healed",
    "verdict",
)


class Entry(Protocol):
    """A row of a report, a dataclass."""

    def cells(self) -> tuple[str, ...]:
        """Return the row as text."""


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


@dataclass(frozen=True, slots=True)
class HubsRow:
    """One fault of several hubs.

    Attributes:
        pause_s: how long no send was accepted, at most.
        moved_s: seconds from the fault's beginning until the last listener of a hub that failed
            had its stream at another one; None without such a listener.
        refused: answers to sends by the problem's code; `no answer` where none came.
        gaps: what was missing in a stream or in the store, or out of order.
        healed_s: from the fault's end until the fleet was whole; None if it was not in time.
    """

    fault: str
    done: str
    lasted_s: float
    pause_s: float
    moved_s: float | None
    refused: Mapping[str, int]
    accepted: int
    lost: int
    doubled: int
    gaps: int
    healed_s: float | None
    trouble: str

    def cells(self) -> tuple[str, ...]:
        """Return the row as text."""
        refused = ", ".join(f"{count} {code}" for code, count in sorted(self.refused.items()))
        return (
            self.fault,
            self.done,
            f"{self.lasted_s:.0f} s",
            f"{self.pause_s:.1f} s",
            "-" if self.moved_s is None else f"{self.moved_s:.1f} s",
            refused or "0",
            str(self.accepted),
            str(self.lost),
            str(self.doubled),
            str(self.gaps),
            "no" if self.healed_s is None else f"{self.healed_s:.1f} s",
            self.trouble or "passed",
        )


class Report:
    """The rows so far, written anew after each group, so that a broken-off run leaves them.

    Args:
        name: of both files, without their endings.
        head: the columns.
    """

    def __init__(self, folder: Path, *, name: str = "faults", head: Sequence[str] = HEAD) -> None:
        self._folder = folder
        self._name = name
        self._head = head
        self._rows: list[Entry] = []
        self._began = datetime.now(UTC)

    def add(self, rows: Sequence[Entry], *, note: str = "") -> None:
        """Take more rows and write them as Markdown, with a note below, and as JSON."""
        self._rows += rows
        took_s = (datetime.now(UTC) - self._began).total_seconds()
        facts = {
            "began_at": self._began.isoformat(timespec="seconds"),
            "took_s": round(took_s),
            "machine": machine(),
            "faults": [_facts(row) for row in self._rows],
            "note": note,
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / f"{self._name}.json").write_text(json.dumps(facts, indent=2) + "\n")
        title = f"{self._began:%Y-%m-%d %H:%M} UTC, {took_s:.0f} s, {machine()}\n\n"
        words = title + table(self._rows, self._head) + (f"\n{note}\n" if note else "")
        (self._folder / f"{self._name}.md").write_text(words)


def _facts(row: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass
    return asdict(row)


def table(rows: Sequence[Entry], head: Sequence[str] = HEAD) -> str:
    """Return the rows as a Markdown table."""
    lines = [tuple(head), *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    lines.insert(1, tuple("-" * width for width in widths))
    return "".join(
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |\n"
        for line in lines
    )


def machine() -> str:
    """Return the kind of machine that the run used, without its name."""
    import os

    return f"{os.cpu_count()} cores, {platform.system()} {platform.release()}"
