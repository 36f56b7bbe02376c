"""What else on a host changes a unit is named, with the file and the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.paths import ROOT
from library import effective_unit
from tests.support.module import answer_of

pytestmark = pytest.mark.usefixtures("both_ways")

UNIT = "/etc/systemd/system/bus-watcher.service"
OURS = """[Unit]
Description=x
[Service]
Type=notify
User=bus-watcher
SupplementaryGroups=agent-bus
Environment=AGENT_BUS_BOOT=%b
ExecStart=/usr/bin/python3 -I -S \\
    /opt/agent-bus-client/bus-watcher.py
LoadCredential=node-token:/etc/agent-bus/secrets/node.token
LoadCredential=hook-token:/etc/agent-bus/secrets/hook.token
ReadWritePaths=/var/lib/agent-bus/outbox
ProtectHome=yes
"""
OUR_CREDENTIALS = "".join(line for line in OURS.splitlines(True) if "Credential" in line)
LXC = "/run/systemd/system/service.d/zzz-lxc-service.conf"
OPERATORS = f"{UNIT}.d/mine.conf"


def found(text: str, file: str = OPERATORS) -> list[str]:
    return effective_unit.differences(UNIT, [(UNIT, OURS), (file, text)])


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("LoadCredential=", "takes LoadCredential=node-token:/etc/agent-bus/secrets/node.token"),
        ("LoadCredential=\nLoadCredential=other:/x", "takes LoadCredential=node-token:"),
        ("User=nobody", "has bus-watcher.service run with User=nobody"),
        ("Type=simple", "has bus-watcher.service run with Type=simple"),
        ("ExecStart=\nExecStart=/bin/true", "run with ExecStart=/bin/true"),
        ("SupplementaryGroups=", "takes SupplementaryGroups=agent-bus away"),
        ("ReadWritePaths=", "takes ReadWritePaths=/var/lib/agent-bus/outbox away"),
        ("Environment=AGENT_BUS_BOOT=1", "takes Environment=AGENT_BUS_BOOT=%b away"),
    ],
)
def test_a_drop_in_that_takes_something_away_is_named(line: str, says: str) -> None:
    (told,) = found(f"[Service]\n{line}\n")
    assert told.startswith(f"{OPERATORS} ")
    assert says in told
    assert "/etc/systemd/system/bus-watcher.service.d/zzzz-agent-bus.conf" in told


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# LoadCredential=\n[Service]\n; User=root\n",
        "[Unit]\nUser=root\n",
        "[Service]\nReadWritePaths=/srv/more\nEnvironment=LANG=C\nLoadCredential=more:/x\n",
        "[Service]\nProtectHome=no\nRestartSec=60\nNoNewPrivileges=no\nProtectProc=default\n",
        "[Service]\nUser=bus-watcher\n",
        f"[Service]\nLoadCredential=\n{OUR_CREDENTIALS}",
    ],
)
def test_what_leaves_the_unit_working_is_the_operator_s_own_affair(text: str) -> None:
    assert found(text) == []


def test_the_image_of_a_container_is_named_with_what_to_give_it() -> None:
    (told,) = found("[Service]\nProtectHome=no\nLoadCredential=\n", LXC)
    assert told.startswith(f"{LXC} takes LoadCredential=")
    assert "security.nesting=true" in told


def test_the_way_out_that_is_told_is_one(tmp_path: Path) -> None:
    (told,) = found("[Service]\nLoadCredential=\n", LXC)
    text = told.partition("printf '")[2].partition("'")[0].replace("\\n", "\n")
    later = Path(told.partition("> ")[2].partition(".conf")[0] + ".conf")
    assert later.name > Path(LXC).name  # systemd sorts by name, in whatever folder
    files = [(UNIT, OURS), (LXC, "[Service]\nLoadCredential=\n"), (str(later), text)]
    assert effective_unit.differences(UNIT, files) == []


@pytest.mark.parametrize(
    ("properties", "says"),
    [
        ({"LoadState": "loaded", "FragmentPath": UNIT}, ""),
        (
            {"LoadState": "loaded", "FragmentPath": "/run/systemd/transient/bus-watcher.service"},
            "rm /run/systemd/transient/bus-watcher.service",
        ),
        ({"LoadState": "masked", "FragmentPath": "/run/x"}, "systemctl unmask --runtime"),
        ({"LoadState": "not-found"}, "does not load"),
    ],
)
def test_a_unit_that_systemd_does_not_take_is_told(properties: dict[str, str], says: str) -> None:
    told = effective_unit.shadowed(UNIT, properties)
    assert says in told
    assert bool(told) == bool(says)


def test_the_project_s_units_are_compared_by_all_that_they_cannot_do_without() -> None:
    for unit in ("agent-bus", "bus-watcher"):
        text = (ROOT / "templates" / f"{unit}.service.j2").read_text()
        settings = list(effective_unit.settings_in(text, UNIT))
        have = effective_unit.effective(settings)
        assert have["LoadCredential"]
        assert have["ExecStart"]
        assert have["User"]


SYSTEMCTL = """#!/bin/sh
case $1 in
show) echo LoadState=loaded; echo NeedDaemonReload=yes
    echo "FragmentPath=$UNIT"; echo "DropInPaths=$DROPIN" ;;
daemon-reload) echo reloaded >>"$UNIT.log" ;;
esac
"""
ANALYZE_247 = """#!/bin/sh
case $2 in --*) echo "systemd-analyze: unrecognized option '$2'" >&2; exit 1 ;; esac
echo "other.service:1: Unknown key name 'X' in section 'Service', ignoring." >&2
grep -Hno RestartSecond "$2" | sed 's/$/: Unknown key name/' >&2
exit 0
"""


def asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch, unit: str, drop_in: str
) -> dict[str, Any]:
    """Run the module on a host with systemd 247."""
    for name, text in (("systemctl", SYSTEMCTL), ("systemd-analyze", ANALYZE_247)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    file, other = folder / "bus-watcher.service", folder / "zzz.conf"
    file.write_text(unit)
    other.write_text(drop_in)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("UNIT", str(file))
    monkeypatch.setenv("DROPIN", str(other))
    return answer_of(
        "effective_unit", {"path": str(file), "_ansible_remote_tmp": str(folder / "ansible-tmp")}
    )


def test_an_older_systemd_checks_the_unit_without_its_newer_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not asked(tmp_path, monkeypatch, OURS, "").get("failed")
    assert (tmp_path / "bus-watcher.service.log").read_text() == "reloaded\n"
    wrong = asked(tmp_path, monkeypatch, f"{OURS}RestartSecond=1\n", "")
    assert wrong["failed"]
    assert "bus-watcher.service:14:RestartSecond: Unknown key name" in wrong["msg"]
    assert "other.service" not in wrong["msg"]


def test_the_module_fails_with_the_file_that_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = asked(tmp_path, monkeypatch, OURS, "[Service]\nLoadCredential=\n")
    assert answer["failed"]
    assert answer["msg"].startswith(f"{tmp_path}/zzz.conf takes LoadCredential=")
