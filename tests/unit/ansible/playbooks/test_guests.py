"""What the playbooks do on the control node for guests: tokens, and what is said of them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lab.paths import ROOT
from tests.support.plays import play

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.plays import Done

SAID = "Guests reach the bus at http://box:8091"


def run(folder: Path, guests: Any, parts: str, *options: str, **more: Any) -> Done:
    """Do parts of role fleet for a fleet with these guests, limited to one of its nodes."""
    variables = {
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "agent_bus_secrets_dir": str(folder / "secrets"),
        **({} if guests is None else {"guests": guests}),
    }
    fleet = {
        "all": {"vars": variables},
        "hub": {"hosts": {"box": {}}},
        "nodes": {"hosts": {"mini": {"agents": ["ada"]}}},
    }
    (folder / "hosts.yml").write_text(yaml.safe_dump(fleet))
    done = play(
        [
            {"ansible.builtin.import_role": {"name": "fleet", "tasks_from": part}}
            for part in parts.split()
        ],
        folder,
        hosts="hub:nodes",
        inventory=[str(folder / "hosts.yml")],
        options=["--limit", "mini", *options],
        variables=more,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def tokens(folder: Path) -> dict[str, str]:
    """The texts of the files with tokens of guests."""
    files = sorted((folder / "secrets" / "guests").iterdir())
    assert {file.stat().st_mode & 0o777 for file in files} <= {0o600}
    return {file.name: file.read_text().strip() for file in files}


@pytest.fixture(scope="module")
def first_tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a fleet whose two guests have got their tokens."""
    folder = tmp_path_factory.mktemp("first")
    run(folder, {"laptop": ["visitor"], "phone": ["caller"]}, "tokens")
    return folder


@pytest.fixture
def made(tmp_path: Path, first_tokens: Path) -> dict[str, str]:
    """The tokens of two guests, in a folder of this test's own."""
    shutil.copytree(first_tokens, tmp_path, dirs_exist_ok=True)
    return tokens(tmp_path)


def test_each_guest_gets_a_token_once(tmp_path: Path, made: dict[str, str]) -> None:
    assert set(made) == {"laptop.token", "phone.token"}
    assert len({*made.values()}) == 2
    assert all(len(text) == 43 for text in made.values())
    assert (tmp_path / "secrets" / "guests").stat().st_mode & 0o777 == 0o700
    run(tmp_path, {"laptop": ["visitor"], "phone": ["caller"]}, "tokens")
    assert tokens(tmp_path) == made


def test_a_fleet_without_guests_gets_no_folder_for_them(tmp_path: Path) -> None:
    done = run(tmp_path, None, "tokens guests")
    assert not (tmp_path / "secrets" / "guests").exists()
    assert "Guests reach" not in done.stdout
    assert "WARNING" not in done.stdout + done.stderr


def test_the_token_of_a_guest_that_left_is_deleted(tmp_path: Path, made: dict[str, str]) -> None:
    (tmp_path / "secrets" / "guests" / "phone.token.old").write_text("old\n")
    (tmp_path / "secrets" / "guests" / "phone.token.old").chmod(0o600)
    checked = run(tmp_path, {"laptop": ["visitor"]}, "guests", "--check")
    assert "changed=1" in checked.stdout
    assert set(tokens(tmp_path)) == {"laptop.token", "phone.token", "phone.token.old"}
    run(tmp_path, {"laptop": ["visitor"]}, "guests")
    assert tokens(tmp_path) == {"laptop.token": made["laptop.token"]}


def test_the_operator_is_told_where_tokens_are_and_none_is_shown(
    tmp_path: Path, made: dict[str, str]
) -> None:
    done = run(tmp_path, {"laptop": ["visitor"], "phone": ["caller"]}, "guests")
    assert SAID in done.stdout
    file = tmp_path / "secrets" / "guests" / "laptop.token"
    assert f"laptop (visitor): its token is in {file}" in done.stdout
    assert not any(text in done.stdout for text in made.values())
    assert "changed=0" in done.stdout


@pytest.mark.parametrize("wanted", ["laptop", True])
def test_a_rotated_guest_has_two_tokens_until_the_old_one_is_deleted(
    tmp_path: Path, made: dict[str, str], wanted: Any
) -> None:
    guests = {"laptop": ["visitor"], "phone": ["caller"]}
    run(tmp_path, guests, "rotate_tokens", rotate_guests=wanted)
    found = tokens(tmp_path)
    assert found["laptop.token.old"] == made["laptop.token"] != found["laptop.token"]
    assert ("phone.token.old" in found) == (wanted is True)
    told = run(tmp_path, guests, "rotate_tokens guests", rotate_guests=wanted).stdout
    assert tokens(tmp_path) == found, "what was not handed over yet stays the next one"
    assert "Once it uses this one, delete" in told


def test_guests_are_not_rotated_unless_that_is_asked_for(
    tmp_path: Path, made: dict[str, str]
) -> None:
    run(tmp_path, {"laptop": ["visitor"], "phone": ["caller"]}, "rotate_tokens")
    assert tokens(tmp_path) == made


def test_the_last_play_of_a_rollout_sees_to_the_guests_whatever_part_is_rolled_out() -> None:
    *_, last = yaml.safe_load((ROOT / "site.yml").read_text())
    assert last["hosts"] == "hub:nodes", "also under a limit"
    assert set(last["tags"]) == {"hub", "nodes", "roster"}
