"""Who is signed in to the dashboard.

A session is 256 random bits in a cookie that scripts cannot read and other sites cannot send. The
hub keeps only the digest, so a copy of the database opens nothing. Sessions outlive a restart. On
a full disk the operator, who has to mend it, can still sign in and out: the hub keeps that in
memory until there is room. A call that changes something carries a second proof (CSRF), which is
derived from the cookie and known only to our own page.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from typing import TYPE_CHECKING, Final

from agent_bus.bus.auth import Principal
from agent_bus.core import errors
from agent_bus.core.model import Session
from agent_bus.http.route import Header
from agent_bus.runtime import greenlets
from agent_bus.store.cluster import ALONE, SessionEnded, SessionOpened

if TYPE_CHECKING:
    from agent_bus.bus.auth import Authenticator
    from agent_bus.core.clock import Clock
    from agent_bus.http.call import AnyCall
    from agent_bus.store.cluster import Cluster
    from agent_bus.store.contract import Records

logger = logging.getLogger(__name__)

SESSION_HEADERS: Final = tuple(
    Header(name) for name in ("Cookie", "Host", "Sec-Fetch-Site", "X-CSRF-Token")
)
"""What a browser's session is known by."""
PORT: Final = re.compile(r":([0-9]{1,5})$")
SESSION_S: Final = 12 * 3600
"""A working day; then the operator signs in again."""
LINK_S: Final = 300
"""A one-time link is used at once or not at all."""
KEPT: Final = 1000
"""Most sessions, and most links: past it the oldest ends. One operator needs a handful."""
RETRY_S: Final = 10.0
"""How often a sign-out that found the disk full is tried again in the database."""
LOOK_S: Final = 0.1
"""An unknown cookie makes a hub look into the database at most this often."""
OWN_SITE: Final = frozenset({"same-origin", "none"})
"""Values of Sec-Fetch-Site (W3C Fetch Metadata) that a request of our own page has."""


class Sessions:
    """Opens, finds and ends sessions; used in the loop's thread, writes block the greenlet."""

    def __init__(
        self, *, records: Records, auth: Authenticator, clock: Clock, cluster: Cluster = ALONE
    ) -> None:
        self._records = records
        self._cluster = cluster
        self._looked = -LOOK_S
        self._auth = auth
        self._clock = clock
        self._links: dict[str, tuple[str, float]] = {}
        self._ended: set[str] = set()
        """Sessions that ended and may still stand in the database."""
        self._is_retrying = False
        open_ones = records.sessions(steady=clock.steady_ms())
        self._open = {one.sha256: one for one in open_ones}

    def link(self, principal: Principal) -> str:
        """A code that signs in once, within LINK_S; for the admin token's principal."""
        code = secrets.token_urlsafe(32)
        if self._cluster.is_plural:
            ends_at = self._clock.steady_ms() + int(LINK_S * 1000)
            self._cluster.keep_link(_digest(code), principal.sha256, ends_at)
            return code
        self._links[_digest(code)] = (principal.sha256, self._clock.monotonic() + LINK_S)
        if len(self._links) > KEPT:
            del self._links[next(iter(self._links))]
        return code

    def open(self, call: AnyCall, secret: str) -> str:
        """A new session's cookie, for the admin token or a link's code.

        On a full disk the session ends with the process.

        Raises:
            errors.UnauthenticatedError: neither of them.
            errors.AuthThrottledError: neither, and too many such attempts from that address.
            errors.ForbiddenError: a node's token, or the form of another site.
        """
        refuse_other_sites(call)
        token_sha256 = self._redeem(secret)
        if token_sha256 is None:
            principal = self._auth.authenticate(f"Bearer {secret.strip()}", call.address)
            if not principal.is_admin:
                raise errors.ForbiddenError("This page is for the admin token, not for a node's.")
            token_sha256 = principal.sha256
        cookie = secrets.token_urlsafe(32)
        steady = self._clock.steady_ms()
        session = Session(_digest(cookie), token_sha256, steady + SESSION_S * 1000)
        try:
            self._records.keep_session(session)
        except errors.DiskFullError:
            logger.warning("The disk is full: a session was opened until the next restart only")
        self._open[session.sha256] = session
        self._cluster.tell(SessionOpened(session.sha256, token_sha256, session.expires_at))
        if len(self._open) > KEPT:
            self._end(next(iter(self._open)))
        return cookie

    def hear_opened(self, session: Session) -> None:
        """The operator signed in at another hub."""
        self._open[session.sha256] = session

    def hear_ended(self, sha256: str) -> None:
        """The operator signed out at another hub."""
        self._open.pop(sha256, None)

    def require(self, call: AnyCall) -> Principal:
        """The operator, if the call's cookie belongs to an open session.

        Raises:
            errors.UnauthenticatedError: it is not.
        """
        sha256 = _digest(cookie_of(call))
        session = self._open.get(sha256) or self._from_elsewhere(sha256)
        if session is None or session.expires_at <= self._clock.steady_ms():
            raise errors.UnauthenticatedError("Sign in again.")
        if not self._auth.is_admin(session.token_sha256):
            raise errors.UnauthenticatedError("The admin token was rotated; sign in again.")
        return Principal(None, session.token_sha256)

    def require_write(self, call: AnyCall, proof: str | None = None) -> Principal:
        """As `require`, for a call that changes something: it must come from our own page.

        Raises:
            errors.ForbiddenError: from another site, or without the page's CSRF token.
            errors.UnauthenticatedError: not signed in.
        """
        refuse_other_sites(call)
        principal = self.require(call)
        given = call.headers.get("x-csrf-token", "") if proof is None else proof
        if not hmac.compare_digest(csrf_of(call).encode(), given.encode()):
            raise errors.ForbiddenError(
                "The page's proof is missing or of another session; load the page again.",
                field="X-CSRF-Token",
            )
        return principal

    def close(self, call: AnyCall) -> None:
        """End the call's session; on a full disk in memory, and for good once there is room."""
        self._end(_digest(cookie_of(call)))

    def _from_elsewhere(self, sha256: str) -> Session | None:
        """A session that another hub has just opened: the browser may be faster than the word."""
        now = self._clock.monotonic()
        if not self._cluster.is_plural or now - self._looked < LOOK_S:
            return None
        self._looked = now
        found = self._records.sessions(steady=self._clock.steady_ms())
        return next((one for one in found if one.sha256 == sha256), None)

    def _end(self, sha256: str) -> None:
        self._open.pop(sha256, None)
        self._cluster.tell(SessionEnded(sha256))
        self._ended.add(sha256)
        if not self._drop_ended() and not self._is_retrying:
            self._is_retrying = True
            greenlets.spawn(self._retry)

    def _drop_ended(self) -> bool:
        """Take the sessions that ended out of the database; False when the disk is full."""
        try:
            for sha256 in list(self._ended):
                self._records.drop_session(sha256, steady=self._clock.steady_ms())
                self._ended.discard(sha256)
        except errors.DiskFullError:
            return False
        return True

    def _retry(self) -> None:
        is_done = False
        try:
            while not is_done:
                greenlets.sleep(RETRY_S)
                is_done = self._drop_ended()
        except errors.BusError as error:
            logger.warning("A session that ended may stand in the database: %s", error.detail)
        finally:
            self._is_retrying = False

    def _redeem(self, code: str) -> str | None:
        if self._cluster.is_plural:
            found = self._cluster.take_link(_digest(code.strip()))
            return found if found is not None and self._auth.is_admin(found) else None
        token_sha256, deadline = self._links.pop(_digest(code.strip()), ("", 0.0))
        is_good = deadline > self._clock.monotonic() and self._auth.is_admin(token_sha256)
        return token_sha256 if is_good else None


def refuse_other_sites(call: AnyCall) -> None:
    """Let a call through unless the browser says that another site sent it.

    Raises:
        errors.ForbiddenError: it does.
    """
    if call.headers.get("sec-fetch-site", "none") not in OWN_SITE:
        raise errors.ForbiddenError("Another site sent this request.")


def cookie_of(call: AnyCall) -> str:
    """The session's cookie in a call; empty without one."""
    wanted = cookie_name(call)
    for part in call.headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == wanted:
            return value
    return ""


def cookie_name(call: AnyCall) -> str:
    """What the cookie is called for the scheme and port that the browser sees.

    Browsers keep cookies per host, for all its ports, and for http and https together. A Secure
    cookie is neither sent to http nor replaced from there. With one name for both schemes, the
    sign-in would lead back to itself for 12 hours after TLS is switched off; with one name for
    all ports, two hubs behind one address would sign each other's operator out.
    """
    found = PORT.search(call.headers.get("host", ""))
    name = f"agent_bus_session_{found[1]}" if found else "agent_bus_session"
    return f"__Host-{name}" if call.scheme == "https" else name


def csrf_of(call: AnyCall) -> str:
    """The CSRF token of the call's session, known only to whoever can read the page."""
    return hmac.new(cookie_of(call).encode(), b"agent-bus csrf", hashlib.sha256).hexdigest()


def set_cookie(call: AnyCall, value: str) -> str:
    """The Set-Cookie header; an empty value ends it. `Secure` when the page came by TLS."""
    secure = "; Secure" if call.scheme == "https" else ""
    age_s = SESSION_S if value else 0
    return (
        f"{cookie_name(call)}={value}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Strict{secure}"
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
