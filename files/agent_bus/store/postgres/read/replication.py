"""Which servers the database has and how far its copies are behind, as one of them says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from agent_bus.store.contract import Replication, Standby

if TYPE_CHECKING:
    from psycopg import Connection

_SERVER: Final = (
    "SELECT coalesce(host(inet_server_addr()), ''), NOT pg_is_in_recovery(),"
    " current_setting('synchronous_standby_names'), timeline_id FROM pg_control_checkpoint()"
)
_STANDBYS: Final = (
    "SELECT application_name, coalesce(state, ''), coalesce(sync_state, ''),"
    " pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint,"
    " extract(epoch FROM replay_lag)::float8, extract(epoch FROM reply_time)::float8"
    " FROM pg_stat_replication ORDER BY application_name"
)
"""A role that is not in pg_read_all_stats sees the names alone."""
SYNC: Final = frozenset({"sync", "quorum", "potential"})


def look(connection: Connection[Any]) -> Replication:
    """What a server says of itself and, if it is the primary, of its standbys."""
    row = connection.execute(_SERVER).fetchone()
    assert row is not None
    server, is_primary, names, timeline = row
    standbys = connection.execute(_STANDBYS).fetchall() if is_primary else []
    return Replication(
        server=server,
        is_primary=is_primary,
        timeline=timeline,
        needed=needed(names),
        standbys=tuple(
            # once a standby has all, the time of the last wait says nothing
            Standby(name, state, sync in SYNC, lag_bytes, lag_s if lag_bytes else lag_bytes, at)
            for name, state, sync, lag_bytes, lag_s, at in standbys
            if not name.startswith("pg_") and state != "backup"
        ),
    )


def needed(names: str) -> int:
    """How many standbys a commit waits for, of a `synchronous_standby_names`."""
    counted = re.match(r"(?:ANY|FIRST)?\s*(\d+)\s*\(", names, re.IGNORECASE)
    if counted:
        return int(counted[1])
    return 1 if names.strip() else 0
