"""Agents whose runtime is not running otherwise: the real watcher and turn service, a stand-in."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.node_side import HubWithNodes, Node, token_of, until
from tests.support.turn_side import USER, TurnSide, alive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FAST = {"wake_min_interval_s": 0.5, "escalate_after_s": 1, "rewake_after_s": 3600}


@pytest.fixture(params=["claude-code", "codex"])
def side(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TurnSide]:
    made = TurnSide(tmp_path / "coder", "coder", waker=request.param)
    made.proven()
    yield made
    made.close()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubWithNodes]:
    server = HubWithNodes(tmp_path / "hub", {"n1": ("coder",)}, keepalive_s=0.5)
    yield server
    server.process.kill()


@pytest.fixture
def node(tmp_path: Path, hub: HubWithNodes, side: TurnSide) -> Iterator[Node]:
    """A node without an OpenClaw: its one agent is woken by turns."""
    made = Node(
        tmp_path / "n1", "n1", hub.url, [side.settings], turn_dir=str(side.sockets), **FAST
    )
    yield made
    if hasattr(made, "watcher"):
        made.watcher.kill()


def wakes(side: TurnSide) -> None:
    """Begin a turn, once the one before is over."""
    until(lambda: side.ask("wake")["status"] == "accepted", what="a turn begins")


claude_only = pytest.mark.parametrize("side", ["claude-code"], indirect=True)


def test_mail_starts_a_turn_that_reads_it_and_the_next_turn_goes_on_with_it(
    hub: HubWithNodes, side: TurnSide, node: Node
) -> None:
    side.reads_mail()
    side.start(node)
    node.start()
    first = hub.send("coder", "a secret body")
    until(lambda: hub.timeline(first["id"], "coder")["read_at"], what="the first is read")
    until(lambda: hub.timeline(first["id"], "coder")["accepted_at"], what="the wake is told")
    side.ended(1)
    second = hub.send("coder")
    until(lambda: hub.timeline(second["id"], "coder")["read_at"], what="the second is read")
    begun = side.notes()
    assert [turn["resumed"] for turn in begun] == [False, True]
    assert begun[0]["session"] == begun[1]["session"]
    assert begun[0]["prompt"].startswith("agent-bus: unread messages for coder.")
    assert "a secret body" not in json.dumps(begun)
    assert {"HOME", "PATH", "API_KEY"} <= set(begun[0]["variables"])
    assert "LEAKED" not in begun[0]["variables"]


@claude_only
def test_wakes_during_a_turn_make_one_more_turn_and_never_two_at_once(
    hub: HubWithNodes, side: TurnSide, node: Node
) -> None:
    side.configure(hold=True)
    service = side.start(node)
    node.start()
    hub.send("coder")
    until(side.notes, what="a turn runs")
    answers = [side.ask("wake") for _ in range(5)]
    assert {answer["status"] for answer in answers} == {"queued"}
    assert 0 < answers[0]["left_s"] <= 1800
    assert len(side.notes()) == 1
    side.reads_mail()  # the turn that follows
    late = hub.send("coder")
    side.go()
    until(lambda: hub.timeline(late["id"], "coder")["read_at"], what="the next turn reads it")
    until(lambda: service.events().count("turn ended") == 2, what="both turns have ended")
    assert len(side.notes()) == 2
    assert side.notes()[1]["at"] > side.notes("ended")[0]["at"]


@claude_only
def test_no_turn_follows_for_mail_that_the_running_turn_has_fetched(
    hub: HubWithNodes, side: TurnSide, node: Node
) -> None:
    side.reads_mail(hold=True)
    service = side.start(node)
    hub.send("coder")
    assert side.ask("wake")["status"] in {"accepted", "queued"}
    assert side.ask("wake")["status"] == "queued"
    side.go()
    until(
        lambda: "no turn follows: the last one has fetched its mail" in service.events(),
        what="the service has asked the hub",
    )
    assert len(side.notes()) == 1


def test_a_turn_past_its_limit_is_killed_with_all_that_it_has_started(
    hub: HubWithNodes, side: TurnSide, node: Node
) -> None:
    side.settings["turn_limit_s"] = 10
    node.write()
    side.configure(hold=True, linger=True, deaf=True)
    service = side.start(node)
    assert side.ask("wake")["status"] == "accepted"
    until(lambda: side.notes("lingers"), what="a grandchild lives in a session of its own")
    until(lambda: "turn was cut off" in service.events(), what="the limit is kept")
    pids = [note["pid"] for note in (*side.notes(), *side.notes("lingers"))]
    assert not any(alive(pid) for pid in pids)
    told = next(line for line in service.lines() if line["event"] == "turn was cut off")
    assert told["reason"] == "it ran longer than 10 s"
    assert told["code"] == -signal.SIGKILL
    side.configure()
    wakes(side)
    side.ended(1)
    assert side.notes()[1]["resumed"]


@claude_only
def test_what_a_turn_leaves_running_ends_with_it(side: TurnSide, node: Node) -> None:
    side.configure(linger=True)
    service = side.start(node)
    side.ask("wake")
    until(lambda: "what the turn left running was ended" in service.events(), what="it is told")
    assert not alive(side.notes("lingers")[0]["pid"])


def test_a_turn_that_fails_is_told_with_its_words_and_put_off(
    hub: HubWithNodes, side: TurnSide, node: Node
) -> None:
    node.settings["rewake_after_s"] = 1  # the first wake was accepted before the turn failed
    node.write()
    side.configure(fail="Not logged in")
    side.start(node)
    node.start()
    sent = hub.send("coder")
    until(lambda: hub.timeline(sent["id"], "coder")["wake_failed_at"], what="the failure is told")
    assert hub.timeline(sent["id"], "coder")["wake_failure"] == "wake: turn failed: Not logged in"
    until(lambda: hub.agent("coder")["status"] == "gateway-down", what="the hub shows it")
    assert side.ask("check")["reason"] == "last turn failed: Not logged in"
    node.watcher.stop()
    assert side.ask("wake")["retry_after_s"] >= 120
    side.configure()
    wakes(side)
    until(lambda: side.ask("check")["status"] == "accepted", what="all is well again")


def test_a_failure_in_words_that_are_no_text_is_told_as_text(side: TurnSide, node: Node) -> None:
    side.configure(fail="\x1b[31mno\0model\ud83d")
    side.start(node)
    side.ask("wake")
    until(lambda: side.ask("check")["status"] == "refused", what="the turn has failed")
    assert side.ask("check")["reason"] == "last turn failed: [31mno model"


def test_a_conversation_that_is_gone_is_begun_anew_in_the_same_wake(
    side: TurnSide, node: Node
) -> None:
    service = side.start(node)
    side.ask("wake")
    side.ended(1)
    first = side.notes()[0]["session"]
    (side.home / "standin-sessions" / first).unlink()
    wakes(side)
    side.ended(2)
    assert side.notes()[1]["session"] != first
    told = "conversation is gone; a new one begins, without its past"
    assert told in service.events()


@claude_only
def test_each_turn_may_have_a_conversation_of_its_own(side: TurnSide, node: Node) -> None:
    side.settings["session"] = "new"
    node.write()
    side.start(node)
    for count in (1, 2):
        wakes(side)
        side.ended(count)
    assert [turn["resumed"] for turn in side.notes()] == [False, False]


@claude_only
def test_a_killed_service_leaves_the_mail_to_the_next_wake(
    hub: HubWithNodes, side: TurnSide, node: Node
) -> None:
    """systemd then kills what is left of the turn, too; here its group."""
    node.settings["rewake_after_s"] = 1
    node.write()
    side.configure(hold=True)
    service = side.start(node)
    node.start()
    sent = hub.send("coder")
    until(side.notes, what="a turn runs")
    service.kill()
    os.kill(side.notes()[0]["pid"], signal.SIGKILL)
    side.reads_mail()
    side.start(node)
    until(lambda: hub.timeline(sent["id"], "coder")["read_at"], what="another turn reads it")
    assert side.notes()[1]["session"] != side.notes()[0]["session"]


@claude_only
def test_a_restarted_watcher_leaves_the_running_turn_alone(
    hub: HubWithNodes, side: TurnSide, node: Node
) -> None:
    side.reads_mail(hold=True)
    side.start(node)
    node.start()
    sent = hub.send("coder")
    until(side.notes, what="a turn runs")
    node.watcher.stop()
    node.start()
    until(
        lambda: hub.timeline(sent["id"], "coder")["accepted_at"],
        what="the new watcher has woken, which waits behind the turn",
    )
    side.go()
    until(lambda: hub.timeline(sent["id"], "coder")["read_at"], what="the turn reads it")
    assert len(side.notes()) == 1


@claude_only
def test_a_stopped_service_ends_its_turn_and_tells_so(side: TurnSide, node: Node) -> None:
    side.configure(hold=True, linger=True)
    service = side.start(node)
    side.ask("wake")
    until(lambda: side.notes("lingers"), what="the turn has started something")
    assert service.stop() == 0
    assert not alive(side.notes("lingers")[0]["pid"])
    told = next(line for line in service.lines() if line["event"] == "turn was cut off")
    assert told["reason"] == "the service was stopped"


@claude_only
def test_a_service_with_nothing_to_do_ends_and_keeps_no_wake_from_the_next(
    side: TurnSide, node: Node
) -> None:
    service = side.start(node, idle_s=0.1)
    assert side.ask("wake")["status"] == "accepted"
    assert service.child.wait() == 0
    side.start(node)
    side.ask("wake")
    side.ended(2)
    assert side.notes()[1]["resumed"]


@claude_only
@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("program", "/no/such/program", "program /no/such/program cannot be executed"),
        ("program", "no-such-program", "program no-such-program is not in "),
        ("folder", "/no/such/folder", "folder /no/such/folder cannot be used (No such file or"),
        ("user", "nobody", "runs as another user than nobody"),
        ("user", "no-such-user", "there is no user no-such-user"),
        ("environment_file", "/no/such/file", "environment file cannot be used"),
    ],
)
def test_what_a_turn_lacks_is_told_before_mail_comes(
    hub: HubWithNodes, side: TurnSide, node: Node, key: str, value: str, reason: str
) -> None:
    side.settings[key] = value
    node.write()
    side.start(node)
    node.start()
    until(lambda: hub.agent("coder")["status"] == "gateway-down", what="the hub shows it")
    assert side.ask("check")["reason"].startswith(reason)
    sent = hub.send("coder")
    until(lambda: hub.timeline(sent["id"], "coder")["wake_failed_at"], what="the failure is told")
    assert hub.timeline(sent["id"], "coder")["wake_failure"].startswith(f"wake: {reason}")
    assert not side.notes()


@claude_only
def test_nobody_listening_is_a_failed_wake_that_names_the_unit(
    hub: HubWithNodes, side: TurnSide, node: Node
) -> None:
    side.listener.close()
    (side.sockets / "coder.sock").unlink()
    node.start()
    sent = hub.send("coder")
    until(lambda: hub.timeline(sent["id"], "coder")["wake_failed_at"], what="the failure is told")
    failure = hub.timeline(sent["id"], "coder")["wake_failure"]
    assert failure == "wake: turn service does not listen"
    events = [line for line in node.watcher.lines() if line["event"].startswith("wake failed:")]
    assert "systemctl status agent-bus-turn@coder.socket" in events[0]["event"]


@claude_only
def test_doctor_looks_at_turns_as_the_user_who_takes_them(side: TurnSide, node: Node) -> None:
    side.start(node)
    done = node.cli("doctor")
    assert f"ok   turns of coder: {side.program} in {side.work} as {USER}" in done.stdout
    side.program.write_text("#!/bin/sh\necho 1.0.0\n", encoding="utf-8")
    done = node.cli("doctor")
    assert (
        f"FAIL turns of coder: {side.program} is 1.0.0; this was made for 2.1.332" in done.stdout
    )
    side.program.unlink()
    assert f"FAIL turns of coder: program {side.program} cannot be" in node.cli("doctor").stdout
    side.settings["user"] = "nobody"
    node.write()
    assert "no more was looked at: run this as nobody" in node.cli("doctor").stdout
    (side.sockets / "coder.sock").unlink()
    assert "FAIL turns of coder: nobody listens on" in node.cli("doctor").stdout


@claude_only
def test_a_turn_needs_the_token_of_its_own_user(side: TurnSide, node: Node) -> None:
    (node.folder / "secrets" / "node-token").unlink()
    side.start(node)
    assert "cannot read" in side.ask("check")["reason"]
    assert token_of("n1")
