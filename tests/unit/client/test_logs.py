from __future__ import annotations

import json
import logging
import sys

from agent_bus_client.logs import JsonFormatter


def test_a_line_is_json_with_facts_as_fields() -> None:
    record = logging.makeLogRecord(
        {"name": "a.b", "levelname": "INFO", "msg": "woke %s", "args": ("x",), "agent": "alpha"}
    )
    line = json.loads(JsonFormatter().format(record))
    assert line.pop("at").endswith("Z")
    assert line == {"level": "info", "logger": "a.b", "event": "woke x", "agent": "alpha"}


def test_a_traceback_is_one_field() -> None:
    try:
        int("why")
    except ValueError:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": sys.exc_info()})
    formatted = JsonFormatter().format(record)
    assert "\n" not in formatted
    assert "ValueError: invalid" in json.loads(formatted)["traceback"]
