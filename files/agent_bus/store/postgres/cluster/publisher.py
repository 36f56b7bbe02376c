"""Publishes every batch of every hub, in the order of their commits, to this hub's listeners.

A hub's own batch brings along what other hubs committed before it, read behind the lock on `head`:
so it is complete, and the acknowledgement of the own batch covers it, too. While a hub writes
nothing, a ring tells it up to where other hubs' batches are acknowledged, and it reads them.

Everything here runs in the loop. What needs nothing more from the database is published at once;
else one greenlet reads it, and whatever comes in between waits its turn.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core import errors
from agent_bus.core.guards.storms.signals import Said
from agent_bus.core.model import Acked
from agent_bus.runtime import greenlets
from agent_bus.store.postgres.cluster import elsewhere, words
from agent_bus.store.postgres.write import facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agent_bus.core.model import Agent, AgentName, Delivery, Message, Roster
    from agent_bus.store.cluster import Hearer
    from agent_bus.store.postgres.cluster.elsewhere import Change
    from agent_bus.store.postgres.link.pool import Readers

logger = logging.getLogger(__name__)

PAUSE_S: Final = 0.2
"""Between two reads while the database is away."""
ATTEMPTS: Final = 3
"""Reads of what a change needs; past it, streams that may have missed something begin anew."""


@dataclass(slots=True)
class Item:
    """A batch to publish: an own one, or (`changes` is None) all of others up to `pos`."""

    pos: int
    changes: list[Change] | None
    tell: Callable[[], None] | None = None
    answer: Callable[[], None] | None = None


@dataclass(slots=True)
class Needed:
    """What of a change has been read already."""

    bodies: dict[int, Message]
    receipts: dict[int, Delivery]
    roster: tuple[Roster, list[Agent]] | None = None


class Publisher:
    """See the module.

    Args:
        hub: this hub's name.
        told: the position up to which memory knows everything at the start.
        load_roster: reads the stored roster and all agents; blocks the greenlet.
        heard: called for each change of another hub, before the listeners.
        missed: called when a change is there no more; positions have no gaps.
        is_busy: whether a batch of this hub is on its way.
    """

    def __init__(
        self,
        *,
        hub: str,
        told: int,
        readers: Readers,
        load_roster: Callable[[], tuple[Roster, list[Agent]]],
        heard: Callable[[Change], None],
        missed: Callable[[], None],
        is_busy: Callable[[], bool],
    ) -> None:
        self.told = told
        self._hub = hub
        self._readers = readers
        self._load_roster = load_roster
        self._heard = heard
        self._missed = missed
        self._is_busy = is_busy
        self._hearer: Hearer | None = None
        self._queue: deque[Item] = deque()
        self._is_running = False
        self._rung = 0
        self._passed: tuple[int, Sequence[AgentName]] = (0, ())
        """The last message that nothing here shows: what is known of it comes behind it."""

    def hear(self, hearer: Hearer) -> None:
        """Tell `hearer` from now on."""
        self._hearer = hearer

    def wants(self, agents: Sequence[AgentName]) -> bool:
        """Whether a message to these agents is shown here; in any thread, so only most probably.

        What is wanted is looked at again, in the loop, before anything is published.
        """
        return self._hearer is not None and self._hearer.wants(agents)

    def own(
        self,
        pos: int,
        earlier: list[Change] | None,
        tell: Callable[[], None],
        answer: Callable[[], None],
    ) -> None:
        """Publish a batch of this hub, behind all earlier ones; then let its callers go on.

        `earlier` has all changes since this hub's batch before it, or is None: then they are read.
        One of this hub itself is among them where the fate of a batch was not found out.
        """
        self._add(Item(pos, earlier, tell, answer))
        if self._rung > self.told:
            self.rung(self._rung)

    def rung(self, pos: int) -> None:
        """Read and publish the batches of other hubs up to one that is acknowledged.

        A batch of this hub that is on its way brings them along, as a rule.
        """
        if self._is_busy():
            self._rung = max(self._rung, pos)
            return
        if pos > self.told and all(item.pos < pos for item in self._queue):
            self._add(Item(pos, None))

    def _add(self, item: Item) -> None:
        self._queue.append(item)
        if not self._is_running:
            self._is_running = True
            if self._publish_ready():
                self._is_running = False
            else:
                greenlets.spawn(self._run)

    def _publish_ready(self) -> bool:
        """Publish what needs no reading; False when the first in the queue needs it."""
        while self._queue:
            item = self._queue[0]
            if item.changes is None and item.pos > self.told + (item.tell is not None):
                return False
            needed = _known(item)
            if any(True for _ in self._lacking(item, needed)):
                return False
            self._finish(item, needed)
        return True

    def _run(self) -> None:
        try:
            while not self._publish_ready():
                item = self._queue[0]
                try:
                    self._publish(item)
                except errors.NoPrimaryError:
                    self._wait(item)
                except Exception:
                    logger.exception("What another hub did could not be published")
                    if self._queue and self._queue[0] is item:
                        self._drop(item)
        finally:
            self._is_running = False

    def _wait(self, item: Item) -> None:
        """Let streams wait for the database. Callers need not: their batch is acknowledged."""
        if item.tell is None:
            self._queue.popleft()  # a beat brings it along
            return
        answer, item.answer = item.answer, None
        if answer is not None:
            greenlets.in_loop(answer)
        greenlets.sleep(PAUSE_S)

    def _publish(self, item: Item) -> None:
        """Publish one batch, reading what it needs; blocks the greenlet."""
        if item.changes is None:
            item.changes = self._before_own(item) if item.tell is None else self._before(item)
        needed = _known(item)
        for _ in range(ATTEMPTS):
            lacking = list(self._lacking(item, needed))
            if not lacking:
                self._finish(item, needed)
                return
            self._read(lacking, needed)
        self._drop(item)

    def _before(self, item: Item) -> list[Change]:
        """What came before an own batch, where the writer could not read it."""
        after = self.told
        return self._readers.run(
            lambda c: elsewhere.up_to(c, after, item.pos - 1, wants=self.wants)
        )

    def _before_own(self, item: Item) -> list[Change]:
        """What can be published of what was rung: not past an own batch that is on its way.

        The rest is read again once that batch has been published.
        """
        after = self.told
        found = self._readers.run(lambda c: elsewhere.up_to(c, after, item.pos, wants=self.wants))
        places = [place for place, change in enumerate(found) if change.hub == self._hub]
        if places:
            self._rung = max(self._rung, item.pos)
            found = found[: places[0]]
        item.pos = found[-1].pos if found else after  # a server that is behind may have fewer
        return found

    def _drop(self, item: Item) -> None:
        """Let streams begin anew, which read from the store what was not published to them."""
        if self._hearer is not None:
            self._hearer.on_missed()
        if item.changes is None and item.tell is None:
            self._queue.popleft()  # a beat brings it along
        else:
            self._finish(item, Needed({}, {}))

    def _finish(self, item: Item, needed: Needed) -> None:
        """Tell a batch with all that came before it, and let its callers go on; never blocks."""
        self._queue.popleft()
        for change in item.changes or ():
            if change.pos > self.told:
                if change.pos > self.told + 1:
                    self._missed()
                self._tell(change, needed)
                self.told = change.pos
        if item.pos > self.told + 1:
            self._missed()
        try:
            if item.tell is not None:
                item.tell()
        finally:
            self.told = max(self.told, item.pos)
            if item.answer is not None:
                greenlets.in_loop(item.answer)

    def _lacking(self, item: Item, needed: Needed) -> Iterator[tuple[str, Any]]:
        """(kind, what) of everything that has to be read before this can be told."""
        hearer = self._hearer
        if hearer is None:
            return
        for change in item.changes or ():
            if change.pos <= self.told:
                continue
            for fact in change.facts:
                yield from _lacking(hearer, fact, needed)

    def _read(self, lacking: list[tuple[str, Any]], needed: Needed) -> None:
        pks = [what for kind, what in lacking if kind == facts.SENT]
        seqs = [what for kind, what in lacking if kind == facts.ACKED]
        if pks:
            needed.bodies |= self._readers.run(lambda c: elsewhere.bodies(c, pks))
        if seqs:
            found = self._readers.run(lambda c: elsewhere.receipts(c, seqs))
            needed.receipts |= {delivery.seq: delivery for delivery in found}
        if any(kind == facts.ROSTER for kind, _ in lacking):
            needed.roster = self._load_roster()

    def _tell(self, change: Change, needed: Needed) -> None:
        """Tell what another hub did."""
        self._heard(change)
        hearer = self._hearer
        if hearer is None:
            return
        for fact in change.facts:
            try:
                self._tell_fact(hearer, change.hub, fact, needed)
            except Exception:
                logger.exception("The listener failed on what another hub did")
        if change.boxes:
            hearer.on_mailboxes(change.boxes)

    def _tell_fact(self, hearer: Hearer, hub: str, fact: list[Any], needed: Needed) -> None:
        match fact:
            case [facts.SENT, pk, agents, expires_at]:
                if pk in needed.bodies:
                    hearer.on_sent(elsewhere.sent(needed.bodies[pk], agents))
                else:
                    self._passed = pk, agents
                    hearer.on_passed(pk, agents, expires_at)
            case [facts.SAID, pk, sender, thread_id, depth] if pk == self._passed[0]:
                agents = self._passed[1]
                hearer.on_said(Said(sender, agents, pk, thread_id, depth, None))
            case [facts.ACKED, _, seqs]:
                found = tuple(needed.receipts[seq] for seq in seqs if seq in needed.receipts)
                hearer.on_acked(Acked((), (), (), found, ()))
            case [facts.ROSTER] if needed.roster is not None:
                hearer.on_roster(*needed.roster)
            case [words.TOLD, *_]:
                one = words.decoded(fact)
                if one is not None:
                    hearer.on_fact(hub, one)


def _known(item: Item) -> Needed:
    """What has been read with the changes themselves."""
    bodies: dict[int, Message] = {}
    for change in item.changes or ():
        bodies |= change.bodies
    return Needed(bodies, {})


def _lacking(hearer: Hearer, fact: list[Any], needed: Needed) -> Iterator[tuple[str, Any]]:
    """(kind, what) of everything that one fact still needs."""
    match fact:
        case [facts.SENT, pk, agents, _] if pk not in needed.bodies:
            if hearer.wants(agents):
                yield facts.SENT, pk
        case [facts.ACKED, _, seqs] if hearer.wants_receipts():
            for seq in seqs:
                if seq not in needed.receipts:
                    yield facts.ACKED, seq
        case [facts.ROSTER] if needed.roster is None:
            yield facts.ROSTER, None
