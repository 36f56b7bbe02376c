# The client library of Node that tests/api runs; those of Python are in requirements-dev.txt.

EVENTSOURCE := .cache/eventsource/node_modules/eventsource/package.json

.PHONY: client-setup
client-setup: $(EVENTSOURCE)

$(EVENTSOURCE):
	@mkdir -p .cache/eventsource
	@command -v npm >/dev/null || lab/setup npm
	npm install --silent --no-save --no-audit --no-fund --prefix .cache/eventsource eventsource@3
