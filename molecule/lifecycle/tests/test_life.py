"""What an operator does to a fleet over the years, by the commands of the how-to pages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.engine.podman import podman
from lab.fleet import standing
from lab.paths import fleet_dir
from lab.probe import rollcall
from lab.probe.running import CURL, until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.probe.running import RunningFleet
    from molecule.lifecycle.tests.conftest import Operator

KEPT = "kept.id"
"""Where one test notes for a later one which message the backup has."""
LEFT_BY_A_HUB = """sudo sh -ec '
useradd --system --no-create-home --shell /usr/sbin/nologin --gid agent-bus agent-bus
mkdir -p /opt/agent-bus/releases/old
mkdir -m 0700 /var/lib/agent-bus-hub
install -m 0600 /dev/null /var/lib/agent-bus-hub/bus.db
touch /etc/agent-bus/hub.json /usr/local/sbin/agent-bus-admin
printf "[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n" \\
    > /etc/systemd/system/agent-bus.service
systemctl daemon-reload
systemctl enable --now agent-bus
'"""
"""Makes of a node a host that the hub was moved away from."""
NEWEST_BACKUP = "/home/me/fleet/inventory/backups/mine/bus-20260131T120000000Z.db"


def all_are_back(running: RunningFleet) -> None:
    """Wait until the hub sees every watcher."""
    until(lambda: running.connected() == set(running.nodes), what="all are back")


def tokens(running: RunningFleet) -> Mapping[str, str]:
    """Return each node's token on the control node, and the admin's."""
    secrets = fleet_dir(running.up.name) / "secrets"
    files = {host: secrets / "nodes" / f"{host}.token" for host in running.nodes}
    return {
        name: file.read_text().strip()
        for name, file in {**files, "admin": secrets / "admin.token"}.items()
    }


@pytest.fixture
def backups(running: RunningFleet) -> Path:
    """Where the fleet's backups go to on the control node."""
    return fleet_dir(running.up.name) / "backups"


def test_drift_names_what_was_changed_by_hand(running: RunningFleet, operator: Operator) -> None:
    running.on("birch", "sudo chmod 0664 /etc/agent-bus/node.json")
    running.on("anchor", "sudo sed -i /bind/s/8091/8092/ /etc/agent-bus/hub.json")
    usual = json.dumps({"drift_arguments": operator.hub_settings})
    run = operator.follow("find-drift", "playbooks/drift.yml", "-e", usual)
    assert run.code != 0
    said = re.sub(r"(?s)PLAY RECAP.*", "", run.text).split("TASK [Say")[1]
    assert "birch: /etc/agent-bus/node.json: has another owner or mode" in " ".join(said.split())
    assert re.search(r"anchor: /etc/agent-bus/hub.json: .*8092.* -> .*8091", said)
    assert "cedar" not in said
    assert "keepalive" not in said


def test_drift_hands_a_sudo_password_on(
    running: RunningFleet, operator: Operator, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("geheim\n")
    rule = "Defaults timestamp_timeout=0\\nansible ALL=(ALL) ALL\\n"
    last = (
        "/etc/sudoers.d/zz-asking"  # the last rule counts, and the lab has one that asks nothing
    )
    asking = f"echo ansible:geheim | chpasswd; printf '{rule}' >{last}"
    running.on("cedar", f'sudo sh -c "{asking}"')
    try:
        limited = ("playbooks/drift.yml", "--limit", "cedar")
        without = operator.play(*limited)
        assert without.says("Missing sudo password")
        run = operator.play(*limited, "--become-password-file", str(password))
        assert run.code == 0, run.text
        assert run.says("Nothing differs.")
    finally:
        running.on("cedar", f"echo geheim | sudo -S rm {last}")


def test_tokens_are_rotated_while_a_node_is_off(running: RunningFleet, operator: Operator) -> None:
    before = tokens(running)
    container = standing.spec_of(running.up, "dogwood").name
    podman("stop", "--time", "0", container)
    kept = running.send("ada", "carl", "while dogwood is off")

    run = operator.follow(
        "rotate-tokens",
        "playbooks/rotate_tokens.yml",
        *("-e", "rotate_hooks=true"),
        *operator.at_once,
    )
    assert run.code == 4  # unreachable: dogwood, and nobody else
    assert re.search(r"dogwood +: .*unreachable=1", run.text)
    assert run.says("by the old token until site.yml reaches them: dogwood")
    after = tokens(running)
    assert {name for name in before if before[name] == after[name]} == set()
    assert running.connected() == {"birch", "cedar"}

    # its old token still counts: it comes back by itself, and its mail has waited
    podman("start", container)
    all_are_back(running)
    until(
        lambda: running.is_fetched(kept),
        what="what was sent meanwhile is fetched",
    )
    # its watcher may have looked before the gateway was up, and looks again 5 s later
    until(
        lambda: (
            {agent["status"] for agent in running.api("/api/agents")["agents"]}
            <= {"online", "retired"}
        ),
        what="every gateway answers",
    )
    status = operator.follow("rotate-tokens", "playbooks/status.yml").text
    for host in running.nodes:
        assert re.search(rf"{host} +\S+ +connected +answers +0 ", status), status
    assert re.search(r"dogwood .* [(]has still the old token[)]", status)
    assert re.search(r"alan +dogwood +online +0 +0", status)

    caught_up = operator.roll_out("--limit", "dogwood").changed
    assert caught_up["dogwood"] > 0
    secrets = fleet_dir(running.up.name) / "secrets"
    assert list((secrets / "nodes").glob("*.old")) == []
    header = f"Authorization: Bearer {before['dogwood']}"
    ask = f"{CURL} -o /dev/null -w '%{{http_code}}' -H '{header}' http://anchor:8091/api/agents"
    assert running.on("birch", ask) == "401"
    assert [o.trouble for o in rollcall.call(running.up) if o.trouble] == []


def test_a_backup_is_fetched_and_restored(
    running: RunningFleet, operator: Operator, backups: Path
) -> None:
    before = running.send("ada", "bert", "in the backup")
    page = "back-up-and-restore"
    run = operator.follow(page, "playbooks/backup.yml", "-e", f"backup_dir={backups}")
    assert run.code == 0, run.text
    made = max(backups.glob("bus-*.db"))
    (backups / KEPT).write_text(before)
    lost = running.send("ada", "bert", "after the backup")
    epoch = running.api("/api/stats")["epoch"]

    damaged = made.with_name("damaged.db")
    damaged.write_bytes(made.read_bytes()[:-1] + b"!")
    made.with_name("damaged.db.json").write_text(Path(f"{made}.json").read_text())
    restore = f"playbooks/restore.yml -e backup={NEWEST_BACKUP}"
    refused = operator.follow(
        page, restore, "-e", "restore_yes=true", here={NEWEST_BACKUP: str(damaged)}
    )
    assert refused.code != 0
    assert refused.says("is not what was backed up")
    unasked = operator.follow(page, restore, here={NEWEST_BACKUP: str(made)})
    assert unasked.code != 0
    assert unasked.says("Nothing was changed")
    assert running.api("/api/stats")["epoch"] == epoch

    done = operator.follow(
        page, restore, "-e", "restore_yes=true", here={NEWEST_BACKUP: str(made)}
    )
    assert done.code == 0, done.text
    assert running.api("/api/stats")["epoch"] != epoch
    assert running.api(f"/api/messages/{before}")["deliveries"]
    with pytest.raises(OSError, match="404"):
        running.api(f"/api/messages/{lost}")
    all_are_back(running)


def test_a_hub_lost_for_good_is_set_up_on_another_distribution(
    running: RunningFleet, operator: Operator, backups: Path
) -> None:
    newest = max(backups.glob("bus-*.db"))
    hub, page = running.who.hub, "hub-lost-for-good"
    operator.edit(**{hub: {"lab_distribution": "trixie"}})  # a new machine in place of the old
    assert "agent-bus" not in running.on(hub, "ls /opt /var/lib /etc")
    set_up = operator.follow(page, "site.yml")
    assert set_up.code == 0, set_up.text
    done = operator.follow(
        page,
        "playbooks/restore.yml -e backup=FILE",
        *("-e", "restore_yes=true"),
        here={"FILE": str(newest)},
    )
    assert done.code == 0, done.text
    python = running.on(hub, "/opt/agent-bus/current/venv/bin/python --version")
    assert python.startswith("Python 3.13")
    kept = (backups / KEPT).read_text()
    assert running.api(f"/api/messages/{kept}")["deliveries"]
    all_are_back(running)


def test_a_host_leaves_and_another_comes(running: RunningFleet, operator: Operator) -> None:
    run = operator.follow(
        "remove-a-host",
        "playbooks/remove_node.yml -e node=nuc-attic",
        here={"nuc-attic": "cedar"},
    )
    assert run.code == 0, run.text
    agents = running.api("/api/agents")["agents"]
    assert "bert" not in [a["name"] for a in agents if a["status"] != "retired"]
    units = running.on("cedar", "systemctl list-unit-files --no-legend 'bus-watcher*'; ls /opt")
    assert "bus-watcher" not in units
    assert "agent-bus" not in units
    assert not list((fleet_dir(running.up.name) / "secrets").rglob("cedar.token*"))

    # its line is still in the inventory: to the fleet it is a new host
    hub = running.properties("agent-bus", "MainPID", host=running.who.hub)
    added = operator.follow("add-a-host", "site.yml --limit new-nuc", here={"new-nuc": "cedar"})
    assert added.code == 0, added.text
    assert running.properties("agent-bus", "MainPID", host=running.who.hub) == hub
    assert "cedar" in running.connected()
    assert running.homes()["bert"] == "cedar"


def test_uninstalling_twice_leaves_nothing_but_the_database(
    running: RunningFleet, operator: Operator
) -> None:
    page, command = "remove-a-host", "playbooks/uninstall.yml"
    unasked = operator.follow(page, command)
    assert unasked.code != 0
    assert unasked.says("Nothing was changed")
    one = operator.follow(
        page,
        "playbooks/uninstall.yml --limit nuc-attic",
        *("-e", "uninstall_yes=true"),
        here={"nuc-attic": "birch"},
    )
    assert one.code == 0, one.text
    running.on("birch", "sudo mkdir -p /opt/agent-bus-client/releases/half")  # as if stopped there
    running.on("cedar", LEFT_BY_A_HUB)
    whole = operator.follow(page, command, "-e", "uninstall_yes=true")
    assert whole.code == 0, whole.text
    again = operator.play(command, "-e", "uninstall_yes=true")
    assert again.code == 0, again.text
    assert set(again.changed.values()) == {0}
    for host, left in running.on_nodes(
        "ls --ignore agent-bus-hub /opt /usr/local/*bin /var/lib /etc | grep agent-bus;"
        " id bus-watcher 2>/dev/null;"
        " systemctl list-units --all --no-legend 'bus-watcher*'; true"
    ).items():
        assert left.strip() == "", host
    for host in (running.who.hub, "cedar"):
        assert running.on(host, "sudo ls /var/lib/agent-bus-hub").split() != []
        assert running.on(host, "id -gn agent-bus").strip() == "agent-bus"
        unit = running.properties("agent-bus", "LoadState", "ActiveState", host=host)
        assert unit == {"LoadState": "not-found", "ActiveState": "inactive"}, host
    assert running.on("birch", "getent group agent-bus; true") == ""


def test_the_fleet_comes_back_on_its_old_database_without_drift(
    running: RunningFleet, operator: Operator
) -> None:
    operator.roll_out(*operator.at_once)
    all_are_back(running)
    run = operator.play("playbooks/drift.yml")
    assert run.code == 0, run.text
    assert run.says("Nothing differs.")
    woken = operator.follow("openclaw", "playbooks/verify.yml --tags wake")
    assert woken.code == 0, woken.text
