"""The node as the server knows it: its settings, read again whenever the file has changed.

A server lives as long as its client, so a rollout may change hub, agents and token meanwhile.
"""

from __future__ import annotations

import os

from agent_bus_client import settings as node_settings
from agent_bus_client.errors import SettingsError
from agent_bus_client.mcp.identity import choose
from agent_bus_mcp.caller import RefusedError

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from typing import Optional

    from agent_bus_client.mcp.options import Options
    from agent_bus_client.settings import Settings


class Node:
    """The settings, the agent and the token, each as it is now; any thread may ask."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._path = options.config
        self._read: Optional[tuple[tuple[int, ...], Settings]] = None

    @property
    def settings(self) -> Settings:
        """The settings as they are now.

        Raises:
            RefusedError: they cannot be used.
        """
        try:
            found = os.stat(self._path)
            mark = (found.st_mtime_ns, found.st_size, found.st_ino)
            if self._read is None or self._read[0] != mark:
                self._read = (mark, node_settings.load(self._path))
        except OSError as error:
            raise RefusedError(
                f"{self._path}: {error.strerror}", code="settings_invalid"
            ) from error
        except SettingsError as error:
            raise RefusedError(str(error), code=error.code) from error
        return self._read[1]

    def agent(self, settings: Settings) -> str:
        """Return who speaks.

        Raises:
            RefusedError: it cannot be told.
        """
        try:
            return choose(self._options.agent, settings.agent_names)
        except ValueError as error:
            raise RefusedError(str(error), code="usage") from error

    def token(self, agent: str, settings: Settings) -> str:
        """Return who speaks' token, which is read each time: it may have been rotated.

        Raises:
            NoTokenError: this user may not read it; root has none, for example.
            SettingsError: it cannot be used; the message says why.
        """
        if self._options.token_file:
            return node_settings.read_token_file(self._options.token_file)
        return node_settings.read_token_for(agent, user_name(), settings)


def user_name() -> str:
    """Return whom this process belongs to; no variable of the environment says that.

    Raises:
        SettingsError: the system has no name for that user.
    """
    import pwd  # 1 ms, before the first call of a tool

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError as error:
        raise SettingsError("this user has no name; start the server with --token-file") from error
