"""The ways to wake a local agent, one module per way.

`outcome` has what all of them share: the `Waker` protocol and what a wake ended with. `hook` wakes
through the node's OpenClaw `gateway`; `command` runs a program; `turn` has a service
start a turn of Claude Code or Codex. A way for another runtime is one more module beside these,
and a line in `build`.
"""
