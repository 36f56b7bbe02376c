"""Run module bus_call by on_host.py."""

from ansible.plugins.loader import action_loader

ActionModule = action_loader.get("on_host", class_only=True)
