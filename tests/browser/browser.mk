# The dashboard in a real browser; the Makefile includes this.

AXE := .cache/axe/node_modules/axe-core/axe.min.js

.PHONY: browser-setup
browser-setup: $(AXE)
	@tools/setup chromium

$(AXE):
	@mkdir -p .cache/axe
	@command -v npm >/dev/null || tools/setup npm
	npm install --silent --no-save --no-audit --no-fund --prefix .cache/axe axe-core@4

.PHONY: browser
browser: setup browser-setup ## The dashboard in Chromium; screenshots in .cache/screenshots
	$(TESTED) $(SPREAD) tests/browser
