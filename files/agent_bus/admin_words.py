"""What the operator's tool prints: tables, and `name value` lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_NAMED: Final = 5
"""Names in a row while all agents are listed; the row of one agent has all of them."""


def flat(content: dict[str, Any], prefix: str = "") -> Iterable[str]:
    """`name value` lines, nested names joined by dots."""
    for name, value in content.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name} {word(value)}"


def roster(content: dict[str, Any]) -> Iterable[str]:
    """One line per agent."""
    columns = ("name", "node", "status", "unread", "unfetched", "last_seen_at")
    return table((*columns, "held", "muted_until"), content["agents"])


def status(content: dict[str, Any]) -> Iterable[str]:
    """The sums, then a table for hubs, members of the database and members of etcd each."""
    yield from content["words"]
    yield ""
    yield from table(("name", "live", "version", "last_seen_at", "url"), content["hubs"])
    if content["database"] is not None:
        columns = ("name", "role", "state", "there", "synchronous", "lag_bytes", "timeline")
        yield ""
        yield from table(columns, content["database"]["members"])
    if content["etcd"] is not None:
        yield ""
        of_etcd = ("name", "healthy", "leads", "size_bytes")
        yield from table(of_etcd, content["etcd"]["members"])


def probes(content: dict[str, Any]) -> Iterable[str]:
    """One line per agent that was probed."""
    columns = ("agent", "node", "status", "ok", "gateway_ms", "total_ms", "reason")
    return table(columns, content["results"])


def storms(content: dict[str, Any]) -> Iterable[str]:
    """One line per storm there is; below them those that were held."""
    columns = ("key", "level", "signal", "since_at", "withheld", "reason")
    yield from table(columns, content["storms"])
    if content["past"]:
        yield ""
        yield from table(("key", "signal", "held_at", "released_at"), content["past"])


def storm_lines(content: dict[str, Any]) -> Iterable[str]:
    """How many storms are held and damped; nothing without one."""
    levels = [storm["level"] for storm in content["storms"]]
    if levels:
        yield f"Storms: {levels.count('held')} held, {levels.count('damped')} damped"


def table(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> Iterable[str]:
    """Aligned columns under their names; `-` where there is nothing."""
    cells = [columns, *(tuple(word(row[name]) for name in columns) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    for row in cells:
        yield "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()


def word(value: object) -> str:
    """A value as it is printed."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def rights(content: dict[str, Any]) -> Iterable[str]:
    """To whom each agent may write, and the rules that say so; of a single agent, all names."""
    is_one = len(content["agents"]) == 1
    rules = {rule["number"]: _rule(rule) for rule in content["rules"]}
    rows = []
    for entry in content["agents"]:
        to = entry["to"]
        named = "all" if to is None else ", ".join(to) or "operator alone"
        if to and not is_one and len(to) > MOST_NAMED:
            named = f"{', '.join(to[:MOST_NAMED])} and {len(to) - MOST_NAMED} more"
        by = ", ".join(map(str, entry["rules"])) or "no rule"
        rows.append({"agent": entry["agent"], "may write to": named, "by rule": by})
    yield from table(("agent", "may write to", "by rule"), rows)
    told = sorted({number for entry in content["agents"] for number in entry["rules"]})
    if told:
        yield ""
    for number in told:
        yield rules[number]


def _rule(rule: dict[str, Any]) -> str:
    name = f" ({rule['name']})" if rule["name"] else ""
    to = ", ".join(rule["to"]) or "nobody"
    return f"rule {rule['number']}{name}: from {', '.join(rule['from'])} to {to}"
