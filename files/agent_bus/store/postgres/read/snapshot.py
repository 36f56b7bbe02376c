"""One state of the database for a read of several statements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg import Connection

T = TypeVar("T")

BEGIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"


def snapshot(connection: Connection[Any], read: Callable[[Connection[Any]], T]) -> T:
    """Run a read of several statements on one state of the database.

    A message that a sweep archives between two statements would else be found in neither place,
    or without its deliveries. The statements travel together, as far as none waits for another.
    """
    try:
        with connection.pipeline():
            connection.execute(BEGIN)
            found = read(connection)
            connection.execute("COMMIT")
    except BaseException:
        if not connection.closed:
            connection.execute("ROLLBACK")
        raise
    return found
