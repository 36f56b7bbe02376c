"""The watcher as a process, with a hub that renews its streams often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.node_side import HubWithNodes, Node, StandinProcess, until

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_stream_that_is_renewed_wakes_nobody_again(
    hub: HubWithNodes, gateway: StandinProcess, node: Node, online: Callable[[], None]
) -> None:
    hub.process.kill()
    hub.settings["stream_lifetime_s"] = 0.5
    hub.start()
    node.settings.update(escalate_after_s=600, rewake_after_s=600)
    node.write()
    online()
    hub.send("alpha")
    until(lambda: gateway.wakes("alpha"), what="alpha is woken")

    def renewals() -> int:
        ends = [line for line in node.watcher.lines() if line["event"] == "stream ended"]
        assert {line["reason"] for line in ends} <= {"lifetime"}
        return len(ends)

    before = renewals()
    until(lambda: renewals() >= before + 6, what="the stream was renewed")
    hub.send("beta")
    until(lambda: gateway.wakes("beta"), what="beta is woken")
    assert len(gateway.wakes("alpha")) == 1
