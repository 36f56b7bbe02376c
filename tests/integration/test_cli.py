"""The command line as an agent's exec tool runs it, against the real hub."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from agent_bus_client.outbox import Outbox
from tests.support.node_side import FILES, NODE_PYTHON, ROOT, Gateway, Hub, Node, launcher, until
from tests.support.played_hub import PlayedHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def gamma(tmp_path: Path, hub: Hub) -> Node:
    """Node n2 with its one agent."""
    return Node(tmp_path / "n2", "n2", hub.url, [{"name": "gamma"}])


def told(node: Node, *arguments: str, code: int = 0, **more: Any) -> str:
    """Run the command and return its output."""
    done = node.cli(*arguments, **more)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stderr


def sent_id(output: str) -> str:
    found = re.match(r"sent ([0-9A-Z]{26}) ", output)
    assert found
    return found[1]


def test_a_conversation(node: Node, gamma: Node) -> None:
    first = sent_id(told(node, "send", "--as", "alpha", "gamma", "ping", "--subject", "hi"))
    page = told(gamma, "inbox")
    assert "1 unread for gamma" in page
    mark = re.search(r"<<<([0-9a-f]+)\nping\n\1>>>", page)
    assert mark
    assert f"agent-bus ack --as gamma {first}" in page
    told(gamma, "reply", first, "pong", "--ack")
    assert told(gamma, "inbox") == "no messages for gamma\n"
    page = told(node, "inbox", "--as", "alpha", "--ack")
    assert 'subject "Re: hi"' in page
    assert "pong" in page
    assert "acked all 1 that this page shows" in page
    thread = told(node, "thread", "--as", "alpha", first)
    assert thread.index("ping") < thread.index("pong")
    past = told(node, "history", "--as", "alpha", "--with", "gamma")
    assert "to gamma: ping" in past
    assert "read (acked)" in told(node, "status", first)


def test_ask_waits_for_the_reply_and_acks_it(node: Node, gamma: Node) -> None:
    argv = [NODE_PYTHON, "-I", "-S", "-c"]
    argv += [launcher("from agent_bus_client.__main__ import main; x(main(sys.argv[1:]))")]
    argv += ["ask", "--as", "alpha", "gamma", "what is 2+2?"]
    with subprocess.Popen(argv, env=node.env(), stdout=subprocess.PIPE, text=True) as asking:
        found = until(lambda: re.search(r"--as gamma (\w{26}) ", told(gamma, "inbox", "--all")))
        assert found
        told(gamma, "reply", found[1], "4")
        output, _ = asking.communicate(timeout=15)
    assert asking.returncode == 0
    assert "\n4\n" in output
    assert "acked" in output
    assert told(node, "inbox", "--as", "alpha") == "no messages for alpha\n"


def test_ask_says_how_to_go_on_without_a_reply(node: Node) -> None:
    output = told(node, "ask", "--as", "alpha", "gamma", "anybody?", "--wait", "1")
    assert "no reply within 1 s" in output
    assert "agent-bus inbox --as alpha --thread" in output


def test_what_another_turn_was_just_shown_comes_by_its_header(hub: Hub, node: Node) -> None:
    told(node, "send", "--as", "alpha", "beta", "the body")
    assert "the body" in told(node, "inbox", "--as", "beta")
    again = told(node, "inbox", "--as", "beta")
    assert "the body" not in again
    assert "to another turn of yours" in again
    (command,) = re.findall("too: agent-bus (.*)", again)
    assert "the body" in told(node, *command.split())
    assert "acked" not in told(node, "inbox", "--as", "beta", "--ack")
    assert hub.agent("beta")["unread"] == 1  # that turn has it in hand


def test_a_turn_that_died_with_a_full_page_hides_none_of_the_mail_behind_it(
    hub: Hub, node: Node
) -> None:
    for number in range(43):
        hub.send("beta", f"body {number}.")
    for _ in range(2):
        told(node, "inbox", "--as", "beta")  # 20 bodies, and no ack follows
    page = told(node, "inbox", "--as", "beta", "--ack")
    assert [number for number in range(43) if f"body {number}." in page] == [40, 41, 42]
    assert page.count("to another turn of yours") == 10
    assert "(30 more than listed here)" in page
    assert "acked all 3 that this page shows" in page
    assert hub.agent("beta")["unread"] == 40


def test_what_a_dead_turn_had_in_hand_comes_back_though_others_look_at_it_meanwhile(
    hub: Hub, node: Node
) -> None:
    def wait(seconds: int) -> None:
        with contextlib.closing(sqlite3.connect(hub.folder / "bus.db")) as database, database:
            database.execute(
                "UPDATE delivery SET last_fetched_at = last_fetched_at - ?", (seconds * 1000,)
            )

    hub.send("beta", "the body")
    assert "the body" in told(node, "inbox", "--as", "beta")  # and no ack follows
    for seconds in (60, 55):  # of real time a little more
        wait(seconds)
        assert "to another turn of yours" in told(node, "inbox", "--as", "beta")
    wait(6)
    assert "the body" in told(node, "inbox", "--as", "beta")


def test_a_page_stays_below_20_kb_and_the_rest_can_be_shown(node: Node) -> None:
    ids = [
        sent_id(told(node, "send", "--as", "alpha", "beta", "-", stdin=f"{n}" * 30_000))
        for n in range(4)
    ]
    page = told(node, "inbox", "--as", "beta")
    assert len(page.encode()) <= 20_480
    assert all(f"agent-bus show {message}" in page for message in ids)
    part = told(node, "show", ids[2], "--part", "4")
    assert "part 4 of 4" in part
    assert f"when processed: agent-bus ack --as beta {ids[2]}" in part
    assert "2" * 5000 in part


def test_a_character_at_the_end_of_a_part_stays_whole(node: Node) -> None:
    body = "x" + "世🙂" * 2000
    message = sent_id(told(node, "send", "--as", "alpha", "beta", "-", stdin=body))
    shown = [told(node, "show", message, "--part", str(part)) for part in (1, 2)]
    pieces = [re.findall(r"<<<(\w+)\n(.*)\n\1>>>", words)[0][1] for words in shown]
    assert "".join(pieces) == body


def test_every_page_names_the_command_that_shows_the_next_one(node: Node) -> None:
    first = sent_id(told(node, "send", "--as", "alpha", "beta", "body 0"))
    for number in range(1, 4):
        told(node, "send", "--as", "alpha", "beta", f"body {number}", "--reply-to", first)
    told(node, "send", "--as", "alpha", "beta", "of another thread")
    thread = sent_id(told(node, "send", "--as", "alpha", "gamma", "elsewhere"))
    for arguments in (
        ("inbox", "--as", "beta", "--thread", first, "--limit", "2"),
        ("thread", "--as", "beta", first, "--limit", "2"),
        ("history", "--as", "beta", "--thread", first, "--limit", "2"),
    ):
        page = told(node, *arguments)
        (command,) = re.findall("more: agent-bus (.*)", page)
        pages = page + told(node, *command.split())
        assert sorted(re.findall(r"body \d", pages)) == [f"body {n}" for n in range(4)], pages
        assert "another thread" not in pages
    said = told(node, "inbox", "--as", "beta", "--thread", thread)
    assert said == "no messages for beta that match; 5 unread: agent-bus inbox --as beta\n"


def test_control_and_bidi_characters_are_escaped_but_not_in_json(node: Node) -> None:
    body = "a\x1b[31m\u202eb\u2066c\U000e0041"
    told(node, "send", "--as", "alpha", "beta", body)
    page = told(node, "inbox", "--as", "beta")
    assert r"a\u{1b}[31m\u{202e}b\u{2066}c\u{e0041}" in page
    raw = json.loads(told(node, "inbox", "--as", "beta", "--json", "--all"))
    assert raw["messages"][0]["body"] == body


def test_ack_tells_what_it_did(node: Node) -> None:
    message = sent_id(told(node, "send", "--as", "alpha", "beta", "x"))
    assert told(node, "ack", "--as", "beta", message) == "acked 1\n"
    assert told(node, "ack", "--as", "beta", message) == "acked 0, 1 had been acked before\n"
    other = sent_id(told(node, "send", "--as", "beta", "alpha", "y"))
    done = node.cli("ack", "--as", "beta", other)
    assert done.returncode == 1
    assert "not in the mailbox of beta" in done.stdout
    later = sent_id(told(node, "send", "--as", "alpha", "beta", "z"))
    told(node, "inbox", "--as", "beta")
    assert told(node, "ack", "--as", "beta", "--up-to", later) == "acked 1\n"


def test_lists_groups_and_everybody_can_be_written_to(node: Node) -> None:
    assert told(node, "send", "--as", "alpha", "beta,gamma", "x").count(": queued") == 2
    assert told(node, "send", "--as", "alpha", "all", "x").count(": queued") == 2
    assert (
        told(node, "send", "--as", "alpha", "--to", "beta", "--to", "gamma", "x").count(": queued")
        == 2
    )


def test_urgent_mail_comes_first(node: Node) -> None:
    told(node, "send", "--as", "alpha", "beta", "slowly")
    told(node, "send", "--as", "alpha", "beta", "now", "--priority", "urgent")
    page = told(node, "inbox", "--as", "beta")
    assert page.index("now") < page.index("slowly")
    assert "priority urgent" in page


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("send", "--as", "alpha", "bta", "x"), 1, "beta"),
        (("send", "--as", "alpha", "bta", "x"), 1, "look: agent-bus agents"),
        ((), 2, "show unread messages, urgent first"),
        (("inbox",), 2, "which agent are you? Add --as with one of: alpha, beta"),
        (("inbox", "--as", "gamma"), 2, "gamma is not an agent of this node"),
        (("inbox", "--as", "alpha", "--limit", "x"), 2, "invalid int value"),
        (("ack", "--as", "alpha"), 2, "name message ids"),
        (("send", "--as", "alpha"), 2, "to whom?"),
        (("send", "--as", "alpha", "beta", "a", "b"), 2, "more than one body"),
        (("send", "--as", "alpha", "beta", "x", "--data", "{"), 2, "--data is not JSON"),
        (("show", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), 1, "unknown_message"),
        (("bogus",), 2, "invalid choice"),
    ],
)
def test_mistakes_have_their_exit_code_and_words(
    node: Node, arguments: tuple[str, ...], code: int, words: str
) -> None:
    assert words in told(node, *arguments, code=code)


def test_identity_comes_from_the_environment_or_the_workspace(node: Node, tmp_path: Path) -> None:
    assert "for beta" in told(node, "inbox", env={"AGENT_BUS_AGENT": "beta"})
    workspace = tmp_path / "workspace-beta" / "deep"
    workspace.mkdir(parents=True)
    assert "for beta" in told(node, "inbox", cwd=workspace)


def test_a_wrong_token_is_77(node: Node) -> None:
    (node.folder / "secrets" / "node-token").write_text("wrong")
    told(node, "agents", code=77)


def test_without_a_hub_a_send_is_kept_and_the_next_one_sends_it_first(
    hub: Hub, node: Node
) -> None:
    hub.process.kill()
    assert "Kept in the outbox" in told(node, "send", "--as", "alpha", "beta", "first")
    told(node, "send", "--as", "alpha", "beta", "x", "--no-spool", code=69)
    told(node, "inbox", "--as", "beta", code=69)
    hub.start()
    told(node, "send", "--as", "alpha", "beta", "second")
    page = json.loads(told(node, "inbox", "--as", "beta", "--json"))
    assert [m["body"] for m in page["messages"]] == ["first", "second"]


def test_replies_and_questions_are_kept_too_and_find_their_recipients(
    hub: Hub, node: Node, gamma: Node
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


def test_a_reply_to_what_is_not_there_ends_among_the_failed(hub: Hub, node: Node) -> None:
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
    """A node whose hub takes connections and says nothing, and whose gateway is the same."""
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
    assert re.search(f"\nnot acked: the hub at .*; try again: {command}\n$", done.stdout)
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
    silent_hub: Node, gateway: Gateway
) -> None:
    (silent_hub.folder / ".openclaw").symlink_to(gateway.folder)
    silent_hub.outbox_file("earlier", {"from": "delta", "to": "beta", "body": "earlier"})

    def timed(*arguments: str) -> tuple[float, subprocess.CompletedProcess[str]]:
        began = time.monotonic()
        done = silent_hub.cli(*arguments, env={"HOME": str(silent_hub.folder)})
        return time.monotonic() - began, done

    with ThreadPoolExecutor(len(SILENCE)) as pool:  # they do nothing but wait
        starts = [pool.submit(timed, "--version") for _ in SILENCE]
        start_s = max(start.result()[0] for start in starts)  # what this machine takes
        answers = [pool.submit(timed, *arguments) for arguments, _, _ in SILENCE]
        for (arguments, code, words), answer in zip(SILENCE, answers, strict=True):
            took_s, done = answer.result()
            assert took_s < 10 + 2 * start_s, arguments
            assert done.returncode == code, (arguments, done.stdout, done.stderr)
            assert words in (done.stderr if code == 69 else done.stdout)


def test_a_question_that_is_sent_stays_sent_when_the_hub_goes(hub: Hub, node: Node) -> None:
    argv = [NODE_PYTHON, "-I", "-S", "-c"]
    argv += [launcher("from agent_bus_client.__main__ import main; x(main(sys.argv[1:]))")]
    argv += ["ask", "--as", "alpha", "gamma", "still there?"]
    with subprocess.Popen(argv, env=node.env(), stdout=subprocess.PIPE, text=True) as asking:
        until(lambda: hub.agent("gamma")["unread"], what="the question is stored")
        hub.process.kill()
        output, _ = asking.communicate(timeout=15)
    assert asking.returncode == 0
    assert re.search(r"sent \w{26}, and then the hub at .* You will be woken", output)


def test_what_the_outbox_gave_up_is_told_once(hub: Hub, node: Node) -> None:
    hub.process.kill()
    told(node, "send", "--as", "alpha", "nobody-here", "lost words")
    hub.start()
    done = node.cli("send", "--as", "alpha", "beta", "x")
    assert done.returncode == 0
    assert "was not delivered: to nobody-here: 'lost words'" in done.stderr
    assert not node.cli("inbox", "--as", "alpha").stderr
    assert "FAIL outbox: 0 waiting, 1 failed" in node.cli("doctor").stdout


def test_failures_that_cannot_be_marked_as_told_are_all_told_with_a_way_to_send_once(
    hub: Hub, node: Node
) -> None:
    box = Outbox(node.folder / "outbox")
    for number in range(2):
        box.give_up(box.add(f"k{number}", {"from": "alpha", "body": f"lost {number}"}), "refused")
    for entry in box.failed():  # a folder where the mark belongs: not even root can mark
        entry.path.with_suffix(".told").mkdir()
    said = [node.cli("inbox", "--as", "alpha").stderr for _ in range(2)]
    assert said[0] == said[1]
    assert "'lost 0': refused (you may have heard this before" in said[0]
    assert "'lost 1': refused (you may have heard this before" in said[0]
    (key, other) = re.findall("--key ([a-z0-9-]+)", said[0])
    assert key != other
    for _ in range(2):
        told(node, "send", "--as", "alpha", "beta", "lost 0", "--key", key)
    assert hub.agent("beta")["unread"] == 1


def test_doctor_names_the_broken_link(
    node: Node, gateway: Gateway, online: Callable[[], None], tmp_path: Path
) -> None:
    home = {"HOME": str(tmp_path)}
    done = node.cli("doctor", env=home)
    assert done.returncode == 1
    assert "FAIL watcher: not connected" in done.stdout
    online()
    done = node.cli("doctor", env=home)
    assert done.returncode == 0, done.stdout
    (tmp_path / ".openclaw").symlink_to(gateway.folder)
    output = node.cli("doctor", env=home).stdout
    assert "ok   wake hook" in output
    assert "FAIL" not in output
    config = {"hooks": {"enabled": False}, "agents": {"entries": {"alpha": {}}}}
    (tmp_path / ".openclaw" / "openclaw.json").write_text(json.dumps(config))
    output = node.cli("doctor", env=home).stdout
    assert "FAIL hooks: off" in output
    assert "FAIL gateway agent beta: not among the gateway's agents" in output
    assert "ok   gateway agent alpha" in output


def test_agents_and_stats_are_printed(node: Node) -> None:
    assert re.search(r"^gamma +n2 +offline", told(node, "agents"), re.MULTILINE)
    assert "database.journal_mode wal" in told(node, "stats")


def test_check_config_is_for_ansible(node: Node, tmp_path: Path) -> None:
    assert told(node, "check-config", str(node.config)) == ""
    broken = tmp_path / "broken.json"
    broken.write_text('{"node": "n1"}')
    assert "hub_url is missing" in told(node, "check-config", str(broken), code=78)


@pytest.mark.parametrize("template", ["agent-bus.j2", "bus-watcher.py.j2"])
def test_the_launchers_start_what_they_should(node: Node, tmp_path: Path, template: str) -> None:
    text = (ROOT / "templates" / template).read_text()
    assert text.count("\n") <= 15
    text = re.sub(r"\{\{ ansible_managed.*?\}\}", "x", text)
    text = text.replace("{{ bus_watcher_current }}", str(FILES))
    text = text.replace("{{ bus_watcher_config }}", str(node.folder / "missing.json"))
    program = tmp_path / "program"
    program.write_text(text)
    done = subprocess.run(
        [NODE_PYTHON, "-IS", str(program), "agents"],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
        env={},
    )
    assert done.returncode == 78
    assert "missing.json: No such file" in done.stderr
