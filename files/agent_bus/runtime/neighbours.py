"""Asks another hub over HTTP; for a greenlet, which waits two seconds at most for each step."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S: Final = 2.0
ANSWER_BYTES: Final = 65536


def livez(url: str, ca_file: Path | None) -> dict[str, Any]:
    """What a hub says of itself without asking its database.

    Args:
        url: its address, as clients use it; asked straight, never through a proxy.
        ca_file: the authority behind its certificate; None: those that the system trusts.

    Raises:
        OSError: it does not answer, or is not who it should be.
    """
    try:
        found = json.loads(_get(url, "/livez", ca_file))
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(f"{url} does not answer as a hub: {error}") from error
    return found if isinstance(found, dict) else {}


def _get(url: str, path: str, ca_file: Path | None) -> bytes:
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection = http.client.HTTPConnection(host, parts.port, timeout=PATIENCE_S)
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
        connection = http.client.HTTPSConnection(
            host, parts.port, timeout=PATIENCE_S, context=context
        )
    try:
        connection.request("GET", parts.path.rstrip("/") + path)
        return connection.getresponse().read(ANSWER_BYTES)
    finally:
        connection.close()
