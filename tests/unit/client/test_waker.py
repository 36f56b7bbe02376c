from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from agent_bus_client.net.http1 import Response
from agent_bus_client.settings import Agent, Settings
from agent_bus_client.waker import waker
from tests.support.node_side import HOOK_TOKEN, Gateway, free_port, until
from tests.support.patience import patience

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALPHA = Agent("alpha")
URL = "http://127.0.0.1:18789/hooks/wake"


@pytest.fixture
def standin(tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path / "gateway", ("main", "alpha"))
    yield gateway
    gateway.process.kill()


def hooks(url: str, *, token: str = HOOK_TOKEN, **more: str) -> waker.Gateway:
    settings = Settings("n1", "http://hub:1", (ALPHA,), gateway_url=url, **more)  # type: ignore[arg-type]
    return waker.Gateway(settings, lambda: token)


def command(*argv: str, timeout_s: float = 60.0) -> waker.CommandWaker:
    agent = Agent("alpha", "command", argv)
    return waker.CommandWaker(agent, timeout_s=timeout_s)


@pytest.mark.parametrize(
    ("status", "body", "headers", "expected"),
    [
        (200, b'{"ok":true,"eventOutcome":"queued"}', {}, waker.Outcome(waker.ACCEPTED)),
        (
            200,
            b'{"ok":true,"eventOutcome":"coalesced"}',
            {},
            waker.Outcome(waker.ACCEPTED, coalesced=True),
        ),
        (200, b'{"ok":true,"mode":"now"}', {}, waker.Outcome(waker.ACCEPTED, reason="older")),
        (
            503,
            b"{}",
            {"retry-after": "1"},
            waker.Outcome(waker.REFUSED, reason="gateway answered 503", retry_after_s=1.0),
        ),
        (
            429,
            b"Too Many",
            {"retry-after": "60"},
            waker.Outcome(waker.REFUSED, reason="gateway answered 429", retry_after_s=60.0),
        ),
        (500, b"", {}, waker.Outcome(waker.REFUSED, reason="gateway answered 500")),
        (
            409,
            b'{"ok":false,"error":"hook configuration changed; retry request"}',
            {},
            waker.Outcome(waker.REFUSED, reason="gateway answered 409"),
        ),
    ],
)
def test_answers_are_judged(
    status: int, body: bytes, headers: dict[str, str], expected: waker.Outcome
) -> None:
    assert waker.judge(Response(status, headers, body), url=URL) == expected


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
    outcome = waker.judge(Response(status, {}, body), url=URL)
    assert outcome.status == waker.REJECTED
    assert fix in outcome.fix


def test_a_wake_names_its_agent(standin: Gateway) -> None:
    outcome = hooks(standin.url).wake(ALPHA)
    assert outcome.status == waker.ACCEPTED
    assert [wake["agent"] for wake in standin.wakes()] == ["alpha"]


def test_an_escalation_takes_the_mapped_hook(standin: Gateway) -> None:
    outcome = hooks(standin.url).escalate(ALPHA)
    assert outcome
    assert outcome.status == waker.ACCEPTED
    assert [wake["path"] for wake in standin.wakes()] == ["/hooks/agent-bus/alpha"]


def test_an_older_gateway_gets_the_agent_hook_until_it_comes_back(standin: Gateway) -> None:
    standin.standin(older=True)
    gateway = hooks(standin.url)
    assert gateway.wake(ALPHA).status == waker.ACCEPTED
    assert [(w["path"], w["agent"]) for w in standin.wakes()] == [
        ("/hooks/wake", "main"),
        ("/hooks/agent", "alpha"),
    ]
    assert gateway.wake(ALPHA).status == waker.ACCEPTED
    assert gateway.escalate(ALPHA) is None
    assert len(standin.wakes()) == 3
    gateway.returned()
    assert not gateway.older


def test_hook_mode_agent_never_touches_the_wake_hook(standin: Gateway) -> None:
    gateway = hooks(standin.url, hook_mode="agent")
    gateway.returned()
    assert gateway.wake(ALPHA).status == waker.ACCEPTED
    assert [wake["path"] for wake in standin.wakes()] == ["/hooks/agent"]


def test_checks_prove_gateway_and_token_without_a_wake(standin: Gateway) -> None:
    assert hooks(standin.url).check().status == waker.ACCEPTED
    assert hooks(standin.url).check_hook().status == waker.ACCEPTED
    assert hooks(standin.url, token="wrong").check_hook().status == waker.REJECTED
    assert not standin.wakes()


def test_nobody_there_is_refused_and_a_death_in_the_middle_is_unclear(standin: Gateway) -> None:
    gone = hooks(f"http://127.0.0.1:{free_port()}").wake(ALPHA)
    assert (gone.status, gone.reason) == (waker.REFUSED, "gateway refused the connection")
    standin.fault("die")
    assert hooks(standin.url).wake(ALPHA).status == waker.UNCLEAR


def test_a_command_gets_agent_and_text_without_a_shell(tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = "import sys; open(sys.argv[1], 'w').write(repr(sys.argv[2:]))"
    outcome = command(sys.executable, "-c", script, str(out), "{agent}; x", "{text}").wake()
    assert outcome.status == waker.ACCEPTED
    assert out.read_text() == repr(["alpha; x", ALPHA.wake_text])


def test_a_failing_command_is_refused_with_its_code(caplog: pytest.LogCaptureFixture) -> None:
    outcome = command(sys.executable, "-c", "import sys; print('why'); sys.exit(3)").wake()
    assert (outcome.status, outcome.reason) == (waker.REFUSED, "command ended with code 3")
    assert caplog.records[0].__dict__["output"] == "why\n"


def test_only_the_tail_of_the_output_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    command(sys.executable, "-c", "print('x' * 10**6 + 'end'); raise SystemExit(1)").wake()
    output = caplog.records[0].__dict__["output"]
    assert len(output) == waker.TAIL_BYTES
    assert output.endswith("xend\n")


def test_a_missing_program_is_rejected_with_its_fix() -> None:
    missing = command("/nonexistent/program")
    assert missing.check().status == waker.REJECTED
    outcome = missing.wake()
    assert outcome.status == waker.REJECTED
    assert "install it" in outcome.fix
    assert command("sh").check().status == waker.ACCEPTED


def test_closing_kills_a_running_command() -> None:
    sleeper = command(sys.executable, "-c", "import time; time.sleep(3600)", timeout_s=3600)
    done: list[waker.Outcome] = []
    thread = threading.Thread(target=lambda: done.append(sleeper.wake()))
    thread.start()
    group = until(lambda: sleeper._group, what="it runs")
    assert group
    sleeper.close()
    thread.join(patience())  # the command would go on for longer
    assert not thread.is_alive()
    assert done[0].status == waker.REFUSED
    assert sleeper.wake().reason == "stopping"
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)
