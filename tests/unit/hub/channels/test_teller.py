"""The process for services: what comes of a batch when it answers, hangs or dies."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
from functools import partial
from typing import TYPE_CHECKING

import pytest

from agent_bus import channel_settings
from agent_bus.channels.apprise_child import redacted
from agent_bus.channels.teller import AT_ONCE, Item, Teller
from agent_bus.runtime import greenlets
from agent_bus.webhooks.schedule import Attempt
from tests.support.hub import REPOSITORY
from tests.support.patience import patience

if TYPE_CHECKING:
    from pathlib import Path

OK = Attempt("delivered", "")


def teller(folder: Path, program: str, *, patience_s: float = 60) -> Teller:
    """One whose process runs a program, after it has read its batch and noted its start."""
    file = folder / "child.py"
    begin = f"""
        import json, os, sys, time
        batch = json.loads(sys.stdin.readline())
        with open({str(folder / "starts")!r}, "a") as starts:
            print(os.getpid(), len(batch["items"]), file=starts)
        def answer(number, error=None):
            print(json.dumps({{"id": number, "error": error}}), flush=True)
    """
    file.write_text(textwrap.dedent(begin) + textwrap.dedent(program))
    return Teller(command=(sys.executable, "-S", str(file)), patience_s=patience_s)


def all_of(one: Teller, *urls: str) -> list[Attempt]:
    """Tell several things at the same moment."""
    return greenlets.all_of([partial(one.tell, Item(url, "t", "x")) for url in urls])


def starts(folder: Path) -> list[str]:
    return [line.split()[1] for line in (folder / "starts").read_text().splitlines()]


def test_what_is_asked_at_the_same_moment_shares_a_process(tmp_path: Path) -> None:
    one = teller(tmp_path, "for item in batch['items']: answer(item['id'])")
    assert all_of(one, "a://", "b://", "c://") == [OK] * 3
    assert starts(tmp_path) == ["3"]


def test_each_answer_counts_by_itself(tmp_path: Path) -> None:
    one = teller(tmp_path, "answer(1, 'error=401'); answer(0)")
    assert all_of(one, "a://", "b://") == [OK, Attempt("away", "error=401")]


def test_a_process_that_dies_keeps_what_it_has_answered(tmp_path: Path) -> None:
    one = teller(tmp_path, "answer(0); os._exit(1)")
    found = all_of(one, "a://", "b://")
    ended = "the process that speaks to Apprise has ended without an answer"
    assert found == [OK, Attempt("away", ended)]


def test_a_process_that_hangs_is_killed(tmp_path: Path) -> None:
    one = teller(tmp_path, "answer(0); time.sleep(3600)", patience_s=2)
    assert all_of(one, "a://", "b://") == [OK, Attempt("away", "no answer within 2 s")]


@pytest.mark.parametrize("nonsense", ["print('hello')", "print('[]')", "answer(7)"])
def test_nonsense_is_a_failure(tmp_path: Path, nonsense: str) -> None:
    (found,) = all_of(teller(tmp_path, nonsense), "a://")
    assert found.verdict == "away"
    assert found.words.startswith("the process that speaks to Apprise failed: ")


def test_a_program_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    one = Teller(command=(str(tmp_path / "nothing"),))
    (found,) = all_of(one, "a://")
    assert found == Attempt("away", "the process that speaks to Apprise failed: FileNotFoundError")


def test_a_stop_kills_what_runs_and_answers_who_waits(tmp_path: Path) -> None:
    one = teller(tmp_path, "time.sleep(3600)")
    works = [greenlets.spawn(one.tell, Item("a://", "t", "x"))]
    for _ in range(AT_ONCE + 1):
        greenlets.sleep(0.01)
        works.append(greenlets.spawn(one.tell, Item("b://", "t", "x")))
    with greenlets.deadline(60):
        while not (tmp_path / "starts").exists() or len(starts(tmp_path)) < AT_ONCE:
            greenlets.sleep(0.01)
        one.close()
        assert {work.get().words for work in works} == {"the hub stops"}
    assert len(starts(tmp_path)) == AT_ONCE
    assert one.tell(Item("a://", "t", "x")).words == "the hub stops"


def test_the_program_ends_with_whoever_started_it_whatever_a_service_does() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"ntfy://127.0.0.1:{silent.getsockname()[1]}/topic"
        item = {"id": 0, "url": url, "title": "t", "text": "x"}
        batch = {"verb": "notify", "patience_s": 3600, "items": [item]}
        child = subprocess.Popen(
            channel_settings.APPRISE,
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY / "files")},
        )
        assert child.stdin is not None
        child.stdin.write(json.dumps(batch).encode() + b"\n")
        child.stdin.flush()
        silent.settimeout(patience())
        asked, _ = silent.accept()  # and never answered
        child.stdin.close()
        assert child.wait(patience()) == 1
        asked.close()


def test_no_part_of_a_url_but_its_scheme_is_in_an_error() -> None:
    url = "tgram://123:tok%2Fen@host.example/chat?to=someone"
    said = "Failed: tgram://123:tok/en@host.example/chat error=401 (someone, tok%2Fen)\n bye"
    found = redacted(said, url)
    assert found.startswith("Failed: tgram://")
    assert "error=401" in found
    for part in ("123", "tok", "host.example", "chat", "someone", "\n"):
        assert part not in found
    assert len(redacted("x" * 1000, url)) == 200
