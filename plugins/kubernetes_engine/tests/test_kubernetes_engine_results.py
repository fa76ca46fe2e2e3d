"""A result, out of the log that carries it: whole, or an error."""

from __future__ import annotations

import base64
import gzip
import zlib
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightkube.models.core_v1 import ContainerStatus

from botdock.errors import ContainerError, ContainerNotFoundError
from botdock_engine_kubernetes.results import cksum, fetch_result, parse
from testbed.kubernetes_logs import GONE, JOB, Answer, World, pod

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE = 60.0
RESULT_ENDED = {
    "name": "result",
    "image": "i",
    "imageID": "i",
    "ready": False,
    "restartCount": 0,
    "containerID": "containerd://2",
    "state": {"terminated": {"exitCode": 0}},
}


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def fetched(world: World, limit: int = 1000) -> bytes:
    return fetch_result(world.cluster, cast("Any", world.pods), JOB, limit=limit, timeout=DEADLINE)


def printed(result: bytes, encoding: str = "gzip", *, width: int = 16_000) -> bytes:
    """Return what `result.sh` prints."""
    packed = gzip.compress(result, mtime=0) if encoding == "gzip" else result
    text = base64.b64encode(packed)
    lines = b"".join(text[at : at + width] + b"\n" for at in range(0, len(text), width))
    return f"botdock-result 1 {len(result)} {cksum(result)} {encoding}\n".encode() + lines + b"end\n"


@given(st.binary(max_size=300), st.sampled_from(["gzip", "plain"]), st.integers(1, 80))
def test_what_was_printed_whole_is_read_whole(result: bytes, encoding: str, width: int) -> None:
    assert parse(printed(result, encoding, width=width)) == result


@given(st.binary(max_size=100), st.integers(0, 500), st.sampled_from(["gzip", "plain"]))
def test_what_is_cut_at_either_end_is_refused(result: bytes, cut: int, encoding: str) -> None:
    body = printed(result, encoding)
    for damaged in (body[: cut % len(body)], body[1 + cut % len(body) :]):
        with pytest.raises(ValueError, match=r"cut|nothing|printed"):
            parse(damaged)


@given(st.binary(min_size=1, max_size=100), st.integers(0, 10**6), st.sampled_from(["gzip", "plain"]))
def test_what_is_damaged_is_refused_or_the_same(result: bytes, place: int, encoding: str) -> None:
    body = bytearray(printed(result, encoding))
    body[place % len(body)] ^= 1
    try:
        assert parse(bytes(body)) == result
    except ValueError:
        return


def test_what_unpacks_to_more_than_it_says_is_not_unpacked() -> None:
    bomb = base64.b64encode(zlib.compress(b"\0" * 10_000_000, wbits=31))
    with pytest.raises(ValueError, match="damaged"):
        parse(b"botdock-result 1 5 0 gzip\n" + bomb + b"\nend\n")


@pytest.mark.parametrize(("data", "expected"), [(b"", 4294967295), (b"hello\n", 3015617425), (b"\0" * 300, 351385237)])
def test_the_checksum_is_that_of_cksum(data: bytes, expected: int) -> None:
    assert cksum(data) == expected


def test_a_result_is_fetched_when_the_bot_has_ended_and_no_longer_than_it_may_be(world: World) -> None:
    world.pods.tell(pod("ended"))
    world.answers = [Answer(printed(b"hello")), Answer((printed(b"x" * 2000)[:40], printed(b"x" * 2000)[40:]))]
    assert fetched(world) == b"hello"
    assert fetched(world) == b"x" * 1001
    assert world.asked == [{"container": "result"}] * 2


@pytest.mark.parametrize("followed", [printed(b"hello"), printed(b"hello")[:-4]], ids=["whole", "cut"])
def test_a_result_is_read_as_it_is_printed_and_again_where_that_was_cut(world: World, followed: bytes) -> None:
    ended = pod("ended")
    assert ended.status
    ended.status.phase = "Running"
    ended.status.initContainerStatuses = [cast("ContainerStatus", ContainerStatus.from_dict(RESULT_ENDED))]
    world.pods.tell(ended)
    world.answers = [Answer(followed), Answer(printed(b"hello"))]
    assert fetched(world) == b"hello"
    again = [] if followed.endswith(b"end\n") else [{"container": "result"}]
    assert world.asked == [{"container": "result", "follow": "true"}, *again]


@pytest.mark.parametrize(
    "body", [b"", GONE, printed(b"hello")[:-4], b"\0" * 2_000_000], ids=["none", "its pod is gone", "cut", "too much"]
)
def test_a_result_that_cannot_be_had_is_an_error_that_says_why(world: World, body: bytes) -> None:
    world.pods.tell(pod("ended"))
    world.answers = [Answer(body)]
    with pytest.raises(ContainerError, match="result"):
        fetched(world)


def test_a_result_whose_log_is_refused_is_an_error_in_the_servers_words(world: World) -> None:
    world.pods.tell(pod("ended"))
    world.answers = [Answer(status=403, words="cannot get resource pods/log")]
    with pytest.raises(ContainerError, match="pods/log"):
        fetched(world)


def test_a_result_went_with_its_pod(world: World) -> None:
    with pytest.raises(ContainerNotFoundError):
        fetched(world)
