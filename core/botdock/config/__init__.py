"""The configuration tree, and how it is read: strictly, and with every problem at once.

What reads files is imported on first use: plugins need the tree alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from botdock.config.config import CONFIG_FILE_NAME, CONFIG_VARIABLE, Config, platform_folder
from botdock.config.documents import document, secrets_of, to_toml
from botdock.config.section import Section, setting
from botdock.config.sections import (
    CodeConfig,
    ContainersConfig,
    Features,
    LoggingConfig,
    MetricsConfig,
    OutboxConfig,
    PluginsConfig,
    Policy,
    RetentionConfig,
    RuntimeConfig,
)

if TYPE_CHECKING:
    from botdock.config.environment import read_environment as read_environment
    from botdock.config.loading import ConfigFiles as ConfigFiles
    from botdock.config.loading import find_config_files as find_config_files
    from botdock.config.loading import load as load
    from botdock.config.loading import load_home as load_home
    from botdock.config.loading import read_file as read_file
    from botdock.config.loading import trust_file as trust_file
    from botdock.config.trust import is_trusted as is_trusted

_HOMES = {"is_trusted": "botdock.config.trust", "read_environment": "botdock.config.environment"}
"""Where a name lives, if neither here nor in `botdock.config.loading`."""

__all__ = [
    "CONFIG_FILE_NAME",
    "CONFIG_VARIABLE",
    "CodeConfig",
    "Config",
    "ConfigFiles",
    "ContainersConfig",
    "Features",
    "LoggingConfig",
    "MetricsConfig",
    "OutboxConfig",
    "PluginsConfig",
    "Policy",
    "RetentionConfig",
    "RuntimeConfig",
    "Section",
    "document",
    "find_config_files",
    "is_trusted",
    "load",
    "load_home",
    "platform_folder",
    "read_environment",
    "read_file",
    "secrets_of",
    "setting",
    "to_toml",
    "trust_file",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'botdock.config' has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "botdock.config.loading")), name)
    globals()[name] = value
    return value
