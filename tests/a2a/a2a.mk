# The official clients of A2A, as test clients of tests/a2a; the Makefile includes this.

A2A_CLIENTS := $(foreach client,python 1.3.0 0.3.11,.cache/a2a/$(client)/.complete)

.PHONY: a2a-setup
a2a-setup: $(A2A_CLIENTS)

# In an environment of its own: the hub shall not get newer libraries from it, nor the tests.
.cache/a2a/python/.complete: tests/a2a/requirements.txt
	@tools/setup python3-venv
	python3 -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# 1.3.0 speaks A2A 1.0, 0.3.11 speaks 0.3.
.cache/a2a/1.3.0/.complete .cache/a2a/0.3.11/.complete: .cache/a2a/%/.complete: tests/a2a/a2a.mk
	@mkdir -p $(@D)
	@command -v npm >/dev/null || tools/setup npm
	npm install --silent --no-save --no-audit --no-fund --prefix $(@D) @a2a-js/sdk@$*
	@touch $@

.PHONY: a2a
a2a: setup a2a-setup ## The hub's A2A, asked by the official clients
	$(TESTED) $(SPREAD) tests/a2a
