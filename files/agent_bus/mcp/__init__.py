"""MCP at the hub, for agents on machines without our client: `POST /mcp`.

The tools are those of `agent_bus_mcp`, which the nodes' own server has, too. They call the API's
endpoints in this process, with the caller's own rights.
"""
