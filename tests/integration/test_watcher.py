"""The watcher as a process, between the real hub and the gateway stand-in."""

from __future__ import annotations

import itertools
import json
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent_bus_client.errors import HttpError
from agent_bus_mcp.words import text
from tests.support.node_side import HubWithNodes, Node, StandinProcess, fetch, token_of, until
from tests.support.patience import patience

if TYPE_CHECKING:
    from collections.abc import Callable


def fetched(hub: HubWithNodes, agent: str) -> None:
    """Do what an agent's turn does: read the mailbox."""
    hub.call("GET", f"/api/inbox?agent={agent}", token=token_of("n1"))


def pauses(gateway: StandinProcess, agent: str) -> list[float]:
    at = [wake["at"] for wake in gateway.wakes(agent)]
    return [b - a for a, b in itertools.pairwise(at)]


def test_mail_wakes_its_agent_alone_and_every_hop_is_reported(
    hub: HubWithNodes, gateway: StandinProcess, online: Callable[[], None]
) -> None:
    online()
    sent = hub.send("beta", "a secret body")
    until(lambda: gateway.wakes("beta"), what="beta is woken")
    assert gateway.wakes("beta")[0]["text"] == (
        "agent-bus: unread messages for beta. Run: agent-bus inbox --as beta"
    )
    assert not gateway.wakes("alpha")
    fetched(hub, "beta")
    wanted = ("pushed_at", "received_at", "accepted_at", "fetched_at")
    until(lambda: all(map(hub.timeline(sent["id"], "beta").get, wanted)), what="all hops told")
    hops = hub.timeline(sent["id"], "beta")
    received, accepted, seen = (text.parse_time(hops[name]) for name in wanted[1:])
    # the hub dates a reported hop by its age at arrival, so it is late by the time that the report
    # took; no report took longer than all of this
    took_s = time.time() - text.parse_time(sent["created_at"])
    assert received - took_s <= accepted <= seen + took_s


def test_a_broadcast_wakes_the_agents_of_a_node_one_after_the_other(
    hub: HubWithNodes, gateway: StandinProcess, node: Node, online: Callable[[], None]
) -> None:
    node.settings["stagger_s"] = 2
    node.write()
    online()
    hub.send(None)
    until(lambda: gateway.wakes("alpha") and gateway.wakes("beta"), what="both are woken")
    apart = abs(gateway.wakes("alpha")[0]["at"] - gateway.wakes("beta")[0]["at"])
    assert apart > 1  # the stagger, plus or minus the time of a call to the gateway


def test_a_killed_watcher_wakes_for_what_came_meanwhile(
    hub: HubWithNodes, gateway: StandinProcess, node: Node, online: Callable[[], None]
) -> None:
    online()
    hub.send("alpha")
    until(lambda: gateway.wakes("alpha"), what="alpha is woken")
    until((node.folder / "state" / "cursor.json").exists, what="the cursor is saved")
    node.watcher.stop(signal.SIGKILL)
    hub.send("beta")
    node.start()
    until(lambda: gateway.wakes("beta"), what="beta is woken after the restart")


def test_a_corrupted_cursor_costs_nothing(
    hub: HubWithNodes, gateway: StandinProcess, node: Node, online: Callable[[], None]
) -> None:
    (node.folder / "state" / "cursor.json").write_text("{broken")
    hub.send("alpha")
    online()
    until(lambda: gateway.wakes("alpha"), what="alpha is woken")
    assert "cursor file was unusable, started without it" in node.watcher.events()


def test_a_restarted_hub_loses_no_wake(
    hub: HubWithNodes, gateway: StandinProcess, online: Callable[[], None]
) -> None:
    online()
    sent = [hub.send("alpha")]
    until(lambda: gateway.wakes("alpha"), what="alpha is woken")
    fetched(hub, "alpha")
    hub.process.kill()
    hub.start()
    sent.append(hub.send("beta"))
    until(lambda: gateway.wakes("beta"), what="beta is woken")
    until(lambda: hub.agent("beta")["status"] == "online", what="beta is online again")


def test_a_silent_hub_is_noticed_and_left(
    hub: HubWithNodes, gateway: StandinProcess, node: Node, online: Callable[[], None]
) -> None:
    online()
    hub.process.signal_group(signal.SIGSTOP)
    try:
        until(lambda: "stream ended" in node.watcher.events(), what="silence is noticed")
    finally:
        hub.process.signal_group(signal.SIGCONT)
    until(lambda: is_sent(hub, "alpha"), what="a message is taken")
    until(lambda: gateway.wakes("alpha"), what="alpha is woken")


def is_sent(hub: HubWithNodes, agent: str) -> bool:
    """Send once; False if the hub hangs up: gunicorn ends a worker that was stopped for 30 s."""
    try:
        hub.send(agent)
    except (OSError, HttpError):
        return False
    return True


@pytest.mark.parametrize("fault", ["503", "429", "401", "slow", "hang", "die"])
def test_no_fault_of_the_gateway_loses_or_doubles_a_wake(
    hub: HubWithNodes, gateway: StandinProcess, online: Callable[[], None], fault: str
) -> None:
    online()
    gateway.fault(fault, seconds=2, retry_after_s=1, delay_s=0.5)
    sent = hub.send("alpha")
    if fault != "slow":
        until(lambda: hub.agent("alpha")["unfetched"] == 1, what="mail is there")
    if fault == "401":
        until(lambda: hub.timeline(sent["id"], "alpha")["wake_failed_at"], what="failure told")
        gateway.fault("ok")
        gateway.stop()
        until(lambda: hub.agent("alpha")["status"] == "gateway-down", what="gateway is missed")
        gateway.start()
    until(lambda: gateway.wakes("alpha"), what="alpha is woken in the end")
    fetched(hub, "alpha")
    hub.send("alpha")
    until(lambda: len(gateway.wakes("alpha")) >= 2, what="alpha is woken again")
    assert min(pauses(gateway, "alpha")) >= 1.5


def test_a_rejected_token_is_loud_once_and_names_the_fix(
    hub: HubWithNodes, gateway: StandinProcess, node: Node, online: Callable[[], None]
) -> None:
    gateway.configure(token="another token")
    online()
    sent = hub.send("alpha")
    until(lambda: hub.timeline(sent["id"], "alpha")["wake_failed_at"], what="failure told")
    assert hub.timeline(sent["id"], "alpha")["wake_failure"] == "wake: gateway answered 401"
    loud = [line for line in node.watcher.lines() if line["level"] == "error"]
    assert len(loud) == 1
    assert "run the site playbook" in loud[0]["event"]


def test_a_gateway_that_was_down_wakes_all_when_it_is_back(
    hub: HubWithNodes, gateway: StandinProcess, online: Callable[[], None]
) -> None:
    online()
    gateway.stop()
    sent = hub.send(["alpha", "beta"])
    until(lambda: hub.agent("alpha")["status"] == "gateway-down", what="hub knows")
    until(lambda: hub.timeline(sent["id"], "beta")["wake_failed_at"], what="failure told")
    gateway.start()
    until(lambda: gateway.wakes("alpha") and gateway.wakes("beta"), what="both are woken")
    until(lambda: hub.agent("alpha")["status"] == "online", what="hub knows")


def test_one_agents_hanging_wake_delays_no_other(
    hub: HubWithNodes, gateway: StandinProcess, online: Callable[[], None]
) -> None:
    online()
    gateway.fault("hang", agent="alpha", seconds=3600)
    hub.send("alpha")
    for _ in range(3):
        wakes = len(gateway.wakes("beta"))
        hub.send("beta")
        until(lambda n=wakes: len(gateway.wakes("beta")) > n, what="beta is woken")  # type: ignore[misc]
        fetched(hub, "beta")
    assert not gateway.wakes("alpha")


def test_unfetched_mail_is_escalated_once_and_becomes_overdue(
    hub: HubWithNodes, gateway: StandinProcess, online: Callable[[], None]
) -> None:
    online()
    sent = hub.send("alpha")
    until(lambda: len(gateway.wakes("alpha")) >= 3, what="wake, escalation, wake again")
    until(lambda: hub.timeline(sent["id"], "alpha")["overdue_at"], what="overdue is told")
    paths = [wake["path"] for wake in gateway.wakes("alpha")]
    assert paths[:3] == ["/hooks/wake", "/hooks/agent-bus/alpha", "/hooks/wake"]
    assert hub.timeline(sent["id"], "alpha")["escalated_at"]
    assert min(pauses(gateway, "alpha")) >= 1.5


def test_an_older_gateway_is_recognised_and_served_by_the_agent_hook(
    hub: HubWithNodes, gateway: StandinProcess, online: Callable[[], None]
) -> None:
    gateway.standin(older=True)
    online()
    hub.send("beta")
    until(lambda: gateway.wakes("beta"), what="beta is woken")
    assert gateway.wakes("beta")[0]["path"] == "/hooks/agent"


def test_commands_wake_and_a_hanging_one_dies_with_its_children(
    hub: HubWithNodes, node: Node, tmp_path: Path, online: Callable[[], None]
) -> None:
    ran = tmp_path / "ran"
    script = (
        "import os, pathlib, subprocess, sys, time\n"
        f"path = pathlib.Path({str(ran)!r})\n"
        "first = not path.exists()\n"
        "path.open('a').write(sys.argv[1] + '|' + sys.argv[2] + chr(10))\n"
        "if first:\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"    pathlib.Path({str(tmp_path / 'child')!r}).write_text(str(child.pid))\n"
        "    print('last words', flush=True)\n"
        "    time.sleep(600)\n"
    )
    command = [sys.executable, "-c", script, "{agent}", "{text}"]
    node.settings["agents"] = [
        {"name": "alpha", "waker": "command", "command": command},
        {"name": "beta"},
    ]
    node.settings["command_timeout_s"] = 1
    node.write()
    online()
    hub.send("alpha")
    until(lambda: ran.exists() and len(ran.read_text().splitlines()) == 2, what="tried again")
    text = "agent-bus: unread messages for alpha. Run: agent-bus inbox --as alpha"
    assert ran.read_text().splitlines()[0] == f"alpha|{text}"
    child = int((tmp_path / "child").read_text())
    until(lambda: not _alive(child), what="the whole group is dead")
    failed = [line for line in node.watcher.lines() if line["event"] == "wake command failed"]
    assert failed[0]["output"] == "last words\n"
    assert failed[0]["reason"] == "command ran longer than 1 s"


def test_a_probe_checks_the_gateway_and_wakes_nobody(
    hub: HubWithNodes, gateway: StandinProcess, online: Callable[[], None]
) -> None:
    online()
    results = hub.call("POST", "/api/probes", {"agents": ["alpha", "beta"]})["results"]
    assert [(r["agent"], r["ok"]) for r in results] == [("alpha", True), ("beta", True)]
    gateway.configure(token="another token")
    results = hub.call("POST", "/api/probes", {"agents": ["alpha"]})["results"]
    assert not results[0]["ok"]
    assert "answered 401" in results[0]["reason"]
    assert not gateway.wakes()


def test_reports_survive_a_hub_that_was_away(
    hub: HubWithNodes, gateway: StandinProcess, online: Callable[[], None]
) -> None:
    online()
    gateway.fault("slow", delay_s=1.5)
    sent = hub.send("alpha")
    until(lambda: hub.timeline(sent["id"], "alpha")["received_at"], what="received")
    hub.process.kill()
    until(lambda: gateway.wakes("alpha"), what="alpha is woken")
    hub.start()
    until(lambda: hub.timeline(sent["id"], "alpha")["accepted_at"], what="the report came late")


def test_a_wrong_node_token_is_loud(hub: HubWithNodes, node: Node) -> None:
    (node.folder / "secrets" / "node-token").write_text("wrong")
    node.start()
    said = "hub does not accept this node's token: run the site playbook for this node"
    until(lambda: said in node.watcher.events(), what="the log says so")
    assert node.watcher.stop() == 0


def test_the_outbox_is_sent_when_the_hub_is_back(
    hub: HubWithNodes, gateway: StandinProcess, node: Node, online: Callable[[], None]
) -> None:
    online()
    hub.process.kill()
    for body in ("one", "two"):
        done = node.cli("send", "--as", "alpha", "beta", body)
        assert done.returncode == 0
        assert "Kept in the outbox" in done.stdout
    hub.start()
    until(lambda: hub.agent("beta")["unread"] == 2, what="both arrived")
    page = hub.call("GET", "/api/inbox?agent=beta&peek=1", token=token_of("n1"))
    assert [m["body"] for m in page["messages"]] == ["one", "two"]
    until(lambda: not list((node.folder / "outbox").glob("*.json")), what="the outbox is empty")
    until(lambda: gateway.wakes("beta"), what="beta is woken")


@pytest.fixture
def manager(tmp_path: Path) -> socket.socket:
    """A socket like systemd's."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(tmp_path / "notify"))
    listener.settimeout(patience())
    return listener


def test_systemd_hears_ready_before_the_hub_is_there_then_watchdog_and_stopping(
    node: Node, manager: socket.socket, tmp_path: Path
) -> None:
    node.settings["hub_url"] = "http://127.0.0.1:9"  # nobody listens on the discard port
    node.write()
    node.start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="600000")
    with manager:
        assert manager.recv(4096).startswith(b"READY=1")
        beats = [manager.recv(4096) for _ in range(5)]
        assert all(beat.startswith(b"WATCHDOG=1\nSTATUS=hub ") for beat in beats)
        assert b"agents alpha,beta" in beats[-1]
        assert node.watcher.stop() == 0
        while manager.recv(4096) != b"STOPPING=1":
            pass


def test_sigterm_ends_it_at_once_whatever_hangs(
    hub: HubWithNodes, gateway: StandinProcess, node: Node, online: Callable[[], None]
) -> None:
    online()
    gateway.fault("hang")
    hub.send(["alpha", "beta"])
    until(lambda: hub.agent("alpha")["unfetched"], what="mail is there")
    hub.process.signal_group(signal.SIGSTOP)
    try:
        assert node.watcher.stop() == 0
        assert "wake failed" not in node.watcher.events()  # no call was waited for
    finally:
        hub.process.signal_group(signal.SIGCONT)


def test_unusable_settings_end_it_with_78_and_the_reason(node: Node) -> None:
    node.settings["hub_ulr"] = "x"
    node.write()
    assert node.start().child.wait(patience()) == 78
    assert "did you mean hub_url?" in node.watcher.lines()[0]["event"]


def test_it_stays_small(
    hub: HubWithNodes, gateway: StandinProcess, node: Node, online: Callable[[], None]
) -> None:
    online()
    for _ in range(50):
        hub.send("alpha", "x" * 5000)
    until(lambda: hub.agent("alpha")["unread"] == 50, what="all are there")
    until(lambda: gateway.wakes("alpha"), what="alpha is woken")
    status = Path(f"/proc/{node.watcher.child.pid}/status").read_text(encoding="ascii")
    resident_kib = int(status.partition("VmRSS:")[2].split()[0])
    assert resident_kib <= 18 * 1024


def test_another_watcher_of_the_node_takes_over(
    hub: HubWithNodes, node: Node, online: Callable[[], None]
) -> None:
    online()
    first = node.watcher
    node.start()
    said = "another watcher of this node connected; is one running on another machine?"
    until(lambda: said in first.events(), what="the older one says so")
    first.kill()
    until(lambda: hub.agent("alpha")["status"] == "online", what="the newer one holds the lease")


def test_an_agent_without_settings_is_told_to_the_hub(
    hub: HubWithNodes, node: Node, online: Callable[[], None]
) -> None:
    node.settings["agents"] = [{"name": "alpha"}]
    node.write()
    online()
    said = "hub has agents for this node without settings here: run the site playbook"
    until(lambda: said in node.watcher.events(), what="the log says so")


def test_the_operator_can_have_an_agent_woken_again(
    hub: HubWithNodes, gateway: StandinProcess, online: Callable[[], None]
) -> None:
    online()
    hub.send("alpha")
    until(lambda: gateway.wakes("alpha"), what="alpha is woken")
    answer = fetch(hub.url, "/api/agents/alpha/wake", method="POST", token="a" * 43, body={})
    assert answer.status < 300, json.loads(answer.body)
    until(lambda: len(gateway.wakes("alpha")) >= 2, what="alpha is woken again")


def _alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
