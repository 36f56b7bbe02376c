from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from lab.engine import containers
from lab.fleet import inventory, overlay
from lab.paths import tool

if TYPE_CHECKING:
    from pathlib import Path

STRANGERS = """\
all:
  vars:
    ansible_user: pi
    ansible_become_password: hush
    ansible_port: 2222
hub:
  hosts:
    attic:
      bus_address: 192.168.1.5
nodes:
  hosts:
    attic:
    cellar:
      ansible_connection: local
      ansible_ssh_common_args: -J bastion
      agents: [mouse]
"""


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[containers.Spec]:
    monkeypatch.setattr(overlay, "fleet_dir", lambda fleet: tmp_path / fleet)
    return [
        containers.Spec("demo", host, f"10.213.77.{number}", "image", tmp_path / "key.pub")
        for number, host in enumerate(("attic", "cellar"), start=10)
    ]


def test_the_overlay_wins_over_all_that_a_strangers_inventory_sets(
    specs: list[containers.Spec], tmp_path: Path
) -> None:
    source = tmp_path / "strangers.yml"
    source.write_text(STRANGERS)
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars" / "cellar.yml").write_text("ansible_host: 203.0.113.9\n")
    folder = overlay.write(specs, inventory.read([source]))
    listing = subprocess.run(
        [tool("ansible-inventory"), "--list", "-i", source, "-i", folder],
        capture_output=True,
        text=True,
        check=True,
    )
    merged = json.loads(listing.stdout)["_meta"]["hostvars"]
    cellar = merged["cellar"]
    assert cellar["ansible_host"] == "10.213.77.11"
    assert cellar["ansible_connection"] == "ssh"
    assert cellar["ansible_port"] == 22
    assert cellar["ansible_user"] == "ansible"
    assert cellar["ansible_ssh_common_args"] == ""
    assert cellar["ansible_become_password"] == "hush"  # sudo of a container takes any
    assert cellar["agents"] == ["mouse"]
    assert cellar["agent_bus_secrets_dir"] == str(tmp_path / "demo" / "secrets")
    assert merged["attic"]["bus_address"] == "attic"
    assert "bus_address" not in cellar


def test_hosts_that_are_gone_leave_no_file(specs: list[containers.Spec], tmp_path: Path) -> None:
    source = tmp_path / "strangers.yml"
    source.write_text(STRANGERS)
    read = inventory.read([source])
    folder = overlay.write(specs, read)
    overlay.write(specs[:1], read)
    assert [path.name for path in (folder / "host_vars").iterdir()] == ["attic.yml"]


def overlaid(specs: list[containers.Spec], **raw: object) -> dict[str, object]:
    return overlay.host_variables(specs[0], is_hub=False, raw=raw)


def test_what_an_inventory_leaves_to_ansible_is_left_to_ansible(
    specs: list[containers.Spec],
) -> None:
    """Otherwise the lab would hide what a plain inventory does on real machines."""
    assert set(overlaid(specs)) == {
        "ansible_connection",
        "ansible_host",
        "ansible_port",
        "ansible_user",
        "ansible_ssh_private_key_file",
        "ansible_ssh_args",
        "ansible_control_path",
        "agent_bus_secrets_dir",
    }


@pytest.mark.parametrize("word", ["auto_silent", "auto", "/usr/bin/python3", "{{ mine }}"])
def test_an_interpreter_that_a_container_can_have_stays(
    specs: list[containers.Spec], word: str
) -> None:
    assert "ansible_python_interpreter" not in overlaid(specs, ansible_python_interpreter=word)


def test_programs_that_no_container_has_are_replaced(specs: list[containers.Spec]) -> None:
    found = overlaid(
        specs,
        ansible_python_interpreter="/opt/python/bin/python3",
        ansible_become_method="doas",
        ansible_become_exe="/usr/local/bin/doas",
        ansible_become_user="root",
        ansible_ssh_pipelining=False,
    )
    assert found["ansible_python_interpreter"] == "/usr/bin/python3"
    assert found["ansible_become_method"] == "sudo"
    assert found["ansible_become_exe"] == ""
    assert "ansible_become_user" not in found
    assert "ansible_ssh_pipelining" not in found
