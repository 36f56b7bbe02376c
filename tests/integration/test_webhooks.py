"""Webhooks out of a real hub into a real receiver, which verifies with the official library."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.test_metrics import scrape
from tests.support import postgres
from tests.support.certificates import Authority
from tests.support.hub import ADMIN, REPOSITORY, HubProcess, running
from tests.support.hubs import hubs_on
from tests.support.patience import patience, wait_until
from tests.support.ports import free_port
from tests.support.receiver import OTHER_SECRET, SECRET, Receiver, configured, receiving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def test_a_message_comes_signed_with_a_stable_id(tmp_path: Path, receiver: Receiver) -> None:
    with running(tmp_path, webhooks_file=configured(tmp_path, receiver)) as hub:
        sent = hub.client().send("hello", to="gamma", **{"from": "alpha"}, subject="news")
        (got,) = receiver.wait_for(1)
        assert got.id == f"ops_message_{sent['id']}_gamma"
        assert got.content["type"] == "message.stored"
        assert got.content["timestamp"] == sent["created_at"]
        assert got.content["data"] == {
            "id": sent["id"],
            "thread_id": sent["thread_id"],
            "from_agent": "alpha",
            "to_agent": "gamma",
            "priority": "normal",
            "reply_to": None,
            "created_at": sent["created_at"],
            "subject": "news",
            "body": "hello",
            "data": None,
        }
        assert not receiver.faults
        page = (REPOSITORY / "docs/reference/metrics.md").read_text()
        text = scrape(hub)[1]
        exported, documented = (
            set(re.findall(pattern, told, re.MULTILINE))
            for pattern, told in (
                (r"^# TYPE (agent_bus_webhook_\w+)", text),
                (r"^\| `(agent_bus_webhook_\w+)", page),
            )
        )
        assert exported == documented


def test_what_is_read_and_what_is_overdue_is_told(tmp_path: Path, receiver: Receiver) -> None:
    chosen = {"events": ["read", "overdue"], "fleet": False, "agents": ["gamma"], "body": False}
    with running(tmp_path, webhooks_file=configured(tmp_path, receiver, **chosen)) as hub:
        for text in ("first", "second"):
            sent = hub.client().send(text, to=["gamma", "delta"], **{"from": "alpha"})
        (seq,) = [one["seq"] for one in sent["recipients"] if one["agent"] == "gamma"]
        report = {"agent": "gamma", "event": "overdue", "up_to_seq": seq}
        assert hub.client("n2").post("/api/wakes", {"reports": [report]}).status == 204
        receiver.wait_for(2)
        for node, agent in (("n2", "gamma"), ("n3", "delta")):
            acked = hub.client(node).post("/api/ack", {"agent": agent, "ids": [sent["id"]]})
            assert acked.status == 200
        got = receiver.wait_for(3)
    assert sorted(one.content["type"] for one in got) == ["message.overdue"] * 2 + ["message.read"]
    assert {one.content["data"]["to_agent"] for one in got} == {"gamma"}
    assert all("body" not in one.content["data"] for one in got)
    assert not receiver.faults


def test_a_receiver_that_was_down_slow_or_broken_gets_all(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers = [500, 503]
    receiver.rest = b"x" * 100_000  # what it says is not read to the end
    with running(tmp_path, webhooks_file=configured(tmp_path, receiver)) as hub:
        hub.client().send("one", to="gamma", **{"from": "alpha"})
        wait_until(lambda: len(receiver.got) == 1, "the first attempt")
        state = failing(hub)
        assert state["last_error"] == "500 Internal Server Error"
        assert (state["pending"], state["failures"]) == (1, 1)
        hub.client(None).post("/api/webhooks/ops/retry", None)
        wait_until(lambda: len(receiver.got) == 2, "the second attempt")
        for text in ("two", "three"):
            hub.client().send(text, to="gamma", **{"from": "alpha"})
        hub.client(None).post("/api/webhooks/ops/retry", None)
        receiver.wait_for(3)
        assert set(receiver.bodies) == {"one", "two", "three"}
        wait_until(lambda: states(hub)[0]["pending"] == 0, "nothing waits")
        assert (states(hub)[0]["delivered"], states(hub)[0]["failures"]) == (3, 0)


def test_nothing_is_lost_when_the_hub_is_killed_before_the_delivery(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.hangs = threading.Event()
    with running(tmp_path, webhooks_file=configured(tmp_path, receiver)) as hub:
        sent = [hub.client().send(str(n), to="gamma", **{"from": "alpha"}) for n in range(20)]
        hub.kill()
        receiver.hangs.set()
        hub.start()
        got = receiver.wait_for(20)
        wait_until(lambda: states(hub)[0]["pending"] == 0, "nothing waits")
    assert {one.id for one in got} == {f"ops_message_{one['id']}_gamma" for one in sent}
    assert set(receiver.bodies) == {str(n) for n in range(20)}


def test_a_redirect_is_not_followed(tmp_path: Path, receiver: Receiver) -> None:
    with receiving() as elsewhere:
        receiver.status, receiver.headers = 301, {"Location": elsewhere.url()}
        with running(tmp_path, webhooks_file=configured(tmp_path, receiver)) as hub:
            hub.client().send("one", to="gamma", **{"from": "alpha"})
            state = failing(hub)
        assert "redirects are not followed" in state["last_error"]
        assert not elsewhere.got


def test_a_receiver_that_is_gone_is_left_alone_until_a_retry(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.status = 410
    with running(tmp_path, webhooks_file=configured(tmp_path, receiver)) as hub:
        hub.client().send("one", to="gamma", **{"from": "alpha"})
        wait_until(lambda: states(hub)[0]["disabled_at"], "it is disabled")
        receiver.status = 204
        hub.client().send("two", to="gamma", **{"from": "alpha"})
        assert hub.client(None).post("/api/webhooks/ops/test", None).body["ok"]
        assert [one.content["type"] for one in receiver.taken] == ["webhook.test"]
        hub.client(None).post("/api/webhooks/ops/retry", None)
        receiver.wait_for(3)
    assert sorted(receiver.bodies[1:]) == ["one", "two"]


def test_a_private_address_is_not_asked_unless_the_inventory_says_so(
    tmp_path: Path, receiver: Receiver
) -> None:
    file = configured(tmp_path, receiver, allow_private=False)
    with running(tmp_path, webhooks_file=file) as hub:
        tested = hub.client(None).post("/api/webhooks/ops/test", None).body
        assert (tested["ok"], receiver.got) == (False, [])
        assert tested["error"].startswith("127.0.0.1 has no public address")


def test_no_proxy_of_the_environment_is_asked(tmp_path: Path, receiver: Receiver) -> None:
    with receiving() as proxy:
        names = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY")
        environ = dict.fromkeys(names, f"http://127.0.0.1:{proxy.port}")
        file = configured(tmp_path, receiver)
        with running(tmp_path, environ, webhooks_file=file) as hub:
            assert hub.client(None).post("/api/webhooks/ops/test", None).body["ok"]
        assert len(receiver.taken) == 1
        assert not proxy.got


def test_both_secrets_of_a_rotation_sign(tmp_path: Path, receiver: Receiver) -> None:
    file = configured(tmp_path, receiver, secrets=[OTHER_SECRET, SECRET])
    with running(tmp_path, webhooks_file=file) as hub:
        assert states(hub)[0]["secrets"] == 2
        for secret in (SECRET, OTHER_SECRET):
            receiver.secret = secret
            assert hub.client(None).post("/api/webhooks/ops/test", None).body["ok"]
        assert SECRET not in hub.log() + str(states(hub))


def test_a_certificate_is_verified(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    files = authority.issue("receiver")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["tls_certificate_file"], files["tls_key_file"])
    with receiving(context=context) as receiver:
        url = {"url": receiver.url("https"), "allow_http": False}
        for ca_file, is_ok in ((None, False), (str(authority.ca_file), True)):
            folder = tmp_path / str(is_ok)
            folder.mkdir()
            file = configured(folder, receiver, ca_file=ca_file, **url)
            with running(folder, webhooks_file=file) as hub:
                tested = hub.client(None).post("/api/webhooks/ops/test", None).body
                assert tested["ok"] is is_ok, tested
                assert is_ok or "certificate is not trusted" in tested["error"]


def test_what_is_not_the_operators_to_ask_is_refused(tmp_path: Path, receiver: Receiver) -> None:
    with running(tmp_path, webhooks_file=configured(tmp_path, receiver)) as hub:
        assert hub.client().get("/api/webhooks").status == 403
        unknown = hub.client(None).post("/api/webhooks/opps/test", None)
        assert (unknown.status, unknown.body["code"]) == (404, "unknown_webhook")
        assert "There are: ops" in unknown.body["detail"]


def test_a_receiver_that_hangs_holds_up_nothing_else(tmp_path: Path, receiver: Receiver) -> None:
    receiver.hangs = threading.Event()
    with receiving() as other:
        file = configured(tmp_path, receiver)
        document = json.loads(Path(file).read_text())
        document["webhooks"].append(
            {**document["webhooks"][0], "name": "other", "url": other.url()}
        )
        Path(file).write_text(json.dumps(document))
        Path(document["secrets_file"]).write_text(json.dumps({"ops": [SECRET], "other": [SECRET]}))
        with running(tmp_path, webhooks_file=file) as hub:
            for number in range(30):
                hub.client().send(str(number), to="gamma", **{"from": "alpha"})
            other.wait_for(30)
            assert not receiver.taken
            receiver.hangs.set()
            receiver.wait_for(30)


@pytest.mark.parametrize("takes_over", [False, True])
def test_of_two_hubs_one_delivers_and_the_other_takes_over(
    tmp_path: Path, receiver: Receiver, *, takes_over: bool
) -> None:
    file = configured(tmp_path, receiver, events=["message", "read"])
    urls = [postgres.database(tmp_path)] * 2
    with hubs_on(urls, tmp_path, webhooks_file=file) as hubs:
        ids = []
        for number in range(20):
            hub = hubs[number % 2]
            ids.append(hub.client().send(str(number), to="gamma", **{"from": "alpha"})["id"])
        if takes_over:
            hubs[0].kill()
        hubs[1].client("n2").post("/api/ack", {"agent": "gamma", "ids": ids})
        receiver.wait_for(40)
        wait_until(lambda: states(hubs[1])[0]["pending"] == 0, "nothing waits")
    wanted = {f"ops_{kind}_{one}_gamma" for kind in ("message", "read") for one in ids}
    times = receiver.times()
    assert set(times) == wanted
    if not takes_over:
        assert set(times.values()) == {1}


def states(hub: HubProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = hub.client(None).get("/api/webhooks").body["webhooks"]
    return found


def failing(hub: HubProcess) -> dict[str, Any]:
    """How the only webhook is, once an attempt has failed."""
    return wait_until(
        lambda: next((one for one in states(hub) if one["failures"]), {}), "the failure is kept"
    )


PAGE = REPOSITORY / "docs" / "how-to" / "webhooks.md"


@pytest.mark.parametrize(("language", "port"), [("python", 8099), ("javascript", 8098)])
def test_the_receivers_of_the_page_take_what_comes_and_refuse_what_is_not_signed(
    tmp_path: Path, language: str, port: int
) -> None:
    program = {"python": sys.executable, "javascript": shutil.which("node")}[language]
    assert program, "Node is missing: `make integration` installs it"
    (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    own = free_port()
    file = tmp_path / ("receiver.py" if language == "python" else "receiver.mjs")
    file.write_text(code.replace(str(port), str(own)))
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(
            [program, str(file)],
            env={**os.environ, "WEBHOOK_SECRET": SECRET},
            stdout=said,
            stderr=subprocess.DEVNULL,
        )
    try:
        wait_until(lambda: listens(own), "the receiver listens")
        webhooks = configured(tmp_path, Receiver(port=own))
        with running(tmp_path, webhooks_file=webhooks) as hub:
            sent = hub.client().send("hello", to="gamma", **{"from": "alpha"})
            wait_until(lambda: states(hub)[0]["delivered"] == 1, "it is delivered")
            assert hub.client(None).post("/api/webhooks/ops/test", None).body["ok"]
        assert sent["id"] in (tmp_path / "said").read_text()
        connection = http.client.HTTPConnection("127.0.0.1", own, timeout=patience())
        with contextlib.closing(connection):
            headers = {"webhook-id": "x", "webhook-timestamp": str(int(time.time()))}
            connection.request("POST", "/", b"{}", {**headers, "webhook-signature": "v1,AAAA"})
            assert connection.getresponse().status == 401
    finally:
        process.kill()
        process.wait(patience())


def listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), patience()).close()
        return True
    return False


def test_the_operators_tool_lists_tests_and_retries(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = [500]
    with running(tmp_path, webhooks_file=configured(tmp_path, receiver)) as hub:
        hub.client().send("one", to="gamma", **{"from": "alpha"})
        failing(hub)
        listed = admin(hub, "webhooks")
        assert "500 Internal Server Error" in listed.stdout
        assert admin(hub, "webhooks", "test", "ops").returncode == 0
        assert admin(hub, "webhooks", "retry", "ops").returncode == 0
        receiver.wait_for(2)
        assert set(receiver.bodies) == {None, "one"}  # in whichever order
        receiver.status = 500
        tested = admin(hub, "webhooks", "test", "ops")
        assert (tested.returncode, "500 Internal" in tested.stdout) == (1, True)
        assert admin(hub, "webhooks", "test").returncode == 2
        assert "There are: ops" in admin(hub, "webhooks", "test", "opps").stderr
        assert admin(hub, "check-config").returncode == 0
        file = Path(hub.settings["webhooks_file"])
        file.write_text(file.read_text().replace('"fleet"', '"fleets"'))
        assert "webhook ops.fleets" in admin(hub, "check-config").stderr


def admin(hub: HubProcess, *words: str) -> subprocess.CompletedProcess[str]:
    token = hub.folder / "admin.token"
    token.write_text(ADMIN)
    files = ["--config", str(hub.folder / "hub.json"), "--token-file", str(token)]
    return subprocess.run(
        [sys.executable, "-m", "agent_bus", "admin", *files, *words],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "files")},
        capture_output=True,
        text=True,
        check=False,
    )
