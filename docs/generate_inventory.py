#!/usr/bin/env python3
"""Write the tables of the roles' variables in docs/reference/inventory.md.

`docs/generate_inventory.py` writes them; `--check` only says whether they are out of date.
Meanings and defaults come from each role's defaults/main.yml, types from its argument specs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "inventory.md"
HEAD = "## The roles' variables\n"
INTRODUCTION = """
<!-- From here on made from the roles by docs/generate_inventory.py. -->

Set these for one host or for all, where the fleet's own variables above do not reach.
"""
LONGEST_DEFAULT = 45
ORDER = ("preflight", "fleet", "bus_database", "message_bus", "openclaw_bus", "bus_watcher")
"""The order of a rollout."""


def tables() -> str:
    """Return the generated end of the page."""
    return HEAD + INTRODUCTION + "".join(map(_table, roles()))


def roles() -> list[Path]:
    """Return the roles' folders.

    Raises:
        ValueError: there is a role that ORDER does not name.
    """
    return sorted((ROOT / "roles").iterdir(), key=lambda path: ORDER.index(path.name))


def _table(role: Path) -> str:
    options: dict[str, Any] = yaml.safe_load(
        (role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    )["argument_specs"]["main"]
    head = f"\n### {role.name}\n\n{options['short_description']}.\n\n"
    rows = "".join(
        f"| `{name}` | {options['options'][name]['type']} | {_shown(default)} | {meaning} |\n"
        for name, default, meaning in documented(role)
    )
    return f"{head}| variable | type | default | meaning |\n|---|---|---|---|\n{rows}"


def documented(role: Path) -> Iterator[tuple[str, object, str]]:
    """Give each variable of a role with its default and the comment above it."""
    text = (role / "defaults" / "main.yml").read_text(encoding="utf-8")
    defaults: dict[str, object] = yaml.safe_load(text)
    comment: list[str] = []
    for line in text.splitlines():
        if line.startswith("# "):
            comment.append(line[2:])
            continue
        name = line.split(":")[0]
        if name in defaults:
            yield name, defaults[name], " ".join(comment).replace("|", "\\|")
            comment = []


def _shown(default: object) -> str:
    text = (
        yaml.safe_dump(default, default_flow_style=True).removesuffix("\n...\n").strip()
        if not isinstance(default, str)
        else default.strip()
    )
    if "{{" in text and len(text) > LONGEST_DEFAULT:
        return "computed"
    return f"`{text}`".replace("|", "\\|")


def main() -> int:
    """Write the tables, or with `--check` compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    given = parser.parse_args()
    before = PAGE.read_text(encoding="utf-8")
    after = before.split(HEAD)[0] + tables()
    if before == after:
        return 0
    if given.check:
        print(f"{PAGE} is out of date: run docs/generate_inventory.py", file=sys.stderr)
        return 1
    PAGE.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
