"""Ask the hub of a running fleet, with the admin's token, as an operator's tools do."""

from __future__ import annotations

import json
import ssl
import urllib.request
from typing import Any
from urllib.parse import urlencode

from lab.paths import fleet_dir


class LabHub:
    """The HTTP API of one fleet's hub; with the CA of its certificate if it has TLS."""

    def __init__(self, fleet: str, address: str, port: int, *, ca: str = "") -> None:
        self._token_file = fleet_dir(fleet) / "secrets" / "admin.token"
        self._base = f"{'https' if ca else 'http'}://{address}:{port}"
        self._tls = ssl.create_default_context(cafile=ca) if ca else None

    @property
    def _token(self) -> str:
        """The admin's token, read each time: a rotation replaces it."""
        return self._token_file.read_text().strip()

    def get(self, path: str) -> Any:  # noqa: ANN401 - decoded JSON
        """Return the answer to a GET.

        Raises:
            OSError: the hub does not answer within 15 s, or not with success.
        """
        return self._ask(path, None, timeout_s=15)

    def post(self, path: str, body: object) -> Any:  # noqa: ANN401 - decoded JSON
        """Return the answer to a POST.

        Raises:
            OSError: the hub does not answer within 10 s, or not with success.
        """
        return self._ask(path, json.dumps(body).encode(), timeout_s=10)

    def metrics(self) -> str:
        """Return what Prometheus would scrape."""
        return self._read("/metrics", None, timeout_s=15).decode()

    def _ask(self, path: str, body: bytes | None, *, timeout_s: float) -> Any:  # noqa: ANN401
        return json.loads(self._read(path, body, timeout_s=timeout_s))

    def _read(self, path: str, body: bytes | None, *, timeout_s: float) -> bytes:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self._base + path, body, headers)  # noqa: S310 - always http
        with _opener(self._tls).open(request, timeout=timeout_s) as answer:
            raw: bytes = answer.read()
        return raw

    def page(self) -> str:
        """Return the dashboard's first page."""
        return page_of(self._base, self._token, tls=self._tls)


def page_of(base: str, admin_token: str, *, tls: ssl.SSLContext | None = None) -> str:
    """Return the dashboard's first page, as a browser gets it after signing in with the token."""
    form = urlencode({"token": admin_token}).encode()
    opener = _opener(tls)
    opener.add_handler(urllib.request.HTTPCookieProcessor())
    with opener.open(f"{base}/login", form, timeout=20) as answer:  # and the redirect to it
        text: str = answer.read().decode()
    return text


def _opener(tls: ssl.SSLContext | None) -> urllib.request.OpenerDirector:
    """Return an opener that asks the hub directly, whatever proxy the environment names."""
    return urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls)
    )
