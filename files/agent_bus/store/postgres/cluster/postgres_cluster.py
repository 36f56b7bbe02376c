"""The hubs on one PostgreSQL, as one of them sees them: beats, who lives, what is told and heard.

A hub lives while the others hear of it. It beats by writing: so a beat proves that it reaches the
primary, brings along what other hubs did, and covers it with its acknowledgement.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core import errors
from agent_bus.runtime import greenlets
from agent_bus.store import cluster as told
from agent_bus.store.cluster import Beat, Writing
from agent_bus.store.postgres.cluster import elsewhere, statements, words
from agent_bus.store.postgres.cluster.chores import Chores
from agent_bus.store.postgres.cluster.earlier import Earlier
from agent_bus.store.postgres.cluster.fence import Fence
from agent_bus.store.postgres.cluster.members import DEAD_S, Members
from agent_bus.store.postgres.cluster.publisher import Publisher
from agent_bus.store.postgres.cluster.ring import Listening, Ringer
from agent_bus.store.postgres.cluster.statements import Me, Statement
from agent_bus.store.postgres.write import facts
from agent_bus.store.postgres.write.transaction import Applied

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_bus.core.clock import Clock
    from agent_bus.core.model import Agent, Roster
    from agent_bus.store.cluster import Fact, Hearer, HubFacts
    from agent_bus.store.postgres.cluster.elsewhere import Change
    from agent_bus.store.postgres.cluster.fence import Ask
    from agent_bus.store.postgres.link.address import Address
    from agent_bus.store.postgres.link.connections import NativeConnection
    from agent_bus.store.postgres.link.pool import Readers
    from agent_bus.store.postgres.write.writer import Writer

logger = logging.getLogger(__name__)

TICK_S: Final = 0.5
BEAT_S: Final = 2.0
LOOK_S: Final = 1.0
"""How often a hub looks whether a ring was missed."""
START_S: Final = 30.0  # how long a hub that starts waits for a primary that was lost meanwhile
STUCK_S: Final = 1.0
"""A batch that takes longer may wait for a hub that died or was stopped while it had the lock."""
SETTLE_S: Final = 20.0
"""Longest time that a change of the roster waits for other hubs; a dead one is left out sooner."""
LEASES_MS: Final = 600_000
"""Leases that were not renewed for this time are not worth looking at."""


class PostgresCluster:
    """See `agent_bus.store.cluster.Cluster`.

    Args:
        me: what this hub's row says of it.
        told: the position up to which memory knows everything at the start.
        load_roster: reads the stored roster and all agents; blocks the greenlet.
        asks: for each other hub of the fleet, what asks it how it writes; see `Fence`.
        fatal: ends the process, which has missed too much.
    """

    is_plural: Final = True

    def __init__(
        self,
        me: Me,
        *,
        address: Address,
        readers: Readers,
        writer: Writer,
        told: int,
        load_roster: Callable[[], tuple[Roster, list[Agent]]],
        asks: Sequence[Ask],
        clock: Clock,
        fatal: Callable[[], None],
    ) -> None:
        self._me = me
        self._readers = readers
        self._writer = writer
        self._clock = clock
        self._fatal = fatal
        self._hearer: Hearer | None = None
        self._ringer = Ringer(address)
        self.publisher = Publisher(
            hub=me.process,
            told=told,
            readers=readers,
            load_roster=load_roster,
            heard=self._heard,
            missed=self._missed,
            is_busy=lambda: writer.is_busy,
        )
        earlier = Earlier(wants=self.publisher.wants)
        self.ask, self.before = earlier.ask, earlier.before
        self._listening = Listening(address, rung=self.publisher.rung)
        self._members = Members(me.process, clock)
        self._news = greenlets.Event()
        self._beaten = self._looked = clock.monotonic()
        self._chores = Chores(me, clock)
        self._live_count = 1
        self._is_beating = self._beats_again = self._is_looking = False
        self._roster_pos = 0
        self._fence = Fence(
            self._members, asks, trying_since=lambda: writer.trying_since, clock=clock
        )
        self._unwritten = Beat(0)
        self._is_over = False

    @property
    def name(self) -> str:
        """This process's name among the others."""
        return self._me.process

    def publish(
        self,
        pos: int,
        own: Sequence[list[Any]],
        earlier: list[Change] | None,
        *,
        tell: Callable[[], None],
        answer: Callable[[], None],
    ) -> None:
        """Publish a batch that was acknowledged, in its turn; runs in the loop.

        `own` is what it did, `earlier` what came before it; None when that could not be read.
        """
        self._acknowledged()
        if any(fact[0] == facts.ROSTER for fact in own):
            self._roster_pos = pos

        def told_and_rung() -> None:
            tell()
            if self._members:
                self._ringer.ring(pos)

        self.publisher.own(pos, earlier, told_and_rung, answer)

    def hear(self, hearer: Hearer) -> None:
        """Begin to live among the others; blocks until all that they did is known.

        Raises:
            errors.StartupError: the primary was lost meanwhile.
        """
        deadline = self._clock.monotonic() + START_S
        while True:
            try:
                self._begin(hearer)
                break
            except errors.NoPrimaryError as error:
                if self._clock.monotonic() >= deadline:
                    raise errors.StartupError(f"The database is lost: {error.detail}") from error
        self._count()
        self._listening.start()
        greenlets.spawn(self._run)

    def _begin(self, hearer: Hearer) -> None:
        self._hearer = hearer
        self.publisher.hear(hearer)
        self._fence.hear(hearer)
        since = self._clock.now_ms() - LEASES_MS
        rows = self._readers.run(elsewhere.hubs)
        former = [row for row in rows if row.name == self._me.name and row.process != self.name]
        self._beat(*(told.HubEnded(row.process) for row in former))  # they may have been killed
        for row in self._readers.run(elsewhere.hubs):
            fresh = self._clock.now_ms() - row.seen_at < DEAD_S * 1000
            if row.process != self.name and fresh:
                self._members.hear(row.process)
        for hub, lease in self._readers.run(
            lambda c: elsewhere.leases(c, besides=self.name, since=since)
        ):
            hearer.on_fact(hub, lease)
        for mute in self._readers.run(lambda c: elsewhere.mutes(c, now=self._clock.now_ms())):
            hearer.on_fact(self.name, mute)

    def tell(self, fact: Fact) -> None:
        """Let all hubs hear a fact; returns at once."""
        if self._hearer is not None and not self._is_over:
            self._writer.post(self._applied(fact), committed=self._on_own)

    def assure(self, *facts: Fact) -> None:
        """Let all hubs hear facts; blocks until they are committed, in one transaction."""
        self._writer.do(self._applied(*facts), committed=self._on_own)

    def lives(self, hub: str) -> bool:
        """Whether a hub was heard within the last seconds in which this one heard anything."""
        return self._members.lives(hub)

    def leads(self) -> bool:
        """Whether this hub comes first among those that live."""
        return not self._fence.is_away and self._members.is_first()

    def writing(self) -> Writing:
        """How this hub writes."""
        acked = self._members.acked
        return Writing(self._clock.monotonic() - acked, acked - self._members.since)

    def catch_up(self) -> None:
        """Block until this hub has heard all that was acknowledged before now."""
        self._beat()

    def settle(self) -> None:
        """Block until every live hub has heard of this hub's last change of the roster."""
        goal = self._roster_pos
        deadline = self._clock.monotonic() + SETTLE_S
        while self._clock.monotonic() < deadline:
            self._news.clear()
            behind = self._members.behind(goal)
            if not behind:
                return
            self._news.wait(TICK_S)
        logger.warning("Hubs that live have not answered: %s", ", ".join(behind))

    def hubs(self) -> list[HubFacts]:
        """All hubs that are known, by name; blocks for a read."""
        found = self._readers.run(elsewhere.hubs)
        return [elsewhere.shown(row, lives=self.lives(row.process)) for row in found]

    def keep_link(self, sha256: str, token_sha256: str, expires_at: int) -> None:
        """Keep a one-time sign-in link."""
        values = (sha256, token_sha256, expires_at)
        drop = Statement(statements.DROP_LINKS, (self._clock.steady_ms(),))
        self._writer.do(_work([drop, Statement(statements.KEEP_LINK, values)], []))

    def take_link(self, sha256: str) -> str | None:
        """Use a link up."""
        values = (sha256, self._clock.steady_ms())

        def apply(connection: NativeConnection) -> str | None:
            row = connection.execute(statements.TAKE_LINK, values).fetchone()
            return None if row is None else str(row[0])

        found: str | None = self._writer.do(Applied(apply))
        return found

    def end(self) -> None:
        """Tell the others that this hub stops; blocks until they can know."""
        if self._hearer is None or self._is_over:
            return
        self._is_over = True
        try:
            self._writer.do(self._applied(told.HubEnded(self.name)))
        except errors.BusError as error:
            logger.info("Other hubs were not told of the end: %s", error.detail)

    def close(self) -> None:
        """Neither ring nor hear any more."""
        self._is_over = True
        self._listening.close()
        self._ringer.close()

    def _run(self) -> None:
        """The greenlet; an error is logged, and the next round tries again."""
        while not self._is_over:
            greenlets.sleep(TICK_S)
            try:
                self._tick()
            except errors.BusError as error:
                logger.info("The other hubs could not be looked at: %s", error.detail)
            except Exception:
                logger.exception("The other hubs could not be looked at")

    def _tick(self) -> None:
        now = self._clock.monotonic()
        if now - self._beaten >= BEAT_S and not self._is_beating:
            self._beat_now()
        self._fence.look()
        self._count()
        every_s = TICK_S if self._writer.stands_still_s() > STUCK_S else LOOK_S
        if now - self._looked >= every_s and not self._is_looking and not self._fence.is_away:
            self._looked = now
            self._is_looking = True
            greenlets.spawn(self._look)

    def _look(self) -> None:
        """See whether a ring was missed: then a beat brings along what it was about."""
        try:
            is_stuck = self._writer.stands_still_s() > STUCK_S
            if is_stuck and self._readers.run(elsewhere.release):
                logger.warning("A hub that had stopped in the middle of a batch was cut off")
            seen = self._readers.run(elsewhere.position)
            if seen > self.publisher.told and not self._is_beating:
                self._beat_now()
        except errors.BusError as error:
            logger.info("The database could not be looked at: %s", error.detail)
        finally:
            self._is_looking = False

    def _beat_now(self) -> None:
        """Write a beat; when one is on its way, another one behind it."""
        if self._is_over:
            return
        if self._is_beating:
            self._beats_again = True
            return
        self._is_beating = True
        self._beaten = self._clock.monotonic()
        greenlets.spawn(self._write_beat)

    def _write_beat(self) -> None:
        try:
            more = self._chores.due(self.publisher.told) if self.leads() else []
            self._beat(*more)
        except errors.BusError as error:
            logger.info("A beat was not written: %s", error.detail)
        finally:
            self._is_beating = False
        if self._beats_again:
            self._beats_again = False
            self._beat_now()

    def _beat(self, *more: Fact | Statement) -> None:
        """Write a beat; what it has noticed goes into the next one if that fails.

        Raises:
            errors.BusError: it failed.
        """
        noticed = Beat(0) if self._hearer is None else self._hearer.beat()
        beat = self._unwritten.joined(replace(noticed, told=self.publisher.told))
        self._unwritten = Beat(0)
        try:
            self._writer.do(self._applied(beat, *more), committed=self._on_own)
        except errors.BusError:
            self._unwritten = beat.joined(self._unwritten)
            raise

    def _acknowledged(self) -> None:
        """A write of this hub was acknowledged: it knows what happens."""
        self._members.acknowledge()
        self._fence.lift()

    def _count(self) -> None:
        """Tell how many hubs live, when that has changed."""
        live = self._members.live_count()
        if live != self._live_count and self._hearer is not None:
            self._live_count = live
            logger.info("%d hubs live", live)
            self._hearer.on_hubs(live)

    def _missed(self) -> None:
        """Changes are pruned after minutes; a hub that was stopped for longer begins again."""
        logger.critical("This hub has missed what others did, and starts anew")
        self._fatal()

    # Hearing

    def _heard(self, change: Change) -> None:
        """Another hub's batch: it lives, and may ask for an answer."""
        hub = change.hub
        if not self._members.lives(hub):
            greenlets.in_loop(self._count)
        self._members.hear(hub)
        for fact in change.facts:
            if fact[0] == facts.ROSTER:
                self._beat_now()  # whoever has put it waits for this
            elif fact[0] == words.TOLD:
                one = words.decoded(fact)
                if isinstance(one, Beat):
                    self._members.hear_told(hub, one.told)
                    self._news.set()
                elif isinstance(one, told.HubEnded):
                    self._members.drop(one.process)
                    if one.process == self.name:
                        logger.error("Another hub has the same name: %s", self._me.name)
                    self._news.set()

    def _on_own(self, found: Sequence[Fact]) -> None:
        """This hub's own words have their place in the common order now."""
        if self._hearer is not None:
            for fact in found:
                self._hearer.on_fact(self.name, fact)

    def _applied(self, *words_and_more: Fact | Statement) -> Applied:
        now = self._clock.now_ms()
        spoken = [one for one in words_and_more if not isinstance(one, Statement)]
        kept = [one for fact in spoken for one in statements.of(fact, self._me, now=now)]
        kept += [one for one in words_and_more if isinstance(one, Statement)]
        return _work(kept, spoken)


def _work(kept: Sequence[Statement], spoken: list[Any]) -> Applied:
    def apply(connection: NativeConnection) -> list[Any]:
        for one in kept:
            connection.execute(one.sql, one.values)
        return spoken

    return Applied(apply, lambda found: [words.encoded(fact) for fact in found], is_quick=True)
