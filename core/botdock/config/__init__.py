"""The configuration tree, and how it is read: strictly, and with every problem at once.

Names are imported on first use: a command that needs the state folder alone makes no configuration.
"""

from typing import TYPE_CHECKING

from botdock._lazy import importing as _importing

if TYPE_CHECKING:
    from botdock.config.config import Config, document, secrets_of, to_toml
    from botdock.config.loading import load
    from botdock.config.locations import (
        CONFIG_FILE_NAME,
        CONFIG_VARIABLE,
        ConfigFiles,
        find_config_files,
        load_home,
        platform_folder,
    )
    from botdock.config.operator import OperatorFile, operator_files, read_operator_files
    from botdock.config.policies import Ceiling, Policies
    from botdock.config.pool import PoolConfig
    from botdock.config.rules import Section, setting
    from botdock.config.sections import (
        CodeConfig,
        ContainersConfig,
        Features,
        LoggingConfig,
        MetricsConfig,
        NotifyConfig,
        OutboxConfig,
        PluginsConfig,
        Policy,
        RetentionConfig,
        RuntimeConfig,
        SupervisorConfig,
    )
    from botdock.config.sources import Layer, read_environment, read_file
    from botdock.config.trust import is_trusted, trust_file

_HOMES = {
    "config": "Config document secrets_of to_toml",
    "loading": "load",
    "locations": "CONFIG_FILE_NAME CONFIG_VARIABLE ConfigFiles find_config_files load_home platform_folder",
    "operator": "OperatorFile operator_files read_operator_files",
    "policies": "Ceiling Policies",
    "pool": "PoolConfig",
    "rules": "Section setting",
    "sections": "CodeConfig ContainersConfig Features LoggingConfig MetricsConfig NotifyConfig OutboxConfig "
    "PluginsConfig Policy RetentionConfig RuntimeConfig SupervisorConfig",
    "sources": "Layer read_environment read_file",
    "trust": "is_trusted trust_file",
}
"""Which names live in which module."""

__all__ = [
    "CONFIG_FILE_NAME",
    "CONFIG_VARIABLE",
    "Ceiling",
    "CodeConfig",
    "Config",
    "ConfigFiles",
    "ContainersConfig",
    "Features",
    "Layer",
    "LoggingConfig",
    "MetricsConfig",
    "NotifyConfig",
    "OperatorFile",
    "OutboxConfig",
    "PluginsConfig",
    "Policies",
    "Policy",
    "PoolConfig",
    "RetentionConfig",
    "RuntimeConfig",
    "Section",
    "SupervisorConfig",
    "document",
    "find_config_files",
    "is_trusted",
    "load",
    "load_home",
    "operator_files",
    "platform_folder",
    "read_environment",
    "read_file",
    "read_operator_files",
    "secrets_of",
    "setting",
    "to_toml",
    "trust_file",
]


if not TYPE_CHECKING:  # a type checker is to see unknown names as errors
    __getattr__ = _importing(__name__, _HOMES)
