"""What MCP servers of the bus have in common: the protocol, the tools, and the words of both.

The node's server (stdio) and the hub's (HTTP) serve the same table. Nothing here does I/O, and
nothing here knows either of the two. Standard library only, Python 3.9 and newer.
"""
