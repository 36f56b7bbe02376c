"""TLS towards the hub: a verified connection, or an error that says what to do.

`ssl` costs 3 MiB of resident memory, so this is imported only where the hub has https. Calls block
up to a deadline; any thread may call.
"""

from __future__ import annotations

import functools
import socket
import ssl

from agent_bus_client.errors import SettingsError, UntrustedError

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    import _socket

    from agent_bus_client.net.deadline import Deadline

# X509_V_ERR_... of OpenSSL's x509_vfy.h, for which Python has no names
NOT_YET_VALID, EXPIRED, OTHER_NAME, OTHER_ADDRESS = 9, 10, 62, 64
PLAIN = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
SITE = "run the site playbook for this node"


def secure(
    connected: _socket.socket, host: str, ca_file: str | None, deadline: Deadline
) -> ssl.SSLSocket:
    """Return the socket with TLS, after verifying the peer's certificate and name.

    The socket is closed if that fails.

    Raises:
        SettingsError: the CA file cannot be read.
        UntrustedError: the peer is not the expected hub, or speaks no TLS.
        OSError: the handshake failed otherwise, or was not done by the deadline.
    """
    plain = socket.socket(fileno=connected.detach())
    try:
        plain.settimeout(deadline.require_s())
        return _context(ca_file).wrap_socket(plain, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        plain.close()
        raise UntrustedError(_distrust(error, host, ca_file)) from error
    except ssl.SSLError as error:
        plain.close()
        if error.reason in PLAIN:
            words = f"it speaks plain HTTP, and the settings say https; {SITE}"
            raise UntrustedError(words) from error
        raise
    except (OSError, SettingsError):
        plain.close()
        raise


def ends(secured: _socket.socket) -> float | None:
    """Return when the verified peer's certificate ends (epoch seconds); None without TLS."""
    if not isinstance(secured, ssl.SSLSocket):
        return None
    certificate = secured.getpeercert() or {}
    return float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))


@functools.lru_cache(maxsize=2)
def _context(ca_file: str | None) -> ssl.SSLContext:
    """Return the context, made once: the watcher is restarted when its CA changes."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise SettingsError(f"hub_ca_file {ca_file}: {error.strerror or error}; {SITE}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _distrust(error: ssl.SSLCertVerificationError, host: str, ca_file: str | None) -> str:
    if error.verify_code == EXPIRED:
        return "its certificate has expired; run the site playbook, which renews it"
    if error.verify_code == NOT_YET_VALID:
        return "its certificate is not valid yet; is the clock of this machine right?"
    if error.verify_code in {OTHER_NAME, OTHER_ADDRESS}:
        return f"its certificate is not for {host}; is bus_address right in the inventory?"
    signer = ca_file or "a CA that this machine knows"
    return f"its certificate is not signed by {signer} ({error.verify_message}); {SITE}"
