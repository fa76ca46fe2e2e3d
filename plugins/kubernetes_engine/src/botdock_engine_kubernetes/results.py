"""A run's result, from the log of the container that prints it once the bot has ended.

`scripts/result.sh` writes three things: a line `botdock-result 1 SIZE CKSUM ENCODING`, where the size and the checksum
(as of `cksum`) are of the result's bytes and the encoding is `gzip` or `plain`; lines of Base64; and a line `end`.
"""

from __future__ import annotations

import binascii
import re
import zlib
from typing import TYPE_CHECKING

from botdock.errors import ContainerError, ContainerNotFoundError
from botdock_engine_kubernetes.errors import Call
from botdock_engine_kubernetes.pod import BOT, RESULT
from botdock_engine_kubernetes.statuses import has_begun, has_ended

if TYPE_CHECKING:
    from lightkube.resources.core_v1 import Pod

    from botdock_engine_kubernetes.cluster import Cluster
    from botdock_engine_kubernetes.pods import Pods

_HEAD = re.compile(rb"botdock-result 1 (\d{1,19}) (\d{1,10})(?: (gzip|plain))?")
_END = b"\nend\n"
_GZIP = 31
"""What tells zlib to expect a header of gzip."""
_FRAME = 1024 * 1024
"""Bytes around a result, and for one that was made under a larger limit."""
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_LIKELY = "its container was removed before it could print it, or the kubelet rotated its log: is the result too large?"


def fetch_result(cluster: Cluster, pods: Pods, job: str, *, limit: int, timeout: float) -> bytes:
    """Return what the bot left as its result, at most `limit + 1` bytes.

    Raises:
        ContainerError: The bot left none, or it is cut or damaged.
    """
    call = Call(operation="fetch_result", url=cluster.url, timeout=timeout, container_id=job)

    async def ended(container: str) -> tuple[Pod, str]:
        pod = await pods.until(job, lambda pod: pod is None or has_ended(pod, container))
        if pod is None or not (pod.metadata and pod.metadata.name):
            raise call.error(ContainerNotFoundError, "its pod is not there any more, and the result went with it")
        return pod, f"/api/v1/namespaces/{cluster.namespace}/pods/{pod.metadata.name}/log"

    async def fetch() -> bytes:
        most, body = 2 * limit + _FRAME, b""
        pod, path = await ended(BOT)
        if has_begun(pod, RESULT):  # the kubelet tells of its end a second after it
            body = await _read(cluster, path, most=most, follow="true")
        if not _is_whole(body):
            _, path = await ended(RESULT)
            body = await _read(cluster, path, most=most)
        try:
            return parse(body)[: limit + 1]
        except ValueError as error:
            raise call.error(ContainerError, f"the result cannot be had: {error}", hint=_LIKELY) from error

    return cluster.call("fetch_result", fetch, timeout=timeout, container_id=job, repeatable=True)


async def _read(cluster: Cluster, path: str, *, most: int, **how: str) -> bytes:
    """Return what the container printed, and of much more than a result may have, the beginning."""
    body = bytearray()
    async with cluster.http.stream("GET", path, params={"container": RESULT, **how}) as answer:
        if answer.is_error:
            await answer.aread()
            answer.raise_for_status()
        async for piece in answer.aiter_raw():
            body += piece
            if len(body) > most or _is_whole(body):
                break
    return bytes(body)


def _is_whole(body: bytes | bytearray) -> bool:
    return body.endswith(_END)


def parse(body: bytes) -> bytes:
    """Return the result out of what its container printed.

    Raises:
        ValueError: It is not whole.
    """
    head, *lines = body.split(b"\n")
    if not (match := _HEAD.fullmatch(head)):
        shown = head[:80].decode("utf-8", "replace")
        raise ValueError(f"its container printed {shown!r}" if body else "its container printed nothing")
    if lines[-2:] != [b"end", b""]:
        raise ValueError("it is cut")
    size, checksum = int(match[1]), int(match[2])
    try:
        result = binascii.a2b_base64(b"".join(lines[:-2]), strict_mode=True)
        if match[3] == b"gzip":
            unpacker = zlib.decompressobj(_GZIP)
            result = unpacker.decompress(result, size + 1)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"it is damaged: {error}") from error
    if len(result) != size or cksum(result) != checksum:
        raise ValueError("it is damaged: size or checksum differ")
    return result


def cksum(data: bytes) -> int:
    """Return the checksum that POSIX' `cksum` prints.

    It is the CRC of zlib with the bits of each byte, and of the checksum, the other way round; without the ones that
    zlib begins with; and the length follows the data.

    Example:
        >>> cksum(b"hello")
        3287646509
    """
    length = len(data).to_bytes((len(data).bit_length() + 7) // 8, "little")
    found = zlib.crc32(length.translate(_REVERSED), zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF))
    return int(f"{found:032b}"[::-1], 2)
