from __future__ import annotations

import ssl

import pytest

from agent_bus_client.errors import HubUnreachableError, HubUntrustedError, UntrustedError
from agent_bus_client.hub.trouble import unreachable
from agent_bus_client.net import tls


def distrust(code: int, message: str = "self-signed certificate", ca: str | None = None) -> str:
    error = ssl.SSLCertVerificationError()
    error.verify_code, error.verify_message = code, message
    return tls._distrust(error, "t440", ca)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (10, "has expired; run the site playbook"),
        (9, "is not valid yet; is the clock"),
        (62, "is not for t440; is bus_address"),
        (64, "is not for t440; is bus_address"),
        (18, "not signed by a CA that this machine knows (self-signed certificate); run the site"),
    ],
)
def test_each_reason_says_what_to_do(code: int, words: str) -> None:
    assert words in distrust(code)


def test_the_ca_file_is_named() -> None:
    assert "not signed by /etc/agent-bus/ca.crt (" in distrust(20, ca="/etc/agent-bus/ca.crt")


def test_who_cannot_be_trusted_counts_as_unreachable_so_that_mail_is_kept() -> None:
    error = unreachable(
        "https://t440:8091", UntrustedError("its certificate has expired"), sent=True
    )
    assert isinstance(error, HubUntrustedError)
    assert isinstance(error, HubUnreachableError)
    assert not error.sent
    assert str(error) == (
        "the hub at https://t440:8091 cannot be trusted: its certificate has expired"
    )
