"""Hosts that are not as one would like them are healed, or told with the cause and the way out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from lab.engine.containers import LOGIN
from lab.fleet import standing
from lab.fleet.ssh import close_connections
from lab.paths import fleet_dir
from lab.probe.running import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.probe.running import RunningFleet
    from molecule.lifecycle.tests.conftest import Operator

LXC = "/run/systemd/system/service.d/zzz-lxc-service.conf"
"""What container images of LXC and Incus bring for every service."""
OURS = "/etc/systemd/system/bus-watcher.service.d"


def test_a_release_that_its_user_can_no_longer_read_is_healed(
    running: RunningFleet, operator: Operator
) -> None:
    assert running.on("birch", "stat -c %a /opt/agent-bus-client/current/").strip() == "755"
    running.on("birch", "sudo chmod -R o= /opt/agent-bus-client; sudo systemctl kill bus-watcher")
    until(lambda: "birch" not in running.connected(), what="birch's watcher cannot start")
    operator.roll_out("--limit", "birch")
    until(lambda: "birch" in running.connected(), what="birch's watcher is back")
    assert running.on("birch", "sudo find /opt/agent-bus-client/current/ -not -perm -o=r") == ""


@pytest.fixture
def container_image(running: RunningFleet) -> Iterator[None]:
    """Make cedar what such an image is, and due for a rollout."""
    text = r"[Service]\nProtectHome=no\nNoNewPrivileges=no\nLoadCredential=\n"
    running.on(
        "cedar",
        f"sudo mkdir -p {LXC.rpartition('/')[0]} && printf '{text}' | sudo tee {LXC} >/dev/null; "
        "sudo rm /opt/agent-bus-client/APPLIED && sudo systemctl daemon-reload",
    )
    yield
    running.on("cedar", f"sudo rm -rf {LXC} {OURS} && sudo systemctl daemon-reload")


@pytest.mark.usefixtures("container_image")
def test_a_drop_in_that_takes_the_credentials_away_is_named_with_a_way_out_that_works(
    running: RunningFleet, operator: Operator
) -> None:
    run = operator.play("site.yml", "--limit", "cedar")
    assert run.code != 0
    assert run.says(f"{LXC} takes LoadCredential=node-token:/etc/agent-bus/secrets/node.token")
    assert "cedar" in running.connected()  # what ran runs on
    way = re.search(rf"mkdir -p {OURS} && printf .*zzzz-agent-bus\.conf", run.text)
    assert way, run.text
    running.on("cedar", "sudo sh", stdin=way[0])
    operator.roll_out("--limit", "cedar")
    assert "cedar" in running.connected()


@pytest.fixture
def twin(running: RunningFleet, tmp_path: Path) -> tuple[str, ...]:
    """Give an inventory's arguments in which birch has a second name."""
    overlay = fleet_dir(running.up.name) / "inventory" / "host_vars" / "birch.yml"
    variables = {**yaml.safe_load(overlay.read_text()), "agents": ["tom"]}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"nodes": {"hosts": {"twin": variables}}}))
    return "-i", str(tmp_path / "hosts.yml")


def test_two_names_of_one_machine_are_told_before_any_contact(
    operator: Operator, twin: tuple[str, ...]
) -> None:
    run = operator.play("playbooks/preflight.yml", *twin)
    assert run.code != 0
    assert run.says("birch and twin are one machine (both are reached at ")


def test_two_names_of_one_machine_are_told_by_the_machine(
    running: RunningFleet, operator: Operator, twin: tuple[str, ...]
) -> None:
    address = standing.spec_of(running.up, "birch").address.rpartition(".")[0] + ".240"
    running.on("birch", f"sudo ip address add {address}/24 dev eth0")
    try:
        hosts = yaml.safe_load(Path(twin[1]).read_text())
        hosts["nodes"]["hosts"]["twin"]["ansible_host"] = address
        hosts["nodes"]["hosts"]["twin"]["ansible_control_path"] = f"/tmp/{running.up.name}-twin"
        Path(twin[1]).write_text(yaml.safe_dump(hosts))
        run = operator.play("site.yml", *twin)
    finally:
        running.on("birch", f"sudo ip address delete {address}/24 dev eth0")
    assert run.code != 0
    assert run.says("birch and twin are one machine (birch at ")
    assert run.says(f"and twin at {address}")
    assert not any(run.changed.values())


def test_a_login_that_runs_no_commands_is_told(running: RunningFleet, operator: Operator) -> None:
    menu = "/usr/local/bin/menu"
    running.on(
        "dogwood",
        f"printf '#!/bin/sh\\necho Welcome\\n' | sudo tee {menu} >/dev/null && "
        f"sudo chmod 755 {menu} && sudo usermod --shell {menu} {LOGIN}",
    )
    close_connections(running.up.name)
    try:
        run = operator.play("site.yml", "--limit", "dogwood")
    finally:
        running.on("dogwood", f"sudo usermod --shell /bin/bash {LOGIN}")
        close_connections(running.up.name)
    assert run.code != 0
    assert run.says("dogwood: the check did not run there (exit code 0). The answer was: Welcome.")


def test_a_hub_that_was_not_given_its_new_settings_is_told(operator: Operator) -> None:
    run = operator.play("site.yml", "--limit", "cedar", "-e", "message_bus_port=8099")
    assert run.code != 0
    assert run.says("It was rolled out to listen on 0.0.0.0:8091 without TLS")
    assert run.says("the inventory now says 0.0.0.0:8099 without TLS")
