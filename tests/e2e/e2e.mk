# The test with the real OpenClaw; the Makefile includes this. OPENCLAW_VERSION=2026.9.6 and
# NODE_SOURCE=pypi:24.19.0 are what it takes by itself; NODE_SOURCE=npm:26.12.1 or the path of a node, too.
export OPENCLAW_VERSION NODE_SOURCE

.PHONY: e2e-openclaw
e2e-openclaw: setup lab-setup ## The whole loop between two real OpenClaw gateways (only the model is scripted)
	@timeout --kill-after=60 2400 python -m tests.e2e.run

.PHONY: e2e-agents
e2e-agents: setup lab-setup ## The real Claude Code, Codex and OpenClaw talk through MCP, without a way out (only the models are scripted)
	@timeout --kill-after=60 2400 python -m tests.e2e.agents
