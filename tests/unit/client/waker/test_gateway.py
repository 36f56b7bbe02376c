from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent_bus_client.agents import Agent
from agent_bus_client.net.http1 import Response
from agent_bus_client.settings import Settings
from agent_bus_client.waker.gateway import Gateway, judge
from agent_bus_client.waker.outcome import Outcome, Status
from tests.support.node_side import HOOK_TOKEN, StandinProcess
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALPHA = Agent("alpha")
URL = "http://127.0.0.1:18789/hooks/wake"


@pytest.fixture
def standin(tmp_path: Path) -> Iterator[StandinProcess]:
    gateway = StandinProcess(tmp_path / "gateway", ("main", "alpha"))
    yield gateway
    gateway.process.kill()


def hooks(url: str, *, token: str = HOOK_TOKEN, **more: str) -> Gateway:
    settings = Settings("n1", "http://hub:1", (ALPHA,), gateway_url=url, **more)  # type: ignore[arg-type]
    return Gateway(settings, lambda: token)


@pytest.mark.parametrize(
    ("status", "body", "headers", "expected"),
    [
        (200, b'{"ok":true,"eventOutcome":"queued"}', {}, Outcome(Status.ACCEPTED)),
        (
            200,
            b'{"ok":true,"eventOutcome":"coalesced"}',
            {},
            Outcome(Status.ACCEPTED, coalesced=True),
        ),
        (200, b'{"ok":true,"mode":"now"}', {}, Outcome(Status.ACCEPTED, older_gateway=True)),
        (
            503,
            b"{}",
            {"retry-after": "1"},
            Outcome(Status.REFUSED, reason="gateway answered 503", retry_after_s=1.0),
        ),
        (
            429,
            b"Too Many",
            {"retry-after": "60"},
            Outcome(Status.REFUSED, reason="gateway answered 429", retry_after_s=60.0),
        ),
        (500, b"", {}, Outcome(Status.REFUSED, reason="gateway answered 500")),
        (
            409,
            b'{"ok":false,"error":"hook configuration changed; retry request"}',
            {},
            Outcome(Status.REFUSED, reason="gateway answered 409"),
        ),
    ],
)
def test_answers_are_judged(
    status: int, body: bytes, headers: dict[str, str], expected: Outcome
) -> None:
    outcome = judge(Response(status, headers, body), url=URL)
    assert outcome == expected.replaced(http_status=status)


@pytest.mark.parametrize(
    ("status", "body", "fix"),
    [
        (400, b'unknown agentId "alpha"', "hooks.allowedAgentIds"),
        (401, b"Unauthorized", "hook token"),
        (404, b"Not Found", "hooks.enabled"),
        (405, b"", "answered 405"),
        (200, b"<html>", "is no OpenClaw hook"),
    ],
)
def test_a_misconfiguration_is_rejected_with_its_fix(status: int, body: bytes, fix: str) -> None:
    outcome = judge(Response(status, {}, body), url=URL)
    assert outcome.status is Status.REJECTED
    assert fix in outcome.fix


def test_a_wake_names_its_agent(standin: StandinProcess) -> None:
    outcome = hooks(standin.url).wake(ALPHA)
    assert outcome.is_accepted
    assert [wake["agent"] for wake in standin.wakes()] == ["alpha"]


def test_an_escalation_takes_the_mapped_hook(standin: StandinProcess) -> None:
    outcome = hooks(standin.url).escalate(ALPHA)
    assert outcome
    assert outcome.is_accepted
    assert [wake["path"] for wake in standin.wakes()] == ["/hooks/agent-bus/alpha"]


def test_an_older_gateway_gets_the_agent_hook_until_it_comes_back(standin: StandinProcess) -> None:
    standin.standin(older=True)
    gateway = hooks(standin.url)
    assert gateway.wake(ALPHA).is_accepted
    assert [(w["path"], w["agent"]) for w in standin.wakes()] == [
        ("/hooks/wake", "main"),
        ("/hooks/agent", "alpha"),
    ]
    assert gateway.wake(ALPHA).is_accepted
    assert gateway.escalate(ALPHA) is None
    assert len(standin.wakes()) == 3
    gateway.returned()
    assert not gateway.older


def test_hook_mode_agent_never_touches_the_wake_hook(standin: StandinProcess) -> None:
    gateway = hooks(standin.url, hook_mode="agent")
    gateway.returned()
    assert gateway.wake(ALPHA).is_accepted
    assert [wake["path"] for wake in standin.wakes()] == ["/hooks/agent"]


def test_checks_prove_gateway_and_token_without_a_wake(standin: StandinProcess) -> None:
    assert hooks(standin.url).check().is_accepted
    assert hooks(standin.url).check_hook().is_accepted
    assert hooks(standin.url, token="wrong").check_hook().status is Status.REJECTED
    assert not standin.wakes()


def test_nobody_there_is_refused_and_a_death_in_the_middle_is_unclear(
    standin: StandinProcess,
) -> None:
    gone = hooks(f"http://127.0.0.1:{free_port()}").wake(ALPHA)
    assert (gone.status, gone.reason) == (Status.REFUSED, "gateway refused the connection")
    standin.fault("die")
    assert hooks(standin.url).wake(ALPHA).status is Status.UNCLEAR
