"""The folder of one execution: its code, what it is told, and what it returns."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import attrs

from botdock.archive import remove_tree
from botdock.errors import StorageError

_OURS = 0o700
_ALL_READ = 0o755
_ALL_WRITE = 0o666


@attrs.frozen(kw_only=True)
class Workspace:
    """What an execution needs on disk, while it lives.

    Attributes:
        root: The folder of all of it; ours alone, so that what lies in it may be open to the user that bots run as.
        code: Where the bot's tree goes, not there yet; or a tree of the cache, which is not the workspace's own.
        context: Where what the run is told goes, secrets among it; readable for all that reach it.
        result: What the bot returns; an empty file that every user may write to.
        spool: Where code is put on its way from the storage, without a cache; not there yet.
        script: The script, where it is the whole of the code; else empty.
        note: What a reader of the result should know of the code; usually empty.
        digest: Of the code that was copied from a folder or script of this machine; else empty.
        held: What is let go of once the workspace is gone.
    """

    root: Path
    code: Path
    context: Path
    result: Path
    spool: Path
    script: str = ""
    note: str = ""
    digest: str = ""
    held: ExitStack = attrs.field(factory=ExitStack, eq=False, repr=False)

    @classmethod
    def at(cls, root: Path) -> Workspace:
        """Return the workspace of that folder, whether it is there or not."""
        return cls(
            root=root, code=root / "code", context=root / "context", result=root / "result", spool=root / "spool"
        )


def make_workspace(directory: Path) -> Workspace:
    """Make a workspace, or nothing.

    Raises:
        StorageError: The folder is there already, or the disk refuses.
    """
    root = Path(os.path.abspath(directory))  # noqa: PTH100 - `absolute()` keeps '..', which a bind mount must not see
    workspace = Workspace.at(root)
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        root.mkdir(mode=_OURS)
    except OSError as error:
        raise failure("make", root, error) from error
    try:
        # modes are set once more, since the umask takes from those given to mkdir and open
        workspace.root.chmod(_OURS)
        workspace.context.mkdir()
        workspace.context.chmod(_ALL_READ)
        workspace.result.touch(exist_ok=False)
        workspace.result.chmod(_ALL_WRITE)
    except OSError as error:
        remove_tree(root, timeout=60)
        raise failure("make", root, error) from error
    return workspace


def failure(doing: str, root: Path, error: OSError) -> StorageError:
    """Return the error of a workspace that the disk refuses to make or to remove, and how to mend it."""
    hint = "Make room there, let this user write there, or choose another place with BOTDOCK_HOME."
    if isinstance(error, FileExistsError):
        hint = "Remove it if no execution uses it: an execution id is used once."
    return StorageError(f"cannot {doing} the workspace {root}: {error.strerror or error}", backend=str(root), hint=hint)
