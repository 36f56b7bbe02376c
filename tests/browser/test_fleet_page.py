"""The fleet view, the way in, and what guards it, in a real browser."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from playwright.sync_api import expect

from tests.browser.conftest import FLEET, SHOTS, Watchers, profile, signed_in
from tests.support.hub import ADMIN, running
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.support.hub import HubProcess


def state(page: Page, agent: str) -> str | None:
    return page.locator(f"tr[data-agent={agent}] [data-f=status]").text_content()


def asked(
    hub: HubProcess, method: str, path: str, body: str | None = None, **headers: str
) -> tuple[int, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=patience())
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, named)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders())


def test_problems_stand_first_and_changes_come_live(page: Page, fleet: Watchers) -> None:
    names = page.locator("#agents tr").evaluate_all("rows => rows.map(r => r.dataset.agent)")
    assert sorted(names) == sorted(agent for agents in FLEET.values() for agent in agents)
    assert set(names[:2]) == set(FLEET["thinkpad"])
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))

    fleet.report_presence("pi-kitchen", eta="down")
    expect(page.locator("tr[data-agent=eta] [data-f=status]")).to_have_text("gateway-down")
    assert page.locator("#agents tr").first.get_attribute("data-agent") == "eta"
    sent = fleet.hub.client("nuc-01").send(to="gamma", **{"from": "alpha"})
    expect(page.locator("tr[data-agent=gamma] [data-f=unread]")).to_have_text("1")
    expect(page.locator("tr[data-agent=gamma] [data-f=oldest_unread_at] time")).to_have_count(1)
    fleet.woken("nuc-02", "gamma", sent["recipients"][0]["seq"])
    expect(page.locator("tr[data-agent=gamma] [data-f=last_wake_at] time")).to_have_count(1)
    fleet.disconnect("mac-mini")
    expect(page.locator("tr[data-agent=mu] [data-f=status]")).to_have_text("deaf")
    expect(page.locator("#hosts [data-node=mac-mini] .state")).to_have_attribute(
        "data-state", "offline"
    )
    fleet.connect("thinkpad")
    expect(page.locator("tr[data-agent=nu] [data-f=status]")).to_have_text("online")
    assert not requests, "the stream tells everything; nothing is asked for"
    expect(page.locator(".reserves")).to_contain_text("GB free · Backup: none on the hub")
    page.screenshot(path=SHOTS / "fleet-live.png")


def test_every_state_is_shown_and_the_worst_stands_first(
    chromium: Browser, tmp_path: Path
) -> None:
    slow = {"keepalive_s": patience(1), "offline_after_s": patience(5)}
    with running(tmp_path, retry_ms=200, **slow) as hub:
        assert hub.enrol(FLEET, force=True).status == 200
        watchers = Watchers(hub)
        watchers.connect("nuc-01", "nuc-02", "pi-kitchen", "mac-mini")
        watchers.report_presence("pi-kitchen", eta="down")
        left = {**FLEET, "nuc-02": ("gamma",)}
        with signed_in(chromium, hub) as page:
            watchers.disconnect("mac-mini")

            def is_deaf() -> bool:
                watchers.report_presence("mac-mini")  # a sign of life is no watcher
                return state(page, "mu") == "deaf"

            wait_until(is_deaf)
            assert hub.enrol(left, force=True).status == 200
            expect(page.locator("tr[data-agent=mu] [data-f=status]")).to_have_text("offline")
            gone = page.locator("tr[data-agent=research-2]")
            expect(gone.locator("[data-f=status]")).to_have_text("retired")
            expect(gone.get_by_role("button")).to_have_count(0)
            shown = page.locator("#agents tr").evaluate_all(
                "rows => rows.map(row => [row.dataset.agent, Number(row.dataset.problem)])"
            )
            page.screenshot(path=SHOTS / "fleet-states.png", full_page=True)
            assert shown[0][0] == "eta"
            problems = [problem for _, problem in shown]
            assert problems == sorted(problems, reverse=True)
            assert set(problems) == {3, 2, 0}
            expect(page.locator("[data-t=agents]")).to_have_text("18")
            before = page.locator("#agents tr").all_inner_texts()
            page.reload()
            page.locator("#link[data-is=on]").wait_for()
            assert len(page.locator("#agents tr").all_inner_texts()) == len(before)
            expect(page.locator("#agents tr").first).to_have_attribute("data-agent", "eta")


def test_a_guest_is_shown_with_its_last_call_and_nothing_to_wake(
    chromium: Browser, tmp_path: Path
) -> None:
    with running(tmp_path) as hub:
        assert (
            hub.enrol({**FLEET, "laptop": ("visitor",)}, guests=["laptop"], force=True).status
            == 200
        )
        with signed_in(chromium, hub) as page:
            row = page.locator("tr[data-agent=visitor]")
            expect(row.locator("[data-f=status]")).to_have_text("guest")
            expect(row.locator("[data-f=asked]")).to_have_text("seen never")
            assert hub.client("laptop").get("/api/inbox").status == 200
            expect(row.locator("[data-f=asked]")).to_contain_text("seen now")
            expect(row.get_by_role("button")).to_have_count(0)
            expect(page.locator("[data-node=laptop] [data-state=guest]")).to_be_visible()
            expect(page.locator("tr[data-agent=mu] [data-f=asked]")).to_be_hidden()
            expect(page.locator("[data-t=nodes]")).to_have_text(str(len(FLEET)))
            page.reload()
            expect(row.locator("[data-f=asked] time")).to_be_visible()
            expect(row.get_by_role("button")).to_have_count(0)


def test_the_page_survives_a_restart_of_the_hub(page: Page, fleet: Watchers) -> None:
    fleet.hub.hang_up()
    fleet.hub.stop()
    expect(page.locator("#link")).to_have_attribute("data-is", "lost")
    page.screenshot(path=SHOTS / "fleet-lost.png")
    fleet.hub.start()
    expect(page.locator("#link")).to_have_attribute("data-is", "on")
    fleet.streams.clear()
    fleet.connect("thinkpad")
    expect(page.locator("tr[data-agent=nu] [data-f=status]")).to_have_text("online")
    page.reload()
    expect(page.get_by_role("heading", name="Fleet")).to_be_visible()


def test_filter_and_keyboard(page: Page) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.locator("body").click(position={"x": 5, "y": 400})
    page.keyboard.press("/")
    page.keyboard.type("nuc-03")
    visible = page.locator("#agents tr:visible")
    expect(visible).to_have_count(3)
    page.get_by_label("problems only").check()
    expect(visible).to_have_count(0)
    expect(page.get_by_text("No agent matches.")).to_be_visible()

    page.get_by_label("problems only").uncheck()
    wake = page.locator("tr[data-agent=delta]").get_by_role("button", name="Wake")
    wake.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Wake delta?")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#ask")).to_be_hidden()
    expect(wake).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#told")).to_contain_text("nuc-03's watcher was asked")


def test_what_has_the_focus_keeps_it_when_its_row_moves(page: Page, fleet: Watchers) -> None:
    row = page.locator("tr[data-agent=delta]")
    row.get_by_role("button", name="Wake").focus()
    for gateway, state_shown in (("down", "gateway-down"), ("ok", "online")):
        fleet.report_presence(
            "pi-kitchen", eta=gateway
        )  # its row goes up past the others, or down
        expect(page.locator("tr[data-agent=eta] [data-f=status]")).to_have_text(state_shown)
        expect(row.get_by_role("button", name="Wake")).to_be_focused()


AGAIN_AT_ONCE = """
    agent => {
      const wake = document.querySelector(`tr[data-agent=${agent}] button[data-action=wake]`);
      wake.click();
      document.querySelector("#ask button[value=cancel]").click();
      wake.click();
    }
"""


def test_a_question_that_is_opened_again_at_once_is_answered_once(
    page: Page, fleet: Watchers
) -> None:
    """Chromium tells that a dialog was closed with its next frame, which may take long."""
    asked_for: list[str] = []
    page.on("request", lambda request: asked_for.append(request.url.rpartition("/")[2]))
    told = page.locator("#told")
    page.evaluate(AGAIN_AT_ONCE, "delta")
    page.locator("#ask-go").click()  # some frames later
    expect(told).to_contain_text("nuc-03's watcher was asked to wake delta")
    page.evaluate(f"({AGAIN_AT_ONCE})('gamma'); document.getElementById('ask-go').click()")
    expect(told).to_contain_text("nuc-02's watcher was asked to wake gamma")
    for node, agent in (("nuc-03", "delta"), ("nuc-02", "gamma")):
        assert fleet.streams[node].of_type("wake").data["agents"] == [agent]
    assert asked_for == ["wake", "wake"]


def test_the_operators_hand_asks_acts_and_is_written_down(page: Page, fleet: Watchers) -> None:
    row = page.locator("tr[data-agent=gamma]")
    row.get_by_role("button", name="Wake").click()
    page.get_by_role("button", name="Cancel").click()
    row.get_by_role("button", name="Wake").click()
    expect(page.get_by_role("heading", name="Wake gamma?")).to_be_visible()
    page.screenshot(path=SHOTS / "ask.png")
    page.locator("#ask-go").click()
    expect(page.locator("#told")).to_contain_text("nuc-02's watcher was asked")
    assert fleet.streams["nuc-02"].of_type("wake").data["agents"] == ["gamma"]
    row.get_by_role("button", name="Mute").click()
    page.locator("#ask-go").click()
    expect(row.locator("[data-f=held]")).to_be_visible()

    page.get_by_role("button", name="Send", exact=True).click()
    page.get_by_label("To", exact=True).fill("gamma, @research")
    page.get_by_label("Subject").fill("From your operator")
    page.get_by_label("Text", exact=True).fill("Please report.")
    page.screenshot(path=SHOTS / "send.png")
    page.locator("#send-form").get_by_role("button", name="Send").click()
    expect(page.locator("#told")).to_contain_text("Sent to gamma (online)")
    assert fleet.streams["nuc-02"].of_type("message").data["from_agent"] == "operator"

    page.goto("/messages?agent=gamma")
    page.get_by_role("link", name="From your operator").click()
    page.locator(".way[data-agent=gamma]").get_by_role("button", name="Ack").click()
    page.locator("#ask-go").click()
    expect(page.locator(".way[data-agent=gamma]")).to_contain_text("Read.")
    page.goto("/audit")
    fleet.hub.client(None).post("/api/agents/mu/mute", {"for_s": 60})
    page.reload()
    done = page.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => row.cells[3].innerText + ' by ' + row.cells[2].innerText)"
    )
    assert done == [
        "mute by API", "ack by page", "send by page", "mute by page", "wake by page",
        "sign_in by page", "roster by API", "roster by API",
    ]  # fmt: skip
    assert "Please report" not in page.locator("main").inner_text()
    page.screenshot(path=SHOTS / "audit.png")


def test_agents_groups_and_the_fleet_are_paused_and_resumed(page: Page, fleet: Watchers) -> None:
    gamma, told = page.locator("tr[data-agent=gamma]"), page.locator("#told")
    gamma.get_by_role("button", name="Pause").click()
    page.get_by_label("Note").fill("new model")
    page.screenshot(path=SHOTS / "pause.png")
    page.locator("#ask-go").click()
    expect(gamma.locator("[data-f=status]")).to_have_text("paused")
    one = page.locator("#pauses li[data-who=gamma]")
    expect(one).to_contain_text("new model")
    page.get_by_role("button", name="Pause all").click()
    page.locator("#ask-go").click()
    expect(page.locator("#pauses li")).to_have_count(2)
    expect(page.locator("tr[data-agent=alpha] [data-f=status]")).to_have_text("paused")
    page.screenshot(path=SHOTS / "fleet-paused.png", full_page=True)
    page.reload()
    expect(page.locator("#pauses li")).to_have_count(2)
    one.get_by_role("button", name="Resume").click()
    page.locator("#ask-go").click()
    expect(told).to_contain_text("gamma is no longer paused. Still held: gamma (paused)")
    page.locator("#pauses li[data-who=all]").get_by_role("button", name="Resume").click()
    page.locator("#ask-go").click()
    expect(gamma.locator("[data-f=status]")).to_have_text("online")
    expect(page.locator("#pauses")).to_be_hidden()
    kept = fleet.hub.client(None).get("/api/pauses").body
    assert kept == {"pauses": [], "held": []}
    page.goto("/audit")
    expect(page.locator("tbody")).to_contain_text("new model")


def test_only_the_operator_comes_in_and_sessions_end(chromium: Browser, fleet: Watchers) -> None:
    hub = fleet.hub
    status, headers = asked(hub, "POST", "/login", urlencode({"token": ADMIN}))
    assert status == 303
    cookie = headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert asked(hub, "POST", "/login", urlencode({"token": "token-nuc-01"}))[0] == 403
    assert asked(hub, "POST", "/login", urlencode({"token": ADMIN}), Sec_Fetch_Site="cross-site")[
        0
    ] == (403)
    statuses = {asked(hub, "POST", "/login", "token=wrong")[0] for _ in range(25)}
    assert statuses == {401, 429}
    assert asked(hub, "POST", "/login", urlencode({"token": ADMIN}))[0] == 303
    own = cookie.split(";")[0]
    for path in ("/", "/messages", "/flow", "/latency", "/audit"):
        assert asked(hub, "GET", path)[0] == 303
        status, headers = asked(hub, "GET", path, Cookie=own)
        assert status == 200
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
    for path in ("/ui/stream", "/ui/flows", "/ui/measures", "/ui/session"):
        assert asked(hub, "GET", path)[0] == 401
    with signed_in(chromium, hub) as page:
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Admin token")).to_be_visible()
        page.screenshot(path=SHOTS / "login.png")
        page.goto("/")
        expect(page.get_by_label("Admin token")).to_be_visible()


def test_alerts_show_without_prometheus(page: Page, fleet: Watchers) -> None:
    expect(page.locator("#alerts li")).to_have_count(0)
    for number in range(25):
        if number % 2:
            asked(fleet.hub, "GET", "/api/agents", Authorization="Bearer wrong")
        else:
            asked(fleet.hub, "POST", "/login", "token=wrong")
    expect(page.locator("#alerts li")).to_contain_text(["requests with a wrong token"])
    page.screenshot(path=SHOTS / "alerts.png")


def test_what_one_page_load_sees_is_still_told_to_the_others(page: Page, fleet: Watchers) -> None:
    """A second page that is loaded at the moment of a change must not swallow it."""
    other = page.context.new_page()
    client = fleet.hub.client("nuc-01")
    for number in range(1, 6):
        client.send(to="gamma", **{"from": "alpha"})
        other.goto("/", wait_until="commit")
        expect(page.locator("tr[data-agent=gamma] [data-f=unread]")).to_have_text(str(number))
    other.close()


def test_writes_without_the_pages_own_proof_are_refused(fleet: Watchers) -> None:
    hub = fleet.hub
    headers = asked(hub, "POST", "/login", urlencode({"token": ADMIN}))[1]
    own = headers["Set-Cookie"].split(";")[0]
    for name in ("send", "ack", "wake", "mute", "pause", "resume"):
        path = f"/ui/{name}"
        assert asked(hub, "POST", path, "{}")[0] == 401
        assert asked(hub, "POST", path, "{}", Cookie=own)[0] == 403
        assert asked(hub, "POST", path, "{}", Cookie=own, X_CSRF_Token="0" * 64)[0] == 403
    assert asked(hub, "POST", "/logout", "csrf=", Cookie=own)[0] == 403
    assert asked(hub, "GET", "/", Cookie=own)[0] == 200


def test_a_login_link_works_once(chromium: Browser, fleet: Watchers) -> None:
    made = fleet.hub.client(None).call("POST", "/api/admin/login-link")
    assert made.status == 201
    assert fleet.hub.client("nuc-01").call("POST", "/api/admin/login-link").status == 403
    for works in (True, False):
        with profile(chromium, base_url=f"http://127.0.0.1:{fleet.hub.port}") as context:
            page = context.new_page()
            page.goto(made.body["path"])
            page.get_by_role("button", name="Open the dashboard").click()
            if works:
                expect(page.get_by_role("heading", name="Fleet")).to_be_visible()
            else:
                expect(page.get_by_role("alert")).to_contain_text("used already")


def test_the_first_paint_is_small(chromium: Browser, fleet: Watchers) -> None:
    with signed_in(chromium, fleet.hub) as page:
        sizes: list[int] = []
        page.on("response", lambda answer: sizes.append(_length(answer.headers)))
        page.reload()
        page.locator("#link[data-is=on]").wait_for()
        assert 10_000 < sum(sizes) < 100_000, sizes


def _length(headers: dict[str, str]) -> int:
    return int(headers.get("content-length", "0"))
