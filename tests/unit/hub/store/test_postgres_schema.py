"""A schema change of PostgreSQL leaves hubs of the release before it working beside new ones.

A rollout restarts one hub after the other. The first new hub changes the schema; until the last
one is restarted, the old ones write to it. So a change may only add what they need not know.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from agent_bus.store.postgres.link.migrate import MIN_READER_VERSION, migrations

if TYPE_CHECKING:
    from pathlib import Path

ADDS = (
    re.compile(r"CREATE TABLE \w+"),
    re.compile(r"CREATE INDEX \w+ ON \w+"),
    re.compile(r"ALTER TABLE \w+ ADD COLUMN \w+ \w+( COLLATE \"C\")?( DEFAULT \S+)?( NOT NULL)?$"),
    re.compile(r"INSERT INTO \w+"),
)
LATER = migrations()[1:]


def statements(text: str) -> list[str]:
    """Return the statements of a file, without comments, each in one line."""
    plain = re.sub(r"--[^\n]*", "", text)
    return [" ".join(one.split()) for one in plain.split(";") if one.strip()]


@pytest.mark.parametrize(("number", "path"), LATER, ids=[path.stem for _, path in LATER])
def test_a_later_change_only_adds(number: int, path: Path) -> None:
    for statement in statements(path.read_text()):
        assert any(rule.match(statement) for rule in ADDS), f"{number}: {statement}"
        if " ADD COLUMN " in statement and "NOT NULL" in statement:
            assert " DEFAULT " in statement, "an old hub inserts rows without it"


def test_a_hub_of_the_first_release_may_stay_beside_the_newest() -> None:
    assert migrations()[0][0] == MIN_READER_VERSION


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE message DROP COLUMN hops",
        "ALTER TABLE message RENAME COLUMN hops TO depth",
        "ALTER TABLE message ALTER COLUMN hops TYPE int",
        "UPDATE message SET hops = 0",
        "CREATE UNIQUE INDEX one ON message (hops)",
    ],
)
def test_what_an_old_hub_would_stumble_over_is_found(statement: str) -> None:
    assert not any(rule.match(statement) for rule in ADDS)
