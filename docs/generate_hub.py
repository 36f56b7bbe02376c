#!/usr/bin/env python3
"""Write the hub's generated reference pages: problems.md, hub-settings.md and openapi.json.

`docs/generate_hub.py` writes them; `--check` only says (exit code 1) which are out of date.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "files"))

from agent_bus.api import openapi  # noqa: E402 - as above
from agent_bus.core import errors  # noqa: E402 - the path comes first
from agent_bus.settings import Settings  # noqa: E402 - as above

if TYPE_CHECKING:
    from collections.abc import Iterator

REFERENCE = ROOT / "docs" / "reference"
PROBLEMS_HEAD = """# Problems

<!-- Made from files/agent_bus/core/errors/ by docs/generate_hub.py. -->

Every refusal is `application/problem+json` (RFC 9457):

```json
{"type": "urn:agent-bus:problem:agent_retired", "title": "The agent is retired", "status": 409,
 "code": "agent_retired", "detail": "'old' is no longer in the inventory; write to another agent.",
 "field": "to", "name": "old"}
```

`code` never changes its meaning; `detail` says what to do; `field`, if there is one, names what is
wrong. If the time is known, `Retry-After` says when the same request may succeed.

| code | status | when |
|---|---|---|
"""
SETTINGS_HEAD = """# Settings of the hub

<!-- Made from files/agent_bus/settings.py by docs/generate_hub.py. -->

`/etc/agent-bus/hub.json` is one JSON object. The role writes it, the hub reads it once at start.
A key that is not listed here is refused, with the closest listed one as a hint.
`python -m agent_bus check-config FILE` checks a file.

| key | default | allowed | meaning |
|---|---|---|---|
"""
BOUNDS = (("minimum", ">="), ("exclusiveMinimum", ">"), ("maximum", "<="))


def pages() -> dict[Path, str]:
    """Each generated page with what it should hold."""
    return {
        REFERENCE / "problems.md": problems_page(),
        REFERENCE / "hub-settings.md": settings_page(),
        REFERENCE / "openapi.json": openapi.as_text(),
    }


def problems_page() -> str:
    """Return the table of all codes, by status."""
    found = sorted(_all(errors.BusError), key=lambda error: (error.status, error.code))
    return PROBLEMS_HEAD + "".join(
        f"| `{error.code}` | {error.status} | {(error.__doc__ or '').splitlines()[0]} |\n"
        for error in found
    )


def settings_page() -> str:
    """Return the table of hub.json's keys."""
    described = Settings.model_json_schema()
    required = described["required"]
    return SETTINGS_HEAD + "".join(
        f"| `{name}` | {'required' if name in required else _default(schema)} |"
        f" {_allowed(schema)} | {schema['description']} |\n"
        for name, schema in described["properties"].items()
    )


def main() -> int:
    """Write the pages, or compare them with `--check`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = [path for path, text in pages().items() if not _holds(path, text)]
    for path in stale:
        if check:
            print(f"{path.relative_to(ROOT)} is out of date: run docs/generate_hub.py")
        else:
            path.write_text(pages()[path], encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    return 1 if check and stale else 0


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def _all(base: type[errors.BusError]) -> Iterator[type[errors.BusError]]:
    for error in base.__subclasses__():
        yield error
        yield from _all(error)


def _default(schema: dict[str, Any]) -> str:
    return f"`{json.dumps(schema['default'])}`"


def _allowed(schema: dict[str, Any]) -> str:
    """Type and bounds in a few words."""
    options = [option for option in schema.get("anyOf", [schema]) if option.get("type") != "null"]
    return " or ".join(_one_of(option) for option in options)


def _one_of(chosen: dict[str, Any]) -> str:
    if chosen.get("format") == "path":
        return "absolute path"
    words = [str(chosen["type"])]
    words += [f"{sign} {chosen[key]}" for key, sign in BOUNDS if key in chosen]
    if chosen.get("pattern", "").startswith("^postgres"):
        return "`postgresql://` URL"
    if "pattern" in chosen:
        words.append("as `address:port`")
    return ", ".join(words)


if __name__ == "__main__":
    sys.exit(main())
