# The operator's page in a real browser; the Makefile includes this.

AXE := .cache/axe/node_modules/axe-core/axe.min.js

.PHONY: browser-setup
browser-setup: $(AXE)
	@command -v chromium >/dev/null || { \
	    apt-get update -qq; \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; }

$(AXE):
	@mkdir -p .cache/axe
	npm install --silent --no-save --no-audit --no-fund --prefix .cache/axe axe-core@4

.PHONY: browser
browser: setup browser-setup ## The operator's page in Chromium; screenshots in .cache/screenshots
	@echo "== browser tests =="
	timeout --kill-after=10 180 pytest tests/browser
