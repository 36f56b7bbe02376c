"""No program of ours asks a proxy for the hub or a gateway, whatever the environment says."""

from __future__ import annotations

import getpass
import json
import os
import re
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lab.paths import ROOT
from lab.probe import rollcall
from lab.probe.hub import page_of
from lab.probe.running import CURL
from tests.support.module import answer_of
from tests.support.node_side import (
    ADMIN_TOKEN,
    FILES,
    HOOK_TOKEN,
    HubWithNodes,
    Node,
    StandinProcess,
    until,
)
from tests.support.patience import patience
from tests.support.plays import play
from tests.support.proxy import RecordingProxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CALLS = {"uri", "get_url", "wait_for_connection"}
"""Ansible modules that make HTTP requests."""
FROM_THE_FLEET = {
    *("ca_path", "client_cert", "client_key", "url_username", "url_password"),
    *("headers", "body", "body_format"),
}
"""Arguments that are made of the fleet's variables."""
TASK_FILES = [
    file
    for folder in ("playbooks", "roles", "bench", "lab", "tests/e2e")
    for file in sorted((ROOT / folder).rglob("*.yml"))
]


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingProxy]:
    """Name a proxy in the environment of this test and its children."""
    with RecordingProxy() as recording:
        for name, value in recording.environment.items():
            monkeypatch.setenv(name, value)
        yield recording


@pytest.fixture
def hub(tmp_path: Path, proxy: RecordingProxy) -> Iterator[HubWithNodes]:
    found = HubWithNodes(tmp_path / "hub", {"n1": ("alpha", "beta")})
    yield found
    found.process.stop()
    assert proxy.asked == []


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[StandinProcess]:
    found = StandinProcess(tmp_path / "gateway", ("alpha", "beta"))
    yield found
    found.process.stop()


def tasks_in(
    entries: Any, defaults: dict[str, Any] | None = None
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the tasks of a file, however deep in plays and blocks, and their module_defaults."""
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            known = (defaults or {}) | entry.get("module_defaults", {})
            yield entry, known
            for inner in ("pre_tasks", "tasks", "post_tasks", "block", "rescue", "always"):
                yield from tasks_in(entry.get(inner), known)


def asking() -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the name and arguments of each task of the project that makes HTTP requests."""
    for file in TASK_FILES:
        for task, defaults in tasks_in(yaml.safe_load(file.read_text(encoding="utf-8"))):
            for key, arguments in task.items():
                if key.rpartition(".")[2] in CALLS:
                    name = f"{file.relative_to(ROOT)}: {task['name']}"
                    yield name, defaults.get(key, {}) | arguments


def test_the_proxy_is_seen_by_whoever_asks_it(proxy: RecordingProxy) -> None:
    with pytest.raises(OSError, match="502"):
        urllib.request.urlopen("http://127.0.0.1:9/elsewhere", timeout=patience())
    assert proxy.asked == ["GET http://127.0.0.1:9/elsewhere HTTP/1.1"]


def test_each_task_that_asks_by_http_asks_the_hub_itself(
    hub: HubWithNodes, tmp_path: Path
) -> None:
    """With each set of arguments that tasks have, but for those of the fleet's variables."""
    found = dict(asking())
    assert len(found) > 8, "the tasks are found"
    replaced = {"url": f"{hub.url}/livez", "method": "GET", "status_code": [200]}
    kinds: dict[str, list[str]] = {}
    for name, arguments in found.items():
        kept = {key: value for key, value in arguments.items() if key not in FROM_THE_FLEET}
        kinds.setdefault(json.dumps(kept | replaced, sort_keys=True), []).append(name)
    tasks = [
        {"name": ", ".join(names), "ansible.builtin.uri": json.loads(arguments)}
        for arguments, names in kinds.items()
    ]
    python = {"ansible_python_interpreter": sys.executable}
    done = play(tasks, tmp_path, variables=python)
    assert done.returncode == 0, done.stdout + done.stderr


def test_status_asks_the_hub_itself(hub: HubWithNodes, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "admin.token").write_text(ADMIN_TOKEN)
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "agent_bus_secrets_dir": str(secrets),
        "message_bus_port": hub.port,
    }
    inventory = {"hub": {"hosts": {"box": variables}}, "nodes": {"hosts": {"n1": variables}}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory))
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", str(tmp_path / "hosts.yml"),
         str(ROOT / "playbooks/status.yml")],
        cwd=ROOT, env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Hub box: release" in done.stdout


def test_the_node_side_asks_hub_and_gateway_itself(
    hub: HubWithNodes, gateway: StandinProcess, tmp_path: Path
) -> None:
    wakers = [{"name": name, "waker": "hook"} for name in ("alpha", "beta")]
    node = Node(tmp_path / "node", "n1", hub.url, wakers, gateway_url=gateway.url)
    watcher = node.start()
    try:
        until(lambda: "connected" in " ".join(watcher.events()), what="the watcher is connected")
        done = node.cli("send", "--as", "alpha", "--to", "beta", "hello")
        assert done.returncode == 0, done.stderr
        until(lambda: gateway.wakes("beta"), what="beta is woken")
    finally:
        watcher.stop()
    doctor = node.cli("doctor", "--as", "alpha")
    assert f"{gateway.url} answers" in doctor.stdout, doctor.stdout + doctor.stderr


def test_the_operator_s_tool_asks_the_hub_itself(hub: HubWithNodes, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(ADMIN_TOKEN)
    tool = [sys.executable, "-m", "agent_bus", "admin", "--json"]
    given = ["--config", str(hub.folder / "hub.json"), "--token-file", str(tmp_path / "token")]
    done = subprocess.run(
        [*tool, *given, "stats"],
        env={**os.environ, "PYTHONPATH": str(FILES)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "epoch" in json.loads(done.stdout)


def test_the_gateway_s_module_asks_the_gateway_itself(
    proxy: RecordingProxy, gateway: StandinProcess, tmp_path: Path
) -> None:
    given = {"user": getpass.getuser(), "agents": ["alpha", "beta"], "token": HOOK_TOKEN}
    given |= {"url": gateway.url, "command": str(tmp_path / "none")}
    given |= {"state_dir": str(gateway.folder)}
    answer = answer_of("openclaw_gateway", given)
    assert "no gateway listens" not in " ".join(answer["notes"]), answer
    assert proxy.asked == []


def test_the_lab_asks_hub_and_gateways_itself(
    hub: HubWithNodes, proxy: RecordingProxy, gateway: StandinProcess
) -> None:
    assert "alpha" in page_of(hub.url, ADMIN_TOKEN)
    listener = [sys.executable, "-c", rollcall.LISTENER % 1]
    wanted = json.dumps([{}, 0, gateway.url])
    heard = subprocess.run(listener, input=wanted, capture_output=True, text=True, check=True)
    assert json.loads(heard.stdout) == []
    asked = f"{CURL} {gateway.url}/standin/wakes"
    told = subprocess.run(["sh", "-c", asked], capture_output=True, text=True, check=True)
    assert json.loads(told.stdout) == {"wakes": []}
    assert proxy.asked == []


def test_no_curl_of_the_project_is_left_to_the_environment() -> None:
    """Those on the lab's hosts; tests/api/test_curl_examples.py runs those of the pages."""
    files = [
        file
        for folder in ("lab", "molecule", "playbooks", "roles", "tests/e2e", "bench")
        for file in (ROOT / folder).rglob("*")
        if file.suffix in {".py", ".yml", ".j2", ".sh"}
    ]
    called = re.compile(r"\bcurl -(?!.*--noproxy|-noproxy)")
    assert [str(file) for file in files if called.search(file.read_text())] == []
