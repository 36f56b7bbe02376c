"""What a hub does not load before somebody needs it: each costs every hub memory for good."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.support.hub import REPOSITORY
from tests.support.patience import patience

NOT_LOADED = {
    "agent_bus.admin": "the operator's tool",
    "agent_bus.checkup": "its doctor",
    "agent_bus.stopped": "its verbs for a stopped hub",
    "agent_bus.store.postgres": "the other store",
    "psycopg": "the other store's library",
    "asyncio": "3 MB; gevent is the loop",
    "multiprocessing": "one process is enough",
    "sqlite3": "apsw is the library",
    "prometheus_client": "metrics are written by hand",
    "xml": "nobody speaks it",
    "yaml": "settings are JSON",
}
AS_SERVED = """
from gevent import monkey
monkey.patch_all()
import json, sys
import agent_bus.__main__, agent_bus.server.gunicorn_conf
from agent_bus.api import openapi
routes = openapi.table()
models = [route.answer for route in routes if route.answer is not None]
built = sorted({model.__name__ for model in models if model.__pydantic_complete__})
print(json.dumps({"modules": sorted(sys.modules), "built": built}))
"""


def test_a_hub_that_only_serves_sends_loads_nothing_for_others() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AS_SERVED],
        env={"PYTHONPATH": str(REPOSITORY / "files")},
        capture_output=True,
        text=True,
        timeout=patience(),
        check=True,
    )
    found = json.loads(done.stdout)
    assert not NOT_LOADED.keys() & set(found["modules"])
    assert found["built"] == [], "schemas of answers are built for the document alone"
