# The test with the real OpenClaw; the Makefile includes this.

.PHONY: e2e-openclaw
e2e-openclaw: setup lab-setup ## The whole loop between two real OpenClaw gateways (only the model is scripted)
	@timeout --kill-after=60 2400 python -m tests.e2e.run
