"""The HTTP API that agents, watchers and operators' tools use, beside the page."""
