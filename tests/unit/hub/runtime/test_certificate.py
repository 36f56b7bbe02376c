"""The end of a certificate as our reader and as `cryptography` see it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from agent_bus.core import errors
from agent_bus.runtime import certificate

if TYPE_CHECKING:
    from pathlib import Path

EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ENDS = st.integers(31_536_000, 253_402_300_799).map(lambda s: dt.datetime.fromtimestamp(s, dt.UTC))
"""Whole seconds from 1971 to the end of 9999."""


def made(
    ends: dt.datetime,
    name: str = "t440",
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = EC_KEY,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime(1970, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )


@given(ENDS, st.text("abc", min_size=1, max_size=64))
def test_it_ends_when_cryptography_says(ends: dt.datetime, name: str) -> None:
    one = made(ends, name)
    der = one.public_bytes(serialization.Encoding.DER)
    assert certificate.not_after(der) == int(one.not_valid_after_utc.timestamp()) * 1000


def test_the_first_of_a_file_counts_which_is_the_hubs_own(tmp_path: Path) -> None:
    own = made(dt.datetime(2027, 5, 1, tzinfo=dt.UTC), key=RSA_KEY)
    signer = made(dt.datetime(2036, 5, 1, tzinfo=dt.UTC))
    pem = [one.public_bytes(serialization.Encoding.PEM).decode() for one in (own, signer)]
    path = tmp_path / "chain.pem"
    path.write_text(f"some words before\n{''.join(pem)}")
    assert certificate.expires_at(path) == int(own.not_valid_after_utc.timestamp()) * 1000


@given(st.binary(max_size=200), st.integers(0, 300))
def test_what_is_no_certificate_is_an_error_and_nothing_else(junk: bytes, cut: int) -> None:
    whole = made(dt.datetime(2027, 5, 1, tzinfo=dt.UTC)).public_bytes(serialization.Encoding.DER)
    for der in (junk, whole[: min(cut, 100)]):
        with pytest.raises((ValueError, IndexError)):
            certificate.not_after(der)


def test_a_file_without_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "empty.pem"
    with pytest.raises(errors.StartupError, match="cannot be read"):
        certificate.expires_at(path)
    path.write_text("nothing")
    with pytest.raises(errors.StartupError, match="not a certificate in PEM"):
        certificate.expires_at(path)
