"""How a run's files reach its pod: as one tar.gz in Secrets, which are there before it is and go with its Job.

A Secret has room for 1 MiB, so what is larger takes several: 50 of them are there after 5 s, and the pod with them
starts 0.4 s later than with one. None of it needs rights on the pod, and a runner that dies in the middle leaves a Job
that was never begun. But the cluster's own database has to hold them, hence the bound.
"""

from __future__ import annotations

import base64
import tarfile
import zlib
from typing import TYPE_CHECKING

import attrs
from lightkube.models.meta_v1 import ObjectMeta, OwnerReference
from lightkube.resources.core_v1 import Secret

from botdock.archive import end_of_tar, tree_as_tar
from botdock.errors import ContainerError
from botdock.model.profile import identity_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightkube.resources.batch_v1 import Job

    from botdock.model import ContainerRun, ContainerTemplate

PART = 1_000_000
"""Bytes of a Secret; Kubernetes takes 1 MiB, with the names in it."""
LARGEST = 64 * PART
"""Bytes, compressed; etcd has room for 2 GiB by default."""
KEY = "part"
FILES, PRIVATE = "files", "private"
"""The volumes that it is unpacked to: on the node's disk, and in memory."""
PROGRAM, CODE, RESULTS = "program", "code", "results"
"""Folders of `files`."""
RESULT_FILE = "result"
"""In `results`, which the bot does not see, but for this file."""
CONTEXT, SECRETS, IDENTITY = "context", "secrets", "etc"
"""Folders of `private`."""
WHOLE = "whole"
"""In `private`: the last entry of the archive."""
_BLOCK = 4096
"""Bytes of a disk that a piece may take besides its own: what is unpacked is rounded up."""
_GZIP = zlib.MAX_WBITS | 16
_CLOSED_MODE, _DATA_MODE = 0o700, 0o644


@attrs.frozen(kw_only=True)
class Delivery:
    """How the files of a run reach its pod.

    Attributes:
        secrets: The names of the Secrets that hold the archive's parts, in their order.
        size: Bytes that it takes once unpacked, on the node's disk or in memory.
    """

    secrets: tuple[str, ...] = ()
    size: int = 0


@attrs.frozen(kw_only=True)
class Package:
    """The files of a run.

    Attributes:
        parts: A tar.gz, cut so that each part fits a Secret.
        size: Bytes that it takes once unpacked.
    """

    parts: tuple[bytes, ...]
    size: int

    def delivery(self, job: str) -> Delivery:
        """Return how it reaches the pod of a Job of this name."""
        return Delivery(secrets=tuple(f"{job}-{number}" for number in range(len(self.parts))), size=self.size)

    def secrets_for(self, job: Job) -> Iterator[Secret]:
        """Yield the Secrets of a Job that was created: they have its labels, and go with it."""
        assert job.metadata  # noqa: S101 - what the API server answers with has it
        name, uid = str(job.metadata.name), str(job.metadata.uid)
        owner = OwnerReference(apiVersion="batch/v1", kind="Job", name=name, uid=uid, controller=False)
        for secret, part in zip(self.delivery(name).secrets, self.parts, strict=True):
            metadata = ObjectMeta(name=secret, labels=job.metadata.labels, ownerReferences=[owner])
            yield Secret(metadata=metadata, immutable=True, data={KEY: base64.b64encode(part).decode()})


def pack(template: ContainerTemplate, run: ContainerRun, *, user: int) -> Package:
    """Return the files of a run: each volume's folder, with what the bot, or its result, is to be in it.

    Args:
        template: Of it, the program's folder is taken.
        run: The code, the context, and the result as it is now.
        user: The bot's user id, and group id.

    Raises:
        ContainerError: Something cannot be read, or it is too much.
    """
    packed, deflate, size = bytearray(), zlib.compressobj(wbits=_GZIP), 0
    try:
        for piece in _pieces(template, run, user):
            packed += deflate.compress(piece)
            size += len(piece) + _BLOCK
            _check(packed)
    except OSError as error:
        raise _error(f"cannot deliver {error.filename}: {error.strerror}") from error
    packed += deflate.flush()
    _check(packed)
    parts = tuple(bytes(packed[at : at + PART]) for at in range(0, len(packed), PART))
    return Package(parts=parts, size=size)


def _check(packed: bytearray) -> None:
    if len(packed) > LARGEST:
        raise _error(
            f"the bot's code is too much: more than {LARGEST} bytes once compressed",
            "Put what is large, such as its packages, into an image of your own: runtime.images.",
        )


def _pieces(template: ContainerTemplate, run: ContainerRun, user: int) -> Iterator[bytes]:
    yield from tree_as_tar(template.program, f"{FILES}/{PROGRAM}")
    yield from tree_as_tar(run.code, f"{FILES}/{CODE}")
    yield from tree_as_tar(run.result, f"{FILES}/{RESULTS}/{RESULT_FILE}")
    yield from tree_as_tar(run.context, f"{PRIVATE}/{CONTEXT}")
    if run.secrets_target:
        yield _entry(f"{PRIVATE}/{SECRETS}", None)
    for name, text in identity_files(user).items():
        yield _entry(f"{PRIVATE}/{IDENTITY}/{name}", text.encode())
    yield _entry(f"{PRIVATE}/{WHOLE}", b"")
    yield end_of_tar()


def _entry(name: str, content: bytes | None) -> bytes:
    """Return a file, or a folder that its owner alone may enter."""
    info = tarfile.TarInfo(name)
    if content is None:
        info.type, info.mode = tarfile.DIRTYPE, _CLOSED_MODE
        return info.tobuf(tarfile.GNU_FORMAT)
    info.size, info.mode = len(content), _DATA_MODE
    return info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % tarfile.BLOCKSIZE)


def _error(message: str, hint: str = "") -> ContainerError:
    return ContainerError(message, engine="kubernetes", operation="create", hint=hint)
