"""The MinIO of the testbed itself."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.cache import VARIABLE
from testbed.console import TestbedError
from testbed.minio import MinioServer
from testbed.minio_program import ensure_minio
from testbed.processes import lives


def test_all_tests_share_one_server(minio_server: MinioServer) -> None:
    again = MinioServer(minio_server.folder)
    again.start()
    assert (again.endpoint, again.secret_key, again.pid) == (
        minio_server.endpoint,
        minio_server.secret_key,
        minio_server.pid,
    )


def test_a_server_for_drills_comes_back_at_its_address(drill_minio: MinioServer) -> None:
    endpoint, first = drill_minio.endpoint, drill_minio.pid
    assert first is not None
    drill_minio.kill()
    assert not lives(first)
    assert not drill_minio.answers()
    drill_minio.restart()
    assert drill_minio.answers()
    assert (drill_minio.endpoint, drill_minio.pid != first) == (endpoint, True)
    drill_minio.stop()
    assert drill_minio.pid is None


def test_a_server_with_tls_shows_its_own_certificate(start_minio: Callable[..., MinioServer]) -> None:
    server = start_minio(tls=True)
    assert server.answers()
    with pytest.raises(urllib.error.URLError) as caught:
        urllib.request.urlopen(f"https://{server.endpoint}/minio/health/live")
    assert isinstance(caught.value.reason, ssl.SSLCertVerificationError)


def test_a_deleted_server_leaves_nothing(start_minio: Callable[..., MinioServer]) -> None:
    server = start_minio()
    pid = server.pid
    server.delete()
    assert pid is not None
    assert not lives(pid)
    assert sorted(path.name for path in server.folder.iterdir()) == ["minio.log", "start.lock"]


def test_without_the_program_and_without_go_it_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setattr("testbed.minio_program.find_program", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(TestbedError, match="put `minio` on PATH, or install Go"):
        ensure_minio()


def test_a_server_that_does_not_come_up_shows_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "minio"
    program.write_text("#!/bin/sh\necho cannot read my disk\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr("testbed.minio.ensure_minio", lambda: program)
    with pytest.raises(TestbedError, match="cannot read my disk"):
        MinioServer(tmp_path).start()
