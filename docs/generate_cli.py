#!/usr/bin/env python3
"""Write docs/reference/cli.md and the settings table of docs/reference/watcher.md from the code.

`docs/generate_cli.py` writes both; `--check` only says (exit code 1) whether they are up to date.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import itertools
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "files"))

from agent_bus_client.cli import parser  # noqa: E402 - the path comes first
from agent_bus_client.settings import Settings  # noqa: E402 - as above

CLI = ROOT / "docs" / "reference" / "cli.md"
WATCHER = ROOT / "docs" / "reference" / "watcher.md"
BEGIN, END = "<!-- settings: made by docs/generate_cli.py -->", "<!-- end of settings -->"
HEAD = """# Command line

<!-- Made from the parser by docs/generate_cli.py; edit files/agent_bus_client/cli/parser.py. -->

`agent-bus` is on every node. Answers go to stdout, errors to stderr; `--json` gives the hub's
answer unchanged. It answers within 10 seconds. Every verb except `check-config` and `mcp` takes
`--as AGENT` and `--json`. Options may stand before, between and after the other words; a body that
begins with a dash must stand after `--`.

`mcp` is a server, for a client that an agent runs in: its `--as` says who speaks, and neither
`AGENT_BUS_AGENT` nor the folder does.

The command never guesses whether a message was sent. `sent` means that the hub has answered.
`not sent yet` means that the hub was never reached. If the answer to a message is missing, the
command asks for it again under the same key while there is time. After that it says `not known
whether it arrived` (with `--json` `"outcome": "unknown"`): the watcher asks when the hub is back,
and the key makes sure that the message arrives only once.

"""


def cli_page() -> str:
    """Return the whole page."""
    top = parser.build()
    kind = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public way
    (verbs,) = (a for a in top._actions if isinstance(a, kind))  # noqa: SLF001 - as above
    helps = {choice.dest: choice.help for choice in verbs._choices_actions}  # noqa: SLF001 - as above
    parts = [HEAD, "| verb | what it does |\n|---|---|\n"]
    parts += [f"| [`{name}`](#{name}) | {helps[name]} |\n" for name in verbs.choices]
    parts.append(f"\n```text\n{parser.DESCRIPTION.strip()}\n\n{parser.EXIT_CODES.strip()}\n```\n")
    for name, verb in verbs.choices.items():
        parts.append(f"\n## {name}\n\n{verb.description or helps[name]}\n\n")
        parts.append("| argument | meaning |\n|---|---|\n")
        parts += [_row(a) for a in verb._actions if a.dest not in {"help", "agent", "json"}]  # noqa: SLF001 - as above
    return "".join(part for part in parts if part)


def settings_table() -> str:
    """Return the table of node.json's keys."""
    rows = ["| key | default | meaning |", "|---|---|---|"]
    words = _words_below_fields()
    for name in Settings.__annotations__:
        known = hasattr(Settings, name)
        default = f"`{_json(getattr(Settings, name))}`" if known else "required"
        rows.append(f"| `{name}` | {default} | {words[name]} |")
    return "\n".join(rows)


def _words_below_fields() -> dict[str, str]:
    """Return what stands below each field of the settings: Python itself does not keep it."""
    (of,) = ast.parse(inspect.getsource(Settings)).body
    assert isinstance(of, ast.ClassDef)
    return {
        field.target.id: " ".join(str(words.value.value).split())
        for field, words in itertools.pairwise(of.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(words, ast.Expr)
        and isinstance(words.value, ast.Constant)
    }


def watcher_page() -> str:
    """Return the watcher's page with a fresh table between its marks."""
    page = WATCHER.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{settings_table()}\n{END}{after}"


def _row(action: argparse.Action) -> str:
    words = ", ".join(action.option_strings)
    if action.choices:
        value = " ".join(map(str, action.choices)).replace(" ", " or ")
    else:
        value = str(action.metavar or action.dest.upper())
    shown = f"{words} {value}" if words and action.nargs != 0 else words or value
    return f"| `{shown}` | {(action.help or '').replace('|', chr(92) + '|')} |\n"


def _json(value: object) -> str:
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def main() -> int:
    """Write or check the pages."""
    stale = 0
    for path, page in ((CLI, cli_page()), (WATCHER, watcher_page())):
        if path.exists() and path.read_text(encoding="utf-8") == page:
            continue
        stale += 1
        if "--check" in sys.argv[1:]:
            print(f"{path} is out of date: run docs/generate_cli.py", file=sys.stderr)
        else:
            path.write_text(page, encoding="utf-8")
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
