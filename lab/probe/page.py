"""Show a browser the dashboard of a running fleet: what `make open` calls.

The lab's network ends at this machine. So ssh forwards the page to an address of this machine
(127.0.0.1 by default) until Ctrl-C. For a browser on another machine, give an address of this one
that it can reach (ADDRESS=192.168.1.5, or 0.0.0.0 for all), or forward the port once more:
ssh -L 8091:127.0.0.1:8091 THIS-MACHINE.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from lab.fleet import standing
from lab.fleet.ssh import ssh_command
from lab.paths import LabError
from lab.probe.census import census_of
from lab.probe.hub import LabHub

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - what an operator may ask for
READY_WITHIN_S = 60
"""Only to report a hub that never answers."""
OPTIONS = (
    "ControlMaster=no",
    "ControlPath=none",
    "ExitOnForwardFailure=yes",
    "ServerAliveInterval=15",
)


def base_url(scheme: str, address: str, port: int) -> str:
    """Return the start of a URL."""
    return f"{scheme}://{f'[{address}]' if ':' in address else address}:{port}"


def sign_in_link(up: standing.Fleet, base: str = "") -> str:
    """Return a link that signs a browser in, once and within five minutes.

    Args:
        up: the fleet.
        base: how the browser reaches the hub; if empty, by the hub's own address.

    Raises:
        LabError: the hub does not answer.
    """
    who = census_of(up.name)
    address = standing.spec_of(up, who.hub).address
    try:
        made = LabHub(up.name, address, who.port, ca=who.ca).post("/api/admin/login-link", {})
    except OSError as error:
        raise LabError(f"the hub of fleet {up.name} does not answer: {error}") from error
    scheme = "https" if who.ca else "http"
    return f"{base or base_url(scheme, address, who.port)}{made['path']}"


def free_port(address: str, wanted: int) -> int:
    """Return the wanted port if nobody listens there, otherwise a free one.

    Raises:
        LabError: this machine does not have the address.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in (wanted, 0):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                if port and error.errno != errno.EADDRNOTAVAIL:
                    continue
                raise LabError(f"{address} is no address of this machine: {error}") from error
            found: int = probe.getsockname()[1]
            return found
    raise LabError(f"no port of {address} is free")


@contextlib.contextmanager
def forwarded(up: standing.Fleet, address: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Forward a port of this machine to the hub while the block runs.

    Raises:
        LabError: the hub does not answer there.
    """
    who = census_of(up.name)
    hub = standing.spec_of(up, who.hub)
    here = f"[{address}]" if ":" in address else address
    options = [word for option in OPTIONS for word in ("-o", option)]
    words = ["-N", "-L", f"{here}:{port}:{hub.address}:{who.port}"]
    program, *rest = ssh_command(hub)
    # for ssh, the first value of an option counts
    ssh = subprocess.Popen([program, *options, *words, *rest], stdin=subprocess.DEVNULL)
    try:
        near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104 - as above
        _wait_for(base_url("https" if who.ca else "http", near, port), ssh)
        yield ssh
    finally:
        ssh.terminate()
        ssh.wait()


def _wait_for(base: str, ssh: subprocess.Popen[bytes]) -> None:
    """Wait until the hub answers, whatever its certificate."""
    tls = ssl._create_unverified_context()  # noqa: S323, SLF001 - it has no name of this machine
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls)
    )
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        if ssh.poll() is not None:
            raise LabError("the page cannot be forwarded, see above")
        try:
            opener.open(f"{base}/livez", timeout=READY_WITHIN_S).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise LabError(f"the hub does not answer at {base}")


def show(name: str, address: str, port: int) -> int:
    """Forward the page and print a link, until Ctrl-C; return the exit code."""
    up = standing.recall(name)
    who = census_of(name)
    at = free_port(address, port or who.port)
    scheme = "https" if who.ca else "http"
    seen_as = socket.gethostname() if address in EVERYWHERE else address
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with forwarded(up, address, at) as ssh:
            print("Open this link, once and within five minutes; `make open` makes another:")
            print(f"\n  {sign_in_link(up, base_url(scheme, seen_as, at))}\n")
            if address in EVERYWHERE and scheme == "http":
                print("Whoever can reach this machine can reach the page, and reads what it says.")
            print("Ctrl-C ends it.", flush=True)
            return ssh.wait()
    except KeyboardInterrupt:
        print("\nlab: the page is no longer forwarded")
        return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lab.probe.page", description=__doc__)
    parser.add_argument("--name", default="demo", help="name of the fleet (default: demo)")
    parser.add_argument("address", nargs="?", default="")
    parser.add_argument("port", nargs="?", default=0, type=lambda text: int(text or 0))
    given = parser.parse_args(arguments)
    try:
        return show(given.name, given.address or "127.0.0.1", given.port or 0)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
