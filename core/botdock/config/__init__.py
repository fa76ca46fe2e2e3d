"""The configuration tree, and how it is read: strictly, and with every problem at once."""

from botdock.config.config import Config
from botdock.config.documents import document, secrets_of, to_toml
from botdock.config.sections import (
    CodeConfig,
    ContainersConfig,
    DockerConfig,
    Features,
    LoggingConfig,
    MetricsConfig,
    MinIOConfig,
    OutboxConfig,
    PluginsConfig,
    Policy,
    RetentionConfig,
    RuntimeConfig,
)

__all__ = [
    "CodeConfig",
    "Config",
    "ContainersConfig",
    "DockerConfig",
    "Features",
    "LoggingConfig",
    "MetricsConfig",
    "MinIOConfig",
    "OutboxConfig",
    "PluginsConfig",
    "Policy",
    "RetentionConfig",
    "RuntimeConfig",
    "document",
    "secrets_of",
    "to_toml",
]
