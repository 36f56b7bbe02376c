"""What the admin token does through the API stands in the audit; what nodes do does not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agent_bus.api import openapi
from tests.api.test_storms import LIMITS, ping_pong
from tests.support.hub import FLEET, HubProcess, digest, roster, running
from tests.support.receiver import configured, receiving
from tests.support.services import channels_file, ntfy

if TYPE_CHECKING:
    from pathlib import Path

ACTIONS = {route.action.name for route in openapi.table() if route.action is not None}


def entries(hub: HubProcess) -> list[dict[str, Any]]:
    """The audit of a hub, oldest first; stops it."""
    hub.hang_up()
    hub.stop()
    names = ("address", "way", "action", "agent", "detail", "outcome")
    rows = hub.rows(f"SELECT {', '.join(names)} FROM audit ORDER BY pk")
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return [{**entry, "detail": json.loads(entry["detail"])} for entry in found]


def told(hub: HubProcess) -> list[tuple[str, str | None, str]]:
    found = entries(hub)
    assert {entry["address"] for entry in found} <= {"127.0.0.1"}
    assert {entry["way"] for entry in found} <= {"api"}
    return [(entry["action"], entry["agent"], entry["outcome"]) for entry in found]


def test_everything_the_admin_token_does_is_written_down(tmp_path: Path) -> None:
    with (
        receiving() as receiver,
        ntfy() as phone,
        running(
            tmp_path,
            webhooks_file=configured(tmp_path, receiver),
            channels_file=channels_file(tmp_path, {"name": "phone", "url": phone.url}),
            **LIMITS,
        ) as hub,
    ):
        admin = hub.client(None)
        ping_pong(hub)
        stream = hub.stream("n3", "role=watcher")
        stream.of_type("hello")
        sent = admin.send("a secret of the operator", to="delta", subject="Hello", data={"k": 1})
        answer = hub.client("n3").send("and back", to="operator")
        admin.post("/api/ack", {"agent": "operator", "ids": [answer["id"]]})
        admin.call("POST", "/api/agents/delta/wake")
        admin.post("/api/agents/delta/mute", {"for_s": 60})
        admin.post("/api/pauses", {"who": "all", "note": "new model"})
        admin.post("/api/pauses/end", {"who": "all"})
        admin.call("POST", "/api/admin/archive")
        backup = admin.call("POST", "/api/admin/backup").body
        link = admin.call("POST", "/api/admin/login-link").body
        admin.post("/api/probes", {"agents": ["gamma"]})
        for action in ("retry", "test"):
            assert admin.call("POST", f"/api/webhooks/ops/{action}").status == 200
        assert admin.call("POST", "/api/channels/phone/test").status == 200
        assert (
            admin.post("/api/storms/release", {"what": "alpha,beta"}).body["key"] == "alpha,beta"
        )
        assert hub.enrol({**FLEET, "n2": ("gamma", "newcomer")}).status == 200
        # by the paths of the first bus, and refused ones
        assert admin.post("/send", {"to": "nobody", "body": "x"}).status == 404
        assert admin.call("POST", "/api/agents/alpha/wake").status == 409
        found = entries(hub)[1:]  # the first one is the roster that `running` put
    by_action = {entry["action"]: entry for entry in found if entry["outcome"] == "done"}
    assert set(by_action) == ACTIONS
    assert by_action["send"]["detail"] == {"to": "delta", "subject": "Hello", "id": sent["id"]}
    assert by_action["ack"]["agent"] == "operator"
    assert by_action["wake"]["agent"] == by_action["mute"]["agent"] == "delta"
    assert by_action["mute"]["detail"] == {"for_s": 60}
    assert by_action["pause"]["detail"] == {"who": "all", "note": "new model"}
    assert by_action["resume"]["detail"] == {"who": "all"}
    assert by_action["release"]["detail"] == {"what": "alpha,beta", "key": "alpha,beta"}
    assert by_action["backup"]["detail"] == {"path": backup["path"]}
    assert by_action["probe"]["detail"] == {"agents": ["gamma"]}
    assert by_action["roster"]["detail"] == {"registered": ["newcomer"]}
    assert [(e["action"], e["agent"], e["outcome"]) for e in found if e["outcome"] != "done"] == [
        ("send", None, "unknown_agent"),
        ("wake", "alpha", "no_watcher"),
    ]
    secrets = ("secret of the operator", link["path"].partition("=")[2], digest("token-n2"))
    assert not [secret for secret in (*secrets, "geheim") if secret in json.dumps(found)]


def test_what_nodes_do_and_what_changes_nothing_is_left_out(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        sent = hub.client("n2").send(to="delta")
        hub.client("n3").post("/api/ack", {"ids": [sent["id"]]})
        assert hub.client("n3").call("POST", "/api/admin/backup").status == 403
        assert hub.enrol(FLEET).body["changed"] is False  # as each rollout does
        put = hub.client(None).call(
            "PUT", "/api/agents?dry_run=1", roster({"n1": ("alpha",)}, force=True)
        )
        assert put.body["changed"] is True
        hub.client(None).get("/api/agents")
        assert told(hub) == [("roster", None, "done")]


def test_a_roster_that_is_refused_and_one_that_retires_are_told(tmp_path: Path) -> None:
    fleet: dict[str, tuple[str, ...]] = {f"n{number}": (f"a{number}",) for number in range(30)}
    with running(tmp_path) as hub:
        assert hub.enrol(fleet, force=True).status == 200
        assert hub.enrol({"n1": ("a1",)}).status == 409
        assert hub.enrol({"n1": ("a1",)}, force=True).status == 200
        found = entries(hub)[1:]
    assert [entry["outcome"] for entry in found] == ["done", "roster_shrinks", "done"]
    registered = found[0]["detail"]["registered"]
    assert (len(registered), registered[-1]) == (21, "and 10 more")
    assert found[2]["detail"]["retired"][-1] == "and 9 more"


def test_other_rules_of_the_operator_are_told_by_the_name_of_their_set(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        assert hub.enrol(rights=[{"from": ["alpha"], "to": []}]).status == 200
        assert entries(hub)[-1]["detail"] == {"policies_changed": ["rights"]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"agent": 7}',
        b'{"for_s": "long"}',
        pytest.param(b"[" * 60_000, id="too deep"),
    ],
)
def test_a_request_that_makes_no_sense_is_no_action(tmp_path: Path, body: bytes) -> None:
    with running(tmp_path) as hub:
        refused = hub.client(None).call("POST", "/api/agents/delta/mute", body)
        assert (refused.status, refused.body["code"]) == (400, "invalid_request")
        assert told(hub) == [("roster", None, "done")]
