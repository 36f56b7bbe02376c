"""HTML for the dashboard: templates, static files, and the headers that guard them.

Everything shown is escaped by the templates; scripts only ever set text, never markup. The policy
below lets nothing run or load but this folder's own files.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from agent_bus.core import errors
from agent_bus.http.call import Answer

if TYPE_CHECKING:
    from agent_bus.http.call import Call

FOLDER: Final = Path(__file__).parent
TYPES: Final = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
                ".svg": "image/svg+xml"}  # fmt: skip
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Pages:
    """Renders pages and serves the files that they load.

    Static files stand below a name made from their content. So browsers may keep them for good and
    never mix two releases.
    """

    def __init__(self) -> None:
        self._files = {path.name: path.read_bytes() for path in (FOLDER / "static").iterdir()}
        content = b"".join(name.encode() + self._files[name] for name in sorted(self._files))
        self._digest = hashlib.sha256(content).hexdigest()[:12]
        self._templates = Environment(
            loader=FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["static"] = f"/static/{self._digest}"
        self._templates.filters["block"] = _json_block

    def page(self, name: str, *, status: int = 200, **context: object) -> Answer:
        """A rendered template."""
        text = self._templates.get_template(f"{name}.html").render(context)
        return Answer(status, headers=HEADERS, raw=text.encode())

    def file(self, call: Call) -> Answer:
        """A static file.

        Raises:
            errors.UnknownPathError: there is none of this name and content.
        """
        name = call.path["name"]
        found = self._files.get(name)
        if found is None or call.path["digest"] != self._digest:
            raise errors.UnknownPathError(f"/static/{call.path['digest']}/{name}")
        headers = {
            "Content-Type": TYPES[Path(name).suffix],
            "Cache-Control": "public, max-age=31536000, immutable",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": HEADERS["Content-Security-Policy"],  # a worker has its own
        }
        return Answer(200, headers=headers, raw=found)


def redirect(place: str, **headers: str) -> Answer:
    """Send the browser there, with GET."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(303, headers={**HEADERS, **named, "Location": place}, raw=b"")


def _json_block(value: object) -> str:
    """JSON for `<script type="application/json">`, where entities are not decoded.

    Hence JSON's own escapes: no end tag and no comment can stand in it.
    """
    text = json.dumps(value, ensure_ascii=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - no markup can be in it
