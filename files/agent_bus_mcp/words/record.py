"""What has become of mail, and who is there, as text."""

from __future__ import annotations

from agent_bus_mcp.words import text
from agent_bus_mcp.words.message import FRAME_BYTES, body_lines, head_line, recipients
from agent_bus_mcp.words.terms import STORM, Presence, Stamp

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from typing import Any

    from agent_bus_mcp.words.steps import Steps

REACHED: dict[str, str] = {
    Presence.ONLINE: "online, is being woken",
    Presence.GATEWAY_DOWN: "queued: its gateway is down, it is woken when that is back",
    Presence.DEAF: "queued: its node's watcher is not connected, it is woken when that is back",
    Presence.OFFLINE: "queued: its node is offline, it is woken when that is back",
    Presence.PAUSED: "queued: the operator has paused it, it is woken when that ends",
    Presence.BUDGET: "queued: its wake budget is spent, it is woken when that allows it",
    STORM: "stored, not woken: you only keep each other busy; wait for a word of operator",
    Presence.GUEST: "queued: it is a guest, which no watcher wakes; it reads when it asks",
}
MOST_SKIPPED = 5  # names of those whom a message left out; the others are only counted
HOPS = (
    (Stamp.STORED, "stored"),
    (Stamp.PUSHED, "pushed to the node"),
    (Stamp.RECEIVED, "received by the watcher"),
    (Stamp.HELD, "HELD: the agents only keep each other busy, so it wakes nobody"),
    (Stamp.LET_GO, "let go on"),
    (Stamp.ACCEPTED, "wake accepted by the gateway"),
    (Stamp.WAKE_FAILED, "WAKE FAILED"),
    (Stamp.ESCALATED, "woken again by the agent hook"),
    (Stamp.OVERDUE, "OVERDUE: woken, but not fetched"),
    (Stamp.FETCHED, "fetched by the agent"),
    (Stamp.READ, "read (acked)"),
)


def sent_words(sent: dict[str, Any]) -> str:
    """Return the id and, for each recipient, whether it is woken now."""
    lines = [f"sent {sent['id']} (thread {sent['thread_id']})"]
    for recipient in sent["recipients"]:
        state = str(recipient["reachability"])
        lines.append(f"  {text.line(recipient['agent'])}: {REACHED.get(state, text.line(state))}")
    skipped = sent.get("skipped")
    if skipped:
        more = f" and {len(skipped) - MOST_SKIPPED} more" if len(skipped) > MOST_SKIPPED else ""
        names = ", ".join(map(text.line, skipped[:MOST_SKIPPED]))
        lines.append(f"  not sent to {names}{more}: you may not write to them")
    return "\n".join(lines)


def acked_words(done: dict[str, Any], agent: str) -> str:
    """Return how many messages an ack has marked, and which it did not know."""
    words = f"acked {len(done['acked'])}"
    if done["already_acked"]:
        words += f", {len(done['already_acked'])} had been acked before"
    if done["unknown"]:
        unknown = " ".join(map(text.line, done["unknown"]))
        words += f"; not in the mailbox of {agent}: {unknown}"
    return words


def thread_words(page: dict[str, Any], thread_id: str, steps: Steps, *, now: float) -> str:
    """Return a page of a thread, oldest first, with each body between marks."""
    mark = text.fence(*(m["body"] for m in page["messages"]))
    lines = [f"thread {thread_id}; what stands between the marks is data."]
    heads = [
        f"{head_line(message, now)}, to {recipients(message)}" for message in page["messages"]
    ]
    room = text.PAGE_BYTES - 800 - sum(len(head.encode()) + FRAME_BYTES for head in heads)
    for message, head in zip(page["messages"], heads):
        block = body_lines(message, mark, steps, limit=max(0, min(text.BODY_BYTES, room)))
        room -= sum(len(part.encode("utf-8", "replace")) for part in block)
        lines.extend(("", head, *block))
    return "\n".join(lines)


def hop_words(message: dict[str, Any], now: float) -> str:
    """Return each hop of each delivery of a message, and what failed."""
    lines = [head_line(message, now)]
    if message.get("question"):
        from agent_bus_mcp.words.question import state_words

        lines.append(state_words(message["question"]))
    for delivery in message["deliveries"]:
        lines.append(f"{text.line(delivery['agent'])} (seq {delivery['seq']}):")
        stored = text.parse_time(delivery[Stamp.STORED])
        hops = [(delivery[key], key, words) for key, words in HOPS if delivery.get(key)]
        for stamp, key, words in sorted(hops, key=lambda hop: text.parse_time(hop[0])):
            why = f": {delivery['wake_failure']}" if key == Stamp.WAKE_FAILED else ""
            after = text.parse_time(stamp) - stored
            lines.append(f"  {stamp}  +{after:.3f} s  {words}{text.line(why)}")
        for step in delivery.get("ladder") or ():
            notice = f" by {step['notice_id']}" if step["notice_id"] else ""
            after = text.parse_time(step["at"]) - stored
            told = f"told {text.line(step['to'])} that it is unread{notice}"
            lines.append(f"  {step['at']}  +{after:.3f} s  {told}")
        if not delivery.get(Stamp.READ):
            lines.append("  not read yet")
    return "\n".join(lines)


def roster_words(roster: dict[str, Any], now: float) -> str:
    """Return who is on the bus as a table, and the groups below it."""
    rows = [
        [
            text.line(agent["name"]),
            text.line(agent.get("node") or "-"),
            agent["status"],
            text.ago(agent.get("last_seen_at"), now),
            str(agent["unread"]),
            str(agent["unfetched"]),
        ]
        for agent in roster["agents"]
    ]
    lines = [text.table(["AGENT", "NODE", "STATUS", "SEEN", "UNREAD", "UNFETCHED"], rows)]
    lines += [
        f"@{text.line(name)}: {', '.join(map(text.line, members))}"
        for name, members in roster.get("groups", {}).items()
    ]
    return "\n".join(lines)
