"""Compares what was accepted with what became of it; pure, so that the judge is tested, too."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that was accepted from its sender; its body is unique and identifies it."""

    body: str
    to: str
    at: float
    tries: int = 1


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message for one recipient, as the hub's history has it."""

    body: str
    agent: str
    seq: int
    fetched: bool


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as the stream of its recipient's host carried it."""

    body: str
    agent: str
    seq: int


@dataclass(slots=True)
class Verdict:
    """How many messages were accepted, and which of them did not arrive or came twice."""

    accepted: int = 0
    unstored: list[str] = field(default_factory=list)
    unheard: list[str] = field(default_factory=list)
    unfetched: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)

    @property
    def delivered(self) -> int:
        """How many were stored, came over the stream, and were fetched by a woken agent."""
        return self.accepted - len({*self.unstored, *self.unheard, *self.unfetched})

    @property
    def is_good(self) -> bool:
        """Whether everything accepted was delivered once."""
        return self.delivered == self.accepted and not self.doubled

    def words(self) -> str:
        """Return what is wrong, with a few examples of each kind; empty when nothing is."""
        kinds = {
            "not stored": self.unstored,
            "not on its host's stream": self.unheard,
            "not fetched": self.unfetched,
            "doubled": self.doubled,
        }
        return examples_of(kinds)


def examples_of(kinds: Mapping[str, Sequence[str]]) -> str:
    """Return how many there are of each kind, and the first three; empty when there are none."""
    return "; ".join(
        f"{len(found)} {kind}: {', '.join(found[:3])}" for kind, found in kinds.items() if found
    )


def judge(
    accepted: Sequence[Accepted], stored: Iterable[Delivery], heard: Iterable[Heard]
) -> Verdict:
    """Compare what was accepted with what the hub stored and the hosts' streams carried."""
    deliveries: dict[tuple[str, str], list[Delivery]] = {}
    for delivery in stored:
        deliveries.setdefault((delivery.body, delivery.agent), []).append(delivery)
    ears = Counter((one.body, one.agent) for one in heard)
    verdict = Verdict(accepted=len(accepted))
    for message in accepted:
        place = (message.body, message.to)
        name = f"{message.body} to {message.to}"
        found = deliveries.get(place, [])
        if not found:
            verdict.unstored.append(name)
        elif not any(delivery.fetched for delivery in found):
            verdict.unfetched.append(name)
        if not ears[place]:
            verdict.unheard.append(name)
        if len(found) > 1 or ears[place] > 1:
            verdict.doubled.append(name)
    return verdict


@dataclass(frozen=True, slots=True)
class Ledger:
    """All that is known at one moment."""

    accepted: Sequence[Accepted]
    stored: Sequence[Delivery] = ()
    heard: Sequence[Heard] = ()

    def verdict(self, began: float = 0.0, ended: float = math.inf) -> Verdict:
        """Judge what was accepted between two times."""
        share = [message for message in self.accepted if began <= message.at <= ended]
        return judge(share, self.stored, self.heard)


def deliveries_of(messages: Iterable[Mapping[str, Any]]) -> list[Delivery]:
    """Return the deliveries in pages of `GET /api/history`."""
    return [
        Delivery(message["body"], entry["agent"], entry["seq"], bool(entry["fetched_at"]))
        for message in messages
        for entry in message["deliveries"]
    ]
