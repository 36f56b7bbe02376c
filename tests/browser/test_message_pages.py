"""Messages hop by hop, search, threads, flow and latency, in a real browser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.conftest import FLEET, SHOTS, Watchers, signed_in
from tests.support.hub import running
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Browser, Page

XSS = (
    "<script>window.pwned = 1</script>",
    "<img src=x onerror=window.pwned=1>",
    '"><svg onload=window.pwned=1>',
    "</pre></textarea></script><script>window.pwned=1</script>",
    "' autofocus onfocus='window.pwned=1",
    "<!--<img src='--><img src=x onerror=window.pwned=1//'>",
    "{{ 7 * 7 }} {% raw %} ${7*7} #{7*7}",
    "javascript:window.pwned=1",
    "<iframe srcdoc='<script>parent.pwned=1</script>'></iframe>",
    "<style>body{display:none}</style>",
    "<a href='javascript:window.pwned=1'>click</a>",
    "&lt;b&gt; &amp;lt; \u2028 \U0001f41d",
)


def test_bodies_and_subjects_are_text_everywhere(page: Page, fleet: Watchers) -> None:
    client = fleet.hub.client("nuc-01")
    ids = {}
    for text in XSS:
        subject = text.replace("\u2028", "")[:200]
        sent = client.send(text, to="gamma", subject=subject, data={"x": text}, **{"from": "beta"})
        ids[text] = sent["id"]
    for text, message_id in ids.items():
        page.goto(f"/messages/{message_id}")
        assert page.locator("pre.body").first.text_content() == text
        assert page.locator("h1").text_content() == text.replace("\u2028", "")
        assert page.evaluate("window.pwned") is None
    for path in ("/messages", "/messages?text=%3Cscript", "/flow", "/messages?text=%22%3E%3Cx"):
        page.goto(path)
        assert page.locator("main iframe, main img, main style, main svg[onload]").count() == 0
        assert page.evaluate("window.pwned") is None
    page.goto("/flow")
    page.locator("#link[data-is=on]").wait_for()
    for text in XSS:
        client.send(text, to="gamma", **{"from": "beta"})
    expect(page.locator("#feed tr.fresh")).to_have_count(len(XSS))
    opening = page.locator("#feed tr.fresh th").first.text_content()
    assert opening == XSS[-1].replace("\u2028", "\u2028")
    assert page.evaluate("window.pwned") is None


def open_until(page: Page, path: str, shows: Callable[[], bool]) -> None:
    """Open a page again and again until it shows what the hub writes down some time later."""

    def does_show() -> bool:
        page.goto(path)
        return bool(shows())

    wait_until(does_show, f"{path} shows what it should")


def test_the_way_of_a_delivery_names_the_hop_that_failed(page: Page, fleet: Watchers) -> None:
    done = fleet.through("alpha", "gamma", "all the way", subject="Build 812 is red")
    way = page.locator(".way[data-agent=gamma]")
    hops = way.locator(".hops li[data-state=done]")
    open_until(page, f"/messages/{done['id']}", lambda: hops.count() == 6)
    expect(way).to_contain_text("Read.")
    page.screenshot(path=SHOTS / "message-read.png")

    sent = fleet.hub.client("nuc-01").send(
        "Tests fail since the merge.\nPlease look at job 812.",
        to=["delta", "nu"],
        subject="Build 812 is red",
        priority="urgent",
        **{"from": "alpha"},
    )
    seq = next(one["seq"] for one in sent["recipients"] if one["agent"] == "delta")
    reports = [
        {"agent": "delta", "event": "received", "up_to_seq": seq},
        {"agent": "delta", "event": "failed", "up_to_seq": seq, "reason": "503 from the gateway"},
    ]
    fleet.hub.client("nuc-03").post("/api/wakes", {"reports": reports})
    failed = page.locator(".way[data-agent=delta]")
    path = f"/messages/{sent['id']}"
    open_until(page, path, lambda: "Stuck at: woken" in (failed.text_content() or ""))
    expect(failed).to_contain_text("Stuck at: woken. The gateway did not take the wake: 503")
    left = page.locator(".way[data-agent=nu]")  # the hub gives a push some seconds
    open_until(page, path, lambda: "Stuck at: pushed" in (left.text_content() or ""))
    expect(left).to_contain_text("Stuck at: pushed. No watcher of thinkpad takes messages")
    page.screenshot(path=SHOTS / "message-stuck.png", full_page=True)


def test_a_thread_is_a_tree(page: Page, fleet: Watchers) -> None:
    first = fleet.hub.client(None).send("Who can look?", to="alpha", subject="Question")
    answer = fleet.hub.client("nuc-01").send(
        "I can.", to="operator", subject="Re: Question", reply_to=first["id"], **{"from": "alpha"}
    )
    for text in ("Go ahead.", "And tell beta."):
        fleet.hub.client(None).send(text, to="alpha", reply_to=answer["id"])
    page.goto(f"/messages/{answer['id']}")
    lines = page.locator(".thread li")
    assert lines.evaluate_all("all => all.map(one => one.dataset.depth)") == ["0", "1", "2", "2"]
    expect(page.locator(".thread [aria-current]")).to_contain_text("Re: Question")
    page.get_by_role("button", name="Reply as operator").click()
    expect(page.get_by_label("Subject")).to_have_value("Re: Question")
    expect(page.get_by_label("To", exact=True)).to_have_value("alpha")
    page.get_by_role("button", name="Cancel").click()
    page.goto("/")
    expect(page.locator("[data-t=operator_unread]")).to_have_text("1")


def test_search_by_agent_text_and_time(page: Page, fleet: Watchers) -> None:
    client = fleet.hub.client("nuc-01")
    for number in range(60):
        client.send(f"note {number} 100%_done", to="gamma", **{"from": "alpha"})
    client.send("needle in hay", to="delta", **{"from": "beta"})
    rows = page.locator("table.mail tbody tr")
    page.goto("/messages")
    expect(rows).to_have_count(50)
    page.get_by_role("link", name="Older").click()
    expect(rows).to_have_count(11)
    page.goto("/messages")
    page.get_by_label("Agent").fill("delta")
    page.get_by_role("button", name="Search").click()
    expect(rows).to_have_count(1)
    page.goto("/messages?text=Needle")
    expect(rows).to_have_count(1)
    page.goto("/messages?text=100%25_done&agent=gamma")
    expect(rows).to_have_count(50)
    page.goto("/messages?text=1000_done")
    expect(page.get_by_text("No message matches.")).to_be_visible()
    page.goto("/messages?until=2020-01-01T00:00")
    expect(page.get_by_text("No message matches.")).to_be_visible()
    page.goto("/messages?since=2020-01-01T00:00&agent=delta")
    expect(rows).to_have_count(1)
    page.screenshot(path=SHOTS / "messages.png")
    page.goto("/messages/01J00000000000000000000000")
    expect(page.get_by_role("heading", level=1)).to_contain_text(
        re.compile("message", re.IGNORECASE)
    )


def test_a_reply_in_the_feed_leads_to_how_its_thread_began(page: Page, fleet: Watchers) -> None:
    page.goto("/flow")
    page.locator("#link[data-is=on]").wait_for()
    first = fleet.hub.client("nuc-01").send("Who?", to="gamma", subject="Q", **{"from": "alpha"})
    reply = fleet.hub.client("nuc-02").send(
        "I.", to=["alpha", "beta"], reply_to=first["id"], **{"from": "gamma"}
    )
    row = page.locator(f"#feed tr[data-id='{reply['id']}']")
    expect(row.locator("[data-f=read]")).to_have_text("unread")
    fleet.hub.client("nuc-01").post("/api/ack", {"agent": "beta", "ids": [reply["id"]]})
    expect(row.locator("[data-f=read]")).to_have_text("1 of 2 read")
    row.locator("[data-label=thread] a").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Q")
    page.goto("/flow")
    expect(row.locator("[data-f=read]")).to_have_text("1 of 2 read")
    expect(row.locator("[data-label=thread] a")).to_have_attribute(
        "href", f"/messages/{first['id']}"
    )


def test_the_search_finds_what_was_archived_and_says_so(chromium: Browser, tmp_path: Path) -> None:
    with running(tmp_path, retain_read_days=1e-9, sweep_interval_s=3600) as hub:
        old = hub.client("n2").send("an old needle", to="delta", subject="Kept")
        hub.client("n3").post("/api/ack", {"ids": [old["id"]]})
        wait_until(lambda: hub.client(None).call("POST", "/api/admin/archive").body["touched"])
        hub.client("n2").send("a new needle", to="delta")
        with signed_in(chromium, hub) as page:
            rows = page.locator("table.mail tbody tr")
            for query in ("", "?text=NEEDLE", "?agent=delta", "?agent=gamma&text=needle"):
                page.goto(f"/messages{query}")
                expect(rows).to_have_count(2)
                expect(rows.nth(0).locator("[data-state=archived]")).to_have_count(0)
                expect(rows.nth(1).locator("[data-state=archived]")).to_be_visible()
                expect(rows.nth(1).locator("[data-f=read]")).to_have_text("read")
            page.screenshot(path=SHOTS / "messages-archived.png")
            page.get_by_role("link", name="Kept").click()
            expect(page.locator(".way[data-agent=delta]")).to_contain_text("Read.")


def test_flow_and_latency_draw_what_happened(page: Page, fleet: Watchers) -> None:
    talk = [("alpha", "gamma"), ("gamma", "alpha"), ("beta", "delta"), ("delta", "eta"),
            ("eta", "theta"), ("kappa", "alpha"), ("mu", "gamma")]  # fmt: skip
    for number, (sender, to) in enumerate(talk * 2):
        for again in range(1 + number % 3):
            fleet.through(sender, to, f"step {number}.{again}")
    fleet.hub.client("nuc-03").send("standup", **{"from": "builder"})
    page.goto("/flow?window=1h")
    page.locator("#link[data-is=on]").wait_for()
    expect(page.locator("#graph .edge").first).to_be_attached()
    assert page.locator("#graph .node").count() == 19
    before = page.locator("#pairs tr").count()
    fleet.through("zeta", "theta", "new pair", priority="high", subject="Hello from zeta")
    expect(page.locator("#feed tr").first).to_contain_text("Hello from zeta")
    fresh = page.locator("#feed tr").first
    expect(fresh.locator("[data-label=priority]")).to_have_text("high")
    expect(fresh.locator("[data-label=thread]")).to_have_text("new")
    expect(fresh.locator("[data-f=read]")).to_have_text("read")
    expect(page.locator("#pairs tr")).to_have_count(before + 1)
    page.screenshot(path=SHOTS / "flow.png")
    page.locator("#grain").select_option("node")
    assert page.locator("#graph .node").count() == 9
    page.goto("/latency")
    expect(page.locator(".plot")).to_have_count(8)
    for title in ("pushed", "received", "wake accepted", "fetched", "read", "fsync"):
        card = page.locator(".plot", has=page.get_by_role("heading", name=title))
        expect(card.first).to_contain_text("median")
        assert card.first.locator("rect.bar-rect").count() > 0, title
    expect(page.locator("#hosts tr th")).to_contain_text(["nuc-01", "nuc-02"])
    woken = page.locator("#wakes tbody tr").first
    expect(woken.locator("td[data-heat='4']")).to_have_count(1)
    expect(page.locator("#wakes")).to_contain_text("Budget of all: ")
    page.screenshot(path=SHOTS / "latency.png", full_page=True)
    page.get_by_role("link", name="nuc-02").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Latency of nuc-02")
    expect(page.locator("#hosts tr")).to_have_count(1)
    expect(page.locator(".plot")).to_have_count(6)
    read = page.locator(".plot", has=page.get_by_role("heading", name="read (acked)"))
    expect(read).to_contain_text("timed")
    assert (read.locator("polyline.p50").get_attribute("points") or "").count(",") > 1
    page.screenshot(path=SHOTS / "latency-host.png", full_page=True)


def test_the_messages_of_an_agent_are_headed_by_whom_it_may_write_to(
    page: Page, fleet: Watchers
) -> None:
    rules = [
        {"from": ["eta"], "to": ["mu", "iota"], "name": "<b>kitchen</b>"},
        {"from": ["nu"], "to": []},
        {"from": ["xi"], "to": ["all"]},
    ]
    assert fleet.hub.enrol(FLEET, rights=rules).status == 200
    for agent, words in {
        "eta": "eta may write to iota, mu, operator by rule 1 (<b>kitchen</b>).",
        "nu": "nu may write to operator by rule 2.",
        "xi": "xi may write to all by rule 3.",
    }.items():
        page.goto(f"/messages?agent={agent}")
        expect(page.locator("p.rights")).to_have_text(words)
    page.goto("/messages?agent=mu")
    expect(page.locator("p.rights")).to_have_count(0)
