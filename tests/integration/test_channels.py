"""The operator is told by real services' protocols: SMTP, ntfy's HTTP, a signed webhook."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.test_webhooks import admin
from tests.support import postgres
from tests.support.hub import HubProcess, running
from tests.support.hubs import hubs_on
from tests.support.patience import wait_until
from tests.support.ports import free_port
from tests.support.receiver import SECRET, receiving
from tests.support.services import Ntfy, channels_file, mailbox, ntfy

if TYPE_CHECKING:
    from collections.abc import Iterator


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
            assert "github" not in str(phone.headers)
            (letter,) = mail.got
            assert letter["Subject"] == "[urgent] alpha: disk"
            assert letter.get_content_type() == "text/plain"
            assert letter.get_content().splitlines() == pushed["message"].splitlines()
            (request,) = hook.taken
            assert request.content["type"] == "operator.notification"
            assert request.content["data"]["messages"][0]["id"] == sent["id"]
            assert not hook.faults
            assert {one["channel"] for one in delivery["told"]} == {"hook", "mail", "phone"}
            assert {s["delivered"] for s in states(hub).values()} == {1}
        assert "geheim" not in hub.log()


def test_nothing_is_lost_when_the_process_for_services_is_killed(
    tmp_path: Path, phone: Ntfy
) -> None:
    phone.hangs = threading.Event()
    file = channels_file(tmp_path, {"name": "phone", "url": phone.url})
    with running(tmp_path, channels_file=file) as hub:
        tell(hub)
        wait_until(lambda: phone.asked == 1, "the service is asked")
        (child,) = children(hub)
        assert b"geheim" not in Path(f"/proc/{child}/cmdline").read_bytes()
        assert b"geheim" not in Path(f"/proc/{child}/environ").read_bytes()
        os.kill(child, signal.SIGKILL)
        wait_until(lambda: state(hub)["failures"], "the failure is kept")
        assert "has ended without an answer" in state(hub)["last_error"]
        phone.hangs.set()
        assert hub.client(None).post("/api/channels/phone/test", None).body["ok"]
        wait_until(lambda: state(hub)["delivered"] == 1, "it is told after all")
        wait_until(lambda: not children(hub), "no process stays")


def test_the_process_for_services_ends_with_its_hub(tmp_path: Path, phone: Ntfy) -> None:
    phone.hangs = threading.Event()
    file = channels_file(tmp_path, {"name": "phone", "url": phone.url})
    with running(tmp_path, channels_file=file) as hub:
        sent = tell(hub)
        wait_until(lambda: phone.asked == 1, "the service is asked")
        (child,) = children(hub)
        assert hub.process is not None
        os.kill(hub.process.pid, signal.SIGKILL)  # and not its group
        wait_until(lambda: not Path(f"/proc/{child}").exists(), "it is gone")
        phone.hangs.set()
        hub.kill()
        hub.start()
        wait_until(lambda: state(hub)["delivered"] == 1, "it is told after the restart")
        assert sent["id"] in phone.texts


def test_a_stop_does_not_wait_for_a_service_that_hangs(tmp_path: Path, phone: Ntfy) -> None:
    phone.hangs = threading.Event()
    file = channels_file(tmp_path, {"name": "phone", "url": phone.url})
    with running(tmp_path, channels_file=file) as hub:
        tell(hub)
        wait_until(lambda: phone.asked == 1, "the service is asked")
        (child,) = children(hub)
        assert hub.stop() == 0
        wait_until(lambda: not Path(f"/proc/{child}").exists(), "it is gone")


def test_no_part_of_a_url_is_in_an_error_a_log_or_an_answer(tmp_path: Path, phone: Ntfy) -> None:
    phone.status = 401
    closed = Ntfy(port=free_port())
    file = channels_file(
        tmp_path,
        {"name": "phone", "url": phone.url},
        {"name": "closed", "url": closed.url},
        {"name": "mail", "url": f"mailto://geheim:geheim7@127.0.0.1:{closed.port}?to=a@b.example"},
    )
    with running(tmp_path, channels_file=file) as hub:
        tell(hub)
        wait_until(lambda: all(one["failures"] for one in states(hub).values()), "all fail")
        found = hub.client(None).get("/api/channels").body
        assert "401" in states(hub)["phone"]["last_error"]
        assert "onnection" in states(hub)["closed"]["last_error"]
        assert states(hub)["mail"]["last_error"]
        log = hub.log()
    assert "Channel phone fails" in log
    for text in (json.dumps(found), log):
        assert "geheim" not in text


def test_a_question_is_told_with_the_link_that_answers_it(tmp_path: Path, phone: Ntfy) -> None:
    file = channels_file(tmp_path, {"name": "phone", "url": phone.url})
    with running(tmp_path, channels_file=file, page_url="https://bus.example.org") as hub:
        tell(hub, "Shall I go on?", data={"question": {"choices": ["yes", "no"]}})
        wait_until(lambda: phone.got, "it is told")
        assert re.search(r"\nhttps://bus\.example\.org/answer/\S{40,}$", phone.texts), phone.texts


@pytest.mark.parametrize("takes_over", [False, True])
def test_of_two_hubs_one_tells_and_the_other_takes_over(
    tmp_path: Path, phone: Ntfy, *, takes_over: bool
) -> None:
    file = channels_file(tmp_path, {"name": "phone", "url": phone.url})
    with hubs_on([postgres.database(tmp_path)] * 2, tmp_path, channels_file=file) as hubs:
        ids = [tell(hubs[number % 2])["id"] for number in range(6)]
        if takes_over:
            hubs[0].kill()
        wait_until(lambda: all(one in phone.texts for one in ids), "all are told")
        wait_until(lambda: states(hubs[1])["phone"]["pending"] == 0, "it is kept")
    if not takes_over:
        assert [phone.texts.count(f"/messages/{one}") for one in ids] == [1] * 6


def test_the_operators_tool_and_its_doctor_know_channels(tmp_path: Path, phone: Ntfy) -> None:
    file = channels_file(tmp_path, {"name": "phone", "url": phone.url})
    with running(tmp_path, channels_file=file) as hub:
        assert "phone  ntfy" in admin(hub, "channels").stdout
        tested = admin(hub, "channels", "test", "phone")
        assert (tested.returncode, tested.stdout) == (0, "channel phone\nok yes\nerror -\n")
        assert "Test of a channel" in phone.texts
        assert "channel phone: 0 messages wait, 0 told" in admin(hub, "doctor").stdout
        phone.status = 500
        refused = admin(hub, "channels", "test", "phone")
        assert (refused.returncode, "500" in refused.stdout) == (1, True)
        assert admin(hub, "channels", "test").returncode == 2
        assert "There are: phone" in admin(hub, "channels", "test", "fone").stderr
        assert hub.client().get("/api/channels").status == 403
        assert admin(hub, "check-config").returncode == 0
        channels_file(tmp_path, {"name": "phone", "url": "tgram://geheim"})
        checked = admin(hub, "check-config")
        assert (checked.returncode, "geheim" in checked.stderr) == (78, False)
        assert "channel phone: Apprise does not take this URL" in checked.stderr


def children(hub: HubProcess) -> list[int]:
    """The processes for services that a hub has now."""
    assert hub.process is not None
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if b"agent_bus.channels.apprise_child" in words and parent == hub.process.pid:
                found.append(int(folder.name))
    return found
