# The project under other versions of ansible-core; the Makefile includes this.
.PHONY: ansible-versions
ansible-versions: venv lab-setup ## Roll two hosts out with ansible-core 2.20 and 2.21, from a control node with Python 3.13 (10 minutes)
	@$(FOLLOW) $(PYTHON) -m lab.versions
