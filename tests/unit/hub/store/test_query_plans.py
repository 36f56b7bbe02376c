"""Every named SQL constant of the SQLite store is explained; a full scan of a big table fails."""

from __future__ import annotations

import re

import apsw
import pytest

import agent_bus.store.sqlite
from agent_bus.store.sqlite.file.migrate import migrate
from agent_bus.store.sqlite.read import history
from tests.support.statements import statements

BIG = re.compile(
    r"SCAN (?:m|d|e|t|task|webhook_event|message|delivery|archive_message|archive_delivery)\b"
)
SORTED = re.compile(r"USE TEMP B-TREE FOR")
ALLOWED: dict[str, str] = {}
"""Statement -> why its scan of a big table is right."""
SORTS = (
    dict.fromkeys(
        ("sends.DELIVERIES_OF", "sends.ARCHIVED_DELIVERIES_OF"),
        "a message's own deliveries, no more than the fleet has agents",
    )
    | dict.fromkeys(
        ("records.FLOWS[0]", "records.FLOWS[1]"),
        "groups the pairs of a bounded range of seqs; walking an index of all is worse",
    )
    | {"wake_book.MERGE": "groups the minutes of two days, once per hour"}
)
"""Statement -> why sorting what it found is right."""


STATEMENTS = statements(agent_bus.store.sqlite)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> apsw.Connection:
    """The newest schema without any statistics, as a hub has it: nothing runs ANALYZE."""
    found = apsw.Connection(str(tmp_path_factory.mktemp("plans") / "bus.db"))
    migrate(found)
    return found


def plan(connection: apsw.Connection, sql: str) -> list[str]:
    numbered = max((int(n) for n in re.findall(r"\?(\d+)", sql)), default=0)
    named = set(re.findall(r":(\w+)", sql))
    bindings = dict.fromkeys(named) if named else (None,) * (numbered or sql.count("?"))
    return [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)]


def test_the_walk_finds_the_statements() -> None:
    assert len(STATEMENTS) > 60
    for wanted in (
        "reads.INBOX_UNREAD",
        "commands.STAMP_UP_TO[received]",
        "sweeps.CLOSED",
        "search.STATEMENTS[archive][received]",
        "records.FLOWS[1]",
    ):
        assert wanted in STATEMENTS
    assert sum(name.startswith("history.STATEMENTS") for name in STATEMENTS) == sum(
        map(len, history.STATEMENTS.values())
    )


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_reads_a_whole_big_table(connection: apsw.Connection, name: str) -> None:
    steps = plan(connection, STATEMENTS[name])
    scans = [step for step in steps if BIG.match(step)]
    sorts = [step for step in steps if SORTED.match(step)]
    assert not scans or name in ALLOWED, steps
    assert not sorts or name in SORTS, steps


def test_what_is_about_unread_mail_does_not_walk_over_read_mail(
    connection: apsw.Connection,
) -> None:
    wanted = re.compile(r"agent = \S+ AND.* read_at IS NULL|read_at IS NULL.*agent = ")
    about_unread = {name: sql for name, sql in STATEMENTS.items() if wanted.search(sql)}
    assert len(about_unread) >= 6
    for name, sql in about_unread.items():
        steps = plan(connection, sql)
        assert any("INDEX delivery_unread" in step for step in steps), (name, steps)


def test_live_deliveries_have_few_indexes(connection: apsw.Connection) -> None:
    """Each one that begins with the agent costs a page per recipient in every commit."""
    sql = "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'delivery'"
    names = {name for (name,) in connection.execute(sql)}
    assert names == {"delivery_unread", "delivery_all", "delivery_message"}


def test_the_allow_lists_name_statements_that_exist() -> None:
    assert set(ALLOWED) | set(SORTS) <= set(STATEMENTS)
