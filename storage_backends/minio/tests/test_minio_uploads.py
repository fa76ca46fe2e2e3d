"""Objects in parts: what is in memory, what is left, and what a dead process leaves."""

from __future__ import annotations

import io
import json
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from botdock.config import Config
from botdock.errors import StorageError
from botdock.model import StorageArea
from botdock_storage_minio.backend import MinIOBackend
from botdock_storage_minio.upload import MOST_PARTS, Parts
from testbed.minio import MinioServer, uploads_of

OpenBackend = Callable[..., MinIOBackend]
MIB = 1024 * 1024
WRITER = """
import json, sys
from botdock import Config
from botdock.model import StorageArea
from botdock_storage_minio.backend import MinIOBackend

class Slow:
    left = 11
    def read(self, size=-1):
        self.left -= 1
        if self.left:
            return bytes(1024 * 1024)
        print("half way", flush=True)
        return sys.stdin.buffer.read()

config = Config.load(environ={}, overrides=json.loads(sys.argv[1]))
MinIOBackend.from_config(config, StorageArea.CODE).put("object", Slow())
"""


def keys(backend: MinIOBackend) -> list[str]:
    return [info.key for info in backend.list()]


def notes(backend: MinIOBackend) -> list[Path]:
    folder = backend._notes.folder
    assert folder is not None
    return list(folder.glob("*")) if folder.exists() else []


@attrs.define
class Source:
    """Gives `size` bytes, `step` at a time, and then ends, or fails."""

    size: int
    step: int = MIB
    error: BaseException | None = None

    def read(self, size: int = -1, /) -> bytes:
        size = min(self.size, self.step, size if size >= 0 else self.step)
        self.size -= size
        if not size and self.error:
            raise self.error
        return bytes(size)


class TestParts:
    @given(
        data=st.binary(max_size=60),
        part_size=st.integers(1, 20),
        step=st.integers(1, 30),
        announced=st.none() | st.integers(0, 70),
    )
    def test_parts_are_the_whole_or_an_error(
        self, data: bytes, part_size: int, step: int, announced: int | None
    ) -> None:
        class Steps(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                return super().read(min(size or 0, step))

        def take_all() -> list[bytes]:
            parts = Parts(Steps(data), size=announced, part_size=part_size, key="k", backend="b")
            return [bytes(part) for part in iter(parts.read, b"")]

        if announced not in {None, len(data)}:
            with pytest.raises(StorageError, match=f"{announced} bytes were announced"):
                take_all()
            return
        taken = take_all()
        assert b"".join(taken) == data
        assert all(len(part) == part_size for part in taken[:-1])

    def test_an_object_that_is_too_large_is_refused_before_it_is_read(self) -> None:
        with pytest.raises(StorageError, match="is the largest possible") as caught:
            Parts(io.BytesIO(), size=5 * MIB * MOST_PARTS + 1, part_size=5 * MIB, key="k", backend="b")
        assert f"minio.part_size to {5 * MIB + 1} or more" in (caught.value.hint or "")

    def test_one_that_turns_out_to_be_too_large_is_refused_then(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("botdock_storage_minio.upload.MOST_PARTS", 2)
        parts = Parts(io.BytesIO(bytes(25)), size=None, part_size=10, key="k", backend="b")
        assert len(parts.read()) == len(parts.read()) == 10
        with pytest.raises(StorageError, match="2 parts of 10 bytes"):
            parts.read()


class TestUploads:
    @pytest.mark.parametrize("announced", [True, False])
    @pytest.mark.parametrize("size", [5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 10 * MIB, 12 * MIB + 3])
    def test_an_object_of_any_size_is_whole(self, backend: MinIOBackend, size: int, announced: bool) -> None:
        info = backend.put("a", Source(size), size=size if announced else None)
        assert (info.size, backend.stat("a").size, backend.stat("a").etag) == (size, size, info.etag)
        with backend.get("a", offset=size - 5) as reader:
            assert reader.read() == bytes(5)
        assert notes(backend) == []

    @pytest.mark.parametrize("error", [OSError(5, "the disk is gone"), KeyError("x"), KeyboardInterrupt()])
    def test_what_a_source_raises_goes_through_and_nothing_is_left(
        self, backend: MinIOBackend, minio_server: MinioServer, error: BaseException
    ) -> None:
        with pytest.raises(type(error)) as caught:
            backend.put("a", Source(12 * MIB, error=error))
        assert caught.value is error
        assert keys(backend) == []
        assert uploads_of(backend._client, backend._location.bucket, "a") == []
        assert notes(backend) == []

    @pytest.mark.parametrize("wrong", [-1, 1, 6 * MIB])
    def test_another_size_than_announced_leaves_nothing(self, backend: MinIOBackend, wrong: int) -> None:
        with pytest.raises(StorageError, match="bytes were announced"):
            backend.put("a", Source(12 * MIB), size=12 * MIB + wrong)
        assert keys(backend) == []
        assert uploads_of(backend._client, backend._location.bucket, "a") == []

    def test_without_a_folder_for_notes_uploads_work_too(
        self, minio_server: MinioServer, make_minio_config: Callable[..., Config], open_backend: OpenBackend
    ) -> None:
        like = open_backend()
        backend = MinIOBackend(like._config, like._location)
        try:
            assert backend.put("a", Source(12 * MIB)).size == 12 * MIB
            assert backend.abort_stale_uploads() == 0
        finally:
            backend.close()

    def test_a_folder_that_cannot_be_written_is_named(self, backend: MinIOBackend, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        backend._notes.folder = tmp_path / "file"
        with pytest.raises(StorageError, match="cannot write") as caught:
            backend.put("a", Source(12 * MIB))
        assert "BOTDOCK_HOME" in (caught.value.hint or "")

    def test_an_upload_that_another_process_aborted_is_an_error(
        self, backend: MinIOBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        complete = backend._client.complete_upload

        def abort_first(name: str, upload: str, etags: list[str], size: int) -> Any:
            backend._client.abort_upload(name, upload)
            return complete(name, upload, etags, size)

        monkeypatch.setattr(backend._client, "complete_upload", abort_first)
        with pytest.raises(StorageError, match="NoSuchUpload"):
            backend.put("a", Source(12 * MIB))
        assert keys(backend) == []

    def test_other_errors_of_a_completion_go_through(
        self, backend: MinIOBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        complete = backend._client.complete_upload
        monkeypatch.setattr(
            backend._client,
            "complete_upload",
            lambda name, upload, etags, size: complete(name, upload, etags[:0], size),
        )
        with pytest.raises(StorageError, match=r"MalformedXML|InvalidPart|InvalidRequest"):
            backend.put("a", Source(12 * MIB))
        assert uploads_of(backend._client, backend._location.bucket, "a") == []

    @settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(size=st.integers(0, 11 * MIB), step=st.integers(50_000, 6 * MIB), cut=st.booleans())
    def test_whatever_comes_is_whole_or_absent(self, backend: MinIOBackend, size: int, step: int, cut: bool) -> None:
        list(backend.delete(["a"]))
        if cut:
            with pytest.raises(KeyError):
                backend.put("a", Source(size, step, error=KeyError()))
            assert keys(backend) == []
        else:
            assert backend.put("a", Source(size, step)).size == backend.stat("a").size == size
        assert uploads_of(backend._client, backend._location.bucket, "a") == []


class TestSuccessors:
    """What a killed process leaves is removed by the next one, and what a living one does is left alone."""

    @pytest.fixture
    def config(self, minio_server: MinioServer, make_minio_config: Callable[..., Config]) -> Config:
        return make_minio_config(minio_server, part_size=5 * MIB)

    @pytest.fixture
    def successor(self, config: Config) -> Any:
        backend = MinIOBackend.from_config(config, StorageArea.CODE)
        yield backend
        backend.close()

    def test_an_upload_of_a_killed_process_is_aborted_and_that_of_a_living_one_not(
        self, config: Config, successor: MinIOBackend
    ) -> None:
        overrides = {"home": config.home, "minio": attrs.asdict(config.options["minio"])}
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, json.dumps(overrides)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            assert select.select([writer.stdout], [], [], 60)[0]
            assert writer.stdout.readline() == b"half way\n"
            successor.put("beside", io.BytesIO(b"x"))
            assert len(uploads_of(successor._client, successor._location.bucket, "object")) == 1
            assert len(notes(successor)) == 1
            writer.kill()
        assert keys(successor) == ["beside"]
        assert successor.abort_stale_uploads() == 1
        assert uploads_of(successor._client, successor._location.bucket, "object") == []
        assert notes(successor) == []

    def test_the_first_write_that_goes_well_does_it(self, successor: MinIOBackend) -> None:
        successor._client.make_own_bucket()
        self.leave_note(successor, successor._client.create_upload("a"))
        successor.put("b", io.BytesIO(b"x"))
        assert uploads_of(successor._client, successor._location.bucket, "a") == []
        assert notes(successor) == []

    def test_one_that_is_gone_already_is_forgotten(self, successor: MinIOBackend) -> None:
        successor._client.make_own_bucket()
        self.leave_note(successor, "no-such-upload")
        assert successor.abort_stale_uploads() == 1
        assert notes(successor) == []

    def test_a_note_without_an_id_is_removed_and_aborts_nothing(self, successor: MinIOBackend) -> None:
        successor._client.make_own_bucket()
        successor._client.create_upload("a")  # of a process that lives
        self.leave_note(successor, None)
        assert successor.abort_stale_uploads() == 0
        assert notes(successor) == []
        assert len(uploads_of(successor._client, successor._location.bucket, "a")) == 1

    @pytest.mark.parametrize("text", ["", "{", "[]", '["http://other", "bucket", "a"]\n"id"\n', "\x00\xff"])
    def test_a_file_that_is_not_a_note_of_this_location_is_left_alone(self, successor: MinIOBackend, text: str) -> None:
        folder = successor._notes.folder
        assert folder is not None
        folder.mkdir(parents=True)
        (folder / "x.json").write_text(text, encoding="latin-1")
        assert successor.abort_stale_uploads() == 0
        assert len(notes(successor)) == 1

    def test_an_upload_that_cannot_be_aborted_is_noted_for_later(
        self, successor: MinIOBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        abort = successor._client.abort_upload

        def fail(name: str, upload: str) -> None:
            raise OSError("the cable is cut")

        monkeypatch.setattr(successor._client, "abort_upload", fail)
        with pytest.raises(KeyError):
            successor.put("a", Source(12 * MIB, error=KeyError()))
        assert len(notes(successor)) == 1
        successor.put("b", io.BytesIO(b"x"))  # it does not suffer from what cannot be cleaned up
        assert len(notes(successor)) == 1
        monkeypatch.setattr(successor._client, "abort_upload", abort)
        successor.put("b", io.BytesIO(b"x"))
        assert notes(successor) == []
        assert uploads_of(successor._client, successor._location.bucket, "a") == []

    @staticmethod
    def leave_note(backend: MinIOBackend, upload: str | None) -> Path:
        folder = backend._notes.folder
        assert folder is not None
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "dead.json"
        second = "" if upload is None else f"{json.dumps(upload)}\n"
        path.write_text(f"{json.dumps([*backend._notes._mark, 'a'])}\n{second}")
        return path
