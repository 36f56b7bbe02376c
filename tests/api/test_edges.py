"""Numbers, names and moments at the edge: answered in words, never by a defect."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.hub import FLEET, HubProcess, running
from tests.support.patience import patience

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def quiet(hub: HubProcess) -> Iterator[HubProcess]:
    """The module's hub; whatever a test does, the log holds no stack afterwards."""
    yield hub
    assert "Traceback" not in hub.log()


@pytest.mark.parametrize(
    "number", [b"1e400", b"-1e400", b"NaN", b"Infinity", b"1e300", b"-1", b"9" * 5000]
)
def test_a_report_of_an_impossible_age_is_refused(quiet: HubProcess, number: bytes) -> None:
    start = b'{"reports":[{"agent":"delta","event":"received","up_to_seq":1,'
    for name in (b"age_ms", b"duration_ms"):
        body = start + b'"' + name + b'":' + number + b"}]}"
        assert quiet.client("n3").call("POST", "/api/wakes", body).status == 400


@pytest.mark.parametrize("number", [b"NaN", b"-Infinity", b"1e400", b"9" * 5000])
def test_data_holds_only_what_json_can_carry(quiet: HubProcess, number: bytes) -> None:
    body = b'{"to":"delta","body":"x","data":{"deep":[{"n":' + number + b"}]}}"
    assert quiet.client("n2").call("POST", "/api/send", body).status == 400


@pytest.mark.parametrize(
    "text", [rb"\ud800", rb"\udc00", rb"\ud800\ud800", b"\xff", b"\xed\xa0\x80"]
)
def test_half_a_surrogate_is_no_text(quiet: HubProcess, text: bytes) -> None:
    for start in (b'{"to":"delta","body":"', b'{"to":"delta","body":"x","data":{"k":"'):
        end = b'"}' if start.endswith(b'body":"') else b'"}}'
        assert quiet.client("n2").call("POST", "/api/send", start + text + end).status == 400


def test_the_character_nul_is_refused_by_its_name(quiet: HubProcess) -> None:
    for fields in (
        {"body": "a\0b"},
        {"body": "x", "subject": "a\0b"},
        {"body": "x", "data": {"deep": [{"k": "a\0b"}]}},
        {"body": "x", "data": {"\0": 1}},
    ):
        refused = quiet.client("n2").post("/api/send", {"to": "delta", **fields})
        assert refused.status == 400
        assert "U+0000" in refused.body["detail"]
    written_out = {"k": "a\\u0000b", "l": "\\\\"}
    sent = quiet.client("n2").send("x", to="delta", data=written_out)
    assert quiet.client("n3").get(f"/api/messages/{sent['id']}").body["data"] == written_out


def test_a_deep_tree_is_refused_and_a_large_integer_is_kept(quiet: HubProcess) -> None:
    deep = b'{"to":"delta","body":"x","data":' + b'{"a":' * 5000 + b"1" + b"}" * 5001
    assert quiet.client("n2").call("POST", "/api/send", deep).status == 400
    large = 10**4000
    sent = quiet.client("n2").send("x", to="delta", data={"n": large})
    found = quiet.client("n3").get(f"/api/messages/{sent['id']}").body
    assert found["data"] == {"n": large}


@pytest.mark.parametrize(
    "path",
    [
        "/api/inbox?wait_s=nan", "/api/inbox?wait_s=inf", "/api/inbox?limit=0",
        "/api/inbox?agent=delta&agent=delta", "/api/inbox?cursor=%00", "/api/inbox?thread=%ff",
        "/api/inbox?cursor=" + "W" * 400, "/api/history?since=1e30", "/api/history?since=nan",
        "/api/history?with=%00", "/api/stream?agents=", "/api/stream?receipts=2",
    ],
)  # fmt: skip
def test_a_parameter_that_means_nothing_is_refused(quiet: HubProcess, path: str) -> None:
    assert quiet.client("n3").get(path).status in {400, 404}


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE"])
def test_other_methods_change_nothing(quiet: HubProcess, method: str) -> None:
    sent = quiet.client("n2").send("x", to="delta")
    for path in ("/api/stream?role=watcher", "/api/inbox", "/api/send", "/inbox"):
        assert quiet.client("n3").call(method, path).status == 405
    nodes = {n["node"]: n for n in quiet.client("n3").get("/api/agents").body["nodes"]}
    assert nodes["n3"]["connected"] is False
    hops = quiet.client("n3").get(f"/api/messages/{sent['id']}").body["deliveries"][0]
    assert hops["fetch_count"] == 0


def test_a_key_keeps_its_answer_when_the_roster_has_changed(tmp_path: Path) -> None:
    """An outbox sends again after a lost answer; meanwhile the recipient retired."""
    with running(tmp_path) as hub:
        client = hub.client("n2")
        body = {"to": "delta", "body": "x"}
        first = client.post("/api/send", body, Idempotency_Key="k")
        assert hub.enrol({**FLEET, "n3": ()}).body["retired"] == ["delta"]
        again = client.post("/api/send", body, Idempotency_Key="k")
        assert (again.status, again.body["id"]) == (201, first.body["id"])
        other = client.post("/api/send", {**body, "body": "y"}, Idempotency_Key="k")
        assert other.body["code"] == "idempotency_conflict"
        refused = client.post("/api/send", body, Idempotency_Key="l")
        assert refused.body["code"] == "agent_retired"


def test_a_long_poll_answers_when_the_hub_ends(tmp_path: Path) -> None:
    import http.client

    with running(tmp_path) as hub:
        poll = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=patience())
        headers = {"Authorization": "Bearer token-n3"}
        poll.request("GET", "/api/inbox?wait_s=60", headers=headers)
        assert hub.client("n1").get("/livez").status == 200  # served in order: the poll waits
        hub.hang_up()
        assert hub.stop() == 0
        answer = poll.getresponse()
        assert (answer.status, json.loads(answer.read())["messages"]) == (200, [])
        poll.close()
