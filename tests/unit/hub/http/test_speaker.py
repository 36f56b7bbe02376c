from __future__ import annotations

import hashlib

import pytest

from agent_bus.bus.auth import Authenticator
from agent_bus.bus.directory import Directory
from agent_bus.core import errors
from agent_bus.core.limits import RateLimiter
from agent_bus.core.model import OPERATOR, Agent, NodeName, Roster
from agent_bus.http.call import Call
from agent_bus.http.speaker import AGENT_HEADER, speaker
from tests.support.clock import FakeClock
from tests.support.store import ROSTER


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def speaks(token: str, headers: dict[str, str]) -> str:
    directory = Directory()
    nodes = sorted(set(ROSTER.agents.values()))
    tokens: dict[NodeName, tuple[str, ...]] = {
        node: (digest(node),) for node in [*nodes, NodeName("hub")]
    }
    agents = [Agent(name, node) for name, node in ROSTER.agents.items()]
    directory.replace(
        Roster(agents=ROSTER.agents, tokens=tokens), [*agents, Agent(OPERATOR, None)]
    )
    auth = Authenticator(
        admin_digests=frozenset({digest("admin")}),
        directory=directory,
        failures=RateLimiter(per_s=1 / 3, burst=20, clock=FakeClock()),
    )
    principal = auth.authenticate(f"Bearer {token}", "10.0.0.1")
    return speaker(Call(principal, None, None, headers=headers), auth)


def named(name: str) -> dict[str, str]:
    return {AGENT_HEADER.key: name}


def test_a_node_with_one_agent_needs_no_header() -> None:
    assert speaks("n2", {}) == speaks("n2", named("gamma")) == speaks("n2", named(" ")) == "gamma"


def test_a_node_with_several_agents_says_which() -> None:
    assert speaks("n1", named("alpha")) == "alpha"
    assert speaks("n1", named(" beta ")) == "beta"
    with pytest.raises(errors.SenderAmbiguousError, match=r"Agent-Bus-Agent.*alpha, beta"):
        speaks("n1", {})


def test_the_admin_token_is_the_operator() -> None:
    assert speaks("admin", {}) == speaks("admin", named("operator")) == "operator"
    with pytest.raises(errors.ForbiddenError):
        speaks("admin", named("alpha"))


def test_nobody_speaks_for_another_node_or_for_who_is_unknown() -> None:
    with pytest.raises(errors.ForbiddenError, match="gamma, not for alpha"):
        speaks("n2", named("alpha"))
    with pytest.raises(errors.UnknownAgentError, match="Did you mean gamma"):
        speaks("n2", named("gama"))
    with pytest.raises(errors.SenderAmbiguousError, match="none"):
        speaks("hub", {})
