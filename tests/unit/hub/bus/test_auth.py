from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from agent_bus.bus.auth import Authenticator, Principal, load_digests
from agent_bus.bus.directory import Directory
from agent_bus.core import errors
from agent_bus.core.limits import RateLimiter
from agent_bus.core.model import OPERATOR, Agent, NodeName, Roster
from tests.support.clock import FakeClock
from tests.support.store import ALPHA, BETA, GAMMA, ROSTER

if TYPE_CHECKING:
    from pathlib import Path


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@pytest.fixture
def auth() -> Authenticator:
    directory = Directory()
    tokens = {
        NodeName("n1"): (digest("old"), digest("new")),
        NodeName("n2"): (digest("two"),),
        NodeName("hub"): (digest("none"),),
    }
    roster = Roster(agents=ROSTER.agents, tokens=tokens)
    agents = [Agent(name, node) for name, node in roster.agents.items()]
    directory.replace(roster, [*agents, Agent(OPERATOR, None)])
    return Authenticator(
        admin_digests=frozenset({digest("admin")}),
        directory=directory,
        failures=RateLimiter(per_s=1 / 3, burst=20, clock=FakeClock()),
    )


def principal(auth: Authenticator, token: str) -> Principal:
    return auth.authenticate(f"Bearer {token}", "10.0.0.1")


def test_both_tokens_of_a_rotation_are_the_node(auth: Authenticator) -> None:
    assert principal(auth, "old").node == principal(auth, "new").node == "n1"
    assert principal(auth, "admin").is_admin
    assert auth.authenticate("bearer two ", "10.0.0.1").node == "n2"


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic old", "old", "Bearer wrong", "Bearer \xff\x80"],
)
def test_everything_else_is_nobody(auth: Authenticator, header: str | None) -> None:
    with pytest.raises(errors.UnauthenticatedError):
        auth.authenticate(header, "10.0.0.1")


def test_failures_are_throttled_per_address_and_a_valid_token_never_is(
    auth: Authenticator,
) -> None:
    for _ in range(20):
        with pytest.raises(errors.UnauthenticatedError):
            principal(auth, "wrong")
    with pytest.raises(errors.AuthThrottledError) as refused:
        principal(auth, "wrong")
    assert refused.value.retry_after_s == pytest.approx(3)
    assert principal(auth, "old").node == "n1"
    with pytest.raises(errors.UnauthenticatedError):
        auth.authenticate("Bearer wrong", "10.0.0.2")


def test_a_token_acts_for_its_own_agents_only(auth: Authenticator) -> None:
    own = {"old": {ALPHA, BETA}, "two": {GAMMA}, "admin": {OPERATOR}, "none": set()}
    for token, agents in own.items():
        who = principal(auth, token)
        for agent in (ALPHA, BETA, GAMMA, OPERATOR):
            if agent in agents:
                assert auth.require_agent(who, agent, field="from") == agent
            else:
                with pytest.raises(errors.ForbiddenError):
                    auth.require_agent(who, agent, field="from")


def test_the_name_may_be_left_out_when_there_is_one(auth: Authenticator) -> None:
    assert auth.require_agent(principal(auth, "two"), None, field="from") == GAMMA
    assert auth.require_agent(principal(auth, "admin"), None, field="from") == OPERATOR
    for token in ("old", "none"):
        with pytest.raises(errors.SenderAmbiguousError):
            auth.require_agent(principal(auth, token), None, field="from")
    with pytest.raises(errors.UnknownAgentError):
        auth.require_agent(principal(auth, "two"), "nobody", field="from")


def test_the_admins_digests_are_read_or_the_start_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "digests"
    with pytest.raises(errors.StartupError, match="cannot be read"):
        load_digests(path)
    for bad in (b"", b"admin-token\n", digest("a").upper().encode(), b"\xff"):
        path.write_bytes(bad)
        with pytest.raises(errors.StartupError):
            load_digests(path)
    path.write_text(f"{digest('a')}\n{digest('b')}\n")
    assert load_digests(path) == {digest("a"), digest("b")}
