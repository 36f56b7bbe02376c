"""A question on the page and behind its link, in a real browser."""

from __future__ import annotations

import hashlib
import sqlite3
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

from tests.browser.conftest import SHOTS, Watchers, profile
from tests.browser.test_looks import violations
from tests.support.patience import patience

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHOICES = {"question": {"choices": ["yes", "no", "<b>later</b>"]}}


def ask(fleet: Watchers, text: str = "Deploy now?", **more: Any) -> str:
    client = fleet.hub.client("nuc-01")
    fields = {"to": "operator", "data": CHOICES, "from": "alpha", **more}
    question: str = client.send(text, **fields)["id"]
    return question


def answers(fleet: Watchers, question: str) -> list[Any]:
    path = f"/api/inbox?agent=alpha&thread={question}"
    return [m["data"] for m in fleet.hub.client("nuc-01").get(path).body["messages"]]


def test_a_question_is_answered_by_keyboard_and_shows_it(page: Page, fleet: Watchers) -> None:
    question = ask(fleet, subject="Release 7")
    page.goto(f"/messages/{question}")
    box = page.get_by_role("region", name="Question open")
    choices = box.get_by_role("group", name="Answer as operator").get_by_role("button")
    expect(choices).to_have_text(["yes", "no", "<b>later</b>"])
    page.screenshot(path=SHOTS / "question.png")
    choices.nth(1).focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text('Answer "no"?')
    expect(dialog).to_contain_text("alpha goes on with it at once")
    dialog.get_by_role("button", name="Answer", exact=True).press("Enter")
    box = page.get_by_role("region", name="Question answered")
    expect(box).to_contain_text("operator answered no at 20")
    expect(box.get_by_role("button")).to_have_count(0)
    assert answers(fleet, question) == [{"answer": {"choice": "no"}}]
    kept = fleet.hub.rows("SELECT way, outcome FROM audit WHERE action = 'answer'")
    assert kept == [("page", "done")]


def test_an_answer_from_elsewhere_shows_while_the_page_is_open(
    page: Page, fleet: Watchers
) -> None:
    question = ask(fleet)
    page.goto(f"/messages/{question}")
    page.locator("#link[data-is=on]").wait_for()
    fleet.hub.client(None).send(
        "yes", to="alpha", reply_to=question, data={"answer": {"choice": "yes"}}
    )
    box = page.get_by_role("region", name="Question answered")
    expect(box).to_contain_text("operator answered yes")
    expect(box.get_by_role("button")).to_have_count(0)


def test_the_fleet_page_has_the_open_questions(page: Page, fleet: Watchers) -> None:
    question = ask(fleet, subject="Which region?")
    page.goto("/")
    entry = page.locator(f"#questions li[data-id='{question}']")
    expect(entry).to_contain_text("Which region?")
    entry.get_by_role("button", name="yes").click()
    page.get_by_role("dialog").get_by_role("button", name="Answer", exact=True).click()
    expect(entry).to_have_count(0)
    assert answers(fleet, question) == [{"answer": {"choice": "yes"}}]


def test_pages_of_questions_have_no_faults_that_axe_finds(page: Page, fleet: Watchers) -> None:
    question = ask(fleet)
    for path in (f"/messages/{question}", "/", "/answer/a-wrong-one"):
        page.goto(path)
        assert violations(page) == []


def test_a_link_answers_without_a_sign_in_and_without_scripts(
    chromium: Browser, fleet: Watchers
) -> None:
    question = ask(fleet, "<script>window.pwned = 1</script>", subject="Release 8")
    secret = "a-link-of-a-notification"
    with sqlite3.connect(fleet.hub.folder / "bus.db", timeout=patience()) as file:
        file.execute(
            "INSERT INTO question_link SELECT ?, pk, asked_at + 600000, asked_at"
            " FROM question WHERE id = ?",
            (hashlib.sha256(secret.encode()).hexdigest(), question),
        )
    file.close()
    own = f"http://127.0.0.1:{fleet.hub.port}"
    with profile(chromium, base_url=own, java_script_enabled=False) as context:
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"/answer/{secret}")
        expect(page.get_by_role("heading", name="Release 8")).to_be_visible()
        expect(page.locator("pre")).to_have_text("<script>window.pwned = 1</script>")
        page.screenshot(path=SHOTS / "answer-link.png")
        page.get_by_role("group", name="Answer").get_by_role("button", name="yes").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("operator answered yes")
        assert all(url.startswith(f"{own}/") for url in asked)
        assert answers(fleet, question) == [{"answer": {"choice": "yes"}}]
        page.get_by_role("link", name="Open the dashboard").click()
        expect(page.get_by_label("Admin token")).to_be_visible()
