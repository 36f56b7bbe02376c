"""The wall clock jumps a day forward and back under a running hub: nothing with an age notices.

The machine's own clock stays: `SystemClock` reads what these tests let it read. Store, bus and
presence above it are the hub's own.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from agent_bus.core.clock import SystemClock
from agent_bus.core.model import AgentName, NodeName, rfc3339
from agent_bus.core.slices import ReplaySlice, SweepBounds
from tests.support.bus import bus_in, frames, stream
from tests.support.clock import DAY_S
from tests.support.store import ALPHA, BETA, draft, inbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_bus.app.assembly import Core

DAY_MS = int(DAY_S * 1000)
YEAR_MS = 365 * DAY_MS
START_MS = 1_790_000_000_000
JUMPS = pytest.mark.parametrize("jump_ms", [DAY_MS, -DAY_MS, 2 * YEAR_MS, -40 * YEAR_MS])


class Machine:
    """A machine whose clock somebody sets."""

    def __init__(self) -> None:
        self.wall_ns = START_MS * 1_000_000
        self.counter_ns = 5_000_000_000
        self.clock = SystemClock(wall_ns=lambda: self.wall_ns, counter_ns=lambda: self.counter_ns)

    def jump(self, by_ms: int) -> None:
        self.wall_ns += by_ms * 1_000_000

    def wait(self, seconds: float) -> None:
        self.wall_ns += int(seconds * 1e9)
        self.counter_ns += int(seconds * 1e9)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def core(tmp_path: Path, machine: Machine) -> Iterator[Core]:
    with bus_in(tmp_path, clock=machine.clock) as one:
        yield one


def sweep(core: Core) -> int:
    bounds = SweepBounds(retain_read_ms=7 * DAY_MS, retain_archive_ms=YEAR_MS, limit=100)
    return core.store.sweep(bounds)


def test_the_clocks_readings_differ_only_by_the_jumps(machine: Machine) -> None:
    clock = machine.clock
    assert clock.now_ms() == clock.steady_ms() == START_MS
    machine.jump(DAY_MS)
    machine.wait(2)
    assert clock.now_ms() == START_MS + DAY_MS + 2000
    assert clock.steady_ms() == START_MS + 2000
    assert clock.monotonic() == 7.0


def test_the_real_clock_reads_the_machines_clocks() -> None:
    clock = SystemClock()
    assert abs(clock.now_ms() - clock.steady_ms()) < 1000
    assert clock.monotonic() <= clock.monotonic()


@JUMPS
def test_order_is_the_order_of_commits(core: Core, machine: Machine, jump_ms: int) -> None:
    for number in range(3):
        core.bus.send(draft(body=str(number)))
        machine.jump(jump_ms if number % 2 else -jump_ms)
        machine.wait(1)
    assert inbox(core.store, "beta") == ["0", "1", "2"]
    page = core.store.replay(ReplaySlice((BETA,), after=0, until=core.counters.head, limit=10))
    assert [d.seq for d in page] == [1, 2, 3]


@JUMPS
def test_expiry_comes_when_its_time_has_passed_and_not_before(
    core: Core, machine: Machine, jump_ms: int
) -> None:
    core.bus.send(draft(expires_in_s=60))
    machine.jump(jump_ms)
    machine.wait(59)
    sweep(core)
    assert len(inbox(core.store, "beta")) == 1
    assert core.counters.mailbox(BETA).unread == 1
    machine.wait(2)
    assert inbox(core.store, "beta") == []
    sweep(core)
    assert core.counters.mailbox(BETA).unread == 0


@JUMPS
def test_presence_does_not_notice(core: Core, machine: Machine, jump_ms: int) -> None:
    holder = object()
    core.presence.opened(NodeName("n1"), holder, (ALPHA, BETA))
    assert core.presence.status(ALPHA) == "online"
    machine.jump(jump_ms)
    assert core.presence.status(ALPHA) == "online"
    machine.wait(74)
    assert core.presence.status(ALPHA) == "online"
    machine.wait(2)
    assert core.presence.status(ALPHA) == "deaf"
    machine.jump(-jump_ms)
    assert core.presence.status(ALPHA) == "deaf"
    machine.wait(230)
    assert core.presence.status(ALPHA) == "offline"


@JUMPS
def test_receipts_are_sent_and_stamped_with_the_wall(
    core: Core, machine: Machine, jump_ms: int
) -> None:
    listener = stream("n1", wants_receipts=True)
    core.broker.admit(listener)
    sent = core.bus.send(draft())
    machine.jump(jump_ms)
    core.bus.ack(BETA, ids=[sent.message.id], up_to=None)
    (receipt,) = [f for f in frames(listener) if b"event: receipt" in f]
    read_at = START_MS + jump_ms
    assert str(rfc3339(read_at)).encode() in receipt
    found = core.store.message(sent.message.id)
    assert found is not None
    assert found[1][0].read_at == read_at
    assert found[0].created_at == START_MS


@JUMPS
def test_an_idempotency_key_is_kept_for_its_day(
    core: Core, machine: Machine, jump_ms: int
) -> None:
    keyed = draft(idempotency_key="k", payload_sha256=b"1")
    first = core.bus.send(keyed)
    machine.jump(jump_ms)
    sweep(core)
    assert core.bus.send(keyed).message.id == first.message.id
    machine.wait(DAY_S + 1)
    sweep(core)
    assert core.bus.send(keyed).message.id != first.message.id


@JUMPS
def test_retention_takes_nothing_early(core: Core, machine: Machine, jump_ms: int) -> None:
    sent = core.bus.send(draft())
    core.bus.ack(BETA, ids=[sent.message.id], up_to=None)
    machine.jump(jump_ms)
    assert sweep(core) == 0
    machine.wait(7 * DAY_S + 1)
    assert sweep(core) == 1
    machine.jump(-jump_ms)
    machine.wait(DAY_S)
    sweep(core)
    assert core.store.message(sent.message.id) is not None


@JUMPS
def test_a_rate_limit_neither_opens_nor_closes(core: Core, machine: Machine, jump_ms: int) -> None:
    from agent_bus.core import errors

    for _ in range(200):
        core.bus.send(draft())
    machine.jump(jump_ms)
    with pytest.raises(errors.RateLimitedError) as refused:
        core.bus.send(draft())
    assert refused.value.retry_after_s is not None
    assert 0 < refused.value.retry_after_s < 1
    machine.wait(1)
    for _ in range(20):
        core.bus.send(draft())


def test_a_restart_takes_the_walls_word(tmp_path: Path) -> None:
    """A machine without a battery learns the time after its start; the next start knows it."""
    machine = Machine()
    machine.jump(-40 * YEAR_MS)
    early = SystemClock(wall_ns=lambda: machine.wall_ns, counter_ns=lambda: machine.counter_ns)
    with bus_in(tmp_path, clock=early) as core:
        sent = core.bus.send(draft())
        machine.jump(40 * YEAR_MS)
        later = core.bus.send(draft())
        assert later.message.created_at == START_MS
    late = SystemClock(wall_ns=lambda: machine.wall_ns, counter_ns=lambda: machine.counter_ns)
    with bus_in(tmp_path, clock=late) as core:
        assert late.steady_ms() == START_MS
        sweep(core)
        for known in (sent, later):
            assert core.store.message(known.message.id) is not None
        assert core.counters.mailbox(AgentName("beta")).unread == 2


def test_every_jump_in_a_row_keeps_what_was_sent(core: Core, machine: Machine) -> None:
    bodies = []
    for number, jump_ms in enumerate(itertools.islice(itertools.cycle([DAY_MS, -DAY_MS]), 20)):
        machine.jump(jump_ms)
        machine.wait(0.5)
        bodies.append(str(number))
        core.bus.send(draft(body=str(number)))
        sweep(core)
    assert inbox(core.store, "beta") == bodies
