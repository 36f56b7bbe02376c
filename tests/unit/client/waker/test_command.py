from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from agent_bus_client.agents import Agent
from agent_bus_client.waker.command import TAIL_BYTES, CommandWaker
from agent_bus_client.waker.outcome import Outcome, Status
from tests.support.node_side import until
from tests.support.patience import patience

if TYPE_CHECKING:
    from pathlib import Path

ALPHA = Agent("alpha")


def command(*argv: str, timeout_s: float = 60.0) -> CommandWaker:
    agent = Agent("alpha", "command", argv)
    return CommandWaker(agent, timeout_s=timeout_s)


def test_a_command_gets_agent_and_text_without_a_shell(tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = "import sys; open(sys.argv[1], 'w').write(repr(sys.argv[2:]))"
    outcome = command(sys.executable, "-c", script, str(out), "{agent}; x", "{text}").wake()
    assert outcome.is_accepted
    assert out.read_text() == repr(["alpha; x", ALPHA.wake_text])


def test_a_failing_command_is_refused_with_its_code(caplog: pytest.LogCaptureFixture) -> None:
    outcome = command(sys.executable, "-c", "import sys; print('why'); sys.exit(3)").wake()
    assert (outcome.status, outcome.reason) == (Status.REFUSED, "command ended with code 3")
    assert caplog.records[0].__dict__["output"] == "why\n"


def test_only_the_tail_of_the_output_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    command(sys.executable, "-c", "print('x' * 10**6 + 'end'); raise SystemExit(1)").wake()
    output = caplog.records[0].__dict__["output"]
    assert len(output) == TAIL_BYTES
    assert output.endswith("xend\n")


def test_a_missing_program_is_rejected_with_its_fix() -> None:
    missing = command("/nonexistent/program")
    assert missing.check().status is Status.REJECTED
    outcome = missing.wake()
    assert outcome.status is Status.REJECTED
    assert "install it" in outcome.fix
    assert command("sh").check().is_accepted


def test_closing_kills_a_running_command() -> None:
    sleeper = command(sys.executable, "-c", "import time; time.sleep(3600)", timeout_s=3600)
    done: list[Outcome] = []
    thread = threading.Thread(target=lambda: done.append(sleeper.wake()))
    thread.start()
    group = until(lambda: sleeper._group, what="it runs")
    assert group
    sleeper.close()
    thread.join(patience())  # the command would go on for longer
    assert not thread.is_alive()
    assert done[0].status is Status.REFUSED
    assert sleeper.wake().reason == "stopping"
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)
