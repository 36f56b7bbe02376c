"""The program that speaks to Apprise's services: started with a batch, ends with its last answer.

It is a process of its own, because Apprise takes 45 MB and may hang wherever a service does. A
line of JSON on stdin holds all: `{"verb": "notify", "patience_s": 20, "items": [{"id", "url",
"title", "text"}]}`; with the verb `check` only the URLs are parsed. Each item is answered by a
line on stdout as soon as it is known: `{"id", "error"}`, with the error null if it was taken. The
end of stdin is that of whoever started it, and ends this program at once.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, Final
from urllib.parse import quote, unquote

HIDDEN: Final = "***"
HIDDEN_CHARS: Final = 3
"""The shortest part of a URL that is hidden in errors: shorter ones are in ordinary words, too."""
ERROR_CHARS: Final = 200
SEPARATORS: Final = "/?&=@:,;"


def main() -> int:
    """Answer one batch."""
    batch = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    logging.disable(logging.CRITICAL)  # what a service says goes into the answers alone
    items: list[dict[str, str]] = batch["items"]
    answer = _check if batch["verb"] == "check" else _notify
    asset = _asset(float(batch["patience_s"]))
    with ThreadPoolExecutor(max_workers=max(1, len(items))) as pool:
        works = {pool.submit(answer, asset, one): one for one in items}
        for work in as_completed(works):
            one = works[work]
            line = json.dumps({"id": one["id"], "error": _outcome(work.result, one["url"])})
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
    return 0


def redacted(text: str, url: str) -> str:
    """An error without any part of a URL but its scheme, on one line, shortened."""
    rest = url.partition("://")[2]
    for separator in SEPARATORS:
        rest = rest.replace(separator, " ")
    parts = {form for part in rest.split() for form in (part, unquote(part), quote(part, safe=""))}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= HIDDEN_CHARS:
            text = text.replace(part, HIDDEN)
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line[:ERROR_CHARS]


def _outcome(result: Any, url: str) -> str | None:  # noqa: ANN401 - a future's method
    try:
        error: str | None = result()
    except Exception as raised:  # noqa: BLE001 - a service's plugin; one must not end the others
        error = f"{type(raised).__name__}: {raised}"
    return None if error is None else redacted(error, url)


def _end_with_stdin() -> None:
    while sys.stdin.buffer.read(65536):
        pass
    os._exit(1)


def _asset(patience_s: float) -> Any:  # noqa: ANN401 - apprise has no types here
    from apprise import AppriseAsset

    return AppriseAsset(
        app_id="agent-bus",
        app_desc="agent-bus",
        async_mode=False,
        http_redirects=False,  # to the operator's own address and nowhere else
        service_timeout=patience_s,
        storage_mode="memory",
        allow_templates=False,
        image_url_mask="",  # or phones fetch an icon from elsewhere
        image_url_logo="",
        secure_logging=True,
    )


def _check(asset: Any, item: dict[str, str]) -> str | None:  # noqa: ANN401 - apprise has no types
    from apprise import Apprise

    if Apprise.instantiate(item["url"], asset=asset, suppress_exceptions=True) is None:
        return "Apprise does not take this URL: look its form up at the service's page"
    return None


def _notify(asset: Any, item: dict[str, str]) -> str | None:  # noqa: ANN401 - apprise has no types
    from apprise import Apprise, NotifyFormat

    logging.disable(logging.NOTSET)
    service = Apprise(asset=asset)
    if not service.add(item["url"]):
        return "Apprise does not take this URL"
    found = service.notify(body=item["text"], title=item["title"], body_format=NotifyFormat.TEXT)
    if found:
        return None
    said = [one.message for one in found.logs() if one.level in {"WARNING", "ERROR", "CRITICAL"}]
    return (
        "; ".join(dict.fromkeys(said)) or "the service did not take it, and Apprise says no more"
    )


if __name__ == "__main__":
    sys.exit(main())
