"""The ends that a daemon tells, however they come over the connection."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from botdock.errors import ContainerError, EngineUnavailableError
from botdock_engine_docker.engine import DockerEngine

CALL = 20.0
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def end_of(container_id: str) -> bytes:
    return json.dumps({"Type": "container", "Action": "die", "Actor": {"ID": container_id}}).encode() + b"\n"


def chunks(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def test_each_end_is_told_once_wherever_an_answer_is_cut(fake_docker: Any, engine: DockerEngine) -> None:
    first, second = end_of("c1"), end_of("c2")
    fake_docker.on("GET", "/events", HEAD + chunks(first[:9], first[9:] + second[:30], second[30:]) + fake_docker.STAY)
    told: list[str] = []
    with closing(engine.events({"io.botdock.owner": "me"}, timeout=CALL)) as events:
        while len(told) < 2:
            told += events.read(CALL)
        assert events.read(0.01) == []
    assert told == ["c1", "c2"]
    query = parse_qs(urlsplit(fake_docker.targets("GET")[-1]).query)
    filters = {"type": ["container"], "event": ["die", "destroy"], "label": ["io.botdock.owner=me"]}
    assert json.loads(query["filters"][0]) == filters
    assert events.read(CALL) == [], "one that is closed returns"


@pytest.mark.parametrize(
    "rest",
    [b"", b"0\r\n\r\n", chunks(b"no JSON\n"), chunks(b"[]\n"), b"no chunk"],
    ids=["cut", "over", "text", "list", "body"],
)
def test_what_cannot_be_heard_further_is_said(fake_docker: Any, engine: DockerEngine, rest: bytes) -> None:
    fake_docker.on("GET", "/events", HEAD + chunks(end_of("c1")) + rest)
    with closing(engine.events({}, timeout=CALL)) as events, pytest.raises(EngineUnavailableError):
        list(iter(lambda: events.read(CALL), None))


def test_a_refusal_is_an_error(fake_docker: Any, engine: DockerEngine) -> None:
    fake_docker.says("GET", "/events", {"message": "not for you"}, status=403)
    with pytest.raises(ContainerError, match="not for you"):
        engine.events({}, timeout=CALL)
