"""The command line as an agent's exec tool runs it, against the real hub."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.cli import sent_id, told
from tests.support.guard import marked
from tests.support.node_side import (
    FILES,
    NODE_PYTHON,
    ROOT,
    HubWithNodes,
    Node,
    StandinProcess,
    launcher,
    until,
)
from tests.support.patience import patience

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


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
    with subprocess.Popen(
        argv, env=marked(**node.env()), stdout=subprocess.PIPE, text=True
    ) as asking:
        found = until(lambda: re.search(r"--as gamma (\w{26}) ", told(gamma, "inbox", "--all")))
        assert found
        told(gamma, "reply", found[1], "4")
        output, _ = asking.communicate(timeout=patience())
    assert asking.returncode == 0
    assert "\n4\n" in output
    assert "acked" in output
    assert told(node, "inbox", "--as", "alpha") == "no messages for alpha\n"


def test_ask_says_how_to_go_on_without_a_reply(node: Node) -> None:
    output = told(node, "ask", "--as", "alpha", "gamma", "anybody?", "--wait", "1")
    assert "no reply within 1 s" in output
    assert "agent-bus inbox --as alpha --thread" in output


def test_what_another_turn_was_just_shown_comes_by_its_header(
    hub: HubWithNodes, node: Node
) -> None:
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
    hub: HubWithNodes, node: Node
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
    hub: HubWithNodes, node: Node
) -> None:
    def wait(seconds: int) -> None:
        with contextlib.closing(sqlite3.connect(hub.folder / "bus.db")) as database, database:
            database.execute(
                "UPDATE delivery SET last_fetched_at = last_fetched_at - ?", (seconds * 1000,)
            )

    hub.send("beta", "the body")
    assert "the body" in told(node, "inbox", "--as", "beta")  # and no ack follows
    for seconds in (40, 20):  # with a minute to spare for the machine
        wait(seconds)
        assert "to another turn of yours" in told(node, "inbox", "--as", "beta")
    wait(65)  # past two minutes in all, by far less since the last look
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
        (("show", "no id?x=1"), 1, "unknown_message"),
        (("show", "../stats"), 1, "not_found"),
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


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_standard_stream_is_no_harm(node: Node, gamma: Node, closed: str) -> None:
    code = launcher("from agent_bus_client.__main__ import main; x(main(sys.argv[1:]))")
    sends = [NODE_PYTHON, "-I", "-S", "-c", code, "send", "--as", "alpha", "gamma", "still here"]
    done = subprocess.run(
        ["sh", "-c", f'"$@" {closed}', "sh", *sends],
        env=marked(**node.env()),
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "still here" in told(gamma, "inbox", "--as", "gamma")


def test_a_wrong_token_is_77(node: Node) -> None:
    (node.folder / "secrets" / "node-token").write_text("wrong")
    told(node, "agents", code=77)


def test_doctor_names_the_broken_link(
    node: Node, gateway: StandinProcess, online: Callable[[], None], tmp_path: Path
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
        timeout=patience(),
        env={},
    )
    assert done.returncode == 78
    assert "missing.json: No such file" in done.stderr
