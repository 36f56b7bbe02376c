"""The operator's verbs about wakes: pause, resume, pauses, wakes; and their words.

The caller gives what asks the running hub.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_bus.admin_words import table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator

    Call = Callable[[str, str, object], Any]
    """Calls the hub: method, path, body or None."""

VERBS: Final = frozenset({"pause", "resume", "pauses", "wakes"})
EVERYBODY: Final = "all"
CAUSES: Final = 20
"""Rows about who caused wakes: the rest is in `--json`."""


def add_verbs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe them."""
    pause = verbs.add_parser("pause", help="keep an agent, a group or the fleet from being woken")
    _add_who(pause)
    pause.add_argument(
        "--for", dest="for_s", metavar="SECONDS", type=float, help="default: until resume"
    )
    pause.add_argument("--note", metavar="WORDS", help="why, for whoever looks")
    _add_who(verbs.add_parser("resume", help="end a pause"))
    verbs.add_parser("pauses", help="what is paused, and who is not woken now")
    wakes = verbs.add_parser("wakes", help="wake budgets, wakes by agent and day, who caused them")
    wakes.add_argument("--days", type=int, default=7, metavar="N", help="default: 7, at most 90")


def run(arguments: argparse.Namespace, call: Call) -> tuple[Any, Iterable[str]]:
    """The hub's answer to a verb, and its words."""
    if arguments.verb == "pause":
        body = {"who": _who(arguments), "for_s": arguments.for_s, "note": arguments.note}
        content = call("POST", "/api/pauses", body)
        return content, [pause_line(content)]
    if arguments.verb == "resume":
        content = call("POST", "/api/pauses/end", {"who": _who(arguments)})
        return content, _resumed(content)
    if arguments.verb == "pauses":
        content = call("GET", "/api/pauses", None)
        return content, pause_lines(content) or ["nothing is paused, and nobody is held"]
    content = call("GET", f"/api/wakes?days={arguments.days}", None)
    return content, _wakes(content)


def pause_lines(content: dict[str, Any]) -> list[str]:
    """What is paused and who is over a budget; nothing when all may be woken."""
    lines = [pause_line(one) for one in content["pauses"]]
    spent = [one for one in content["held"] if one["reason"] == "budget"]
    lines += [f"{one['agent']} is over its wake budget until {one['until']}" for one in spent]
    return lines


def pause_line(one: dict[str, Any]) -> str:
    """One pause."""
    until = "until it is resumed" if one["until"] is None else f"until {one['until']}"
    count = len(one["agents"])
    agents = "" if one["who"] in one["agents"] else f", {count} agent{'s' * (count != 1)}"
    note = f": {one['note']}" if one["note"] else ""
    return f"{one['who']} is {one['reason']} since {one['since']}, {until}{agents}{note}"


def _resumed(content: dict[str, Any]) -> Iterator[str]:
    who = content["who"]
    yield f"{who} is no longer paused" if content["ended"] else f"{who} was not paused"
    for one in content["held"]:
        until = "" if one["until"] is None else f" until {one['until']}"
        why = "over its wake budget" if one["reason"] == "budget" else one["reason"]
        yield f"{one['agent']} is still {why}{until}; `pauses` says by what"


def _wakes(content: dict[str, Any]) -> Iterator[str]:
    budgets = [
        {
            "budget": one["who"],
            "last 60 min": _of(one["hour"], one["per_hour"]),
            "last 24 h": _of(one["day"], one["per_day"]),
            "urgent reserve": _of(one["urgent"], one["urgent_reserve"]),
        }
        for one in content["budgets"]
    ]
    if budgets:
        yield from table(tuple(budgets[0]), budgets)
        yield ""
    columns = ("day", "agent", "wakes", "escalations", "reminders", "urgent")
    yield from table(columns, content["days"])
    if content["causes"]:
        yield ""
        rows = [{**one, "caused by": one["sender"] or "unknown"} for one in content["causes"]]
        yield from table(("caused by", "agent", "wakes"), rows[:CAUSES])


def _of(used: int, limit: int | None) -> str:
    return f"{used} of any number" if limit is None else f"{used} of {limit}"


def _add_who(parser: argparse.ArgumentParser) -> None:
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("who", metavar="AGENT|@GROUP", nargs="?")
    who.add_argument("--fleet", action="store_true", help="everybody")


def _who(arguments: argparse.Namespace) -> str:
    return EVERYBODY if arguments.fleet else str(arguments.who)
