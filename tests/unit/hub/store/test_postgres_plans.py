"""Every named SQL constant of the PostgreSQL store is explained, as a hub plans it."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

import agent_bus.store.postgres
from agent_bus.store.postgres.link import connections
from tests.support import postgres
from tests.support.statements import statements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection

BIG: Final = {
    "message", "delivery", "archive_message", "archive_delivery", "idempotency", "audit", "change",
    "task", "webhook_event",
}  # fmt: skip
FILL: Final = """
INSERT INTO agent (name, node, registered_at)
    SELECT 'a' || n, 'n1', 1 FROM generate_series(1, 20) n;
INSERT INTO mailbox (agent) SELECT 'a' || n FROM generate_series(1, 20) n;
INSERT INTO message (pk, id, thread_id, sender, body, rank, hops, created_at, open_count,
        closed_at)
    SELECT n, 'live' || n, 'live' || n / 3, 'a' || n % 20, 'text', n % 3, 0, n, n % 2,
        CASE WHEN n % 2 = 0 THEN n END FROM generate_series(20001, 40000) n;
INSERT INTO delivery (seq, message_pk, agent, sender, rank, read_at)
    SELECT n, n, 'a' || n % 19, 'a' || n % 20, n % 3, CASE WHEN n % 2 = 0 THEN n END
    FROM generate_series(20001, 40000) n;
INSERT INTO archive_message (pk, id, thread_id, sender, body, rank, hops, created_at, archived_at)
    SELECT n, 'old' || n, 'old' || n / 3, 'a' || n % 20, 'text', n % 3, 0, n, n
    FROM generate_series(1, 20000) n;
INSERT INTO archive_delivery (seq, message_pk, agent, sender, rank, fetch_count)
    SELECT n, n, 'a' || n % 19, 'a' || n % 20, n % 3, 1 FROM generate_series(1, 20000) n;
INSERT INTO idempotency (sender, key, payload_sha256, message_id, created_at)
    SELECT 'a' || n % 20, n, 'x', n, n FROM generate_series(1, 20000) n;
INSERT INTO audit (at, address, way, action, detail, outcome)
    SELECT n, '', 'page', 'send', '{}', 'done' FROM generate_series(1, 20000) n;
INSERT INTO task (pk, id, thread_id, owner, agent, context_name, state, created_at, updated_at)
    SELECT n, 'live' || n, 'live' || n / 3, 'a' || n % 20, 'a' || n % 19,
        CASE n % 2 WHEN 0 THEN 'named' || n / 6 END,
        CASE n % 40 WHEN 0 THEN 'open' ELSE 'completed' END, n, n
    FROM generate_series(20001, 40000) n;
INSERT INTO webhook_event (webhook, kind, seq, queued_at, next_at)
    SELECT 'w' || n % 20, 'message', n, n, n FROM generate_series(20001, 40000) n;
INSERT INTO change (pos, hub, batch, at, facts)
    SELECT n, 'h', n, n, '[]' FROM generate_series(1, 20000) n;
ANALYZE;
"""
ALLOWED: Final[dict[str, str]] = {}
"""Statement -> why reading a whole big table is right."""
SORTS: Final = dict.fromkeys(
    ("reads.REPLAY_ALL", "reads.REPLAY_UNREAD"), "merges a page of each agent"
)
"""Statement -> why sorting before a limit is right."""
OTHERS: Final = {"pending.URGENT": "leaves out the hub's own notices to the same agent"}
"""Statement -> why it may look at senders or agents of what it walks over."""
STATEMENTS: Final = statements(agent_bus.store.postgres)
STATES: Final = ("of weeks", "new")
ON_THE_FIRST_DAY: Final = {"sweeps.EXPIRE"}
"""Go over all open mail until the first statistics come, which is within a minute."""
CASES: Final = [
    (state, name)
    for state in STATES
    for name in STATEMENTS
    if state == "of weeks" or name not in ON_THE_FIRST_DAY
]


@pytest.fixture(scope="module")
def databases() -> Iterator[dict[str, Connection[Any]]]:
    """A database as a hub sees it: with weeks of mail, and on its first day.

    Both are made anew: the files of one that another test has used are larger, and PostgreSQL
    estimates by them.
    """
    server = postgres.shared()
    urls = {state: server.url(postgres.new_database("migrated")) for state in STATES}
    with contextlib.ExitStack() as stack:
        opened = {
            state: stack.enter_context(psycopg.connect(url, autocommit=True))
            for state, url in urls.items()
        }
        opened["of weeks"].execute(FILL)
        for one in opened.values():
            one.execute(connections.TUNED)
        yield opened


def nodes(connection: Connection[Any], sql: str) -> list[dict[str, Any]]:
    """All nodes of a statement's plan; `under` is the type of the one above."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        name = found.group(1) or f"#{len(names)}"
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    text = re.sub(r"%(?:\((\w+)\))?s", number, sql).replace("%%", "%")
    values = ", ".join(["NULL"] * len(names))
    connection.execute(f"PREPARE explained AS {text}")
    try:
        row = connection.execute(
            f"EXPLAIN (FORMAT JSON) EXECUTE explained{f'({values})' if names else ''}"
        ).fetchone()
    finally:
        connection.execute("DEALLOCATE explained")
    assert row is not None
    return list(flattened(row[0][0]["Plan"], ""))


def flattened(plan: dict[str, Any], under: str) -> Iterator[dict[str, Any]]:
    yield {**plan, "under": under}
    for one in plan.get("Plans", ()):
        yield from flattened(one, plan["Node Type"])


def reads_it_all(node: dict[str, Any]) -> bool:
    """Whether a node goes over a whole big table; the first row of an index is not all of it."""
    kind = node["Node Type"]
    if kind in {"ModifyTable", "Bitmap Heap Scan"}:
        return False  # what the node below finds
    if node.get("Relation Name") not in BIG and kind != "Bitmap Index Scan":
        return False
    bounded = "Index Cond" in node or "TID Cond" in node
    first = node["under"] == "Limit" and "Filter" not in node
    return not (bounded or first)


def test_the_walk_finds_the_statements() -> None:
    assert len(STATEMENTS) > 60
    for wanted in ("reads.INBOX_UNREAD", "search.STATEMENTS[archive][received]", "records.FLOWS"):
        assert wanted in STATEMENTS


@pytest.mark.parametrize(("state", "name"), CASES)
def test_no_statement_reads_a_whole_big_table(
    databases: dict[str, Connection[Any]], state: str, name: str
) -> None:
    found = [node for node in nodes(databases[state], STATEMENTS[name]) if reads_it_all(node)]
    assert not found or name in ALLOWED, found


@pytest.mark.parametrize(
    ("state", "name"), [case for case in CASES if "LIMIT" in STATEMENTS[case[1]]]
)
def test_a_page_walks_an_index_in_its_order(
    databases: dict[str, Connection[Any]], state: str, name: str
) -> None:
    found = nodes(databases[state], STATEMENTS[name])
    sorts = [node for node in found if (node["Node Type"], node["under"]) == ("Sort", "Limit")]
    others = [node for node in found if re.search("agent|sender", node.get("Filter", ""))]
    assert not sorts or name in SORTS, sorts
    assert not others or name in OTHERS, f"goes over the mail of others: {others}"


@pytest.mark.parametrize("state", STATES)
def test_what_is_about_unread_mail_does_not_walk_over_read_mail(
    databases: dict[str, Connection[Any]], state: str
) -> None:
    about_unread = {
        name: sql
        for name, sql in STATEMENTS.items()
        if re.search(r"agent = .* \w\.read_at IS NULL AND \w\.expired_at IS NULL", sql)
    }
    assert len(about_unread) >= 9
    for name, sql in about_unread.items():
        indexes = {node.get("Index Name") for node in nodes(databases[state], sql)}
        assert "delivery_unread" in indexes, (name, indexes)


def test_the_allow_lists_name_statements_that_exist() -> None:
    assert {*ALLOWED, *SORTS, *OTHERS, *ON_THE_FIRST_DAY} <= set(STATEMENTS)
