#!/usr/bin/env python3
"""Write the tools into docs/reference/mcp.md from the table; `--check` only compares."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "files"))

from agent_bus_mcp.table import TOOLS, Tool  # noqa: E402 - the path comes first

PAGE = ROOT / "docs" / "reference" / "mcp.md"
BEGIN, END = "<!-- tools: made by docs/generate_mcp.py -->", "<!-- end of tools -->"


def tools() -> str:
    """Return all tools, with a table of arguments each."""
    return "".join(_tool(tool) for tool in TOOLS)


def page() -> str:
    """Return the page with fresh tools between its marks."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tools()}{END}{after}"


def _tool(tool: Tool) -> str:
    hints = [name for name, is_so in tool.annotations.items() if is_so is True]
    if tool.at_once:
        hints.append("anthropic/alwaysLoad")
    rows = [_row(name, schema, tool) for name, schema in tool.schema["properties"].items()]
    said = f" Set: {', '.join(f'`{hint}`' for hint in hints)}." if hints else ""
    table = "| argument | type | meaning |\n|---|---|---|\n" + "".join(rows)
    words = "\n".join(_wrapped(tool.description))
    return f"\n### {tool.name}\n\n{tool.title}.{said}\n\n> {words}\n\n{table}"


def _row(name: str, schema: dict[str, Any], tool: Tool) -> str:
    kind = schema["type"] if schema["type"] != "array" else "array of strings"
    if "enum" in schema:
        kind = " or ".join(f"`{word}`" for word in schema["enum"])
    if "minimum" in schema:
        kind += f", {schema['minimum']} to {schema['maximum']}"
    needed = ", needed" if name in tool.schema["required"] else ""
    return f"| `{name}` | {kind}{needed} | {schema['description']} |\n"


def _wrapped(words: str) -> list[str]:
    lines, line = [], ""
    for word in words.split():
        if len(line) + len(word) > 110:  # noqa: PLR2004 - as prose in docs
            lines.append(line)
            line = ">"
        line = f"{line} {word}".strip()
    return [*lines, line]


def main() -> int:
    """Write or check the page."""
    fresh = page()
    if PAGE.read_text(encoding="utf-8") == fresh:
        return 0
    if "--check" in sys.argv[1:]:
        print(f"{PAGE} is out of date: run docs/generate_mcp.py", file=sys.stderr)
        return 1
    PAGE.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
