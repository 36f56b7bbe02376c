"""Says which MCP a client speaks: `tap.py LOG MCP-SERVER...` stands between the two.

It hands every line on unchanged. The client's methods go to the log, one line each: when, the
method, the tool, the client's name and version, and the revision of MCP that the message is of.
`tap.py LOG --port 8091` listens to unencrypted HTTP on this machine instead, and hands nothing on.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

META = "io.modelcontextprotocol"
ANY_PACKET = 0x0003
SEGMENT_BYTES = 65536
HEAD = re.compile(rb"POST /mcp HTTP/1\.1\r\n(?P<headers>.*?)\r\n\r\n", re.DOTALL)
LENGTH = re.compile(rb"^content-length: *(\d+)", re.IGNORECASE | re.MULTILINE)


def told(line: bytes, transport: str) -> dict[str, Any] | None:
    """Return what one message of a client says about itself; None for what is no request."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    if not isinstance(message, dict) or "method" not in message:
        return None
    given = message.get("params") or {}
    meta = given.get("_meta") or {}
    client = given.get("clientInfo") or meta.get(f"{META}/clientInfo") or {}
    revision = given.get("protocolVersion") or meta.get(f"{META}/protocolVersion")
    return {
        "at": time.time(),
        "transport": transport,
        "method": message["method"],
        "tool": given.get("name", ""),
        "client": f"{client['name']} {client['version']}" if client else "",
        "revision": revision or "",
    }


def note(log: Path, line: bytes, transport: str) -> None:
    """Write a client's message down, if it is one."""
    said = told(line, transport)
    if said:
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**said, "log": log.stem}) + "\n")


def between(log: Path, command: list[str]) -> int:
    """Run the MCP server and hand both sides' lines on; return its exit code."""
    with subprocess.Popen(command, stdin=subprocess.PIPE) as server:
        assert server.stdin
        threading.Thread(target=_watch, args=(server,), daemon=True).start()
        for line in sys.stdin.buffer:
            note(log, line, "stdio")
            server.stdin.write(line)
            server.stdin.flush()
        server.stdin.close()
        return server.wait()


def _watch(server: subprocess.Popen[bytes]) -> None:
    """End with the server, even if the client keeps its side open."""
    os._exit(server.wait())  # nothing else interrupts a read of stdin


def listen(log: Path, port: int) -> None:
    """Note the messages in requests to a port of this machine."""
    flows: dict[tuple[bytes, int], bytes] = {}
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ANY_PACKET)) as wire:
        while True:
            packet, where = wire.recvfrom(SEGMENT_BYTES)
            found = segment(packet, port)
            if found is None or where[2] == socket.PACKET_OUTGOING:
                continue
            flow, payload = found
            rest = flows.pop(flow, b"") + payload
            bodies, rest = requests(rest)
            for body in bodies:
                note(log, body, "HTTP")
            if rest:
                flows[flow] = rest[-SEGMENT_BYTES:]


def segment(packet: bytes, port: int) -> tuple[tuple[bytes, int], bytes] | None:
    """Return who sent a TCP segment to the port, and its payload; None for anything else."""
    tcp_protocol, ip_version = 6, 4
    if len(packet) < 40 or packet[0] >> 4 != ip_version or packet[9] != tcp_protocol:
        return None
    tcp = packet[(packet[0] & 15) * 4 : int.from_bytes(packet[2:4], "big")]
    if int.from_bytes(tcp[2:4], "big") != port:
        return None
    payload = tcp[(tcp[12] >> 4) * 4 :]
    return ((packet[12:16], int.from_bytes(tcp[:2], "big")), payload) if payload else None


def requests(raw: bytes) -> tuple[list[bytes], bytes]:
    """Return the whole bodies of POST /mcp in a flow, and what is left of it."""
    bodies: list[bytes] = []
    while head := HEAD.search(raw):
        length = LENGTH.search(head["headers"])
        end = head.end() + (int(length[1]) if length else 0)
        if len(raw) < end:
            return bodies, raw[head.start() :]
        bodies.append(raw[head.end() : end])
        raw = raw[end:]
    start = raw.find(b"POST /mcp")
    return bodies, raw[start:] if start >= 0 else b""


def main() -> int:
    """Stand between, or listen; return the exit code."""
    log, first, *rest = sys.argv[1:]
    if first == "--port":
        listen(Path(log), int(rest[0]))
        return 0
    return between(Path(log), [first, *rest])


if __name__ == "__main__":
    sys.exit(main())
