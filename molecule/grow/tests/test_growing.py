"""A bus moves from SQLite to PostgreSQL and back, by the commands of the how-to page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.paths import fleet_dir
from lab.probe.database import Database
from lab.probe.running import until

if TYPE_CHECKING:
    from lab.probe.running import RunningFleet
    from molecule.grow.tests.conftest import GrowingOperator

PAGE = "grow-to-three-hubs"
STATE = "/var/lib/agent-bus-hub"


def settings(running: RunningFleet) -> str:
    return running.on(running.who.hub, "sudo cat /etc/agent-bus/hub.json")


def history(running: RunningFleet) -> tuple[str, int]:
    """Return the epoch and the newest seq."""
    stats: dict[str, Any] = running.api("/api/stats")
    return stats["epoch"], stats["messages"]["head"]


def test_an_empty_database_in_place_of_the_one_that_there_is_is_refused(
    running: RunningFleet, operator: GrowingOperator
) -> None:
    running.send("ada", "bert", "before the move")
    operator.name_more_hubs()
    refused = operator.play("site.yml")
    assert refused.code != 0
    assert refused.says("run playbooks/grow.yml; nothing was changed")
    assert f"{STATE}/bus.db" in settings(running)


def test_a_move_that_fails_leaves_the_bus_with_its_file(
    running: RunningFleet, operator: GrowingOperator
) -> None:
    before = history(running)
    hub = running.who.hub
    running.on(hub, f"sudo touch {STATE}/backups")  # no folder: there can be no backup
    failed = operator.follow(PAGE, "playbooks/grow.yml")
    assert failed.code != 0
    assert failed.says("was not moved to PostgreSQL")
    assert failed.says("The bus goes on with its SQLite file")
    assert history(running) == before
    assert f"{STATE}/bus.db" in settings(running)
    running.on(hub, f"sudo rm {STATE}/backups")


def test_the_bus_moves_with_all_that_it_has(
    running: RunningFleet, operator: GrowingOperator
) -> None:
    running.send("cleo", "ada", "just before the move")
    epoch, seq = history(running)
    done = operator.follow(PAGE, "playbooks/grow.yml")
    assert done.code == 0, done.text
    assert done.says("The bus was away for")
    assert done.says(f"the newest seq {seq}, epoch {epoch}")
    assert "postgresql://" in settings(running)
    assert history(running) == (epoch, seq)
    database = Database(running, sorted(running.up.inventory.hub))
    until(lambda: database.is_whole(asked=running.who.hub), what="a whole cluster")
    message = running.send("ada", "bert", "after the move")
    until(lambda: running.is_fetched(message), what="bert fetches it")


def test_a_second_run_changes_nothing(operator: GrowingOperator) -> None:
    again = operator.follow(PAGE, "playbooks/grow.yml")
    assert again.code == 0, again.text
    assert again.says("The bus is on PostgreSQL already")
    assert set(again.changed.values()) == {0}


def test_a_rollback_does_not_return_to_the_file(operator: GrowingOperator) -> None:
    back = operator.play("playbooks/rollback.yml", "--tags", "hub")
    assert back.code != 0
    assert back.says("has only release")


def test_it_goes_back_to_one_hub(running: RunningFleet, operator: GrowingOperator) -> None:
    kept = running.send("ada", "bert", "in the backup")
    backups = fleet_dir(running.up.name) / "backups"
    made = operator.follow(PAGE, "playbooks/backup.yml", "-e", f"backup_dir={backups}")
    assert made.code == 0, made.text
    gone = operator.follow(PAGE, "playbooks/uninstall.yml --limit hub", "-e", "uninstall_yes=true")
    assert gone.code == 0, gone.text
    operator.name_one_hub()
    set_up = operator.follow(PAGE, "site.yml")
    assert set_up.code == 0, set_up.text
    newest = max(backups.glob("bus-*.db"))
    done = operator.follow(
        PAGE,
        "playbooks/restore.yml -e backup=FILE",
        *("-e", "restore_yes=true"),
        here={"FILE": str(newest)},
    )
    assert done.code == 0, done.text
    assert f"{STATE}/bus.db" in settings(running)
    assert running.api(f"/api/messages/{kept}")["deliveries"]
    until(lambda: running.connected() == set(running.nodes), what="all are back")
