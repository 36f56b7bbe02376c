"""How far storms and work get under the storm guard: what trips it, after how much.

The fleets are simulated (`storm_fleet.py`); what they do is in `storm_scenes.py`. Takes seconds.

    python -m bench.storm            writes the tables of docs/explanation/budgets.md
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from agent_bus.core.guards.storms.ladder import DAMPED, HELD
from agent_bus.core.guards.storms.signals import StormLimits
from bench.storm_fleet import MINUTE, Scene, play
from bench.storm_scenes import STORMS, WORK

PAGE: Final = Path(__file__).parents[1] / "docs/explanation/budgets.md"
SIGNS: Final = ("turns", "repeats", "echoes")
"""The limits that work is held against; a ring has that of turns."""
OFF: Final = 10**6
"""A limit that nothing reaches."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a storm went: messages and minutes until it was damped and held, and its sign."""

    name: str
    signal: str
    damped: tuple[int, float] | None
    held: tuple[int, float] | None
    sent: int
    minutes: float


def ended(scene: Scene, limits: StormLimits) -> Ended:
    """Play a storm."""
    fleet = play(scene, limits)
    first: dict[str, tuple[int, float]] = {}
    for step, _, sent, minutes in fleet.steps:
        first.setdefault(step, (sent, minutes))
    signal = fleet.steps[0][1] if fleet.steps else "-"
    return Ended(
        scene.name, signal, first.get(DAMPED), first.get(HELD), fleet.sent, scene.until / MINUTE
    )


def reached(scene: Scene, limits: StormLimits, sign: str) -> int:
    """How far some work gets with one sign: the highest limit that it would trip."""
    low, high = 2, getattr(limits, sign) * 4
    off = replace(limits, turns=OFF, repeats=OFF, echoes=OFF)
    if not play(scene, replace(off, **{sign: low})).steps:
        return 0
    while high - low > 1:
        middle = (low + high) // 2
        if play(scene, replace(off, **{sign: middle})).steps:
            low = middle
        else:
            high = middle
    return low


def storms_table(limits: StormLimits) -> str:
    """What trips the guard, in Markdown."""
    lines = ["| storm | its sign | damped after | held after |", "|---|---|---|---|"]
    for scene in STORMS:
        one = ended(scene, limits)
        lines.append(f"| {one.name} | {one.signal} | {_when(one.damped)} | {_when(one.held)} |")
    return "\n".join(lines)


def work_table(limits: StormLimits) -> str:
    """How far work stays from the limits, in Markdown."""
    lines = ["| work | turns | repeats | echoes |", "|---|---|---|---|"]
    for scene in WORK:
        found = {sign: reached(scene, limits, sign) for sign in SIGNS}
        cells = [f"{found[sign]} of {getattr(limits, sign)}" for sign in SIGNS]
        lines.append(f"| {scene.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _when(point: tuple[int, float] | None) -> str:
    return "never" if point is None else f"{point[0]} messages, {point[1]:.0f} min"


def page(limits: StormLimits) -> str:
    """The page, with both tables as they are now."""
    text = PAGE.read_text(encoding="utf-8")
    for name, table in (("storms", storms_table(limits)), ("work", work_table(limits))):
        begin, end = f"<!-- {name}: made by bench/storm.py -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}{table}\n{end}{after}"
    return text


def main() -> int:
    """Write the tables into the page, or say (exit code 1) whether they are up to date."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    wanted = page(StormLimits())
    if wanted == PAGE.read_text(encoding="utf-8"):
        return 0
    if arguments.check:
        sys.stderr.write(f"{PAGE.name} is not up to date: python -m bench.storm\n")
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
