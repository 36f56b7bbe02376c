"""The operator is told by real services' protocols: SMTP, ntfy's HTTP, a signed webhook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.hub import HubProcess, running
from tests.support.patience import wait_until
from tests.support.receiver import SECRET, receiving
from tests.support.services import Ntfy, channels_file, mailbox, ntfy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def phone() -> Iterator[Ntfy]:
    with ntfy() as one:
        yield one


def tell(hub: HubProcess, text: str = "the disk is full", **more: Any) -> dict[str, Any]:
    fields = {"from": "alpha", "priority": "urgent", "subject": "disk", **more}
    sent: dict[str, Any] = hub.client().send(text, to="operator", **fields)
    return sent


def states(hub: HubProcess) -> dict[str, dict[str, Any]]:
    listed = hub.client(None).get("/api/channels").body["channels"]
    return {one["name"]: one for one in listed}


def state(hub: HubProcess) -> dict[str, Any]:
    return states(hub)["phone"]


def test_an_urgent_message_is_told_by_ntfy_e_mail_and_a_signed_webhook(
    tmp_path: Path, phone: Ntfy
) -> None:
    with receiving() as hook, mailbox() as mail:
        signed = {"secrets": [SECRET], "allow_http": True, "allow_private": True}
        file = channels_file(
            tmp_path,
            {"name": "phone", "url": phone.url},
            {"name": "mail", "url": mail.url},
            {"name": "hook", "url": hook.url(), **signed},
        )
        with running(tmp_path, channels_file=file, page_url="https://bus.example.org") as hub:
            sent = tell(hub, "<b>now</b>\nSee [here](http://evil.example) @everyone")
            tell(hub, "nobody is told of this", priority="normal")
            wait_until(lambda: phone.got and mail.got and hook.taken, "all are told")
            wait_until(lambda: not any(s["pending"] for s in states(hub).values()), "it is kept")
            (delivery,) = hub.client(None).get(f"/api/messages/{sent['id']}").body["deliveries"]
            link = f"https://bus.example.org/messages/{sent['id']}"
            (pushed,) = phone.got
            assert pushed["title"] == "[urgent] alpha: disk"
            assert pushed["topic"] == "topic-streng-geheim"
            text = (
                "\u2039b\u203anow\u2039/b\u203a See [here] (http://evil.example) @\u2060everyone"
            )
            assert pushed["message"] == f"{text}\n{link}"
            assert "X-Markdown" not in phone.headers[0]
            (letter,) = mail.got
            assert letter["Subject"] == "[urgent] alpha: disk"
            assert letter.get_content_type() == "text/plain"
            assert letter.get_content().splitlines() == pushed["message"].splitlines()
            (request,) = hook.taken
            assert request.content["type"] == "operator.notification"
            assert request.content["data"]["messages"][0]["id"] == sent["id"]
            assert not hook.faults
            assert {(one["channel"], one["why"]) for one in delivery["told"]} == {
                (name, "message") for name in ("hook", "mail", "phone")
            }
            assert {s["delivered"] for s in states(hub).values()} == {1}
        assert "geheim" not in hub.log()
