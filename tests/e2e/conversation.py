"""One question and its answer between two agents that have nothing but MCP, hop by hop.

A user has the asker send a question; the answerer is woken, reads, answers and acks; the asker is
woken by the answer, reads and acks. Containers share this machine's clock, so that times can be
compared.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.e2e.loop import Hop

if TYPE_CHECKING:
    from lab.fleet.standing import Fleet
    from lab.probe.hub import LabHub
    from tests.e2e.members import Member

TIMEOUT_S = 400
ANSWERED = "model calls the tool reply; answer stored"
ASKED_READ = "model calls the tool ack; question read"


@dataclass(slots=True)
class Conversation:
    """What became of one question."""

    title: str
    hops: list[Hop]

    @property
    def missing(self) -> list[str]:
        """Return the hops that did not happen."""
        return [f"{self.title}: missing: {hop.what}" for hop in self.hops if hop.at is None]

    @property
    def is_answered(self) -> bool:
        """Whether the answer is stored and the question read."""
        return all(hop.at for hop in self.hops if hop.what in (ANSWERED, ASKED_READ))

    def table(self) -> str:
        """Return the hops as text: the time of day of the first, and of the others since it."""
        start = self.hops[0].at
        rows = [("HOP", "BY", "AFTER")]
        for hop in self.hops:
            late = "MISSING" if hop.at is None or start is None else f"{hop.at - start:.3f} s"
            rows.append((hop.what, hop.where, late))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        first = time.strftime("%H:%M:%S", time.gmtime(start)) if start else "never"
        lines = [
            f"{what:{widths[0]}}  {who:{widths[1]}}  {late:>{widths[2]}}"
            for what, who, late in rows
        ]
        return "\n".join([f"{self.title} (began {first} UTC)", *lines])


def hold(fleet: Fleet, hub: LabHub, asker: Member, answerer: Member) -> Conversation:
    """Have the asker ask, wait until the answer is read, and return the hops.

    No watcher wakes a guest: its user tells it to look once there is an answer.
    """
    started = time.time()
    asker.tell(fleet, f"Ask {answerer.agent} over the agent bus how he is.")
    deadline = time.monotonic() + TIMEOUT_S
    is_told = False
    while True:
        found = _look(fleet, hub, (asker, answerer), started)
        if not found.missing or time.monotonic() > deadline:
            return found
        if asker.guest and found.is_answered and not is_told:
            asker.tell(fleet, f"agent-bus: unread messages for {asker.agent}. I heard so.")
            is_told = True
        time.sleep(1)


def _look(fleet: Fleet, hub: LabHub, two: tuple[Member, Member], since: float) -> Conversation:
    asker, answerer = two
    asked, answered = (member.questions(fleet, since) for member in two)
    question, answer = _deliveries(hub, two, since)
    hops = [
        Hop("model calls the tool send", asker.program, _first(asked, "send", 0.0)),
        Hop("question stored", "hub", stamp(question, "stored_at")),
        *_woken(answerer, question, answered),
        Hop(ANSWERED, "hub", stamp(answer, "stored_at")),
        Hop(ASKED_READ, "hub", stamp(question, "read_at")),
        *_woken(asker, answer, asked),
        Hop("model calls the tool ack; answer read", "hub", stamp(answer, "read_at")),
    ]
    return Conversation(
        f"{asker.program} ({asker.agent}) asks {answerer.program} ({answerer.agent})", hops
    )


def _woken(member: Member, delivery: dict[str, Any], asked: list[dict[str, Any]]) -> list[Hop]:
    """Return the hops from the push, if a watcher is there, to the page that was shown."""
    watcher = f"{member.agent}'s watcher"
    stored = stamp(delivery, "stored_at") or math.inf  # other mail may have woken it before
    pushed = [
        Hop("pushed", "hub", stamp(delivery, "pushed_at")),
        Hop("received", watcher, stamp(delivery, "received_at")),
        Hop("wake accepted", watcher, stamp(delivery, "accepted_at")),
    ]
    return [
        *([] if member.guest else pushed),
        Hop("model calls the tool inbox", member.program, _first(asked, "inbox", stored)),
        Hop("fetched", "hub", stamp(delivery, "fetched_at")),
    ]


def _first(asked: list[dict[str, Any]], tool: str, since: float) -> float | None:
    """Return when a model first called a tool since then."""
    calls = (line["at"] for line in asked if line["wanted"] == tool and line["at"] >= since)
    return next(calls, None)


def _deliveries(
    hub: LabHub, two: tuple[Member, Member], since: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the deliveries of the question and of its answer; empty while there is none."""
    asker, answerer = (member.agent for member in two)
    query = urlencode({"agent": asker, "with": answerer, "limit": 500})
    new = [
        m
        for m in hub.get(f"/api/history?{query}")["messages"]
        if epoch(m["created_at"]) >= since - 0.001
    ]
    return _delivery(hub, new, asker), _delivery(hub, new, answerer)


def _delivery(hub: LabHub, messages: list[dict[str, Any]], sender: str) -> dict[str, Any]:
    sent = [message for message in messages if message["from_agent"] == sender]
    if not sent:
        return {}
    first = sent[-1]  # the newest comes first
    found: dict[str, Any] = hub.get(f"/api/messages/{first['id']}")["deliveries"][0]
    return found


def stamp(delivery: dict[str, Any], name: str) -> float | None:
    """Return when something happened to a delivery, in epoch seconds."""
    found = delivery.get(name)
    return epoch(found) if found else None


def epoch(text: str) -> float:
    """Return the epoch seconds of a stamp."""
    return datetime.fromisoformat(text).timestamp()
