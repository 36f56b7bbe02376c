"""GET /metrics: who may scrape, and that the figures tell what happened."""

from __future__ import annotations

import http.client
import re
from typing import TYPE_CHECKING

from tests.support.hub import ADMIN, FLEET, REPOSITORY, HubProcess, digest, running
from tests.support.patience import patience

if TYPE_CHECKING:
    from pathlib import Path


def scrape(hub: HubProcess, token: str = ADMIN) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=patience())
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def value(text: str, sample: str) -> float:
    found = re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
    assert found, f"{sample} is not in {text}"
    return float(found[1])


def test_the_figures_tell_what_happened(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        stream = hub.stream("n3", "role=watcher")
        stream.of_type("hello")
        hub.client(None).post("/api/agents/delta/wake", {})
        stream.of_type("wake")  # past the backlog: what is pushed from now on is timed
        sent = hub.client("n2").send(to="delta")
        seq = stream.of_type("message").data["seq"]
        hub.client("n2").send(to="alpha")
        hub.client("n2").post("/api/send", {"body": "x", "to": "nobody"})
        hub.client("n2").get("/api/nowhere")
        reports = [
            {"agent": "delta", "event": "received", "up_to_seq": seq},
            {"agent": "delta", "event": "accepted", "up_to_seq": seq, "duration_ms": 3},
        ]
        hub.client("n3").post("/api/wakes", {"reports": reports})
        hub.client("n3").get("/api/inbox")
        hub.client("n3").get("/api/inbox")
        hub.client("n3").post("/api/ack", {"ids": [sent["id"]]})
        status, text = scrape(hub)
        assert status == 200
        assert value(text, "agent_bus_messages_accepted_total") == 2
        assert value(text, "agent_bus_deliveries_pushed_total") == 1
        assert value(text, "agent_bus_deliveries_acked_total") == 1
        assert value(text, 'agent_bus_requests_rejected_total{code="unknown_agent"}') == 1
        assert value(text, 'agent_bus_requests_rejected_total{code="not_found"}') == 1
        assert value(text, 'agent_bus_streams{role="watcher"}') == 1
        assert value(text, "agent_bus_stream_queue_events") == 0
        assert value(text, 'agent_bus_mailbox_unread{agent="alpha"}') == 1
        assert value(text, 'agent_bus_mailbox_unread{agent="delta"}') == 0
        assert value(text, "agent_bus_watchers_connected") == 1
        for hop in ("pushed", "received", "accepted", "fetched", "read"):
            assert value(text, f'agent_bus_hop_seconds_count{{hop="{hop}"}}') == 1, hop
            assert f'agent_bus_hop_seconds_bucket{{hop="{hop}",le="+Inf"}} 1.0' in text, hop
        assert value(text, 'agent_bus_mailbox_oldest_unread_seconds{agent="alpha"}') > 0
        assert value(text, "agent_bus_commit_batch_commands_count") >= 3
        assert value(text, "agent_bus_commit_batch_commands_sum") >= 3
        assert value(text, "agent_bus_commit_seconds_count") >= 3
        assert value(text, "agent_bus_commit_seconds_sum") > 0
        assert value(text, 'agent_bus_database_bytes{part="database"}') > 0
        wal_bytes = value(text, 'agent_bus_database_bytes{part="wal"}')
        assert (wal_bytes > 0) == (hub.store == "sqlite")  # PostgreSQL looks after its own
        assert "agent_bus_build_info{" in text


def test_only_the_operator_and_scrapers_may_look(tmp_path: Path) -> None:
    (tmp_path / "scrapers").write_text(digest("scrape-token") + "\n")
    with running(tmp_path, metrics_tokens_file=str(tmp_path / "scrapers")) as hub:
        assert scrape(hub, "scrape-token")[0] == 200
        assert scrape(hub, "token-n1")[0] == 403
        assert scrape(hub, "wrong")[0] == 401
        scraper = hub.client("n1")
        scraper._token = "scrape-token"
        assert scraper.get("/api/agents").status == 401
        assert scraper.post("/api/send", {"body": "x", "to": "alpha"}).status == 401


def test_the_reference_names_every_metric_and_no_other(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs/reference/metrics.md").read_text()
    with running(tmp_path) as hub:
        exported = set(re.findall(r"^# TYPE (\w+)", scrape(hub)[1], re.MULTILINE))
    begin, end = page.index("Figures of several hubs"), page.index("Figures of the process")
    described = set(re.findall(r"^\| `(\w+)", page[:begin] + page[end:], re.MULTILINE))
    of_hubs = set(re.findall(r"^\| `(\w+)", page[begin:end], re.MULTILINE))
    assert exported - of_hubs == described
    assert bool(exported & of_hubs) == (hub.store != "sqlite")


def test_no_watcher_is_expected_of_a_guest(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        hub.enrol({**FLEET, "laptop-anna": ("anna-claude",)}, guests=["laptop-anna"])
        _, text = scrape(hub)
        assert value(text, "agent_bus_guests") == 1
        assert value(text, "agent_bus_nodes") == len(FLEET)
        assert value(text, 'agent_bus_agents{status="guest"}') == 1
        assert value(text, 'agent_bus_watcher_up{node="n1"}') == 0
        assert 'agent_bus_watcher_up{node="laptop-anna"}' not in text
