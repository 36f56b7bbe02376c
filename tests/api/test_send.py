"""POST /api/send and what an inbox, an ack and history make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.hub import HubProcess

from tests.support.hub import running
from tests.support.patience import patience, wait_until


def test_a_direct_message_is_accepted_with_seq_and_reachability(hub: HubProcess) -> None:
    sent = hub.client("n1").send("hi", **{"from": "alpha", "to": "gamma"})
    assert [r["agent"] for r in sent["recipients"]] == ["gamma"]
    assert sent["recipients"][0]["reachability"] in {"offline", "deaf"}
    assert sent["thread_id"] == sent["id"]


def test_a_list_and_a_group_are_joined_without_repetition(hub: HubProcess) -> None:
    hub.enrol(groups={"pair": ["beta", "gamma"]})
    sent = hub.client("n1").send(**{"from": "alpha", "to": ["@pair", "gamma", "delta"]})
    assert [r["agent"] for r in sent["recipients"]] == ["beta", "gamma", "delta"]
    hub.enrol()


def test_a_broadcast_reaches_everybody_but_the_sender(hub: HubProcess) -> None:
    sent = hub.client("n1").send(**{"from": "alpha"})
    assert [r["agent"] for r in sent["recipients"]] == ["beta", "delta", "gamma"]


def test_from_may_be_left_out_only_when_the_token_has_one_agent(hub: HubProcess) -> None:
    assert hub.client("n2").send(to="delta")["recipients"][0]["agent"] == "delta"
    refused = hub.client("n1").post("/api/send", {"body": "x", "to": "delta"})
    assert (refused.status, refused.body["code"]) == (400, "sender_ambiguous")
    assert "alpha" in refused.body["detail"]


def test_an_unknown_recipient_refuses_the_whole_send_and_names_the_closest(
    hub: HubProcess,
) -> None:
    client = hub.client("n2")
    head = client.get("/api/stats").body["messages"]["head"]
    refused = client.post("/api/send", {"body": "x", "to": ["delta", "alhpa"]})
    assert (refused.status, refused.body["code"]) == (404, "unknown_agent")
    assert refused.body["closest"] == ["alpha"]
    assert client.get("/api/stats").body["messages"]["head"] == head


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"to": "delta"}, "body"),
        ({"to": "delta", "body": ""}, "body"),
        ({"to": "delta", "body": 7}, "body"),
        ({"to": "Delta!", "body": "x"}, "to"),
        ({"to": [], "body": "x"}, "to"),
        ({"to": "delta", "body": "x", "subject": "two\nlines"}, "subject"),
        ({"to": "delta", "body": "x", "subject": "\u202eevil"}, "subject"),
        ({"to": "delta", "body": "x", "data": [1]}, "data"),
        ({"to": "delta", "body": "x", "priority": "asap"}, "priority"),
        ({"to": "delta", "body": "x", "reply_to": "nonsense"}, "reply_to"),
        ({"to": "delta", "body": "x", "colour": "red"}, "colour"),
        ({"to": "delta", "body": "x", "expires_in_s": 0}, "expires_in_s"),
    ],
)
def test_a_malformed_message_is_a_problem_that_names_the_field(
    hub: HubProcess, body: dict[str, object], field: str
) -> None:
    refused = hub.client("n2").post("/api/send", body)
    assert refused.status == 400
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.body["code"] == "invalid_request"
    assert refused.body["field"].startswith(field)


def test_a_body_that_is_no_json_is_a_problem(hub: HubProcess) -> None:
    refused = hub.client("n2").post("/api/send", b"{")
    assert (refused.status, refused.body["code"]) == (400, "invalid_request")


def test_a_body_over_the_limit_is_413(hub: HubProcess) -> None:
    refused = hub.client("n2").post("/api/send", {"body": "x" * 70_000, "to": "delta"})
    assert (refused.status, refused.body["code"]) == (413, "too_large")


def test_the_same_key_answers_the_first_result_and_another_payload_is_409(hub: HubProcess) -> None:
    client = hub.client("n2")
    first = client.post("/api/send", {"body": "x", "to": "delta"}, Idempotency_Key="k1")
    again = client.post("/api/send", {"to": "delta", "body": "x"}, Idempotency_Key="k1")
    other = client.post("/api/send", {"body": "y", "to": "delta"}, Idempotency_Key="k1")
    assert first.status == again.status == 201
    assert first.body["id"] == again.body["id"]
    assert first.body["recipients"][0]["seq"] == again.body["recipients"][0]["seq"]
    assert (other.status, other.body["code"]) == (409, "idempotency_conflict")


def test_a_reply_stays_in_the_thread_and_only_participants_may_reply(hub: HubProcess) -> None:
    first = hub.client("n2").send("question", to="delta")
    reply = hub.client("n3").send("answer", to="gamma", reply_to=first["id"])
    assert reply["thread_id"] == first["id"]
    fields = {"from": "alpha", "to": "gamma", "body": "x", "reply_to": first["id"]}
    assert hub.client("n1").post("/api/send", fields).body["code"] == "unknown_message"


def test_an_inbox_is_urgent_first_then_oldest_and_counts_fetches(hub: HubProcess) -> None:
    sender = hub.client("n2")
    ids = [
        sender.send("n", to="beta")["id"],
        sender.send("u", to="beta", priority="urgent")["id"],
        sender.send("h", to="beta", priority="high")["id"],
    ]
    reader = hub.client("n1")
    reader.post("/api/ack", {"agent": "beta", "ids": _ids(reader, "beta")[:0] or [ids[0]]})
    ids[0] = sender.send("n2", to="beta")["id"]
    wanted = [ids[1], ids[2], ids[0]]
    seen = [m for m in reader.get("/api/inbox?agent=beta").body["messages"] if m["id"] in ids]
    assert [m["id"] for m in seen] == wanted
    assert [m["fetch_count"] for m in seen] == [0, 0, 0]
    again = reader.get("/api/inbox?agent=beta&peek=1").body["messages"]
    assert {m["fetch_count"] for m in again if m["id"] in ids} == {1}
    assert all(m["fetched_at"] for m in again if m["id"] in ids)


def _ids(client: object, agent: str) -> list[str]:
    found = client.get(f"/api/inbox?agent={agent}&peek=1&limit=500")  # type: ignore[attr-defined]
    return [m["id"] for m in found.body["messages"]]


def test_pages_follow_the_cursor_without_gap_or_repetition(hub: HubProcess) -> None:
    sender, reader = hub.client("n2"), hub.client("n3")
    sent = [sender.send(str(n), to="delta")["id"] for n in range(7)]
    seen: list[str] = []
    path = "/api/inbox?agent=delta&peek=1&limit=3"
    cursor = ""
    while True:
        page = reader.get(path + cursor).body
        seen.extend(m["id"] for m in page["messages"])
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert [i for i in seen if i in sent] == sent
    assert len(seen) == len(set(seen))
    assert reader.get("/api/inbox?cursor=rubbish").body["code"] == "invalid_cursor"


def test_ack_is_idempotent_and_says_what_it_did(hub: HubProcess) -> None:
    sent = hub.client("n2").send(to="delta")["id"]
    reader = hub.client("n3")
    unknown = "0" * 26
    first = reader.post("/api/ack", {"agent": "delta", "ids": [sent, unknown]}).body
    again = reader.post("/api/ack", {"agent": "delta", "ids": [sent]}).body
    assert first == {"acked": [sent], "already_acked": [], "unknown": [unknown]}
    assert again == {"acked": [], "already_acked": [sent], "unknown": []}


def test_up_to_acks_only_what_was_shown(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        sender, reader = hub.client("n2"), hub.client("n3")
        first = sender.send("1", to="delta")["id"]
        second = sender.send("2", to="delta")["id"]
        reader.get("/api/inbox?limit=1")
        acked = reader.post("/api/ack", {"up_to": second}).body
        assert acked["acked"] == [first]
        assert [m["id"] for m in reader.get("/api/inbox").body["messages"]] == [second]


def test_a_long_poll_answers_as_soon_as_a_message_is_there(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool:
            poll = pool.submit(hub.client("n3").get, "/api/inbox?wait_s=15")
            sent = hub.client("n2").send(to="delta")["id"]
            assert [m["id"] for m in poll.result(patience()).body["messages"]] == [sent]


def test_an_expired_message_is_no_longer_shown(tmp_path: Path) -> None:
    with running(tmp_path, sweep_interval_s=3600) as hub:
        hub.client("n2").send(to="delta", expires_in_s=1)
        reader = hub.client("n3")
        assert len(reader.get("/api/inbox?peek=1").body["messages"]) == 1
        wait_until(lambda: reader.get("/api/inbox?peek=1").body["unread"] == 0)
        assert reader.get("/api/inbox?peek=1&unread=0").body["messages"] == []


def test_a_sender_over_its_rate_is_told_when_to_come_back(tmp_path: Path) -> None:
    with running(tmp_path, sends_per_s=0.5, send_burst=2) as hub:
        client = hub.client("n2")
        first = client.post("/api/send", {"body": "1", "to": "delta"}, Idempotency_Key="a")
        client.send("2", to="delta")
        refused = client.post("/api/send", {"body": "3", "to": "delta"})
        assert (refused.status, refused.body["code"]) == (429, "rate_limited")
        assert int(refused.headers["retry-after"]) >= 1
        replay = client.post("/api/send", {"body": "1", "to": "delta"}, Idempotency_Key="a")
        assert replay.body["id"] == first.body["id"]


def test_a_thread_that_only_goes_back_and_forth_is_stopped_until_the_operator_speaks(
    tmp_path: Path,
) -> None:
    with running(tmp_path, hop_limit=3) as hub:
        gamma, delta = hub.client("n2"), hub.client("n3")
        last = gamma.send(to="delta")["id"]
        for turn in range(3):
            peer, to = ((delta, "gamma"), (gamma, "delta"))[turn % 2]
            last = peer.send(to=to, reply_to=last)["id"]
        body = {"body": "x", "to": "delta", "reply_to": last}
        refused = gamma.post("/api/send", body)
        assert (refused.status, refused.body["code"]) == (429, "thread_budget_exhausted")
        operator = hub.client(None).send(to="gamma", reply_to=last)["id"]
        assert gamma.post("/api/send", {**body, "reply_to": operator}).status == 201


def test_the_paths_of_the_first_bus_answer_too(hub: HubProcess) -> None:
    client = hub.client("n2")
    assert client.post("/send", {"from": "gamma", "to": "delta", "body": "x"}).status == 201
    for path in ("/inbox?agent=gamma", "/history?agent=gamma", "/agents", "/stats"):
        assert client.get(path).status == 200, path
    assert client.post("/ack", {"agent": "gamma", "ids": ["0" * 26]}).status == 200


def test_history_has_both_directions_by_seq_and_pages(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        gamma, delta = hub.client("n2"), hub.client("n3")
        ids = [
            (gamma if n % 2 else delta).send(str(n), to="delta" if n % 2 else "gamma")["id"]
            for n in range(6)
        ]
        gamma.send("aside", to="alpha")
        newest = gamma.get("/api/history?with=delta").body["messages"]
        assert [m["id"] for m in newest] == ids[::-1]
        first = gamma.get("/api/history?with=delta&order=asc&limit=4").body
        rest = gamma.get(
            f"/api/history?with=delta&order=asc&limit=4&cursor={first['next_cursor']}"
        ).body
        assert [m["id"] for m in first["messages"] + rest["messages"]] == ids
        assert len(gamma.get("/api/history").body["messages"]) == 7
        assert len(delta.get("/api/history").body["messages"]) == 6
        assert len(hub.client(None).get("/api/history").body["messages"]) == 7
