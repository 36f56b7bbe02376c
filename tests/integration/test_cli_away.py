"""The command line as an agent's exec tool runs it, while the hub is away or in trouble."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agent_bus_client.outbox.folder import Outbox
from tests.support.cli import sent_id, told
from tests.support.guard import marked
from tests.support.node_side import (
    NODE_PYTHON,
    HubWithNodes,
    Node,
    StandinProcess,
    launcher,
    until,
)
from tests.support.patience import patience
from tests.support.played_hub import PlayedHub

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_without_a_hub_a_send_is_kept_and_the_next_one_sends_it_first(
    hub: HubWithNodes, node: Node
) -> None:
    hub.process.kill()
    assert "Kept in the outbox" in told(node, "send", "--as", "alpha", "beta", "first")
    refused = told(node, "send", "--as", "alpha", "beta", "x", "--no-spool", code=69)
    assert "earlier messages of alpha wait in the outbox and go first" in refused
    away = told(node, "inbox", "--as", "beta", code=69)
    assert away.endswith(
        "does not answer: 127.0.0.1 refused the connection\nlook: agent-bus doctor\n"
    )
    hub.start()
    told(node, "send", "--as", "alpha", "beta", "second")
    page = json.loads(told(node, "inbox", "--as", "beta", "--json"))
    assert [m["body"] for m in page["messages"]] == ["first", "second"]


def test_replies_and_questions_are_kept_too_and_find_their_recipients(
    hub: HubWithNodes, node: Node, gamma: Node
) -> None:
    first = sent_id(told(gamma, "send", "beta", "how are you?", "--subject", "health"))
    hub.process.kill()
    said = told(node, "reply", "--as", "beta", first, "fine", "--ack")
    assert "Kept in the outbox" in said
    assert f"not acked; later: agent-bus ack --as beta {first}" in said
    assert "Kept in the outbox" in told(node, "ask", "--as", "beta", "gamma", "and you?")
    hub.start()
    told(node, "send", "--as", "beta", "gamma", "third")
    page = json.loads(told(gamma, "inbox", "--json"))
    assert [m["body"] for m in page["messages"]] == ["fine", "and you?", "third"]
    assert page["messages"][0]["reply_to"] == first
    assert page["messages"][0]["subject"] == "Re: health"


def test_a_reply_to_what_is_not_there_ends_among_the_failed(hub: HubWithNodes, node: Node) -> None:
    hub.process.kill()
    unknown = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    told(node, "reply", "--as", "alpha", unknown, "lost")
    hub.start()
    done = node.cli("inbox", "--as", "alpha")
    assert not done.stderr  # nobody has tried yet
    done = node.cli("send", "--as", "alpha", "beta", "x")
    assert f"was not delivered: to the sender of {unknown}: 'lost'" in done.stderr


def test_what_waited_for_20_hours_is_given_up_and_told(node: Node) -> None:
    node.outbox_file("old", {"from": "alpha", "to": "beta", "body": "stale"})
    (waiting,) = (node.folder / "outbox").glob("*.json")
    entry = json.loads(waiting.read_text())
    long_ago = {"created_at": time.time() - 20 * 3600 - 60, "boot": "an earlier one"}
    waiting.write_text(json.dumps({**entry, **long_ago}))
    done = node.cli("send", "--as", "alpha", "beta", "fresh")
    assert done.returncode == 0
    assert "was not delivered: to beta: 'stale': older than 20 h" in done.stderr
    page = json.loads(told(node, "inbox", "--as", "beta", "--json"))
    assert [m["body"] for m in page["messages"]] == ["fresh"]


@pytest.fixture
def silent_hub(tmp_path: Path) -> Iterator[Node]:
    """A node whose hub and gateway accept connections and say nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield Node(tmp_path / "n3", "n3", url, [{"name": "delta"}], gateway_url=url)


def waiting(number: int, **more: Any) -> dict[str, Any]:
    """Return message `number` as an inbox lists it."""
    lists = {"fetched_at": None, "fetch_count": 0, "read_at": None, "priority": "normal"}
    lists |= {"subject": None, "reply_to": None, "data": None, "from_agent": "alpha"}
    made = {"id": f"{number:026d}", "body": f"body {number}.", "created_at": rfc3339()}
    return {**lists, **made, **more}


def rfc3339() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def test_a_page_that_cannot_be_acked_is_shown_all_the_same(tmp_path: Path) -> None:
    def answer(method: str, _path: str, _body: Any) -> tuple[int, Any] | None:
        page = {"messages": [waiting(1), waiting(2)], "unread": 2, "next_cursor": None}
        return (200, page) if method == "GET" else None

    with PlayedHub(answer) as played:
        delta = Node(tmp_path / "n3", "n3", played.url, [{"name": "delta"}])
        done = delta.cli("inbox", "--ack")
        as_json = delta.cli("inbox", "--ack", "--json")
    assert done.returncode == as_json.returncode == 69
    assert "body 2." in done.stdout
    command = f"agent-bus ack --as delta {1:026d} {2:026d}"
    words = "not known whether acked: the hub at .*; doing it again does no harm"
    assert re.search(f"\n{words}: {command}\n$", done.stdout)
    page = json.loads(as_json.stdout)
    assert len(page["messages"]) == 2
    assert page["ack_error"]["code"] == "hub_unreachable"


def test_a_page_that_cannot_be_filled_up_is_shown_with_its_cursor(tmp_path: Path) -> None:
    def answer(_method: str, path: str, _body: Any) -> tuple[int, Any] | None:
        found = [waiting(1, fetched_at=rfc3339()), waiting(2)]
        page = {"messages": found, "unread": 9, "next_cursor": "abc"}
        return (503, {"code": "not_ready"}) if "cursor" in path else (200, page)

    with PlayedHub(answer) as played:
        delta = Node(tmp_path / "n3", "n3", played.url, [{"name": "delta"}])
        page = told(delta, "inbox", "--limit", "2")
    assert "body 2." in page
    assert "more: agent-bus inbox --as delta --limit 1 --cursor abc" in page
    assert "no more now: HTTP status 503 (not_ready)" in page


@pytest.mark.parametrize(("arguments", "lost"), [((), True), (("--peek",), False)])
def test_a_lost_answer_may_have_counted_as_shown(
    tmp_path: Path, arguments: tuple[str, ...], *, lost: bool
) -> None:
    with PlayedHub(lambda *_: None) as played:
        delta = Node(tmp_path / "n3", "n3", played.url, [{"name": "delta"}])
        said = told(delta, "inbox", *arguments, code=69)
    words = "its mail may count as shown, so look with: agent-bus inbox --as delta --all"
    assert (words in said) == lost


SILENCE = [
    (("inbox",), 69, "does not answer: timed out"),
    (("ack", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), 69, "does not answer: timed out"),
    (("send", "beta", "x"), 0, "Kept in the outbox"),
    (("reply", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "x"), 0, "Kept in the outbox"),
    (("ask", "beta", "x"), 0, "Kept in the outbox"),
    (("doctor",), 1, "FAIL hub: the hub at"),
]


def test_it_answers_within_ten_seconds_whatever_does_not(
    silent_hub: Node, gateway: StandinProcess
) -> None:
    (silent_hub.folder / ".openclaw").symlink_to(gateway.folder)
    silent_hub.outbox_file("earlier", {"from": "delta", "to": "beta", "body": "earlier"})

    def timed(*arguments: str) -> tuple[float, subprocess.CompletedProcess[str]]:
        began = time.monotonic()
        done = silent_hub.cli(*arguments, env={"HOME": str(silent_hub.folder)})
        return time.monotonic() - began, done

    def late(pool: ThreadPoolExecutor) -> dict[tuple[str, ...], float]:
        """Run all at once, as they only wait; return those that took longer than allowed here."""
        starts = [pool.submit(timed, "--version") for _ in SILENCE]
        start_s = max(start.result()[0] for start in starts)
        answers = [pool.submit(timed, *arguments) for arguments, _, _ in SILENCE]
        found = {}
        for (arguments, code, words), answer in zip(SILENCE, answers, strict=True):
            found[arguments], done = answer.result()
            assert done.returncode == code, (arguments, done.stdout, done.stderr)
            assert words in (done.stderr if code == 69 else done.stdout)
        return {words: took_s for words, took_s in found.items() if took_s >= 10 + 2 * start_s}

    with ThreadPoolExecutor(len(SILENCE)) as pool:
        rounds: list[dict[tuple[str, ...], float]] = []  # other work fails one, a fault fails all
        while len(rounds) < 3 and (not rounds or rounds[-1]):
            rounds.append(late(pool))
    assert not rounds[-1], rounds


def test_a_question_that_is_sent_stays_sent_when_the_hub_goes(
    hub: HubWithNodes, node: Node
) -> None:
    argv = [NODE_PYTHON, "-I", "-S", "-c"]
    argv += [launcher("from agent_bus_client.__main__ import main; x(main(sys.argv[1:]))")]
    argv += ["ask", "--as", "alpha", "gamma", "still there?"]
    with subprocess.Popen(
        argv, env=marked(**node.env()), stdout=subprocess.PIPE, text=True
    ) as asking:
        until(lambda: hub.agent("gamma")["unread"], what="the question is stored")
        hub.process.kill()
        output, _ = asking.communicate(timeout=patience())
    assert asking.returncode == 0
    assert re.search(r"sent \w{26}, and then the hub at .* You will be woken", output)


def test_what_the_outbox_gave_up_is_told_once(hub: HubWithNodes, node: Node) -> None:
    hub.process.kill()
    told(node, "send", "--as", "alpha", "nobody-here", "lost words")
    hub.start()
    done = node.cli("send", "--as", "alpha", "beta", "x")
    assert done.returncode == 0
    assert "was not delivered: to nobody-here: 'lost words'" in done.stderr
    assert not node.cli("inbox", "--as", "alpha").stderr
    assert "FAIL outbox: 0 waiting, 1 failed" in node.cli("doctor").stdout


def test_failures_that_cannot_be_marked_as_told_are_all_told_with_a_way_to_send_once(
    hub: HubWithNodes, node: Node
) -> None:
    box = Outbox(node.folder / "outbox")
    for number in range(2):
        box.give_up(box.add(f"k{number}", {"from": "alpha", "body": f"lost {number}"}), "refused")
    for entry in box.failed():  # a folder where the mark belongs: not even root can mark
        Path(entry.path).with_suffix(".told").mkdir()
    said = [node.cli("inbox", "--as", "alpha").stderr for _ in range(2)]
    assert said[0] == said[1]
    assert "'lost 0': refused (you may have heard this before" in said[0]
    assert "'lost 1': refused (you may have heard this before" in said[0]
    (key, other) = re.findall("--key ([a-z0-9-]+)", said[0])
    assert key != other
    for _ in range(2):
        told(node, "send", "--as", "alpha", "beta", "lost 0", "--key", key)
    assert hub.agent("beta")["unread"] == 1
