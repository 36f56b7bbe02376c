"""Check the operator's own certificate for the hub.

Reads texts only. What it finds has the form of preflight_values.py's findings.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cryptography import x509

FILES = {
    "certificate": "message_bus_tls_certificate",
    "key": "message_bus_tls_key",
    "ca": "message_bus_tls_ca",
}
Finding = dict[str, Any]


def tls_findings(
    variables: Mapping[str, Any], *, hub: str, mode: str, texts: Mapping[str, str]
) -> list[Finding]:
    """Return what is wrong with the operator's own certificate.

    Args:
        variables: the hub's.
        hub: its name in the inventory.
        mode: whose certificate it is: `off`, `fleet` or `own`.
        texts: what the files `certificate`, `key` and `ca` hold; empty for one that is not there.
    """
    if mode != "own":
        return []
    missing = []
    for kind, name in FILES.items():
        path = variables.get(name) or ""
        if not path and kind != "ca":
            says = f"message_bus_tls is own and needs {name}, a file on this machine"
            missing.append({"keys": ["message_bus_tls"], "says": says})
        elif path and not texts.get(kind):
            says = f"{name}: {path} cannot be read on this machine"
            missing.append({"keys": [name], "says": says})
    if missing:
        return missing
    address = str(variables.get("bus_address") or hub)
    found = certificate_errors(texts, address, now=datetime.now(UTC))
    return [{"keys": [FILES["certificate"]], "says": says} for says in found]


def certificate_errors(texts: Mapping[str, str], address: str, *, now: datetime) -> list[str]:
    """Return what is wrong with a certificate, its key and the authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    try:
        chain = x509.load_pem_x509_certificates(texts["certificate"].encode())
    except ValueError as error:
        return [f"the certificate cannot be read as PEM: {error}"]
    leaf = chain[0]
    errors = list(_validity(leaf, address, now))
    try:
        key = serialization.load_pem_private_key(texts["key"].encode(), password=None)
    except (TypeError, ValueError):
        errors.append(
            "the key cannot be read as PEM without a password; encrypt it by Ansible Vault instead"
        )
    else:
        if key.public_key() != leaf.public_key():
            errors.append("the key is not the one of the certificate; is the file another's?")
    if texts.get("ca"):
        errors.extend(_signed(chain, texts["ca"]))
    return errors


def _validity(leaf: x509.Certificate, address: str, now: datetime) -> Iterator[str]:
    from cryptography import x509

    end, start = leaf.not_valid_after_utc, leaf.not_valid_before_utc
    if end <= now:
        yield f"the certificate has expired on {end:%Y-%m-%d}; put a new one there"
    if start > now:
        yield f"the certificate is not valid before {start:%Y-%m-%d %H:%M} UTC"
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        yield f"the certificate has no subjectAltName; clients want {address} there"
        return
    names = extension.value.get_values_for_type(x509.DNSName)
    addresses = [str(one) for one in extension.value.get_values_for_type(x509.IPAddress)]
    if not any(_covers(name, address) for name in names) and address not in addresses:
        yield (
            f"the certificate is for {', '.join([*names, *addresses])}, not for {address}, by "
            "which the nodes reach the hub; set the hub's bus_address to one of these, or get "
            "another certificate"
        )


def _covers(pattern: str, name: str) -> bool:
    """Tell whether a DNS name, or its `*.` in place of the first label, is this name."""
    pattern, name = pattern.lower(), name.lower().rstrip(".")
    if pattern.startswith("*."):
        return name.partition(".")[2] == pattern[2:]
    return pattern == name


def _signed(chain: Sequence[x509.Certificate], ca_text: str) -> Iterator[str]:
    """Follow the chain up to one of the authorities."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        anchors = x509.load_pem_x509_certificates(ca_text.encode())
    except ValueError as error:
        yield f"message_bus_tls_ca cannot be read as PEM: {error}"
        return
    for one in chain:
        if one in anchors:
            return
        for anchor in anchors:
            try:
                one.verify_directly_issued_by(anchor)
            except (InvalidSignature, TypeError, ValueError):
                continue
            return
    yield "the certificate is not signed by message_bus_tls_ca; is it another authority's file?"


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"tls_findings": tls_findings}
