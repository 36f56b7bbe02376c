"""Signing in to the dashboard and out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_bus.core import errors
from agent_bus.dashboard.html import redirect
from agent_bus.dashboard.page_requests import LoginQuery, SignInForm, SignOutForm
from agent_bus.http.call import Answer
from agent_bus.http.endpoint import bare, with_form, with_query
from agent_bus.http.route import Route
from agent_bus.http.session import SESSION_HEADERS, set_cookie

if TYPE_CHECKING:
    from collections import Counter

    from agent_bus.dashboard.html import Pages
    from agent_bus.http.audit import Audit
    from agent_bus.http.call import Call
    from agent_bus.http.endpoint import Endpoint
    from agent_bus.http.session import Sessions

ENTERED: Final = "entered"
"""Marks the first page after signing in: without the cookie there, the browser has not kept it."""
LOST: Final = (
    "You were signed in, but the browser did not keep the cookie of the session. Allow cookies for"
    " this address. Behind a proxy: X-Forwarded-Proto must say https only where the browser does."
)


class SignIn:
    """The endpoints, with what they need.

    Args:
        refusals: counts problems by code; failed sign-ins count as wrong tokens.
    """

    def __init__(
        self, *, sessions: Sessions, pages: Pages, audit: Audit, refusals: Counter[str]
    ) -> None:
        self._sessions = sessions
        self._pages = pages
        self._audit = audit
        self._refusals = refusals

    def routes(self) -> list[Route]:
        """The paths. All are open, except the one that asks whether the session still is."""
        return [
            _open("GET", with_query(LoginQuery, self.show), "/login"),
            _open("POST", with_form(SignInForm, self.sign_in), "/login"),
            _open("POST", with_form(SignOutForm, self.sign_out), "/logout"),
            Route("GET", "/ui/session", bare(self.check), access="session", at_root=True),
        ]

    def show(self, call: Call[LoginQuery]) -> Answer:
        """The sign-in page; a link's code is only redeemed by its button.

        Programs that look at links in advance must not use it up; and a cookie set on the way
        from another site would not be sent with the page that follows.
        """
        return self._page(code=call.query.link or "", words=LOST if call.query.lost else "")

    def sign_in(self, call: Call[None, SignInForm]) -> Answer:
        """Open a session."""
        try:
            cookie = self._sessions.open(call, call.body.token)
        except errors.BusError as error:
            self._refusals[error.code] += 1
            words = {
                "unauthenticated": "That is no valid admin token, or the link was used already.",
            }.get(error.code, error.detail)
            return self._page(status=error.status, words=words)
        self._audit.log(call, "page", "sign_in")
        return redirect(f"/?{ENTERED}=1", Set_Cookie=set_cookie(call, cookie))

    def sign_out(self, call: Call[None, SignOutForm]) -> Answer:
        """End the session."""
        try:
            self._sessions.require_write(call, proof=call.body.csrf)
        except errors.UnauthenticatedError:
            return redirect("/login")
        self._sessions.close(call)
        self._audit.log(call, "page", "sign_out")
        return redirect("/login", Set_Cookie=set_cookie(call, ""))

    def check(self, _call: Call) -> Answer:
        """The session is still open; the gate refuses any other call."""
        return Answer(204)

    def _page(self, *, status: int = 200, code: str = "", words: str = "") -> Answer:
        return self._pages.page("login", status=status, code=code, words=words)


def _open(method: str, endpoint: Endpoint, path: str) -> Route:
    return Route(method, path, endpoint, access="open", headers=SESSION_HEADERS, at_root=True)
