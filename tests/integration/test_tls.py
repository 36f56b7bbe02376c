"""A hub with TLS, with a real watcher and command line: trusted, or for any reason not."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import subprocess
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.certificates import Authority
from tests.support.hub import Client, StreamReader
from tests.support.node_side import (
    ADMIN_TOKEN,
    FILES,
    HubWithNodes,
    Node,
    StandinProcess,
    fetch,
    token_of,
    until,
)
from tests.support.patience import patience

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AGENTS = ("alpha", "beta")
LARGE = "x" * 60_000
"""Eighty of them are more than the kernel buffers for a peer."""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls")


@pytest.fixture
def hub(tmp_path: Path, authority: Authority) -> Iterator[HubWithNodes]:
    server = HubWithNodes(
        tmp_path / "hub",
        {"n1": AGENTS},
        ca_file=str(authority.ca_file),
        keepalive_s=0.5,
        **authority.issue("hub"),
    )
    yield server
    server.process.kill()


@pytest.fixture
def node(
    tmp_path: Path, hub: HubWithNodes, gateway: StandinProcess, authority: Authority
) -> Iterator[Node]:
    agents = [{"name": name} for name in AGENTS]
    more = {"gateway_url": gateway.url, "hub_ca_file": str(authority.ca_file)}
    made = Node(tmp_path / "n1", "n1", hub.url, agents, **more)
    yield made
    if hasattr(made, "watcher"):
        made.watcher.kill()


def test_a_message_goes_through_and_wakes(
    hub: HubWithNodes, node: Node, gateway: StandinProcess
) -> None:
    node.start()
    until(lambda: hub.agent("alpha")["status"] == "online", what="alpha is online")
    done = node.cli("send", "--as", "beta", "alpha", "in secret")
    assert done.returncode == 0, done.stderr
    until(lambda: gateway.wakes("alpha"), what="alpha is woken")
    assert "in secret" in node.cli("inbox", "--as", "alpha").stdout
    assert node.cli("doctor").stdout.startswith("ok")
    assert "Traceback" not in hub.process.log.read_text()


def test_a_stream_that_was_idle_carries_what_its_peer_takes_late_in_order(
    tmp_path: Path, authority: Authority
) -> None:
    quick: dict[str, Any] = {"keepalive_s": 0.2, "sends_per_s": 1e6, "send_burst": 10**6}
    pair = authority.issue("hub")
    hub = HubWithNodes(
        tmp_path / "hub", {"n1": AGENTS}, ca_file=str(authority.ca_file), **quick, **pair
    )
    trust = ssl.create_default_context(cafile=str(authority.ca_file))
    sender = Client(hub.port, token_of("n1"), trust=trust)
    stream = StreamReader(hub.port, token_of("n1"), "agents=beta", trust=trust)
    try:
        stream.of_type("hello")
        stream.wait_for_comment()
        bodies = [f"{number} {LARGE if number % 2 else ''}" for number in range(160)]
        for body in bodies:
            sender.send(body, **{"from": "alpha"}, to="beta")
        assert [stream.of_type("message").data["body"] for _ in bodies] == bodies
        stream.wait_for_comment()
        sender.send("the last", **{"from": "alpha"}, to="beta")
        assert stream.of_type("message").data["body"] == "the last"
        assert hub.process.stop() == 0
        assert [event.type for event in stream.rest()] == ["bye"]
    finally:
        stream.close()
        sender.close()
        hub.process.kill()


def test_the_hub_ends_at_once_though_streams_and_idle_connections_are_open(
    hub: HubWithNodes, node: Node, authority: Authority
) -> None:
    node.start()
    until(lambda: hub.agent("alpha")["status"] == "online", what="alpha is online")
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    idle = http.client.HTTPSConnection("127.0.0.1", hub.port, context=context)
    idle.request("GET", "/livez")
    idle.getresponse().read()
    assert hub.process.stop() == 0
    idle.close()
    assert "Worker graceful timeout" not in hub.process.log.read_text()  # gunicorn alone: 5 s
    hub.start()
    until(lambda: hub.agent("alpha")["status"] == "online", what="alpha is online again")
    errors = [line for line in hub.process.lines() if line.get("level") in {"ERROR", "CRITICAL"}]
    assert errors == []
    assert "Traceback" not in hub.process.log.read_text()


def test_a_certificate_that_ends_soon_is_told_in_every_place(
    hub: HubWithNodes, node: Node, authority: Authority
) -> None:
    node.start()
    until(lambda: hub.agent("alpha")["status"] == "online", what="alpha is online")
    assert "ok   certificate: the hub's ends on" in node.cli("doctor").stdout
    replace_certificate(hub, authority.issue("soon", days=10))
    until(lambda: hub.call("GET", "/api/stats")["alerts"], what="the hub has looked at itself")
    until(lambda: hub.agent("alpha")["status"] == "online", what="alpha is online again")
    done = node.cli("doctor")
    assert done.returncode == 1
    assert re.search(r"FAIL certificate: the hub's ends on \S+, in (9|10) days", done.stdout)
    assert "FAIL hub's reserves: Certificate: until" in done.stdout
    stats = hub.call("GET", "/api/stats")
    (alert,) = stats["alerts"]
    assert (alert["name"], alert["subject"]) == ("AgentBusCertificateExpiring", "hub")
    ((name, expires_at),) = (one.values() for one in stats["reserves"]["certificates"])
    assert name == "hub"
    figures = fetch(hub.url, "/metrics", token=ADMIN_TOKEN, ca_file=hub.ca_file).body.decode()
    (ends,) = re.findall(
        r'^agent_bus_certificate_expires_timestamp_seconds\{certificate="hub"\} (\S+)$',
        figures, re.MULTILINE,
    )  # fmt: skip
    assert float(ends) == datetime.fromisoformat(expires_at).timestamp()


def test_the_session_cookie_is_for_tls_only(hub: HubWithNodes) -> None:
    context = ssl.create_default_context(cafile=hub.ca_file)
    browser = http.client.HTTPSConnection("127.0.0.1", hub.port, context=context)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    browser.request("POST", "/login", f"token={ADMIN_TOKEN}", form)
    cookie = browser.getresponse().getheader("Set-Cookie") or ""
    browser.close()
    assert cookie.startswith("__Host-agent_bus_session")
    assert "; Secure" in cookie


def test_a_large_answer_arrives_whole(hub: HubWithNodes, node: Node) -> None:
    body = "x" * 60_000
    for _ in range(20):
        hub.send("alpha", body)
    page = hub.call("GET", "/api/inbox?agent=alpha&limit=100", token=token_of("n1"))
    assert [len(message["body"]) for message in page["messages"]] == [60_000] * 20


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("other authority", "is not signed by"),
        ("expired", "has expired; run the site playbook"),
        ("other name", "is not for 127.0.0.1; is bus_address right"),
        ("no CA file", "No such file"),
    ],
)
def test_who_is_not_the_hub_gets_nothing(
    tmp_path: Path, hub: HubWithNodes, node: Node, authority: Authority, fault: str, words: str
) -> None:
    if fault == "other authority":
        node.settings["hub_ca_file"] = str(Authority(tmp_path / "other").ca_file)
    elif fault == "no CA file":
        node.settings["hub_ca_file"] = str(tmp_path / "nothing")
    else:
        wrong: dict[str, Any] = {"expired": {"days": -1}, "other name": {"names": ["elsewhere"]}}
        replace_certificate(hub, authority.issue("wrong", **wrong[fault]))
    node.write()
    done = node.cli("agents")
    assert done.returncode in {69, 78}
    assert words in done.stderr
    assert words in node.cli("doctor").stdout + node.cli("doctor").stderr
    node.start()
    lines = until(lambda: [e for e in node.watcher.lines() if words in str(e)], what="a log line")
    assert "DEBUG" not in str(lines)
    assert "Traceback" not in node.watcher.log.read_text()


def replace_certificate(hub: HubWithNodes, settings: dict[str, str]) -> None:
    """Start the hub with another certificate, which the test's readiness check does not trust."""
    hub.process.stop()
    hub.settings.update(settings)
    ca_file, hub.ca_file = hub.ca_file, None
    try:
        hub.launch()
        until(lambda: listens(hub.port), what="the hub listens")
    finally:
        hub.ca_file = ca_file


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=patience()).close()
    except OSError:
        return False
    return True


def test_plain_http_is_told_to_use_tls_and_what_was_sent_is_kept(
    hub: HubWithNodes, node: Node, authority: Authority
) -> None:
    node.settings.update(hub_url=f"http://127.0.0.1:{hub.port}", hub_ca_file=None)
    node.write()
    answer = fetch(f"http://127.0.0.1:{hub.port}", "/readyz")
    assert answer.status == 503
    assert json.loads(answer.body)["code"] == "tls_required"
    assert "Use https://" in node.cli("agents").stderr
    assert "hub_url is from before TLS: run the site playbook" in node.cli("doctor").stdout
    done = node.cli("send", "--as", "beta", "alpha", "kept")
    assert done.returncode == 0
    assert "Kept in the outbox" in done.stdout
    watcher = node.start()
    until(lambda: "Use https://" in watcher.log.read_text(), what="the watcher says why")

    watcher.stop()
    node.settings.update(hub_url=hub.url, hub_ca_file=str(authority.ca_file))
    node.write()
    node.start()
    until(lambda: hub.agent("alpha")["unread"] == 1, what="the kept message has arrived")


def test_tls_to_a_plain_hub_says_so(tmp_path: Path, authority: Authority) -> None:
    plain = HubWithNodes(tmp_path / "plain", {"n1": AGENTS})
    try:
        url = f"https://127.0.0.1:{plain.port}"
        agents = [{"name": name} for name in AGENTS]
        node = Node(tmp_path / "n1", "n1", url, agents, hub_ca_file=str(authority.ca_file))
        done = node.cli("agents")
        assert done.returncode == 69
        assert "it speaks plain HTTP, and the settings say https" in done.stderr
    finally:
        plain.process.kill()


def test_broken_handshakes_disturb_nobody(hub: HubWithNodes, node: Node) -> None:
    silent = socket.create_connection(("127.0.0.1", hub.port))
    for rubbish in (b"", b"\x16", b"\x16\x03\x01\x00\x05abcde", b"\xff" * 100):
        with socket.create_connection(("127.0.0.1", hub.port)) as peer:
            peer.sendall(rubbish)
    assert node.cli("agents").returncode == 0
    silent.close()
    assert "Traceback" not in hub.process.log.read_text()


def test_old_protocols_are_refused(hub: HubWithNodes) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(hub.ca_file)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.deprecated_call():
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.deprecated_call():
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", hub.port)) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_the_admin_tool_trusts_this_hubs_certificate_only(
    hub: HubWithNodes, authority: Authority
) -> None:
    token = hub.folder / "token"
    token.write_text(ADMIN_TOKEN)
    argv = [sys.executable, "-m", "agent_bus", "admin", "--token-file", str(token), "--config"]
    env = {"PYTHONPATH": str(FILES)}

    def admin(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*argv, str(config), *words], capture_output=True, text=True, check=False, env=env
        )

    replace_certificate(hub, authority.issue("own", ["bus.example"]))  # no name of loopback
    done = admin(hub.folder / "hub.json", "roster")
    assert "alpha" in done.stdout, done.stderr
    link = admin(hub.folder / "hub.json", "login-link").stdout
    assert link.startswith("https://")

    other = json.loads((hub.folder / "hub.json").read_text())
    other.update(authority.issue("another", ["bus.example"]))
    (hub.folder / "other.json").write_text(json.dumps(other))
    done = admin(hub.folder / "other.json", "roster")
    assert done.returncode == 69
    assert "does not show a valid certificate out of" in done.stderr


def test_a_key_of_another_certificate_is_refused_at_the_start(
    tmp_path: Path, authority: Authority
) -> None:
    settings = authority.issue("one")
    settings["tls_key_file"] = authority.issue("two")["tls_key_file"]
    config = tmp_path / "hub.json"
    (tmp_path / "tokens").write_text("0" * 64)
    paths = {"database": str(tmp_path / "bus.db"), "admin_tokens_file": str(tmp_path / "tokens")}
    config.write_text(json.dumps({"bind": "127.0.0.1:1", **paths, **settings}))
    argv = [sys.executable, "-m", "agent_bus", "serve", "--config", str(config)]
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(FILES)}
    )
    assert done.returncode == 78
    assert "TLS is not possible with" in done.stderr
