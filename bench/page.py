"""Writes the figures of the last runs into docs/performance.md; `make bench-page`.

A block of the page begins with `<!-- bench: NAME -->` and ends with `<!-- end -->`. What is
between them comes from the JSON that `make bench`, `make bench AGAINST=...` and `make
bench-reconnect` leave in .cache; a block whose run is missing stays as it is.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from bench import paired, reconnect, report, targets
from bench.peers.ours import ROOT
from bench.turns import CACHE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BUSY: Final = 1.0
PAGE: Final = ROOT / "docs" / "performance.md"
BLOCK: Final = re.compile(r"(?<=<!-- bench: )([\w-]+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)


def filled(text: str, blocks: Mapping[str, str]) -> str:
    """The page with these blocks; those that are not given stay as they are."""

    def block(found: re.Match[str]) -> str:
        name = found.group(1)
        return f"{name} -->\n\n{blocks[name].strip()}\n\n" if name in blocks else found.group()

    return BLOCK.sub(block, text)


def beside_peers(results: Mapping[str, Any]) -> dict[str, str]:
    """The blocks of `make bench`."""
    listed = {
        "goals": report.verdicts(targets.goals(results)),
        "compared": report.compared(results["compared"]),
        "shapes": report.shapes(results["shapes"]),
        "growth": report.growth(results["agent-bus"]),
    }
    blocks = {name: report.render(list(lines), markdown=True) for name, lines in listed.items()}
    return {"run": when(results), **blocks}


def beside_before(results: Mapping[str, Any]) -> dict[str, str]:
    """The blocks of `make bench AGAINST=...`."""
    verdicts = report.render(
        list(report.verdicts(targets.against(results["rows"]))), markdown=True
    )
    pairs = report.render(list(report.pairs(results["rows"])), markdown=True)
    revision = f"New: this release; old: revision `{results['against']}`."
    return {"against-goals": verdicts, "against": f"{when(results)}\n{revision}\n\n{pairs}"}


def come_back(found: list[dict[str, Any]]) -> dict[str, str]:
    """The blocks of `make bench-reconnect`, one for each size of a fleet."""
    blocks: dict[str, str] = {}
    for one in found:
        restarts = [reconnect.Restart(**each) for each in one["restarts"]]
        result = reconnect.Result(one["name"], one["watchers"], restarts, one["tries"])
        lines = [*reconnect.table(result), *(goal.line() for goal in reconnect.goals(result))]
        blocks.setdefault(f"reconnect-{result.watchers}", "```\n" + "\n".join(lines) + "\n```")
    return blocks


def when(results: Mapping[str, Any]) -> str:
    """On which day and machine, beside how much else."""
    at = results["machine"]
    disk = f"an fsync on {at['file_system']} took {at['fsync']['p50_ms']:g} ms (p50)"
    where = f"on {at['cores']} cores ({at['cpu']}) with Python {at['python']}"
    lines = [
        f"Measured on {at['day']}, {where}.",
        f"Just before it, the load was {at['load_1m']:g}, and {disk}.",
    ]
    if at["load_1m"] > BUSY:
        lines.append(
            "Beside so much else only the ratios of CPU hold; times and messages/s say less."
        )
    return "\n".join(lines)


def main() -> None:
    """Fill what has been run."""
    blocks: dict[str, str] = {}
    for path, made in (
        (CACHE / "bench.json", beside_peers),
        (paired.OUT, beside_before),
        *((path, come_back) for path in sorted(CACHE.glob("bench-reconnect*.json"))),
    ):
        blocks |= _read(path, made)
    text = PAGE.read_text(encoding="utf-8")
    missing = set(re.findall(r"<!-- bench: ([\w-]+) -->", text)) - set(blocks)
    PAGE.write_text(filled(text, blocks), encoding="utf-8")
    print(f"filled: {', '.join(sorted(blocks)) or '-'}")
    print(f"as they were: {', '.join(sorted(missing)) or '-'}")


def _read(path: Path, made: Any) -> dict[str, str]:  # noqa: ANN401 - one of the functions above
    if not path.exists():
        return {}
    blocks: dict[str, str] = made(json.loads(path.read_text(encoding="utf-8")))
    return blocks


if __name__ == "__main__":
    main()
