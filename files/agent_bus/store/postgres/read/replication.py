"""Which servers the database has and how far its copies are behind, as one of them says."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from agent_bus.store.contract import Replication, Standby

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

_SERVER: Final = (
    "SELECT coalesce(host(inet_server_addr()), ''), NOT pg_is_in_recovery(),"
    " current_setting('synchronous_standby_names'), timeline_id FROM pg_control_checkpoint()"
)
_STANDBYS: Final = (
    "SELECT application_name, coalesce(host(client_addr), ''), coalesce(state, ''),"
    " coalesce(sync_state, ''), pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint,"
    " extract(epoch FROM replay_lag)::float8, extract(epoch FROM reply_time)::float8"
    " FROM pg_stat_replication ORDER BY application_name, backend_start"
)
"""A role that is not in pg_read_all_stats sees the names alone."""
SYNC: Final = frozenset({"sync", "quorum", "potential"})


def look(connection: Connection[Any]) -> Replication:
    """What a server says of itself and, if it is the primary, of its standbys."""
    row = connection.execute(_SERVER).fetchone()
    assert row is not None
    server, is_primary, synchronous, timeline = row
    found = connection.execute(_STANDBYS).fetchall() if is_primary else []
    standbys = [one for one in found if one[2] != "backup" and not one[0].startswith("pg_")]
    names = named([(name, address) for name, address, *_ in standbys])
    return Replication(
        server=server,
        is_primary=is_primary,
        timeline=timeline,
        needed=needed(synchronous),
        standbys=tuple(
            # once a standby has all, the time of the last wait says nothing
            Standby(name, state, sync in SYNC, lag_bytes, lag_s if lag_bytes else lag_bytes, at)
            for name, (_, _, state, sync, lag_bytes, lag_s, at) in zip(
                names, standbys, strict=True
            )
        ),
    )


def named(standbys: Sequence[tuple[str, str]]) -> list[str]:
    """A name for each standby (name, address): many call themselves `walreceiver`.

    One that has come back may be there twice for a minute, and keeps its name.
    """
    known = set(standbys)
    counted = Counter(name for name, address in standbys if not address)
    counted += Counter(name for name, address in known if address)
    return [
        name if counted[name] == 1 else f"{name} {address or number}"
        for number, (name, address) in enumerate(standbys, 1)
    ]


def needed(names: str) -> int:
    """How many standbys a commit waits for, of a `synchronous_standby_names`."""
    counted = re.match(r"(?:ANY|FIRST)?\s*(\d+)\s*\(", names, re.IGNORECASE)
    if counted:
        return int(counted[1])
    return 1 if names.strip() else 0
