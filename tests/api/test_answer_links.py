"""Links that answer a question without a sign-in, by HTTP alone."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from agent_bus.bus.guards.questions import LINK_DAYS
from tests.support.hub import HubProcess, digest, running
from tests.support.patience import patience

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "a-secret-of-256-bits"


class Page:
    """A browser without a cookie: raw answers."""

    def __init__(self, hub: HubProcess) -> None:
        self._port = hub.port

    def ask(
        self, method: str, path: str, fields: dict[str, str] | None = None, **headers: str
    ) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=patience())
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, path, urlencode(fields or {}), named)
        answer = connection.getresponse()
        text = answer.read().decode()
        found = {name.lower(): value for name, value in answer.getheaders()}
        connection.close()
        return answer.status, found, text


def asked(hub: HubProcess, body: str = "Deploy now?", **more: Any) -> str:
    """A question of alpha to the operator, with a link of SECRET and its id."""
    data = {"question": {"choices": ["yes", "no"]}}
    fields = {"from": "alpha", "to": "operator", "data": data, **more}
    question: str = hub.client("n1").send(body, **fields)["id"]
    return question


def link(hub: HubProcess, question: str, *, secret: str, days: float = LINK_DAYS) -> str:
    """A link as the hub makes it for a notification; channels are not a part of these tests."""
    import sqlite3

    with sqlite3.connect(hub.folder / "bus.db", timeout=patience()) as file:
        file.execute(
            "INSERT INTO question_link SELECT ?, pk, asked_at + ?, asked_at"
            " FROM question WHERE id = ?",
            (digest(secret), int(days * 86_400_000), question),
        )
    file.close()
    return f"/answer/{secret}"


@pytest.fixture(scope="module", autouse=True)
def on_sqlite(hub: HubProcess) -> None:
    if hub.store != "sqlite":
        pytest.skip("links are put into SQLite's file")


def state(hub: HubProcess, question: str) -> Any:
    return hub.client(None).get(f"/api/messages/{question}").body["question"]


def test_get_shows_and_changes_nothing_and_post_answers(hub: HubProcess) -> None:
    page, question = Page(hub), asked(hub, "<b>Deploy</b> now?", subject="Release 7")
    path = link(hub, question, secret=SECRET)
    for method in ("GET", "HEAD", "GET"):
        status, headers, text = page.ask(method, path)
        assert status == 200
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-robots-tag"] == "noindex, nofollow"
        assert "default-src 'none'" in headers["content-security-policy"]
    assert "&lt;b&gt;Deploy&lt;/b&gt; now?" in text
    assert 'value="yes"' in text
    assert "http" not in text.replace("http-equiv", "")
    assert state(hub, question)["state"] == "open"
    status, headers, _ = page.ask("POST", path, {"choice": "yes"})
    assert (status, headers["location"]) == (303, path)
    assert state(hub, question)["choice"] == "yes"
    status, _, text = page.ask("GET", path)
    assert status == 200
    assert "<b>operator</b> answered <b>yes</b>" in text
    assert "<button" not in text
    inbox = hub.client("n1").get(f"/api/inbox?agent=alpha&thread={question}").body["messages"]
    assert [m["from_agent"] for m in inbox] == ["operator"]


def test_a_link_is_used_up_with_its_answer(hub: HubProcess) -> None:
    page, question = Page(hub), asked(hub)
    path = link(hub, question, secret="used")
    page.ask("POST", path, {"choice": "no"})
    status, _, text = page.ask("POST", path, {"choice": "yes"})
    assert status == 409
    assert "operator answered &#39;no&#39; at" in text
    assert state(hub, question)["choice"] == "no"


def test_a_choice_that_is_none_is_refused_in_words(hub: HubProcess) -> None:
    path = link(hub, asked(hub), secret="none")
    status, _, text = Page(hub).ask("POST", path, {"choice": "maybe"})
    assert status == 422
    assert "none of the choices: yes, no" in text


def test_a_link_that_has_ended_says_where_to_answer(hub: HubProcess) -> None:
    question = asked(hub)
    path = link(hub, question, secret="old", days=-1)
    for status, _, text in (
        Page(hub).ask("GET", path),
        Page(hub).ask("POST", path, {"choice": "yes"}),
    ):
        assert status == 410
        assert "This link has ended" in text
        assert f"/messages/{question}" in text
    assert state(hub, question)["state"] == "open"


def test_another_site_cannot_use_a_link(hub: HubProcess) -> None:
    question = asked(hub)
    path = link(hub, question, secret="elsewhere")
    status, _, _ = Page(hub).ask("POST", path, {"choice": "yes"}, Sec_Fetch_Site="cross-site")
    assert status == 403
    assert state(hub, question)["state"] == "open"


def test_an_answer_by_link_is_in_the_audit(hub: HubProcess) -> None:
    question = asked(hub)
    Page(hub).ask("POST", link(hub, question, secret="audited"), {"choice": "yes"})
    kept = hub.rows("SELECT way, detail FROM audit WHERE action = 'answer'")
    assert ("link", {"id": question, "choice": "yes"}) in [(w, json.loads(d)) for w, d in kept]


def test_guessed_links_are_throttled_and_true_ones_are_not(tmp_path: Path) -> None:
    with running(tmp_path, auth_failures_per_min=3) as hub:
        page = Page(hub)
        path = link(hub, asked(hub), secret="true")
        found = [page.ask("GET", f"/answer/guess-{n}") for n in range(4)]
        assert [status for status, _, _ in found] == [404, 404, 404, 429]
        assert "leads to no question" in found[0][2]
        assert "Too many links" in found[3][2]
        assert page.ask("GET", path)[0] == 200
        metrics = hub.client(None).get("/api/stats").status
        assert metrics == 200
