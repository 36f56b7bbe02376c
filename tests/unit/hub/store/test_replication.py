"""Which servers a PostgreSQL has, as it says itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from agent_bus.store.postgres.read import replication
from tests.support import postgres

if TYPE_CHECKING:
    from pathlib import Path


def test_a_primary_alone_has_no_standbys_and_waits_for_none(tmp_path: Path) -> None:
    with psycopg.connect(postgres.database(tmp_path)) as connection:
        found = replication.look(connection)
    assert found.is_primary
    assert (found.timeline, found.needed, found.standbys) == (1, 0, ())


@pytest.mark.parametrize(
    ("names", "count"),
    [
        ("", 0),
        ("elm", 1),
        ("*", 1),
        ("ANY 1 (fir,gorse)", 1),
        ("ANY 2 (a,b,c,d)", 2),
        ("FIRST 2 (a, b)", 2),
        ("2 (a, b, c)", 2),
        ('"any"', 1),
    ],
)
def test_how_many_standbys_a_commit_waits_for(names: str, count: int) -> None:
    assert replication.needed(names) == count


def test_standbys_of_one_name_are_told_apart() -> None:
    assert replication.named([("fir", ""), ("gorse", "")]) == ["fir", "gorse"]
    twins = [("walreceiver", "10.0.0.2"), ("walreceiver", "10.0.0.3"), ("fir", "10.0.0.4")]
    assert replication.named(twins) == ["walreceiver 10.0.0.2", "walreceiver 10.0.0.3", "fir"]
    again = [("fir", "10.0.0.4"), ("fir", "10.0.0.4")]
    assert replication.named(again) == ["fir", "fir"], "it has come back, and is there twice"
    assert replication.named([("walreceiver", "")] * 2) == ["walreceiver 1", "walreceiver 2"]
