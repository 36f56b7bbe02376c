"""The ladder at work, over a real store, with a clock that the test moves."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from agent_bus.app.outward import build_ladder
from agent_bus.bus.guards.ladder import BODIES, LISTED
from agent_bus.channel_settings import Channel
from agent_bus.channels.channels import Channels
from agent_bus.core.guards import policy
from agent_bus.core.guards.escalation import NAME
from agent_bus.core.guards.hold import Hold
from agent_bus.core.model import BUS, OPERATOR, AgentName
from agent_bus.core.slices import InboxSlice
from tests.support.bus import bus_in
from tests.support.clock import DAY_S, FakeClock
from tests.support.store import ALPHA, BETA, GAMMA, ROSTER, draft, until
from tests.unit.hub.channels.test_channels import Played

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_bus.app.assembly import Core
    from agent_bus.bus.guards.ladder import Ladder
    from agent_bus.channels.teller import Teller
    from agent_bus.core.model import Message

RULES = {
    "agents": {"beta": [{"after_min": 10, "to": "gamma"}, {"after_min": 30, "to": "operator"}]}
}


def put_rules(core: Core, rules: dict[str, Any] = RULES) -> None:
    roster = replace(ROSTER, policies={NAME: policy.canonical(rules)} if rules else {})
    core.store.put_roster(roster, force=True, dry_run=False)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def core(tmp_path: Path, clock: FakeClock) -> Iterator[Core]:
    with bus_in(tmp_path, clock=clock) as one:
        put_rules(one)
        yield one


@pytest.fixture
def ladder(core: Core) -> Ladder:
    return build_ladder(core)


def urgent(core: Core, to: str = "beta", **more: Any) -> Message:
    return core.bus.send(draft(to, rank=0, **more)).message


def look(core: Core, ladder: Ladder, clock: FakeClock, *, minutes: float = 0) -> None:
    """Let time pass, and look; a first look has seen what waits."""
    ladder.look()
    clock.advance(minutes * 60)
    ladder.look()
    until(lambda: not core.pending.unsettled(), "all notices are sent")


def notices(core: Core, agent: AgentName) -> list[Message]:
    page = core.store.inbox(InboxSlice(agent, limit=100))
    return [d.message for d in page if d.message.sender == BUS]


def test_each_step_is_taken_when_it_is_due_and_once(
    core: Core, ladder: Ladder, clock: FakeClock
) -> None:
    message = urgent(core, body="db is down\nhelp", subject="db")
    look(core, ladder, clock, minutes=9.9)
    assert notices(core, GAMMA) == []
    look(core, ladder, clock, minutes=0.1)
    (told,) = notices(core, GAMMA)
    assert (told.rank, told.subject) == (0, "Unread by beta: db")
    assert f'{message.id} from alpha to beta, "db", sent' in told.body
    assert "> db is down\n> help" in told.body
    assert "the operator's rules name you" in told.body
    assert json.loads(told.data_json or "")["escalation"] == {
        "to": "gamma",
        "messages": [{"id": message.id, "from": "alpha", "to": "beta", "subject": "db"}],
    }
    look(core, ladder, clock, minutes=19)
    assert notices(core, OPERATOR) == []
    look(core, ladder, clock, minutes=1)
    look(core, ladder, clock, minutes=600)
    assert len(notices(core, OPERATOR)) == len(notices(core, GAMMA)) == 1
    steps = core.pending.steps(message.first_seq)
    assert [(s.target, s.notice_id) for s in steps] == [
        ("gamma", told.id), ("operator", notices(core, OPERATOR)[0].id),
    ]  # fmt: skip
    assert ladder.taken == {"agent": 1, "operator": 1}


def test_a_channel_with_no_rules_of_its_own_tells_what_the_operator_is_sent(
    core: Core, ladder: Ladder, clock: FakeClock
) -> None:
    service = Played(clock)
    channels = Channels(
        [Channel(name="phone", url="ntfy://h/t")],
        outgoing=core.outgoing,
        clock=clock,
        leads=lambda: True,
        teller=cast("Teller", service),
    )
    (phone,) = channels.destinations
    core.outgoing.adopt([phone.name])
    urgent(core, subject="db")
    look(core, ladder, clock, minutes=30)
    core.outgoing.feed(lambda kind, to: [phone.name] * phone.wants(kind, to), limit=100)
    clock.advance(3)
    phone.courier.deliver()
    assert [one.title for one in service.taken] == ["[urgent] bus: Unread by beta: db"]


def test_what_was_read_or_has_expired_climbs_no_further(
    core: Core, ladder: Ladder, clock: FakeClock
) -> None:
    read, _ = urgent(core), urgent(core, expires_in_s=300)
    ladder.look()
    clock.advance(500)
    core.store.ack_ids(BETA, [read.id])
    look(core, ladder, clock, minutes=60)
    assert notices(core, GAMMA) == notices(core, OPERATOR) == []


def test_only_urgent_mail_of_who_has_a_ladder_climbs(
    core: Core, ladder: Ladder, clock: FakeClock
) -> None:
    core.bus.send(draft("beta", rank=1))
    urgent(core, "gamma", sender=BETA)
    look(core, ladder, clock, minutes=600)
    assert notices(core, GAMMA) == notices(core, OPERATOR) == []


def test_a_set_wall_clock_tells_nobody(core: Core, ladder: Ladder, clock: FakeClock) -> None:
    urgent(core)
    ladder.look()
    clock.jump(DAY_S)
    look(core, ladder, clock)
    assert notices(core, GAMMA) == []


def test_a_sender_names_who_is_told(core: Core, ladder: Ladder, clock: FakeClock) -> None:
    put_rules(core, {})
    named = '{"escalate":{"to":"@greeks","after_min":5}}'
    urgent(core, "gamma", data_json=named)
    look(core, ladder, clock, minutes=5)
    told = [notices(core, one) for one in (ALPHA, BETA)]
    assert [len(found) for found in told] == [1, 1]
    assert "alpha named you" in told[0][0].body
    look(core, ladder, clock, minutes=5)
    assert len(notices(core, OPERATOR)) == 1


@pytest.mark.parametrize("target", ["beta", "@greeks"])
def test_who_was_named_by_a_sender_that_may_not_write_to_it_is_not_told(
    core: Core, ladder: Ladder, clock: FakeClock, target: str
) -> None:
    """The rule came after the message, or the message came by A2A."""
    shy = [{"from": ["alpha"], "to": ["gamma"]}]
    core.store.put_roster(
        replace(ROSTER, policies={"rights": policy.canonical(shy)}), force=True, dry_run=False
    )
    urgent(core, "gamma", data_json=f'{{"escalate":{{"to":"{target}","after_min":5}}}}')
    look(core, ladder, clock, minutes=5)
    assert notices(core, ALPHA) == notices(core, BETA) == []
    look(core, ladder, clock, minutes=5)
    assert len(notices(core, OPERATOR)) == 1, "the ladder goes on"


def test_whom_the_operators_ladder_names_is_told_whatever_the_sender_may(
    core: Core, ladder: Ladder, clock: FakeClock
) -> None:
    shy = [{"from": ["alpha"], "to": ["beta"]}]
    policies = {NAME: policy.canonical(RULES), "rights": policy.canonical(shy)}
    core.store.put_roster(replace(ROSTER, policies=policies), force=True, dry_run=False)
    urgent(core, data_json='{"escalate":{"to":"gamma","after_min":10}}')
    look(core, ladder, clock, minutes=10)
    assert len(notices(core, GAMMA)) == 1


def test_a_storm_becomes_one_notice_with_a_bounded_body(
    core: Core, ladder: Ladder, clock: FakeClock
) -> None:
    count = LISTED + 5
    for number in range(count):
        urgent(core, body=f"storm {number} " + "x" * 10_000)
    look(core, ladder, clock, minutes=10)
    (told,) = notices(core, GAMMA)
    assert told.subject == f"{count} urgent messages are unread"
    assert told.body.count("> storm") == BODIES
    assert "And 5 more." in told.body
    assert len(told.body) < 30_000


def test_a_target_is_told_once_per_minute_and_of_all_that_is_due_by_then(
    core: Core, ladder: Ladder, clock: FakeClock
) -> None:
    urgent(core)
    ladder.look()
    clock.advance(20)
    for _ in range(3):
        urgent(core)
        ladder.look()
    clock.advance(580)
    look(core, ladder, clock)
    assert len(notices(core, GAMMA)) == 1
    clock.advance(20)
    look(core, ladder, clock)
    assert len(notices(core, GAMMA)) == 1
    clock.advance(40)
    look(core, ladder, clock)
    assert [m.subject for m in notices(core, GAMMA)] == [
        "Unread by beta: urgent", "3 urgent messages are unread",
    ]  # fmt: skip


def test_a_hub_that_takes_over_neither_repeats_nor_skips(
    core: Core, ladder: Ladder, clock: FakeClock
) -> None:
    urgent(core)
    ladder.look()
    clock.advance(300)
    after = build_ladder(core)
    after.look()
    clock.advance(299)
    look(core, after, clock)
    assert notices(core, GAMMA) == []
    look(core, after, clock, minutes=0.1)
    look(core, build_ladder(core), clock, minutes=0.1)
    assert len(notices(core, GAMMA)) == 1


def test_a_notice_that_was_claimed_and_not_sent_is_sent_by_the_next_look(
    core: Core, ladder: Ladder, clock: FakeClock
) -> None:
    urgent(core)
    climbers = core.pending.urgent_unread([BETA])
    core.pending.claim("ladder:lost", "gamma", climbers)
    look(core, ladder, clock)
    look(core, ladder, clock, minutes=600)
    assert len(notices(core, GAMMA)) == 1


def test_a_step_whose_target_has_left_is_taken_without_a_notice(
    core: Core, ladder: Ladder, clock: FakeClock
) -> None:
    message = urgent(core)
    ladder.look()
    without = {name: node for name, node in ROSTER.agents.items() if name != GAMMA}
    rules = {NAME: policy.canonical(RULES)}
    core.store.put_roster(
        replace(ROSTER, agents=without, policies=rules), force=True, dry_run=False
    )
    look(core, ladder, clock, minutes=10)
    steps = core.pending.steps(message.first_seq)
    assert [(s.target, s.notice_id) for s in steps] == [("gamma", None)]


def test_a_group_is_told_without_the_agent_that_does_not_read(
    core: Core, ladder: Ladder, clock: FakeClock
) -> None:
    put_rules(core, {"groups": {"greeks": [{"after_min": 1, "to": "@greeks"}]}})
    urgent(core, sender=GAMMA)
    look(core, ladder, clock, minutes=1)
    assert len(notices(core, ALPHA)) == 1
    assert notices(core, BETA) == []


def test_an_agent_that_is_held_climbs_all_the_same_and_the_notice_says_so(
    core: Core, ladder: Ladder, clock: FakeClock
) -> None:
    core.gate.replace("test", {BETA: Hold("paused")})
    urgent(core)
    look(core, ladder, clock, minutes=10)
    assert "beta is not woken now: paused" in notices(core, GAMMA)[0].body


def test_one_hub_of_several_takes_steps_and_all_know_the_top(
    core: Core, ladder: Ladder, clock: FakeClock
) -> None:
    other = build_ladder(core)
    other._leads = lambda: False
    urgent(core)
    look(core, other, clock, minutes=60)
    assert notices(core, GAMMA) == []
    look(core, ladder, clock, minutes=30)
    look(core, other, clock)
    assert other.at_top == {BETA: 1}
    core.store.ack_ids(BETA, [core.store.inbox(InboxSlice(BETA, limit=1))[0].message.id])
    look(core, other, clock)
    assert other.at_top == {}


def test_notices_themselves_do_not_climb(core: Core, ladder: Ladder, clock: FakeClock) -> None:
    put_rules(core, {"default": [{"after_min": 1, "to": "gamma"}]})
    urgent(core)
    for _ in range(5):
        look(core, ladder, clock, minutes=5)
    assert len(notices(core, GAMMA)) == 1
    assert len(notices(core, OPERATOR)) == 1
