"""Ask the hub of a running fleet, with the admin's token, as an operator's tools do."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from lab.paths import fleet_dir


class Hub:
    """The HTTP API of one fleet's hub."""

    def __init__(self, fleet: str, address: str, port: int) -> None:
        token = (fleet_dir(fleet) / "secrets" / "admin.token").read_text().strip()
        self._headers = {"Authorization": f"Bearer {token}"}
        self._base = f"http://{address}:{port}"

    def get(self, path: str) -> Any:  # noqa: ANN401 - decoded JSON
        """Return the answer to a GET.

        Raises:
            OSError: the hub does not answer within 5 s, or not with success.
        """
        request = urllib.request.Request(self._base + path, headers=self._headers)  # noqa: S310 - always http
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - as above
            return json.load(answer)
