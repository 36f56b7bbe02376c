"""How much the units may do: `systemd-analyze security` counts, the templates explain the rest."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import jinja2
import pytest

from library.effective_unit import settings_in

TEMPLATES = Path(__file__).resolve().parents[3] / "templates"
MOST_EXPOSED = 2.0
MOST_EXPOSED_TURN = 3.5
"""It is a whole coding agent with all its tools; its template says what it may do, and why."""
VARIANTS = {
    "hub": (
        "agent-bus.service",
        {
            "message_bus_home": "/opt/agent-bus",
            "message_bus_hub": {"tls": "off"},
            "message_bus_kind": "fleet",
            "message_bus_database_secret": "known",
        },
    ),
    "watcher": (
        "bus-watcher.service",
        {"bus_watcher_home": "/opt/agent-bus-client", "bus_watcher_user": "bus-watcher"},
    ),
    "watcher-with-a-command": (
        "bus-watcher.service",
        {
            "bus_watcher_home": "/opt/agent-bus-client",
            "bus_watcher_user": "openclaw",
            "bus_watcher_has_command": True,
        },
    ),
    "turns": ("agent-bus-turn.service", {"bus_watcher_config": "/etc/agent-bus/node.json"}),
    "rule-for-the-port": (
        "agent-bus-firewall.service",
        {"message_bus_firewall_rules": "/etc/agent-bus/firewall.nft"},
    ),
}
DATABASE = {
    "bus_database_home": "/opt/agent-bus-patroni",
    "bus_database_etc": "/etc/agent-bus-database",
}
VARIANTS |= {
    "database": ("agent-bus-database.service", DATABASE),
    "etcd": ("agent-bus-etcd.service", DATABASE),
}
WITHOUT_SECRETS = {"rule-for-the-port", "database", "etcd", "turns"}
"""PostgreSQL, etcd and turns read theirs while they run, so these are files of their users."""
FOR_ONE_MOVE = {"agent-bus-move.service"}
"""Runs once, by root's hand, to put other settings and another unit of the bus in their places."""
SECRET = re.compile("token|password", re.IGNORECASE)
variants = pytest.mark.parametrize("variant", VARIANTS)


def unit_file(variant: str, folder: Path) -> Path:
    """Render a unit as the role would, with everything about TLS and the like left out."""
    name, values = VARIANTS[variant]
    jinja = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True, autoescape=False)
    text = (TEMPLATES / f"{name}.j2").read_text()
    path = folder / name
    path.write_text(jinja.from_string(text).render(values))
    return path


def analysed(unit: Path) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager"]
    most = MOST_EXPOSED_TURN if unit.name.startswith("agent-bus-turn") else MOST_EXPOSED
    command += [f"--threshold={most * 10:.0f}", str(unit)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_unit_is_one_of_the_variants() -> None:
    installed = {path.name.removesuffix(".j2") for path in TEMPLATES.glob("*.service.j2")}
    assert installed - FOR_ONE_MOVE == {name for name, _ in VARIANTS.values()}


@variants
def test_a_unit_is_exposed_as_little_as_promised(variant: str, tmp_path: Path) -> None:
    done = analysed(unit_file(variant, tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


@variants
def test_what_a_unit_may_do_all_the_same_is_explained(variant: str, tmp_path: Path) -> None:
    unit = unit_file(variant, tmp_path)
    explained = " ".join(line for line in unit.read_text().splitlines() if line.startswith("#"))
    counted = re.findall(r"^✗ (\w+)=(?:~(AF_\w+))?", analysed(unit).stdout, re.MULTILINE)
    assert counted
    for directive, family in counted:
        assert directive in explained
        assert family in {"", "AF_UNIX"} or family.startswith("AF_INET") or family in explained


@variants
def test_secrets_reach_a_unit_as_credentials_only(variant: str, tmp_path: Path) -> None:
    unit = unit_file(variant, tmp_path)
    settings = list(settings_in(unit.read_text(), str(unit)))
    assert [one for one in settings if SECRET.search(one.value)] == [
        one for one in settings if one.key == "LoadCredential"
    ]
    secrets = {one.key for one in settings} & {"LoadCredential"}
    assert bool(secrets) == (variant not in WITHOUT_SECRETS)
