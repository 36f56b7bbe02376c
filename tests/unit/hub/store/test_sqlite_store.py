"""What SQLite's store promises of its file; tests/conformance has what every store must do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw
import pytest

from agent_bus.core import errors
from agent_bus.store import contract
from agent_bus_mcp.words import mailbox
from tests.support.store import opened

if TYPE_CHECKING:
    from pathlib import Path

    from agent_bus.store.sqlite.sqlite_store import SqliteStore


def test_what_was_shown_lately_is_what_those_mean_who_tell_it() -> None:
    assert contract.SHOWN_LATELY_MS == mailbox.SHOWN_LATELY_S * 1000


def test_the_durability_contract_is_read_back(store: SqliteStore, tmp_path: Path) -> None:
    facts = store.facts()
    assert (facts["journal_mode"], facts["synchronous"]) == ("wal", "full")
    assert facts["auto_vacuum"] == "incremental"
    version = tuple(int(n) for n in str(facts["sqlite_version"]).split("."))
    assert version >= (3, 51, 3)  # older ones can corrupt a WAL that is reset
    assert (tmp_path / "bus.db").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "bus.db-shm").stat().st_size >= 1 << 20


@pytest.mark.parametrize(
    "content", [b"no database at all" * 500, b"SQLite format 3\0" + b"x" * 9000]
)
def test_what_is_no_database_is_refused_with_the_way_back(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bus.db").write_bytes(content)
    with pytest.raises(errors.StartupError, match="restore"), opened(tmp_path):
        pass


def test_a_file_without_incremental_vacuum_is_refused(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "bus.db"))
    connection.execute("CREATE TABLE other (x)")
    connection.close()
    with pytest.raises(errors.StartupError, match="auto_vacuum"), opened(tmp_path):
        pass
