"""Brings a bot's code into a workspace, and says what it is.

Names are imported on first use: a caller that only reads a manifest pays for no archives.
"""

from typing import TYPE_CHECKING

from botdock._lazy import importing as _importing

if TYPE_CHECKING:
    from botdock.services.code.manifest import Manifest, read_manifest
    from botdock.services.code.script import code_root, detect_runtime, runtime_of_packages
    from botdock.services.code.service import CodeService, archive_limits
    from botdock.services.code.sources import CodeKind, CodeSource, CodeStore
    from botdock.services.code.workspace import Workspace

_HOMES = {
    "manifest": "Manifest read_manifest",
    "script": "code_root detect_runtime runtime_of_packages",
    "service": "CodeService archive_limits",
    "sources": "CodeKind CodeSource CodeStore",
    "workspace": "Workspace",
}

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

if not TYPE_CHECKING:  # a type checker is to see unknown names as errors
    __getattr__ = _importing(__name__, _HOMES)
