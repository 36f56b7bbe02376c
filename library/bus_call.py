"""Ansible module: call the bus's API, and wait there until it says what is wanted.

Runs on the hosts, on their own Python (3.9 and newer), single-threaded. It waits on the host: a
wait by Ansible's own retries takes a call, a process and a second for each look.
"""

from __future__ import annotations

import json
import ssl
import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: bus_call
short_description: Call the bus's API, and wait until it says what is wanted
description: It fails if the status is not 200, or if what is wanted does not come in time.
options:
  url: {description: The whole address; no proxy is used., type: str, required: true}
  method: {description: The HTTP method., type: str, choices: [GET, PUT], default: GET}
  token: {description: The bearer token., type: str}
  body: {description: What is sent as JSON., type: dict}
  ca_path: {description: File with the authority of the bus's certificate., type: path}
  timeout: {description: Seconds for each call., type: int, default: 30}
  ready_in: {description: Wait until the bus is ready in this release., type: str}
  connected:
    description: Wait until the bus sees these nodes connected with C(release).
    type: list
    elements: str
  release: {description: The watchers' release., type: str}
  wait_s: {description: How long to wait at most., type: int, default: 0}
"""

RETURN = r"""
status: {description: The status of the last answer; -1 without one., type: int}
json: {description: The last answer., type: dict}
"""

BETWEEN_CALLS_S = 0.25
Answer = dict[str, Any]


def call(given: Answer) -> Answer:
    """Return the status and the JSON of one answer, or status -1 and why there is none."""
    at = urlsplit(given["url"])
    path = f"{at.path or '/'}{f'?{at.query}' if at.query else ''}"
    headers = {"Connection": "close"}
    body = None
    if given["token"] is not None:
        headers["Authorization"] = f"Bearer {given['token']}"
    if given["body"] is not None:
        body = json.dumps(given["body"]).encode()
        headers["Content-Type"] = "application/json"
    try:
        connection = _connection(at.scheme, str(at.hostname), at.port, given)
        try:
            connection.request(given["method"], path, body, headers)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
    except (OSError, HTTPException) as error:
        return {"status": -1, "msg": f"{type(error).__name__}: {error}"}
    try:
        said = json.loads(text)
    except ValueError:
        said = {}
    return {"status": response.status, "json": said, "msg": f"HTTP {response.status}"}


def _connection(scheme: str, host: str, port: int | None, given: Answer) -> HTTPConnection:
    if scheme != "https":
        return HTTPConnection(host, port, timeout=given["timeout"])
    context = ssl.create_default_context(cafile=given["ca_path"])
    return HTTPSConnection(host, port, timeout=given["timeout"], context=context)


def lacking(given: Answer, answer: Answer) -> str:
    """Return what is wanted and was not answered; empty if nothing is."""
    said = answer.get("json")
    said = said if isinstance(said, dict) else {}
    if given["ready_in"] is not None:
        if said.get("ready") and said.get("version") == given["ready_in"]:
            return ""
        return f"the bus is not ready in {given['ready_in']}"
    if given["connected"] is None:
        return ""
    there = {
        node["node"]
        for node in said.get("nodes") or ()
        if node.get("connected") and node.get("watcher_version") == given["release"]
    }
    missing = [node for node in given["connected"] if node not in there]
    return f"the bus does not see {', '.join(missing)} with {given['release']}" if missing else ""


def main() -> None:
    """Call until the answer has what is wanted, then answer it."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "method": {"type": "str", "choices": ["GET", "PUT"], "default": "GET"},
            "token": {"type": "str", "no_log": True},
            "body": {"type": "dict"},
            "ca_path": {"type": "path"},
            "timeout": {"type": "int", "default": 30},
            "ready_in": {"type": "str"},
            "connected": {"type": "list", "elements": "str"},
            "release": {"type": "str"},
            "wait_s": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    given = module.params
    deadline = time.monotonic() + given["wait_s"]
    while True:
        answer = call(given)
        lacks = lacking(given, answer)
        if not lacks or time.monotonic() >= deadline:
            break
        time.sleep(BETWEEN_CALLS_S)
    if lacks:
        within = f" after {given['wait_s']} s" if given["wait_s"] else ""
        answer["msg"] = f"{lacks}{within} ({answer['msg']})"
    if lacks or answer["status"] != 200:  # noqa: PLR2004 - OK
        module.fail_json(**answer)
    module.exit_json(changed=False, **answer)


if __name__ == "__main__":
    main()
