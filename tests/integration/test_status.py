"""`playbooks/status.yml` and the page show the same fleet in the same way, whatever its state."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from lab.probe.hub import page_of
from tests.support import status
from tests.support.hub import ADMIN, REPOSITORY, HubProcess, running
from tests.support.patience import patience, wait_until

FLEET = {
    "n1": ("alpha", "beta"),
    "n2": ("gamma", "muted-one"),
    "n3": ("delta",),
    "n4": ("epsilon", "leaves"),
    "hub-only": (),
    "laptop": ("visitor",),
}


def inventory_of(hub: HubProcess, folder: Path) -> Path:
    """The fleet as an inventory in which every host is this machine."""
    (folder / "secrets").mkdir()
    (folder / "secrets" / "admin.token").write_text(ADMIN)
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "agent_bus_secrets_dir": str(folder / "secrets"),
        "message_bus_port": hub.port,
    }
    nodes: dict[str, Any] = {node: {} for node in FLEET if node != "laptop"}
    groups = {"hub": {"hosts": {"hub-only": {}}}, "nodes": {"hosts": nodes}}
    path = folder / "hosts.yml"
    path.write_text(yaml.safe_dump({"all": {"vars": variables, "children": groups}}))
    return path


def played(inventory: Path) -> str:
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"),
            *("-i", str(inventory), str(REPOSITORY / "playbooks/status.yml")),
        ],
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_FORCE_COLOR": "false",
        },
        capture_output=True,
        text=True,
        timeout=patience(120),
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def presence(hub: HubProcess, node: str, **gateways: str) -> None:
    agents = [{"name": name, "gateway": gateways.get(name, "ok")} for name in FLEET[node]]
    body = {"node_version": "0.1.0-3f2a9c41d07b", "agents": agents}
    assert hub.client(node).post("/api/presence", body).status == 204


def state_of(hub: HubProcess, name: str) -> str:
    listed = hub.client(None).get("/api/agents").body["agents"]
    return str(next(agent["status"] for agent in listed if agent["name"] == name))


def in_every_state(hub: HubProcess) -> None:
    """Bring agents into every possible state, and make an alert fire."""
    streams = {node: hub.stream(node, "role=watcher") for node in ("n1", "n2", "n4")}
    for node, stream in streams.items():
        stream.of_type("hello")
        presence(hub, node)
    presence(hub, "n2", gamma="down")
    sent = hub.client("n1").send(to=["beta", "gamma", "delta"], **{"from": "alpha"})
    seq = next(one["seq"] for one in sent["recipients"] if one["agent"] == "beta")
    reports = [{"agent": "beta", "event": "accepted", "up_to_seq": seq, "duration_ms": 5}]
    assert hub.client("n1").post("/api/wakes", {"reports": reports}).status == 204
    hub.client(None).post("/api/agents/muted-one/mute", {"for_s": 3600})
    hub.client("n1").send(to="leaves", **{"from": "alpha"})
    streams["n4"].close()
    wait_until(lambda: state_of(hub, "epsilon") == "deaf")
    left = {**FLEET, "n4": ("epsilon",)}
    assert hub.enrol(left, force=True, guests=["laptop"]).status == 200
    assert hub.client("laptop").get("/api/inbox").status == 200
    wrong = hub.client("n3")
    wrong._token = "wrong"
    for _ in range(25):
        assert wrong.get("/api/agents").status == 401
    wait_until(lambda: hub.client(None).get("/api/stats").body["alerts"])


def test_the_playbook_and_the_page_show_the_same(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    settings = {"auth_failures_per_min": 1000, "keepalive_s": 1, "lease_s": 600}
    with running(tmp_path / "hub", **settings, offline_after_s=600) as hub:
        assert hub.enrol(FLEET, force=True).status == 200
        in_every_state(hub)
        text = played(inventory_of(hub, tmp_path))
        told = status.printed(text)
        seen = status.on_page(page_of(f"http://127.0.0.1:{hub.port}", ADMIN))
    assert told.agents == seen.agents, text
    assert told.hosts == seen.hosts, text
    assert told.alerts == seen.alerts == ["AgentBusTokensRefused"], text
    assert {row[1] for row in told.agents.values()} == {
        "online", "gateway-down", "deaf", "offline", "guest", "retired"
    }  # fmt: skip
    assert told.hosts == {
        "n1": "online",
        "n2": "gateway-down",
        "n3": "offline",
        "n4": "offline",
        "laptop": "guest",
    }
    assert re.search(r"visitor +laptop +guest .* seen 20\d\d-", text)
    problems = [row[1] for row in told.agents.values()]
    assert set(problems[:2]) == {"gateway-down", "deaf"}, "problems stand first"
    beta = told.agents["beta"]
    assert beta[2] == "1"
    assert all(beta[3:6]), "oldest unread, last wake and release are told"
    assert told.agents["muted-one"][6] == "muted"
