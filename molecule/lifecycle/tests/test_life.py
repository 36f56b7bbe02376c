"""What an operator does to a fleet over the years, by the playbooks that do it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lab import fleet, rollcall
from lab.paths import ROOT, fleet_dir
from lab.podman import podman
from lab.running import RunningFleet, until

if TYPE_CHECKING:
    from conftest import Operator

INVENTORY = ROOT / "tests" / "inventories" / "four-hosts"


def with_agents(running: RunningFleet, **agents: list[str]) -> fleet.Fleet:
    """Return the fleet after the inventory got other agents for some hosts."""
    extra = fleet_dir(running.up.name) / "extra"
    (extra / "host_vars").mkdir(parents=True, exist_ok=True)
    (extra / "hosts.yml").write_text("---\nall: {}\n")
    for host, names in agents.items():
        (extra / "host_vars" / f"{host}.yml").write_text(yaml.safe_dump({"agents": names}))
    return fleet.up(running.up.name, [INVENTORY, extra])


def homes(running: RunningFleet) -> dict[str, str]:
    """Return where the hub has each agent."""
    return {a["name"]: a["node"] for a in running.api("/api/agents")["agents"] if a["node"]}


def send(running: RunningFleet, sender: str, recipient: str, text: str) -> dict[str, Any]:
    """Send a message on the sender's host and return the bus's answer about the recipient."""
    host = homes(running)[sender]
    words = f"agent-bus send --json --no-spool --as {sender} --to {recipient} '{text}'"
    found = re.search(r'"id": ?"(\w+)"', running.as_user(host, words))
    assert found
    delivery: dict[str, Any] = running.api(f"/api/messages/{found[1]}")["deliveries"][0]
    return {"id": found[1], **delivery}


def connected(running: RunningFleet) -> set[str]:
    """Return the nodes whose watcher the hub sees."""
    return {name for name, node in running.streams().items() if node["connected"]}


def test_an_agent_is_added(running: RunningFleet, operator: Operator) -> None:
    up = with_agents(running, cedar=["bert", "bea"])
    changed = type(operator)(up).roll_out().changed
    assert {host for host, count in changed.items() if count} == {"anchor", "cedar"}
    assert homes(running)["bea"] == "cedar"


def test_an_agent_moves_and_its_waiting_mail_goes_with_it(
    running: RunningFleet, operator: Operator
) -> None:
    running.on("cedar", "sudo systemctl stop openclaw-gateway-standin")
    waiting = send(running, "ada", "bea", "before the move")
    up = with_agents(running, cedar=["bert"], dogwood=["cleo", "carl", "bea"])
    type(operator)(up).roll_out()
    running.on("cedar", "sudo systemctl start openclaw-gateway-standin")
    assert homes(running)["bea"] == "dogwood"
    until(
        lambda: running.api(f"/api/messages/{waiting['id']}")["deliveries"][0]["fetched_at"],
        seconds=40,
        what="bea has fetched on her new host what was sent to the old one",
    )
    outcomes = {o.letter.recipient: o.trouble for o in rollcall.call(up)}
    assert outcomes["bea"] == ""


def test_status_shows_every_host_and_agent(running: RunningFleet, operator: Operator) -> None:
    text = operator.play("playbooks/status.yml").text
    for host in running.nodes:
        assert re.search(rf"{host} +\S+ +connected +answers +0 ", text), text
    assert re.search(r"bea +dogwood +online +0 +0", text)


def test_drift_names_what_was_changed_by_hand(running: RunningFleet, operator: Operator) -> None:
    none = operator.play("playbooks/drift.yml")
    assert none.code == 0, none.text
    running.on("birch", "sudo chmod 0600 /etc/agent-bus/node.json")
    running.on("anchor", "sudo sed -i s/8091/8092/ /etc/agent-bus/hub.json")
    some = operator.play("playbooks/drift.yml")
    assert some.code != 0
    assert some.says("birch: /etc/agent-bus/node.json: has another owner or mode")
    assert re.search(r"anchor: /etc/agent-bus/hub.json: .*8092.* -> .*8091", some.text)
    assert "cedar" not in re.sub(r"(?s)PLAY RECAP.*", "", some.text).split("TASK [Say")[1]
    operator.roll_out()


def test_tokens_are_rotated_while_a_node_is_off(running: RunningFleet, operator: Operator) -> None:
    secrets = fleet_dir(running.up.name) / "secrets"
    before = {host: (secrets / "nodes" / f"{host}.token").read_text() for host in running.nodes}
    admin = (secrets / "admin.token").read_text()
    container = f"agent-bus-{running.up.name}-dogwood"
    podman("stop", "--time", "0", container)
    kept = send(running, "ada", "carl", "while dogwood is off")

    run = operator.play("playbooks/rotate_tokens.yml", "-e", "rotate_hooks=true")
    assert run.code != 0  # unreachable: dogwood, and nobody else
    assert re.search(r"dogwood +: .*unreachable=1", run.text)
    assert run.says("by the old token until site.yml reaches them: dogwood")
    after = {host: (secrets / "nodes" / f"{host}.token").read_text() for host in running.nodes}
    assert all(after[host] != before[host] for host in running.nodes)
    assert (secrets / "admin.token").read_text() != admin
    asked = RunningFleet(running.up.name)  # with the new admin token
    assert connected(asked) == {"birch", "cedar"}

    # its old token still counts: it comes back by itself, and its mail has waited
    podman("start", container)
    until(lambda: "dogwood" in connected(asked), seconds=30, what="dogwood is back")
    until(
        lambda: asked.api(f"/api/messages/{kept['id']}")["deliveries"][0]["fetched_at"],
        seconds=30,
        what="what was sent meanwhile is fetched",
    )
    status = operator.play("playbooks/status.yml").text
    assert re.search(r"dogwood .* [(]has still the old token[)]", status)
    caught_up = operator.roll_out().changed
    assert caught_up["dogwood"] > 0
    assert list((secrets / "nodes").glob("*.old")) == []
    header = f"Authorization: Bearer {before['dogwood'].strip()}"
    ask = f"curl -s -o /dev/null -w '%{{http_code}}' -H '{header}' http://anchor:8091/api/agents"
    refused = asked.on("birch", ask)
    assert refused == "401"
    assert [o.trouble for o in rollcall.call(asked.up) if o.trouble] == []


def test_a_backup_is_fetched_and_restored(running: RunningFleet, operator: Operator) -> None:
    folder = fleet_dir(running.up.name) / "backups"
    before = send(running, "ada", "bert", "in the backup")
    run = operator.play("playbooks/backup.yml", "-e", f"backup_dir={folder}")
    assert run.code == 0, run.text
    made = max(folder.glob("bus-*.db"))
    lost = send(running, "ada", "bert", "after the backup")
    epoch = running.api("/api/stats")["epoch"]

    damaged = made.with_name("damaged.db")
    damaged.write_bytes(made.read_bytes()[:-1] + b"!")
    made.with_name("damaged.db.json").write_text(Path(f"{made}.json").read_text())
    refused = operator.play(
        "playbooks/restore.yml", "-e", f"backup={damaged}", "-e", "restore_yes=true"
    )
    assert refused.code != 0
    assert refused.says("is not what was backed up")
    unasked = operator.play("playbooks/restore.yml", "-e", f"backup={made}")
    assert unasked.says("Nothing was changed")
    assert running.api("/api/stats")["epoch"] == epoch

    done = operator.play("playbooks/restore.yml", "-e", f"backup={made}", "-e", "restore_yes=true")
    assert done.code == 0, done.text
    assert running.api("/api/stats")["epoch"] != epoch
    assert running.api(f"/api/messages/{before['id']}")["deliveries"]
    with pytest.raises(OSError, match="404"):
        running.api(f"/api/messages/{lost['id']}")
    until(lambda: connected(running) == set(running.nodes), seconds=30, what="all are back")
    assert [o.trouble for o in rollcall.call(running.up) if o.trouble] == []


def test_a_node_is_removed(running: RunningFleet, operator: Operator) -> None:
    run = operator.play("playbooks/remove_node.yml", "-e", "node=cedar")
    assert run.code == 0, run.text
    assert "bert" not in [
        a["name"] for a in running.api("/api/agents")["agents"] if a["status"] != "retired"
    ]
    units = running.on("cedar", "systemctl list-unit-files --no-legend 'bus-watcher*'; ls /opt")
    assert "bus-watcher" not in units
    assert "agent-bus" not in units
    assert not list((fleet_dir(running.up.name) / "secrets").rglob("cedar.token*"))
    # with its line still in the inventory it is taken in again, as the playbook says
    operator.roll_out()
    assert "cedar" in connected(running)


def test_a_lost_hub_is_set_up_again_with_the_fetched_backup(
    running: RunningFleet, operator: Operator
) -> None:
    folder = fleet_dir(running.up.name) / "backups"
    kept = send(running, "ada", "cleo", "older than the loss")
    operator.play("playbooks/backup.yml", "-e", f"backup_dir={folder}")
    newest = max(folder.glob("bus-*.db"))
    gone = ["-e", "uninstall_yes=true", "-e", "uninstall_database=true", "--limit", "anchor"]
    assert operator.play("playbooks/uninstall.yml", *gone).code == 0
    assert "agent-bus" not in running.on("anchor", "ls /opt /var/lib /etc")

    operator.roll_out()
    done = operator.play(
        "playbooks/restore.yml", "-e", f"backup={newest}", "-e", "restore_yes=true"
    )
    assert done.code == 0, done.text
    assert running.api(f"/api/messages/{kept['id']}")["deliveries"]
    until(lambda: connected(running) == set(running.nodes), seconds=30, what="all are back")


def test_uninstalling_twice_leaves_nothing_but_the_database(
    running: RunningFleet, operator: Operator
) -> None:
    unasked = operator.play("playbooks/uninstall.yml")
    assert unasked.code != 0
    assert unasked.says("Nothing was changed")
    first = operator.play("playbooks/uninstall.yml", "-e", "uninstall_yes=true")
    assert first.code == 0, first.text
    running.on("birch", "sudo mkdir -p /opt/agent-bus-client/releases/half")  # as if stopped there
    second = operator.play("playbooks/uninstall.yml", "-e", "uninstall_yes=true")
    assert second.code == 0, second.text
    third = operator.play("playbooks/uninstall.yml", "-e", "uninstall_yes=true")
    assert set(third.changed.values()) == {0}
    for host, left in running.on_nodes(
        "ls /opt /usr/local/bin /var/lib /etc | grep agent-bus; id bus-watcher 2>/dev/null;"
        " systemctl list-units --all --no-legend 'bus-watcher*'; true"
    ).items():
        assert left.strip() == "", host
    assert running.on("anchor", "sudo ls /var/lib/agent-bus-hub").split() != []
    operator.roll_out()  # and back again, on the old database
    until(lambda: connected(running) == set(running.nodes), seconds=30, what="all are back")
