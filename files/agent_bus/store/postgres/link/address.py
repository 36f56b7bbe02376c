"""Where the database is: a URL with one host or several, and the file that has the password."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import conninfo

from agent_bus.core import errors

if TYPE_CHECKING:
    from pathlib import Path

SCHEMES: Final = ("postgresql://", "postgres://")
CONNECT_TIMEOUT_S: Final = 3
"""Per host: one that is dead answers nothing at all."""
ALWAYS: Final[dict[str, str | int]] = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    # A peer whose host is gone is noticed within about 10 s, even by a connection that only waits.
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "agent-bus",
}


@dataclass(frozen=True, slots=True)
class Address:
    """The database of a fleet, as its settings name it."""

    url: str
    password_file: Path | None = None

    def parameters(self, **more: str | int) -> dict[str, str | int]:
        """What libpq needs to connect; the password is read anew, since it may be rotated.

        What the URL says counts more than ALWAYS, and `more` counts most.

        Raises:
            errors.StartupError: the URL cannot be read, or the file of the password.
        """
        found: dict[str, str | int] = {**ALWAYS, **self._from_url(), **more}
        if self.password_file is not None:
            try:
                found["password"] = self.password_file.read_text(encoding="utf-8").strip()
            except OSError as error:
                raise errors.StartupError(
                    f"{self.password_file} cannot be read: {error.strerror}"
                ) from error
        return found

    def hosts(self) -> list[dict[str, str | int]]:
        """The parameters of each host, in the order of the URL, to try them in turn."""
        found = self.parameters()
        names = str(found.pop("host", "")).split(",")
        ports = str(found.pop("port", "")).split(",")
        if len(ports) == 1:
            ports *= len(names)
        return [
            {
                **found,
                **({"host": name} if name else {}),
                **({"port": port} if port else {}),
            }
            for name, port in zip(names, ports, strict=True)
        ]

    @property
    def shown(self) -> str:
        """The database and its hosts, without user and password; for logs and errors."""
        hosts = ", ".join(
            f"{one.get('host', 'this machine')}:{one.get('port', '5432')}" for one in self.hosts()
        )
        return f"{self._from_url().get('dbname', 'the database')} on {hosts}"

    def _from_url(self) -> dict[str, str | int]:
        try:
            found = conninfo.conninfo_to_dict(self.url)
        except psycopg.Error as error:
            raise errors.StartupError(f"database: {str(error).strip()}") from error
        return {name: value for name, value in found.items() if value is not None}
