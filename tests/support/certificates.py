"""Certificates as the rollout makes them, and faulty ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from library import fleet_ca

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["localhost", "127.0.0.1"]


class Authority:
    """A fleet's authority with its certificate in `folder/ca.crt`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.ca_file = folder / "ca.crt"
        self._key = fleet_ca.new_key()
        self._certificate = fleet_ca.make_authority(self._key, datetime.now(UTC))
        fleet_ca.keep(self.ca_file, self._certificate)

    def issue(
        self, name: str, names: list[str] | None = None, *, days: int = 30
    ) -> dict[str, str]:
        """Make a certificate; return the hub's two settings. Negative `days` are past."""
        key = fleet_ca.new_key()
        certificate = fleet_ca.make_certificate(
            key,
            names or NAMES,
            datetime.now(UTC) - timedelta(days=60),
            authority=self._certificate,
            authority_key=self._key,
            days=60 + days,
        )
        paths = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        fleet_ca.keep(paths[0], certificate)
        fleet_ca.keep(paths[1], key)
        return {"tls_certificate_file": str(paths[0]), "tls_key_file": str(paths[1])}
