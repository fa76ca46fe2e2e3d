"""What the global options said, for the commands and for whoever reports an error."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # typing's own takes longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TextIO

    from botdock.config import Config
    from botdock.executions import Executions


class Session:
    """One call of `botdock`.

    Attributes:
        config_file: The file that `--config-file` named, before or after the verb.
        debug: Whether an error shows its traceback, and botdock its whole log.
    """

    __slots__ = ("config_file", "debug")

    def __init__(self) -> None:
        self.config_file: str | None = None
        self.debug = False

    def load_config(self, overrides: Mapping[str, Any] | None = None, *, code: str | None = None) -> Config:
        """Read the configuration, and say so when the file of the working folder is not read.

        Args:
            overrides: What options change in it, nested like the file.
            code: The folder that is to be run.

        Raises:
            ConfigError: With every problem of it.
        """
        from botdock.config import Config
        from botdock.config.loading import find_config_files
        from botdock_cli.report import say

        files = find_config_files(self.config_file, os.environ, code)
        if files.ignored:
            say(f"{files.folder} is not read: {files.ignored}\n{files.remedy}")
        return Config.load(self.config_file, overrides=overrides, code=code)

    def executions(self) -> Executions:
        """Return the executions of the configured state folder.

        Raises:
            ConfigError: The configuration is wrong.
            UserError: Other users could write the state folder.
        """
        from botdock.executions import Executions

        return Executions(self.load_config().checked_home())


def is_terminal(stream: TextIO | None) -> bool:
    """Whether `stream` is there and is a terminal."""
    return stream is not None and not stream.closed and stream.isatty()
