"""The bus over a real store: what only the order of events decides."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import apsw
import gevent
import pytest

from agent_bus.bus import broker
from agent_bus.bus.broker import Holder
from agent_bus.core import errors
from agent_bus.core.model import AgentName, Delivery, Draft, NodeName, Roster, Sent
from agent_bus.core.slices import InboxSlice
from agent_bus.runtime import greenlets
from agent_bus.store.sqlite.sqlite_store import SqliteStore
from tests.support.bus import admitted, bus_in, events
from tests.support.clock import FakeClock
from tests.support.faults import faulty_disk
from tests.support.patience import patience, wait_until
from tests.support.store import ALPHA, BETA, GAMMA, ROSTER, draft

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agent_bus.app.assembly import Core


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    with bus_in(tmp_path) as one:
        yield one


HOLDER = Holder(NodeName("n1"), "1" * 64)


def inbox(
    core: Core, agent: AgentName, *, wait_s: float, is_over: Callable[[], bool] = lambda: False
) -> list[Delivery]:
    return core.bus.inbox(
        InboxSlice(agent, limit=10), wait_s=wait_s, holder=HOLDER, is_over=is_over
    )


def test_a_long_poll_sees_what_is_committed_between_its_look_and_its_wait(
    tmp_path: Path,
) -> None:
    class Interleaved(SqliteStore):
        """Another greenlet's commit falls right behind the first look."""

        looks = 0

        def inbox(self, wanted: InboxSlice) -> list[Delivery]:
            found = super().inbox(wanted)
            self.looks += 1
            if self.looks == 1:
                self.send(draft(), depth_limit=50)
            return found

    with bus_in(tmp_path, kind=Interleaved) as core:
        job = gevent.spawn(inbox, core, BETA, wait_s=30)
        assert [d.seq for d in job.get(timeout=patience())] == [1]


def test_a_long_poll_waits_for_what_its_filter_lets_through(core: Core) -> None:
    job = gevent.spawn(
        core.bus.inbox,
        InboxSlice(BETA, rank=0, limit=10),
        wait_s=30,
        holder=HOLDER,
    )
    gevent.sleep(0)
    core.bus.send(draft(body="normal"))
    assert not job.ready()
    core.bus.send(draft(body="urgent", rank=0))
    assert [d.message.body for d in job.get(timeout=patience())] == ["urgent"]


def test_a_replay_of_a_key_is_free_and_fans_nothing_out(core: Core) -> None:
    keyed = draft(idempotency_key="k", payload_sha256=b"1")
    first = core.bus.send(keyed)
    theirs = admitted(core)
    for _ in range(250):
        again = core.bus.send(keyed)
    assert again.message.id == first.message.id
    assert events(theirs) == []
    for _ in range(199):
        core.bus.send(draft())
    with pytest.raises(errors.RateLimitedError):
        core.bus.send(draft())
    assert core.bus.send(keyed).replayed


def test_in_the_loop_a_key_over_the_rate_is_left_to_a_greenlet(core: Core) -> None:
    """Whether it is a replay stands in the database, and the loop cannot wait for that."""
    keyed = draft(idempotency_key="k", payload_sha256=b"1")
    core.bus.send(keyed)
    found: list[object] = []

    def begin(one: Draft) -> None:
        try:
            core.bus.begin_send(one, done=found.append)
        except Exception as error:  # noqa: BLE001 - compared below
            found.append(error)

    greenlets.in_loop(lambda: begin(keyed))
    wait_until(lambda: len(found) == 1, pause=gevent.sleep)
    assert isinstance(found[0], Sent)
    assert found[0].replayed
    for _ in range(199):
        core.bus.send(draft())
    greenlets.in_loop(lambda: begin(keyed))
    greenlets.in_loop(lambda: begin(draft()))
    wait_until(lambda: len(found) == 3, pause=gevent.sleep)
    assert isinstance(found[1], greenlets.MustWaitError)
    assert isinstance(found[2], errors.RateLimitedError)
    assert core.bus.send(keyed).replayed


def test_a_full_disk_does_not_keep_an_agent_from_reading(tmp_path: Path) -> None:
    with faulty_disk() as disk, bus_in(tmp_path) as core:
        core.bus.send(draft())
        disk.writes = itertools.repeat(apsw.FullError("no space left"))
        page = inbox(core, BETA, wait_s=0)
        assert len(page) == 1
        assert core.bus.fetch(BETA, page) == {}
        with pytest.raises(errors.DiskFullError):
            core.bus.ack(BETA, ids=[page[0].message.id], up_to=None)
        disk.writes = iter(())
        assert core.bus.fetch(BETA, page) == {1: (None, 0)}


def test_the_roster_in_memory_is_the_last_one_committed(core: Core) -> None:
    def fleet(node: str) -> Roster:
        return Roster(agents=dict.fromkeys(ROSTER.agents, NodeName(node)), tokens=ROSTER.tokens)

    jobs = [
        gevent.spawn(core.bus.put_roster, fleet(f"n{n % 7}"), force=True, dry_run=False)
        for n in range(40)
    ]
    gevent.joinall(jobs, raise_error=True, timeout=patience())
    assert core.directory.roster.agents == core.store.roster()[0].agents


def test_a_dry_run_changes_nothing_in_memory(core: Core) -> None:
    change = core.bus.put_roster(Roster(agents={}), force=True, dry_run=True)
    assert change.retired == (ALPHA, BETA, GAMMA)
    assert core.directory.roster.agents == ROSTER.agents


def test_the_old_node_lets_go_of_an_agent_and_the_new_one_hears_of_its_mail(core: Core) -> None:
    core.bus.send(draft())
    old = admitted(core, is_watcher=True)
    new = admitted(core, "n2", is_watcher=True, token_sha256="2" * 64)
    moved = {**ROSTER.agents, BETA: NodeName("n2")}
    core.bus.put_roster(Roster(agents=moved, tokens=ROSTER.tokens), force=False, dry_run=False)
    ((kind, box),) = events(old)
    assert (kind, box["agent"], box["unfetched"], box["unread"]) == ("mailbox", BETA, 0, 0)
    ((kind, box),) = events(new)
    assert (kind, box["agent"], box["unfetched"]) == ("mailbox", BETA, 1)
    core.bus.put_roster(
        Roster(agents={ALPHA: NodeName("n1"), GAMMA: NodeName("n2")}, tokens=ROSTER.tokens),
        force=True,
        dry_run=False,
    )
    ((kind, box),) = events(new)
    assert (box["agent"], box["unfetched"]) == (BETA, 0)


def test_a_token_that_is_taken_away_loses_its_streams(core: Core) -> None:
    revoked, kept = admitted(core), admitted(core, "n2", token_sha256="2" * 64)
    admin = admitted(core, None, token_sha256="a")
    tokens = {**ROSTER.tokens, NodeName("n1"): ("3" * 64,)}
    core.bus.put_roster(Roster(agents=ROSTER.agents, tokens=tokens), force=False, dry_run=False)
    assert (revoked.end_reason, kept.end_reason, admin.end_reason) == ("revoked", None, None)


def test_a_token_that_goes_to_another_node_loses_its_streams(core: Core) -> None:
    """A host renamed together with its token: its watcher opens the new node's stream."""
    renamed, kept = admitted(core, is_watcher=True), admitted(core, "n2", token_sha256="2" * 64)
    names = {NodeName("n1"): NodeName("n1b")}
    agents = {agent: names.get(node, node) for agent, node in ROSTER.agents.items()}
    tokens = {names.get(node, node): own for node, own in ROSTER.tokens.items()}
    core.bus.put_roster(Roster(agents=agents, tokens=tokens), force=False, dry_run=False)
    assert (renamed.end_reason, kept.end_reason) == ("revoked", None)


@pytest.mark.parametrize("case", ["moved", "retired", "revoked"])
def test_a_long_poll_that_loses_its_right_ends_at_once(
    core: Core, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setattr(broker, "POLL_LOOK_S", 60.0)  # nothing but the roster wakes it
    lost: list[str] = []
    job = gevent.spawn(inbox, core, BETA, wait_s=60, is_over=lambda: bool(lost))
    wait_until(lambda: core.broker._waiting, "it waits", pause=gevent.sleep)
    lost.append(case)
    agents, tokens = dict(ROSTER.agents), dict(ROSTER.tokens)
    if case == "moved":
        agents[BETA] = NodeName("n2")
    elif case == "retired":
        del agents[BETA]
    else:
        tokens[NodeName("n1")] = ("3" * 64,)
    core.bus.put_roster(Roster(agents=agents, tokens=tokens), force=True, dry_run=False)
    assert job.get(timeout=patience()) == []


def test_a_restart_does_not_make_everybody_offline(tmp_path: Path) -> None:
    """Dashboard and senders would read "offline for 5 minutes" of agents seen a moment ago."""
    clock = FakeClock()
    with bus_in(tmp_path, clock=clock) as core:
        core.presence.seen(ALPHA)
        core.store.touch_agents(core.presence.take_unsaved())
    clock.advance(3)
    with bus_in(tmp_path, clock=clock) as core:
        assert core.presence.status(ALPHA) == "deaf"
        assert core.presence.status(BETA) == "offline"
