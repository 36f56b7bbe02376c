"""How much the programs may do on the hosts, and who may read what they have there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.probe.running import RunningFleet

FOLDERS = "/etc/agent-bus /var/lib/agent-bus /var/lib/agent-bus-hub /var/lib/bus-watcher"


def answers(running: RunningFleet, command: str) -> dict[str, str]:
    """Return what each host of the fleet answers, the hub's too if it has no agents."""
    hub = running.who.hub
    return {hub: running.on(hub, command), **running.on_nodes(command)}


def test_every_unit_is_shut_as_promised(running: RunningFleet) -> None:
    units = "$(cd /etc/systemd/system && ls agent-bus*.service bus-watcher.service 2>/dev/null)"
    command = f"for unit in {units}; do systemd-analyze security --no-pager $unit; done"
    for host, answer in answers(running, f"{command} | grep exposure").items():
        levels = dict(re.findall(r"level for (\S+): ([\d.]+)", answer))
        assert levels, host
        assert {unit: level for unit, level in levels.items() if float(level) > 2} == {}, host


def test_nobody_can_log_in_as_the_programs_users(running: RunningFleet) -> None:
    found = answers(running, "getent passwd agent-bus bus-watcher; true")
    entries = [line.split(":") for answer in found.values() for line in answer.splitlines()]
    assert {entry[0] for entry in entries} == {"agent-bus", "bus-watcher"}
    assert all(entry[-1].endswith("nologin") for entry in entries)


def test_others_can_read_nothing_but_settings_and_certificates(running: RunningFleet) -> None:
    """These hold no secret, and everybody who runs the command line reads them."""
    found = answers(running, f"sudo find {FOLDERS} -type f -perm /007 2>/dev/null; true")
    files = {file for out in found.values() for file in out.split()}
    certificate = re.compile(r"/etc/agent-bus/(ca|tls/hub-[0-9a-f]+)\.crt")
    assert {f for f in files if not certificate.fullmatch(f)} <= {"/etc/agent-bus/node.json"}


def test_only_its_owner_can_read_a_token(running: RunningFleet) -> None:
    found = answers(running, "sudo find /etc/agent-bus -name '*token*' -type f -perm /077")
    assert {host: out.strip() for host, out in found.items() if out.strip()} == {}


def test_agents_and_watcher_share_the_outbox_and_what_failed(running: RunningFleet) -> None:
    folders = "/var/lib/agent-bus/outbox /var/lib/agent-bus/outbox/failed"
    for host, answer in running.on_nodes(f"sudo stat -c '%U %G %a' {folders}").items():
        assert answer.splitlines() == [f"{running.who.users[host]} agent-bus 2770"] * 2, host


def test_no_unit_has_a_token_in_its_environment(running: RunningFleet) -> None:
    show = "systemctl show bus-watcher agent-bus --property=Environment"
    for host, answer in answers(running, show).items():
        assert "token" not in answer.lower(), host
