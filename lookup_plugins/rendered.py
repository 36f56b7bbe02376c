"""Render a template of this project, at a tenth of what `ansible.builtin.template` costs.

That lookup copies all variables of the host, deeply, for each template. This one reads the same
variables and changes none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.plugins.lookup import LookupBase
from ansible.template import trust_as_template

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DOCUMENTATION = """
name: rendered
short_description: The text of a template of this project
description: As C(ansible.builtin.template) without its options, C(template_path) and such.
options:
  _terms: {description: Files of templates., required: true}
"""


class LookupModule(LookupBase):  # type: ignore[misc] # Ansible has no types
    """What Ansible loads."""

    def run(
        self, terms: Sequence[str], variables: Mapping[str, Any] | None = None, **_: object
    ) -> list[str]:
        """Return the text of each template."""
        known = {"ansible_managed": "Ansible managed", **(variables or {})}
        templar = self._templar.copy_with_new_env(available_variables=known)
        return [str(self._render(templar, path, variables)) for path in terms]

    def _render(self, templar: Any, path: str, variables: object) -> object:  # noqa: ANN401 - Ansible's
        file = self.find_file_in_search_path(variables, "templates", path)
        text = trust_as_template(self._loader.get_text_file_contents(file))
        return templar.template(text, escape_backslashes=False, overrides={"trim_blocks": True})
