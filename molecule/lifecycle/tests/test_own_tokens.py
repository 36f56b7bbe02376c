"""An agent gets a token of its own on a running fleet, a new one, and gives it back."""

from __future__ import annotations

import shlex
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lab.paths import fleet_dir
from lab.probe.running import CURL, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.probe.running import RunningFleet
    from molecule.lifecycle.tests.conftest import Operator

HOST, AGENT, USER = "cedar", "dora", "dev"
CODER = {"name": AGENT, "waker": "claude-code", "user": USER, "folder": f"/home/{USER}/project"}
OVER = "/tmp/own-tokens-over"
LOOP = f"""
rm -f {OVER}
while [ ! -e {OVER} ]; do
    said=$(agent-bus send --no-spool --as {AGENT} {AGENT} note 2>&1) || case $? in
        69 | 75) ;;
        *) echo "$said" ;;
    esac
    sleep 0.1
done
"""
"""That the hub is away is no refusal: it is restarted for a new admin's token."""


@contextmanager
def nothing_is_refused(running: RunningFleet) -> Iterator[None]:
    """Let the agent send all the time, as its user; fails when one of its messages is refused."""
    command = f"cd / && sudo runuser -u {USER} -- sh -c {shlex.quote(LOOP)}"
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(running.on, HOST, command)
        try:
            yield
        finally:
            running.on(HOST, f"sudo touch {OVER}")
    assert sending.result() == ""
    running.on(HOST, f"sudo rm {OVER}")


def status_of(running: RunningFleet, token: str) -> str:
    """How the hub answers a look into the agent's inbox with a token."""
    url = f"http://{running.who.hub}:{running.who.port}/api/inbox?agent={AGENT}&peek=1"
    header = f"Authorization: Bearer {token}"
    return running.on(HOST, f"{CURL} -o /dev/null -w '%{{http_code}}' -H '{header}' '{url}'")


def files(running: RunningFleet) -> list[str]:
    """The tokens on the host, with their users and modes."""
    found = "/etc/agent-bus/cli/* /etc/agent-bus/tokens/*"
    said = running.on(HOST, f"sudo sh -c 'stat -c \"%n %U %a\" {found} 2>/dev/null; true'")
    return [line.removeprefix("/etc/agent-bus/") for line in said.splitlines()]


def with_agent(others: list[Any], **more: Any) -> dict[str, Any]:
    return {"agents": [*others, {**CODER, **more}]}


def test_an_agent_gets_a_token_of_its_own_while_it_sends_and_gives_it_back(
    running: RunningFleet, operator: Operator
) -> None:
    others = [name for name in running.who.agents[HOST] if name != AGENT]
    secrets = fleet_dir(running.up.name) / "secrets"
    operator.edit(**{HOST: with_agent(others, own_token=False)})
    operator.roll_out(*operator.at_once)
    nodes = (secrets / "nodes" / f"{HOST}.token").read_text().strip()
    assert status_of(running, nodes) == "200"
    shared = ["cli/dev.token dev 400", "cli/openclaw.token openclaw 400"]
    assert files(running) == shared

    operator.edit(**{HOST: with_agent(others)})
    with nothing_is_refused(running):
        operator.roll_out(*operator.at_once)
    own = _own(secrets)
    assert files(running) == ["cli/openclaw.token openclaw 400", "tokens/dora dev 400"]
    assert (status_of(running, own), status_of(running, nodes)) == ("200", "403")
    refused = f"sudo runuser -u openclaw -- cat /etc/agent-bus/tokens/{AGENT} 2>&1; true"
    assert "Permission denied" in running.on(HOST, refused)
    assert [one["ok"] for one in running.probe([AGENT])] == [True]

    running.on(HOST, f"sudo sh -c 'echo x > /etc/agent-bus/tokens/{AGENT}'")
    drift = operator.follow("find-drift", "playbooks/drift.yml")
    assert drift.code != 0
    assert f"{HOST}: Place the tokens" in drift.text
    running.on(HOST, "sudo systemctl restart bus-watcher")
    until(lambda: HOST in running.connected(), what="the watcher is back")
    (probed,) = running.probe([AGENT])
    assert "refuses its own token" in probed["reason"]
    operator.roll_out("--limit", HOST)

    with nothing_is_refused(running):
        run = operator.follow("tokens-per-agent", "playbooks/rotate_tokens.yml")
    assert run.code == 0, run.text
    assert _own(secrets) != own
    assert (status_of(running, own), status_of(running, _own(secrets))) == ("401", "200")

    own = _own(secrets)
    operator.edit(**{HOST: with_agent(others, own_token=False)})
    with nothing_is_refused(running):
        operator.roll_out(*operator.at_once)
    assert files(running) == shared
    assert list((secrets / "agents").iterdir()) == []
    nodes = (secrets / "nodes" / f"{HOST}.token").read_text().strip()
    assert (status_of(running, own), status_of(running, nodes)) == ("401", "200")

    operator.edit(**{HOST: {"agents": others}})
    operator.roll_out(*operator.at_once)


def _own(secrets: Path) -> str:
    """The agent's token, which is the only file of an agent's: nothing is in between any more."""
    (file,) = (secrets / "agents").iterdir()
    return file.read_text().strip()
