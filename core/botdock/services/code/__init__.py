"""Brings a bot's code into a workspace, and says what it is."""

from botdock.services.code.manifest import Manifest, read_manifest
from botdock.services.code.script import code_root, detect_runtime, runtime_of_packages
from botdock.services.code.service import CodeService, archive_limits
from botdock.services.code.sources import CodeKind, CodeSource, CodeStore
from botdock.services.code.workspace import Workspace

__all__ = [
    "CodeKind",
    "CodeService",
    "CodeSource",
    "CodeStore",
    "Manifest",
    "Workspace",
    "archive_limits",
    "code_root",
    "detect_runtime",
    "read_manifest",
    "runtime_of_packages",
]
