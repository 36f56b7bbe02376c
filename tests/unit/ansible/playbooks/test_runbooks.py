"""Each command in the how-to pages exists as it stands there, and a scenario runs its playbook."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import pytest
import yaml

from filter_plugins.inventory_places import role_variables
from roles.preflight.filter_plugins.preflight import INVENTORY_VARIABLES
from tests.support.plays import tasks_in

ROOT = Path(__file__).resolve().parents[4]
PAGES = sorted(
    [*(ROOT / "docs" / "how-to").glob("*.md"), *(ROOT / "docs" / "tutorial").glob("*.md")]
)
COMMAND = re.compile(r"ansible-playbook -i inventory/\w+ [^`\n]*")
COMMANDS = [
    pytest.param(command, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, command in enumerate(COMMAND.findall(page.read_text()))
]
SCENARIOS = "".join(
    file.read_text() for file in (ROOT / "molecule").rglob("*") if file.suffix in {".py", ".yml"}
)
ELSEWHERE = {
    "playbooks/preflight.yml": "the first play of site.yml",
    "site.yml --check --diff": "molecule's step check, and what drift.yml runs",
    "site.yml --check --diff --limit HOST": "the same for one host",
}
"""Commands that are run as they stand, but by something that does not spell them out."""
DEFAULTS = "".join(
    yaml.safe_dump(yaml.safe_load(file.read_text()))
    for file in (ROOT / "roles").glob("*/defaults/main.yml")
)
KNOWN = {*INVENTORY_VARIABLES, *role_variables(str(ROOT / "roles"))}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_names_a_playbook_and_variables_that_it_reads(command: str) -> None:
    words = shlex.split(command)
    playbook = next(word for word in words if word.endswith(".yml"))
    plays = yaml.safe_load((ROOT / playbook).read_text())
    reads = yaml.safe_dump(plays) + DEFAULTS  # without comments
    tags = {tag for entry in tasks_in(plays) for tag in entry.get("tags", [])}
    for option, value in itertools.pairwise(words):
        if option == "-e":
            name = re.sub(r'^\{"', "", value).split("=")[0].split('"')[0]
            assert name in KNOWN or re.search(rf"\b{name}\b", reads), name
        if option == "--tags":
            assert value in tags


@pytest.mark.parametrize("command", COMMANDS)
def test_a_scenario_runs_the_command_word_for_word(command: str) -> None:
    words = re.sub(r"^ansible-playbook -i inventory/\w+ ", "", command).strip()
    sample = re.sub(r"-e backup=/\S+", "-e backup={NEWEST_BACKUP}", words)
    assert words in ELSEWHERE or sample in SCENARIOS


@pytest.mark.parametrize("playbook", sorted((ROOT / "playbooks").glob("*.yml")), ids=str)
def test_every_playbook_is_explained_and_run_by_a_scenario(playbook: Path) -> None:
    name = f"playbooks/{playbook.name}"
    assert any(name in page.read_text() for page in PAGES), "no how-to page names it"
    if playbook.stem != "preflight":
        assert name in SCENARIOS, "no scenario runs it"
