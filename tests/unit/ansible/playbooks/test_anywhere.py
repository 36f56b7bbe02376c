"""The playbooks run from any folder, and where Ansible ignores this project's settings."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import jinja2
import pytest
import yaml
from ansible.errors import AnsibleFilterError

from filter_plugins.inventory_places import hosts_to_check, of_fleet
from lab.paths import ROOT, tool

PLAYBOOKS = sorted(f"playbooks/{path.name}" for path in (ROOT / "playbooks").glob("*.yml"))

FOLDERS = (
    *("roles", "library", "playbooks", "templates"),
    *("action_plugins", "filter_plugins", "lookup_plugins"),
    "inventory/production",
)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone that everybody may write to: Ansible ignores an ansible.cfg in such a folder."""
    folder = tmp_path_factory.mktemp("clone")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, symlinks=True)
    for name in ("site.yml", "ansible.cfg"):
        shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    folder.chmod(0o777)
    return folder


def run(clone: Path, *words: str, within: Path = Path("/")) -> subprocess.CompletedProcess[str]:
    """Run playbooks of the clone as somebody without settings of their own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return subprocess.run(
        [tool("ansible-playbook"), *words],
        cwd=within,
        env={**kept, "HOME": str(clone / "home"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def production(clone: Path) -> tuple[str, str]:
    return ("-i", str(clone / "inventory" / "production"))


@pytest.mark.parametrize(
    ("within", "playbooks"),
    [("/", ["site.yml"]), ("/", PLAYBOOKS), ("the clone", ["playbooks/verify.yml", "site.yml"])],
    ids=["site", "playbooks", "within"],
)
def test_every_playbook_finds_its_roles_modules_and_filters(
    clone: Path, within: str, playbooks: list[str]
) -> None:
    folder = Path("/") if within == "/" else clone
    paths = [str(clone / name) for name in playbooks]
    done = run(clone, *production(clone), *paths, "--list-tasks", within=folder)
    assert done.returncode == 0, done.stderr
    for path in paths:
        assert f"playbook: {path}\n" in done.stdout


def test_an_inventory_is_checked_from_any_folder(clone: Path) -> None:
    done = run(clone, *production(clone), str(clone / "playbooks" / "preflight.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "t440 is the hub of 9 nodes" in done.stdout
    words = " ".join(done.stderr.split())
    assert f"export ANSIBLE_CONFIG={clone}/ansible.cfg" in words


def test_a_playbook_without_a_fleet_reports_no_success(clone: Path) -> None:
    done = run(clone, "-i", "/no/such/inventory", str(clone / "playbooks" / "verify.yml"))
    assert done.returncode != 0
    assert "(there is no /no/such/inventory): name your inventory" in " ".join(done.stderr.split())


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_every_playbook_asks_for_a_fleet_first(name: str) -> None:
    jinja = jinja2.Environment(autoescape=False)
    jinja.filters.update(of_fleet=of_fleet, hosts_to_check=hosts_to_check)
    hosts = jinja.from_string(yaml.safe_load((ROOT / name).read_text())[0]["hosts"])
    known = {"ansible_inventory_sources": ["/no/such/inventory"]}
    with pytest.raises(AnsibleFilterError, match="name your inventory"):
        hosts.render(known, groups={"all": [], "ungrouped": []})
    groups = {"all": ["box"], "hub": ["box"], "nodes": ["box"]}
    assert hosts.render({"ansible_inventory_sources": ["box,"]}, groups=groups)


def test_a_rollout_checks_the_inventory_first() -> None:
    first = yaml.safe_load((ROOT / "site.yml").read_text())[0]
    assert first["import_playbook"] == "playbooks/preflight.yml"


def test_a_hosts_file_that_ansible_would_leave_out_stops_the_run(
    clone: Path, tmp_path: Path
) -> None:
    (tmp_path / "more.yml").write_text("- hub\n- nodes\n")
    sources = (*production(clone), "-i", str(tmp_path / "more.yml"))
    done = run(clone, *sources, str(clone / "playbooks" / "preflight.yml"))
    assert done.returncode != 0
    assert "more.yml: Ansible reads no hosts out of this file" in " ".join(done.stderr.split())
