"""Whoever waits for a long run sees each line at once, and is never without a line for long."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from lab.paths import ROOT, tool
from tests.support.patience import patience

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TELL = "from lab import progress; progress.{}; "


class Follower:
    """`python -m lab.follow` with a command that waits for a word before it ends."""

    def __init__(
        self,
        folder: Path,
        *command: str,
        silence_s: float = 600.0,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.go = folder / "go"
        os.mkfifo(self.go)
        options = ["--log", str(folder / "log"), "--silence", str(silence_s)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lab.follow", *options, "--", *command],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **settings},
        )

    def line(self) -> str:
        """Return the next line that is shown."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def let_go(self) -> None:
        """Let the command end."""
        self.go.write_text("go\n")


@pytest.fixture
def followers() -> Iterator[list[Follower]]:
    started: list[Follower] = []
    yield started
    for one in started:
        one.process.kill()
        one.process.communicate()


def python(text: str, *, go: Path) -> list[str]:
    return [sys.executable, "-c", f"{text}\nopen({str(go)!r}).read()"]


def test_a_line_is_shown_while_the_command_goes_on(
    tmp_path: Path, followers: list[Follower]
) -> None:
    program = python("print('begun')", go=tmp_path / "go")
    followers.append(one := Follower(tmp_path, *program))
    assert one.line() == "begun"
    assert one.process.poll() is None
    one.let_go()
    assert one.process.wait(patience()) == 0
    assert (tmp_path / "log").read_text() == "begun\n"


def test_what_is_told_below_a_program_that_keeps_its_output_is_shown_at_once(
    tmp_path: Path, followers: list[Follower]
) -> None:
    """As Ansible holds back a command's output."""
    deep = python(TELL.format("say('deep')"), go=tmp_path / "go")
    keeper = f"import subprocess; subprocess.run({deep!r}, capture_output=True)"
    followers.append(one := Follower(tmp_path, sys.executable, "-c", keeper))
    assert one.line() == "deep"
    assert one.process.poll() is None
    one.let_go()
    assert one.process.wait(patience()) == 0


def test_what_is_printed_and_told_is_shown_once(tmp_path: Path, followers: list[Follower]) -> None:
    program = python(TELL.format("say('once')") + "print('end')", go=tmp_path / "go")
    followers.append(one := Follower(tmp_path, *program))
    assert [one.line(), one.line()] == ["once", "end"]
    one.let_go()


def test_a_silence_is_broken_by_what_goes_on(tmp_path: Path, followers: list[Follower]) -> None:
    program = python(TELL.format("doing('building an image')"), go=tmp_path / "go")
    followers.append(one := Follower(tmp_path, *program, silence_s=0.5))
    seen = [one.line()]
    while "building an image" not in seen[-1]:
        seen.append(one.line())
    assert all(line.startswith("... ") for line in seen)
    one.let_go()


def test_the_exit_code_and_the_last_words_are_the_commands(tmp_path: Path) -> None:
    command = ["sh", "-c", "sleep 600 & echo $!; printf last; exit 3"]
    done = subprocess.run(
        [sys.executable, "-m", "lab.follow", "--", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(),  # what the command leaves running is not waited for
    )
    pid, last = done.stdout.splitlines()
    subprocess.run(["kill", pid], check=True)
    assert (done.returncode, last) == (3, "last")


def test_who_ends_it_ends_the_command(tmp_path: Path, followers: list[Follower]) -> None:
    command = ["sh", "-c", "sleep 600 & trap 'kill $!; echo bye; exit 7' TERM; echo $$; wait"]
    followers.append(one := Follower(tmp_path, *command))
    pid = int(one.line())
    one.process.terminate()
    assert one.line() == "bye"
    assert one.process.wait(patience()) == 7
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_nothing_below_it_outlives_a_killed_run(tmp_path: Path, followers: list[Follower]) -> None:
    """Otherwise a killed run's playbook would go on and remove the fleet of the next run."""
    deep = "import os, time; print(os.getpid(), flush=True); time.sleep(3600)"
    keeper = f"import subprocess; subprocess.run([{sys.executable!r}, '-c', {deep!r}])"
    followers.append(one := Follower(tmp_path, sys.executable, "-c", keeper))
    survivor = os.pidfd_open(int(one.line()))
    one.process.kill()
    assert select.select([survivor], [], [], patience())[0]
    os.close(survivor)


def test_a_task_of_ansible_is_what_goes_on(tmp_path: Path, followers: list[Follower]) -> None:
    playbook = tmp_path / "slow.yml"
    playbook.write_text(
        "- hosts: localhost\n"
        "  gather_facts: false\n"
        "  tasks:\n"
        "    - name: Wait for a word\n"
        f"      ansible.builtin.command: cat {tmp_path}/go\n"
    )
    followers.append(
        one := Follower(tmp_path, tool("ansible-playbook"), str(playbook), silence_s=0.5)
    )
    while "slow.yml: Wait for a word" not in (line := one.line()):
        assert line or one.process.poll() is None, "Ansible ended"
    one.let_go()
    assert one.process.communicate(timeout=patience())[0]


def test_answers_of_a_scenario_are_shown_as_they_come(
    tmp_path: Path, followers: list[Follower]
) -> None:
    """Molecule runs Ansible, which runs pytest and holds back its output to the end."""
    project = tmp_path / "project"
    (project / "molecule").mkdir(parents=True)
    shutil.copy(ROOT / "molecule" / "conftest.py", project / "molecule")
    (project / "molecule" / "test_two.py").write_text(
        "def test_first(): pass\n"
        f"def test_second(): assert open({str(tmp_path / 'go')!r}).read()\n"
    )
    verify = [tool("ansible-playbook"), str(ROOT / "molecule" / "shared" / "verify.yml")]
    settings = {
        "MOLECULE_PROJECT_DIRECTORY": str(project),
        "QUESTIONS": "test_two.py",
        "FLEET": "none",
        "PYTHONPATH": str(ROOT),
    }
    followers.append(one := Follower(tmp_path, *verify, settings=settings))
    while not (line := one.line()).startswith("PASSED"):
        assert line or one.process.poll() is None, "Ansible ended"
    assert "test_first" in line
    assert one.process.poll() is None
    one.let_go()
    rest, _ = one.process.communicate(timeout=patience())
    assert "PASSED molecule/test_two.py::test_second" in rest
    assert one.process.returncode == 0


def test_nobody_need_follow(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lab import progress

    monkeypatch.delenv(progress.PIPE, raising=False)  # a run of all tests is followed
    progress.say("alone")
    progress.doing("nothing")
    assert capsys.readouterr().out == "alone\n"
