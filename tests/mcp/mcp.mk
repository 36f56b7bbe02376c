# The official clients of MCP, as test clients of tests/mcp; the Makefile includes this.

MCP_CLIENTS := $(foreach client,python v1 v2,.cache/mcp/$(client)/.complete)
MCP_NPM = npm install --silent --no-save --no-audit --no-fund --prefix $(@D)

.PHONY: mcp-setup
mcp-setup: $(MCP_CLIENTS)

# In an environment of its own: the hub shall not get newer libraries from it, nor the tests.
.cache/mcp/python/.complete: tests/mcp/requirements.txt
	@tools/setup python3-venv
	python3 -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# Node 18, Debian 12's, is enough for both, although 2.4.0 asks for 20.
.cache/mcp/v1/.complete .cache/mcp/v2/.complete: tests/mcp/mcp.mk
	@mkdir -p $(@D)
	@command -v npm >/dev/null || tools/setup npm
	$(MCP_NPM) $(if $(findstring v1,$@),@modelcontextprotocol/sdk@1.32.2,@modelcontextprotocol/client@2.4.0)
	@touch $@

.PHONY: mcp
mcp: setup mcp-setup ## MCP servers and the hub's MCP, asked by the official clients
	$(TESTED) $(SPREAD) tests/mcp
