"""A canary in the keys is found nowhere: no error, no repr, no log, whatever goes wrong."""

from __future__ import annotations

import io
import logging
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from loguru import logger

from botdock.config import Config
from botdock.errors import BotdockError
from botdock.model import StorageArea
from botdock_storage_minio.backend import MinIOBackend
from botdock_storage_minio.checks import checks
from testbed.minio import MinioServer
from testbed.proxy import Fault, FaultProxy

SECRET, ACCESS = "canary-of-the-secret-key", "canary-of-the-access-key"
CANARIES = (SECRET, ACCESS)
ECHO = f"<Error><Code>Odd</Code><Message>{ACCESS} may not do that</Message></Error>".encode()
"""Of the two, a server is told the name of the key only."""
OpenBackend = Callable[..., MinIOBackend]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that is logged, by botdock, urllib3 and others, with the values of variables in its tracebacks."""
    text = io.StringIO()
    mine = logger.add(text, level=0, diagnose=True, backtrace=True)
    logger.enable("botdock")
    handler = logging.StreamHandler(text)
    logging.getLogger().addHandler(handler)
    before = logging.getLogger().level
    logging.getLogger().setLevel(0)
    yield text
    logging.getLogger().setLevel(before)
    logging.getLogger().removeHandler(handler)
    logger.disable("botdock")
    logger.remove(mine)


def shown(error: BaseException) -> str:
    return "".join([str(error), repr(error), repr(vars(error)), *traceback.format_exception(error)])


@pytest.mark.parametrize(
    "fault",
    [
        None,
        Fault(status=403, body=ECHO, content_type="application/xml", times=9),
        Fault(status=400, body=ECHO, content_type="text/html", times=9),
        Fault(status=500, body=ECHO, content_type="application/xml", times=9),
        Fault(refuse=True, times=9),
    ],
)
def test_whatever_fails_tells_no_secret(
    open_backend: OpenBackend, proxy: FaultProxy, log: io.StringIO, fault: Fault | None
) -> None:
    backend = open_backend(endpoint=proxy.endpoint, access_key=ACCESS, secret_key=SECRET)
    steps: list[Callable[[], Any]] = [
        lambda: backend.put("a", io.BytesIO(b"x")),
        lambda: backend.put("a", io.BytesIO(bytes(6 * 2**20))),
        lambda: backend.get("a"),
        lambda: backend.stat("a"),
        lambda: list(backend.list()),
        lambda: list(backend.delete(["a"])),
    ]
    for step in steps:
        if fault:
            proxy.inject(fault)
        with pytest.raises(BotdockError) as caught:
            step()
        logger.opt(exception=caught.value).error("failed")
        assert not [canary for canary in CANARIES if canary in shown(caught.value)]
    assert len(log.getvalue()) > 1000
    assert SECRET not in log.getvalue()


def test_what_is_logged_of_good_days_tells_none(
    open_backend: OpenBackend, minio_server: MinioServer, log: io.StringIO
) -> None:
    backend = open_backend()
    backend.put("a", io.BytesIO(bytes(6 * 2**20)))
    assert list(backend.delete(["a"])) == []
    assert "PUT" in log.getvalue()
    assert minio_server.secret_key not in log.getvalue()


def test_nothing_that_is_shown_of_the_storage_tells_one(
    minio_server: MinioServer, make_minio_config: Callable[..., Config]
) -> None:
    config = make_minio_config(minio_server, access_key=ACCESS, secret_key=SECRET)
    backend = MinIOBackend.from_config(config, StorageArea.CODE)
    backend.close()
    parts = [config, backend, backend.location, vars(backend), vars(backend._client), *checks(config)]
    assert not [canary for canary in CANARIES if canary in "".join(map(repr, parts))]
