from __future__ import annotations

import fcntl
import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from lab.engine import image
from lab.paths import LabError
from tests.support.patience import patience

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_the_hash_follows_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "units").mkdir()
    (tmp_path / "units" / "a").write_text("1")
    first = image.content_hash(tmp_path)
    assert image.content_hash(tmp_path) == first
    (tmp_path / "units" / "a").write_text("2")
    second = image.content_hash(tmp_path)
    (tmp_path / "units" / "a").rename(tmp_path / "units" / "b")
    assert len({first, second, image.content_hash(tmp_path)}) == 3


def test_an_unknown_distribution_is_refused_with_those_there_are() -> None:
    with pytest.raises(LabError, match="'sid'; the lab knows bullseye, bookworm, trixie, noble"):
        image.ensure_all(["bookworm", "sid"], settled=False)


@pytest.fixture
def bootstrapped(tmp_path: Path) -> Callable[[str], tuple[int, str]]:
    """Run bootstrap-base; in place of its programs are some that only note their arguments."""
    called = tmp_path / "called"
    for name in ("mmdebstrap", "podman"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >>{called}\n')
        program.chmod(0o755)

    def run(suite: str) -> tuple[int, str]:
        called.write_text("")
        done = subprocess.run(
            [str(image.IMAGE_DIR / "bootstrap-base"), "the-tag", suite],
            env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
            stderr=subprocess.DEVNULL,
            check=False,
        )
        return done.returncode, called.read_text()

    return run


@pytest.mark.parametrize("suite", image.DISTRIBUTIONS)
def test_each_distribution_is_bootstrapped_from_its_own_suite_and_gets_its_tag(
    bootstrapped: Callable[[str], tuple[int, str]], suite: str
) -> None:
    code, called = bootstrapped(suite)
    assert code == 0
    *_, made, imported = called.splitlines()
    assert made.startswith("mmdebstrap ")
    assert made.split()[-2] == suite
    assert imported.split()[:2] == ["podman", "import"]
    assert imported.split()[-1] == "the-tag"


def test_a_suite_without_a_distribution_is_not_bootstrapped(
    bootstrapped: Callable[[str], tuple[int, str]],
) -> None:
    assert bootstrapped("sid") == (2, "")


def test_an_archive_out_of_reach_is_named_and_its_hosts_run_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = "http://127.0.0.1:9/dists/elsewhere/InRelease"
    nowhere = image.Distribution("Elsewhere 1", address, may_be_missing=True)
    monkeypatch.setitem(image.DISTRIBUTIONS, "elsewhere", nowhere)
    monkeypatch.setattr(image, "NOTES", tmp_path)
    monkeypatch.setattr(image, "STORE", tmp_path)
    monkeypatch.setattr(image, "podman", only_default_exists)
    tags = image.ensure_all(["elsewhere"], settled=False)
    assert tags["elsewhere"] == tags[image.DEFAULT]
    words = capsys.readouterr().out
    assert "NOT RUN on Elsewhere 1: its hosts run Debian 12" in words
    assert (tmp_path / "not-run-elsewhere").read_text() in words
    # a standing fleet stays unchanged and does not try again
    assert image.ensure_all(["elsewhere"], settled=True)["elsewhere"] == tags["elsewhere"]
    assert capsys.readouterr().out == ""


def test_an_image_that_another_run_makes_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[tuple[str, ...]] = []
    waiting = threading.Event()

    def podman(*arguments: str, **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(arguments)
        made = len(calls) > 1  # in the time between the two questions
        return subprocess.CompletedProcess(arguments, 0 if made else 1, "", "")

    monkeypatch.setattr(image, "STORE", tmp_path)
    monkeypatch.setattr(image, "NOTES", tmp_path)
    monkeypatch.setattr(image, "podman", podman)

    def say(line: str) -> None:
        print(line)
        waiting.set()

    monkeypatch.setattr(image, "say", say)
    with (
        ThreadPoolExecutor() as pool,
        (tmp_path / f"image-{image.DEFAULT}.lock").open("a") as other,
    ):
        fcntl.flock(other, fcntl.LOCK_EX)
        found = pool.submit(image.ensure_all, [image.DEFAULT], settled=False)
        assert waiting.wait(patience())
        assert not found.done()
        fcntl.flock(other, fcntl.LOCK_UN)
        assert image.DEFAULT in found.result()
    assert "waiting for another run's image of Debian 12" in capsys.readouterr().out
    assert [words[:2] for words in calls] == [("image", "exists")] * 2


def test_only_what_no_lab_can_do_without_may_not_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(name: str) -> str:
        raise LabError(f"no packages of {name}")

    monkeypatch.setattr(image, "NOTES", tmp_path)
    monkeypatch.setattr(image, "STORE", tmp_path)
    monkeypatch.setattr(image, "podman", only_default_exists)
    monkeypatch.setattr(image, "_ensure_base", gone)
    tags = image.ensure_all(["bullseye"], settled=False)
    assert tags["bullseye"] == tags[image.DEFAULT]
    with pytest.raises(LabError, match="no packages of trixie"):
        image.ensure_all(["trixie"], settled=False)


def only_default_exists(
    *arguments: str,
    check: bool,
) -> subprocess.CompletedProcess[str]:
    there = f"localhost/agent-bus-lab-{image.DEFAULT}:" in arguments[-1]
    return subprocess.CompletedProcess(arguments, 0 if there else 1, "", "")
