"""`inbox`, `ack`: what waits for an agent, and marking it as read."""

from __future__ import annotations

from agent_bus_client.cli.message import Commands, not_acked, why
from agent_bus_client.errors import ClientError, HubUnreachableError, UsageError
from agent_bus_mcp.words.mailbox import MOST_SHOWN, fill, lately, page_words
from agent_bus_mcp.words.record import acked_words
from agent_bus_mcp.words.terms import Stamp

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from agent_bus_client.cli.context import Context

WAIT_S = 7.0  # below the timeout of a call
FLAGS, FILTERS = ("all", "read", "peek"), ("priority", "thread")


def inbox(context: Context) -> int:
    """Print one page of the agent's mailbox, which counts as fetched unless --peek is given."""
    options, agent = context.options, context.agent
    query = {
        "agent": agent,
        "unread": 0 if options.read else 1,
        "priority": options.priority,
        "thread": options.thread,
        "peek": 1 if options.peek else None,
        "limit": options.limit if options.json else min(options.limit, MOST_SHOWN),
        "cursor": options.cursor,
        "wait_s": min(options.wait, WAIT_S) if options.wait else None,
    }
    page = _first_page(context, query)
    now, everything = context.now(), options.all or options.peek
    trouble = "" if options.json or everything else _fill(context, page, query, now)
    asked = Commands(agent, again(options, agent), is_narrow=is_narrow(options))
    words = page_words(
        page, asked, now=now, everything=everything, trouble=trouble, acking=options.ack
    )
    status = 0
    if options.ack:
        shown = [m for m in page["messages"] if options.json or everything or not lately(m, now)]
        ids = [m["id"] for m in shown if not m.get(Stamp.READ)]
        if ids:
            status, said = _ack_page(context, page, ids)
            words += f"\n{said}"
    context.answer(page, words)
    return status


def _first_page(context: Context, query: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to the first question.

    Raises:
        ClientError: see `HubClient.call`; even so, the hub may count the mail as shown.
    """
    try:
        page: dict[str, Any] = context.hub.call("GET", "/api/inbox", query=query)
    except HubUnreachableError as error:
        if not error.sent or query["peek"]:
            raise
        look = f"agent-bus inbox --as {query['agent']} --all"
        why = f"{error.reason}; its mail may count as shown, so look with: {look}"
        raise HubUnreachableError(context.hub.url, why, sent=True) from error
    return page


def _ack_page(context: Context, page: dict[str, Any], ids: list[str]) -> tuple[int, str]:
    """Ack what the page shows; return exit code and words: a failure must not hide the page."""
    agent = context.agent
    try:
        page["acked"] = context.hub.call("POST", "/api/ack", body={"agent": agent, "ids": ids})
    except ClientError as error:
        page["ack_error"] = {"code": error.code, "detail": str(error)}
        command = f"agent-bus ack --as {agent} {' '.join(ids)}"
        return error.exit_code, not_acked(error, command)
    return 0, f"acked all {len(ids)} that this page shows."


def ack(context: Context) -> int:
    """Ack messages: they have been processed."""
    options = context.options
    if bool(options.ids) == bool(options.up_to):
        raise UsageError("name message ids, or --up-to with one id")
    body: dict[str, Any] = {"agent": context.agent}
    if options.up_to:
        body["up_to"] = options.up_to
    else:
        body["ids"] = options.ids
    try:
        done = context.hub.call("POST", "/api/ack", body=body)
    except HubUnreachableError as error:
        if not error.sent:
            raise
        why = f"{error.reason}; it may have acked them, and the same command again does no harm"
        raise HubUnreachableError(error.url, why, sent=True) from error
    context.answer(done, acked_words(done, context.agent))
    return 1 if done["unknown"] else 0


def again(options: argparse.Namespace, agent: str) -> str:
    """Return the command that shows the mailbox in the same way once more."""
    words = [f"agent-bus inbox --as {agent}"]
    words += [f"--{name}" for name in FLAGS if getattr(options, name)]
    words += [f"--{name} {getattr(options, name)}" for name in FILTERS if getattr(options, name)]
    return " ".join(words)


def is_narrow(options: argparse.Namespace) -> bool:
    """Tell whether something other than the plain mailbox was asked for."""
    return any(getattr(options, name) for name in (*FLAGS, *FILTERS))


def _fill(context: Context, page: dict[str, Any], query: dict[str, Any], now: float) -> str:
    """Fill the page with what no other turn has in hand; return what went wrong."""

    def ask(more: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = context.hub.call("GET", "/api/inbox", query=more)
        return found

    try:
        fill(page, query, now, ask)
    except ClientError as error:
        return why(error)
    return ""
