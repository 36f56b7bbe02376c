"""What is found of a gateway: what processes and systemd's units say."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.module import find_utilities

find_utilities()

from roles.openclaw_bus.module_utils import openclaw_calls as calls  # noqa: E402
from roles.openclaw_bus.module_utils import openclaw_host as host  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

ME = pwd.getpwuid(os.getuid())


@pytest.mark.parametrize("shell", ["/usr/sbin/nologin", "/bin/false", "/usr/bin/fish", ""])
def test_the_login_shell_of_the_gateway_s_user_has_no_say(tmp_path: Path, shell: str) -> None:
    program = tmp_path / "openclaw"
    program.write_text("#!/bin/sh\necho OpenClaw 2026.9.6\n")
    program.chmod(0o755)
    user = pwd.struct_passwd((*ME[:5], str(tmp_path / "no home"), shell))
    claw = calls.OpenClaw(user, str(program), host.known(user, None, None))
    assert claw.version() == ((2026, 9, 6), "")


def start(argv: str = "", **environment: str) -> host.Start:
    return host.Start("unit", ME.pw_name, tuple(argv.split()), environment)


@pytest.mark.parametrize(
    ("given", "config"),
    [
        (start(), "/h/.openclaw/openclaw.json"),
        (start(OPENCLAW_STATE_DIR="~/claw"), "/h/claw/openclaw.json"),
        (start(OPENCLAW_STATE_DIR="  "), "/h/.openclaw/openclaw.json"),
        (start(OPENCLAW_HOME="/srv"), "/srv/.openclaw/openclaw.json"),
        (start(OPENCLAW_PROFILE="work"), "/h/.openclaw-work/openclaw.json"),
        (start("node openclaw.mjs --profile work gateway"), "/h/.openclaw-work/openclaw.json"),
        (start("node openclaw.mjs --profile=default"), "/h/.openclaw/openclaw.json"),
        (start(OPENCLAW_HOME="~/svc", OPENCLAW_CONFIG_PATH="~/c.json"), "/h/svc/c.json"),
    ],
)
def test_places_follow_openclaw_s_own_rules(given: host.Start, config: str) -> None:
    user = pwd.struct_passwd((*ME[:5], "/h", "/bin/sh"))
    assert str(host.known(user, given, None).config) == config


SHOWN = """\
Id=claw.service
User=box
ExecStart={ path=/usr/bin/node ; argv[]=/usr/bin/node /opt/openclaw/dist/index.js gateway --port \
18800 ; ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }
Environment=OPENCLAW_STATE_DIR=/srv/claw "NAME=two words"
EnvironmentFiles=%s (ignore_errors=no)
"""


def test_a_unit_is_read_as_systemd_shows_it(tmp_path: Path) -> None:
    file = tmp_path / "environment"
    file.write_text('# note\nOPENCLAW_STATE_DIR="/srv/other"\nPLAIN=a b\n')
    unit = host.parse_shown(SHOWN.replace("%s", str(file)))
    assert (unit.name, unit.user, unit.port) == ("claw.service", "box", 18800)
    assert unit.environment == {
        "OPENCLAW_STATE_DIR": "/srv/other",
        "NAME": "two words",
        "PLAIN": "a b",
    }


def test_a_user_s_unit_is_read_with_its_additions(tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "systemd" / "user"
    (folder / "openclaw-gateway.service.d").mkdir(parents=True)
    (folder / "openclaw-gateway.service").write_text(
        "[Service]\nExecStart=/usr/bin/node /x/openclaw/openclaw.mjs \\\n  gateway --port 18801\n"
        "Environment=OPENCLAW_STATE_DIR=%h/one\n"
    )
    (folder / "openclaw-gateway.service.d" / "mine.conf").write_text(
        "[Service]\nEnvironment=\nEnvironment='OPENCLAW_STATE_DIR=%h/two words'\n"
    )
    user = pwd.struct_passwd((*ME[:5], str(tmp_path), "/usr/sbin/nologin"))
    (unit,) = host.own_units(user)
    assert unit.port == 18801
    found = host.find(user, 18801)
    assert found.source == "openclaw-gateway.service"
    assert found.config == tmp_path / "two words" / "openclaw.json"
    (folder / "openclaw-gateway-work.service").write_text("[Service]\nExecStart=/usr/bin/node x\n")
    assert host.find(user, 18802).source == "openclaw-gateway-work.service"
    (folder / "openclaw-other.service").write_text("[Service]\nExecStart=/usr/bin/node y\n")
    found = host.find(user, 18802)
    assert (found.source, found.rivals) == (
        "",
        ("openclaw-gateway-work.service", "openclaw-other.service"),
    )
    (folder / "openclaw-gateway-work.service").unlink()
    (folder / "openclaw-other.service").unlink()
    assert host.find(user, 18802).source == ""  # another gateway's port: that unit is not it


def running(pid: int, *ports: int, **more: Any) -> host.Running:
    known: dict[str, Any] = {"parent": 1, "uid": 7, "argv": ("openclaw-gateway",), "unit": ""}
    return host.Running(pid=pid, ports=ports, **{**known, **more})


@pytest.mark.parametrize(
    ("processes", "port", "pid"),
    [
        ([running(5, 18789)], None, 5),
        ([running(5, 18790), running(6, 18789)], None, 6),
        ([running(5, 18790), running(6, 18791)], None, None),  # which of them, nobody says
        ([running(5, 18790), running(6, 18791)], 18791, 6),
        # an agent's development server, in the same unit
        (
            [
                running(5, 18790),
                running(6, 3000, parent=5, argv=("vite",), unit="openclaw.service"),
            ],
            None,
            5,
        ),
        ([running(5, 18789, argv=("docker-proxy",))], 18789, None),
        ([running(5, 18789, argv=("node", "server"), unit="openclaw-gateway.service")], None, 5),
        ([running(5, 18789, uid=8)], None, None),
        ([running(5, 18789, uid=8)], 18789, 5),  # to be named to the operator
        ([], 18789, None),
    ],
)
def test_the_gateway_is_told_from_what_else_listens(
    processes: list[host.Running], port: int | None, pid: int | None
) -> None:
    found = host.choose(processes, 7, port)
    assert (found.pid if found else None) == pid


@pytest.mark.parametrize(
    ("groups", "unit"),
    [
        ("0::/system.slice/openclaw-gateway.service\n", "openclaw-gateway.service"),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/openclaw-gateway.service\n",
            "openclaw-gateway.service",
        ),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", ""),
        ("12:cpu:/\n1:name=systemd:/system.slice/claw.service\n0::/\n", "claw.service"),
    ],
)
def test_a_process_tells_its_unit(groups: str, unit: str) -> None:
    assert host.unit_of(groups) == unit
