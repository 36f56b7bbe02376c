"""Ansible module: a fleet's own certificate authority, and its hubs' certificates from it.

Runs on the control node only: the authority's key never leaves its folder. Needs `cryptography`,
which ansible-core itself brings.
"""

from __future__ import annotations

import ipaddress
import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DOCUMENTATION = r"""
module: fleet_ca
short_description: Make and renew a certificate authority and a certificate for a hub
description:
  - Makes C(ca.key), C(ca.crt), C(hub.key) and C(hub.crt) in a folder, and renews what runs out.
  - A renewed authority keeps its key, so that hosts with its older certificate trust the hub.
options:
  folder: {description: Where they are kept., type: path, required: true}
  names:
    description: Names and addresses by which the hub is reached.
    type: list
    elements: str
    required: true
  certificate: {description: Name of its two files., type: str, default: hub}
  client:
    description: Whether it is also shown to other hosts, as members of a database's cluster do.
    type: bool
    default: false
  renew_days: {description: Fewer days left than this renew it., type: int, default: 30}
"""

RETURN = r"""
reason: {description: Why the hub got a new certificate; empty if it did not., type: str}
expires: {description: When the hub's certificate ends., type: str}
"""

CA_DAYS = 3650
CERTIFICATE_DAYS = 365
CA_LEFT_DAYS = CERTIFICATE_DAYS + 30  # a certificate must not outlive its authority
EARLY = timedelta(days=1)  # for hosts whose clock is slow
USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new private key."""
    return ec.generate_private_key(ec.SECP256R1())


def make_authority(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    """Return the certificate of an authority. With the same key, it replaces an older one."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Agent bus fleet CA")])
    return (
        _builder(name, name, key.public_key(), now, days=CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        .sign(key, hashes.SHA256())
    )


def make_certificate(
    key: ec.EllipticCurvePrivateKey,
    names: list[str],
    now: datetime,
    *,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    client: bool = False,
    days: int = CERTIFICATE_DAYS,
) -> x509.Certificate:
    """Return the hub's certificate for these names and addresses."""
    usages = [ExtendedKeyUsageOID.SERVER_AUTH]
    if client:
        usages.append(ExtendedKeyUsageOID.CLIENT_AUTH)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return (
        _builder(name, authority.subject, key.public_key(), now, days=days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(issuer_key, critical=False)
        .add_extension(x509.SubjectAlternativeName(list(map(_name, names))), critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def why_renew(
    certificate: x509.Certificate | None,
    key: ec.EllipticCurvePrivateKey | None,
    names: list[str],
    now: datetime,
    *,
    authority: x509.Certificate,
    renew_days: int,
) -> str:
    """Return why the hub needs a new certificate; empty if it does not."""
    if certificate is None or key is None or certificate.public_key() != key.public_key():
        return "there is none"
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:  # noqa: BLE001 - cryptography names several
        return "it is of another authority"
    if certificate.not_valid_after_utc - now < timedelta(days=renew_days):
        return f"it ends {certificate.not_valid_after_utc:%Y-%m-%d}"
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    if set(extension.value) != set(map(_name, names)):
        return "the hub's names have changed"
    return ""


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    now: datetime,
    *,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLY)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*wanted: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in wanted for usage in USAGES})


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def read_certificate(path: Path) -> x509.Certificate | None:
    """Return the certificate in a file; None without the file."""
    return x509.load_pem_x509_certificate(path.read_bytes()) if path.exists() else None


def read_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    """Return the private key in a file; None without the file."""
    if not path.exists():
        return None
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path} was not made by this project")  # noqa: TRY004 - a file's content
    return key


def pem(thing: x509.Certificate | ec.EllipticCurvePrivateKey) -> bytes:
    """Return a certificate or a key as it is kept."""
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(serialization.Encoding.PEM)
    return thing.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def keep(path: Path, thing: x509.Certificate | ec.EllipticCurvePrivateKey) -> None:
    """Write a certificate (0644) or a key (0600), atomically."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem(thing))
        file.flush()
        os.fsync(file.fileno())
    Path(name).chmod(0o644 if isinstance(thing, x509.Certificate) else 0o600)
    Path(name).replace(path)


def have_authority(
    folder: Path, now: datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey | None, bool]:
    """Return the authority, its key if it is there, and whether its certificate is a new one.

    Raises:
        ValueError: its key is needed and gone.
    """
    certificate, key = read_certificate(folder / "ca.crt"), read_key(folder / "ca.key")
    if certificate is not None and certificate.not_valid_after_utc - now > timedelta(
        days=CA_LEFT_DAYS
    ):
        return certificate, key, False
    if certificate is None:
        key = key or new_key()
    elif key is None:
        raise ValueError(_gone(folder))
    assert key is not None
    return make_authority(key, now), key, True


def _gone(folder: Path) -> str:
    return (
        f"{folder}/ca.key is gone, without which nothing is renewed: restore it from a backup, or "
        f"remove {folder} to give the fleet a new authority (nodes trust the hub again once "
        "site.yml has reached them)"
    )


def ensure(
    folder: Path, names: list[str], *, name: str, client: bool, renew_days: int, write: bool
) -> tuple[str, str]:
    """Make sure of all four files; return why the certificate is renewed, if it is, and its end.

    Raises:
        ValueError: a file cannot be used; the text says what to do.
    """
    now = datetime.now(UTC)
    authority, authority_key, is_new = have_authority(folder, now)
    key_file, file = folder / f"{name}.key", folder / f"{name}.crt"
    key, certificate = read_key(key_file), read_certificate(file)
    reason = why_renew(
        certificate, key, names, now, authority=authority, renew_days=renew_days
    ) or ("the authority was renewed" if is_new else "")
    if reason:
        if authority_key is None:
            raise ValueError(_gone(folder))
        key = new_key()
        certificate = make_certificate(
            key, names, now, authority=authority, authority_key=authority_key, client=client
        )
        if write:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if is_new:
                keep(folder / "ca.key", authority_key)
                keep(folder / "ca.crt", authority)
            keep(key_file, key)
            keep(file, certificate)
    assert certificate is not None
    return reason, f"{certificate.not_valid_after_utc:%Y-%m-%d}"


def main() -> None:
    """Make sure of the files and answer what was done."""
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
            "certificate": {"type": "str", "default": "hub"},
            "client": {"type": "bool", "default": False},
            "renew_days": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        reason, expires = ensure(
            Path(given["folder"]),
            list(dict.fromkeys(given["names"])),
            name=given["certificate"],
            client=given["client"],
            renew_days=given["renew_days"],
            write=not module.check_mode,
        )
    except (OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(reason), reason=reason, expires=expires)


if __name__ == "__main__":
    main()
