from __future__ import annotations

import errno
import hashlib
import io
import os
import socket
import zipfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import attrs
import pytest

from botdock.config import CodeConfig, Policies, Policy
from botdock.errors import ArchiveError, CodeError, ObjectNotFoundError, StorageError, StorageKeyError
from botdock.model import ByteReader, ObjectInfo
from botdock.services.code import CodeKind, CodeService, CodeSource, CodeStore, Workspace, archive_limits
from botdock_testing._byte_sources import BrokenSourceError, DribblingSource, DyingSource


class Objects(dict[str, bytes]):
    """The objects of a storage, opened by key."""

    def open(self, key: str) -> AbstractContextManager[ByteReader]:
        if key not in self:
            raise ObjectNotFoundError(key, backend="local-fs (/srv/bots/code)", hint="Did you mean bots/hello.zip?")
        return nullcontext(DribblingSource(self[key], step=1000))

    @property
    def store(self) -> CodeStore:
        return CodeStore(name="local-fs", open=self.open, stat=self.no_stat, location=lambda: "/srv/bots/code")

    def no_stat(self, key: str) -> ObjectInfo:
        raise AssertionError("without a cache, it is not asked")


@pytest.fixture
def objects() -> Objects:
    return Objects()


@pytest.fixture
def service(objects: Objects) -> CodeService:
    return CodeService(CodeConfig(), store=objects.store)


@pytest.fixture
def strict_service(objects: Objects) -> CodeService:
    return CodeService(CodeConfig(), store=objects.store, policies=Policies(Policy(local_code=False)))


@pytest.fixture
def workspace(service: CodeService, tmp_path: Path) -> Workspace:
    return service.prepare_workspace(tmp_path / "home/executions/1/workspace")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "hello-python"
    folder.mkdir()
    (folder / "main.py").write_text("def main(id, config): ...\n")
    return folder


def zipped(**files: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "."), text)
    return packed.getvalue()


class TestDownload:
    def test_a_folder_stays_where_it_is(self, service: CodeService, workspace: Workspace, tree: Path) -> None:
        source = service.download_code(str(tree), workspace)
        assert source == CodeSource(kind=CodeKind.FOLDER, path=tree, origin=str(tree))
        assert not workspace.spool.exists()

    def test_a_relative_folder_is_found_from_here(
        self, service: CodeService, workspace: Workspace, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tree.parent)
        assert service.download_code(tree.name, workspace).path == tree

    def test_a_folder_of_the_user_is_found_by_a_tilde(
        self, service: CodeService, workspace: Workspace, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tree.parent))
        assert service.download_code(f"~/{tree.name}", workspace).path == tree

    def test_an_archive_on_disk_is_spooled_as_an_object_is(
        self, service: CodeService, workspace: Workspace, tmp_path: Path
    ) -> None:
        (tmp_path / "bot.zip").write_bytes(zipped(main__py=""))
        source = service.download_code(str(tmp_path / "bot.zip"), workspace)
        assert (source.kind, source.path) == (CodeKind.ARCHIVE, workspace.spool)
        assert (tmp_path / "bot.zip").read_bytes() == workspace.spool.read_bytes()

    def test_an_object_is_spooled_and_hashed(
        self, service: CodeService, workspace: Workspace, objects: Objects
    ) -> None:
        objects["bots/hello.zip"] = data = bytes(range(256)) * 20
        seen: list[tuple[int, int]] = []
        source = service.download_code("bots/hello.zip", workspace, progress=lambda *step: seen.append(step))
        assert source == CodeSource(
            kind=CodeKind.OBJECT,
            path=workspace.spool,
            origin="bots/hello.zip",
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
        assert workspace.spool.read_bytes() == data
        assert seen == [(1000, 0), (2000, 0), (3000, 0), (4000, 0), (5000, 0), (5120, 0)]

    def test_what_is_on_this_machine_comes_before_a_key(
        self, service: CodeService, workspace: Workspace, objects: Objects, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        objects[tree.name] = b"object"
        monkeypatch.chdir(tree.parent)
        assert service.download_code(tree.name, workspace).kind is CodeKind.FOLDER

    def test_without_local_code_only_keys_are_looked_at(
        self,
        strict_service: CodeService,
        workspace: Workspace,
        objects: Objects,
        tree: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        objects[tree.name] = b"object"
        monkeypatch.chdir(tree.parent)
        assert strict_service.download_code(tree.name, workspace).kind is CodeKind.OBJECT
        with pytest.raises(StorageKeyError, match=r"policy.local_code is off"):
            strict_service.download_code(str(tree), workspace)
        with pytest.raises(ObjectNotFoundError, match=r"Did you mean bots/hello.zip"):
            strict_service.download_code("bots/helo.zip", workspace)

    def test_a_source_that_dies_leaves_no_spool(
        self, service: CodeService, workspace: Workspace, objects: Objects, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(objects, "open", lambda _: nullcontext(DyingSource(b"half")))
        service = CodeService(CodeConfig(), store=objects.store)
        with pytest.raises(BrokenSourceError):
            service.download_code("a", workspace)
        assert not workspace.spool.exists()

    def test_a_full_disk_leaves_no_spool(
        self, service: CodeService, workspace: Workspace, objects: Objects, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        objects["a"] = b"x"
        with pytest.raises(StorageError, match=r"cannot fetch 'a' .*No space left") as caught:
            service.download_code("a", workspace, progress=full)
        assert caught.value.hint is not None
        assert not workspace.spool.exists()

    def test_a_spool_that_is_there_is_not_touched(
        self, service: CodeService, workspace: Workspace, objects: Objects
    ) -> None:
        objects["a"] = b"x"
        workspace.spool.write_bytes(b"another's")
        with pytest.raises(StorageError, match="File exists"):
            service.download_code("a", workspace)
        assert workspace.spool.read_bytes() == b"another's"

    def test_an_object_that_no_archive_can_be_as_large_as_is_refused(
        self, workspace: Workspace, objects: Objects
    ) -> None:
        config = CodeConfig(total_bytes=1000, entries=1, name_bytes=10)
        service = CodeService(config, store=objects.store)
        objects["huge"] = bytes(10_000)
        with pytest.raises(CodeError, match="code at 'huge' is larger than any archive"):
            service.download_code("huge", workspace)
        assert not workspace.spool.exists()


class TestWhatIsNoCode:
    def test_nothing_of_that_name(
        self, service: CodeService, workspace: Workspace, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tree.parent)
        with pytest.raises(CodeError) as caught:
            service.download_code("helo-python", workspace)
        assert str(caught.value) == (
            "no folder or archive at 'helo-python' on this machine, "
            "and no object 'helo-python' in local-fs (/srv/bots/code)\nDid you mean hello-python?"
        )
        assert caught.value.source == "helo-python"

    def test_the_first_wrong_part_of_a_path_is_mended(
        self, service: CodeService, workspace: Workspace, tree: Path
    ) -> None:
        with pytest.raises(CodeError, match=f"Did you mean {tree}/main.py"):
            service.download_code(f"{tree.parent}/helo-python/main.py", workspace)
        with pytest.raises(CodeError, match=rf"Did you mean {tree}\?"):
            service.download_code(f"{tree.parent}/helo-python/zzz", workspace)

    def test_without_a_neighbour_the_storage_may_know_one(self, service: CodeService, workspace: Workspace) -> None:
        with pytest.raises(CodeError, match=r"Did you mean bots/hello.zip"):
            service.download_code("bots/helo.zip", workspace)

    def test_a_path_that_cannot_be_a_key(self, service: CodeService, workspace: Workspace) -> None:
        with pytest.raises(CodeError, match="and it cannot be a key in local-fs: '/no/such/folder': begins"):
            service.download_code("/no/such/folder", workspace)

    def test_no_name_at_all(self, service: CodeService, workspace: Workspace) -> None:
        with pytest.raises(CodeError, match="no code is named"):
            service.download_code("", workspace)

    @pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * 5000, "a/" * 3000, "~nobody-of-this-name/x", "a\nb"])
    def test_a_text_that_no_path_can_be(self, service: CodeService, workspace: Workspace, text: str) -> None:
        with pytest.raises(CodeError, match="no folder or archive at"):
            service.download_code(text, workspace)

    def test_a_device_is_never_read(self, service: CodeService, workspace: Workspace) -> None:
        with pytest.raises(CodeError, match="code at '/dev/zero' is a character device"):
            service.download_code("/dev/zero", workspace)

    def test_a_fifo_or_a_socket_is_never_opened(
        self, service: CodeService, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        os.mkfifo("fifo")
        with pytest.raises(CodeError, match="is a FIFO"):
            service.download_code("fifo", workspace)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
            with pytest.raises(CodeError, match="is a socket"):
                service.download_code("socket", workspace)

    def test_a_link_to_itself(self, service: CodeService, workspace: Workspace, tmp_path: Path) -> None:
        (tmp_path / "loop").symlink_to("loop")
        with pytest.raises(CodeError, match="symbolic links"):
            service.download_code(str(tmp_path / "loop"), workspace)

    def test_what_this_user_may_not_read(
        self, service: CodeService, workspace: Workspace, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "access", lambda *_: False)
        with pytest.raises(CodeError, match="cannot be read by this user"):
            service.download_code(str(tree), workspace)

    def test_a_folder_that_holds_the_workspace(self, service: CodeService, workspace: Workspace) -> None:
        with pytest.raises(CodeError, match="holds botdock's own state"):
            service.download_code(str(workspace.root.parents[3]), workspace)


class TestExtract:
    def test_a_folder_is_copied_but_for_what_is_not_code(
        self, service: CodeService, workspace: Workspace, tree: Path
    ) -> None:
        for number in range(7):
            os.mkfifo(tree / f"fifo{number}")
        found = service.extract_code(service.download_code(str(tree), workspace), workspace)
        assert found.note.endswith("it is not code: 'fifo0', 'fifo1', 'fifo2', 'fifo3', 'fifo4' and 2 more")
        assert (workspace.code / "main.py").read_text() == (tree / "main.py").read_text()

    def test_an_object_is_unpacked_and_its_spool_removed(
        self, service: CodeService, workspace: Workspace, objects: Objects
    ) -> None:
        objects["a.zip"] = zipped(main__py="print()")
        service.extract_code(service.download_code("a.zip", workspace), workspace)
        assert not workspace.spool.exists()
        assert (workspace.code / "main.py").read_text() == "print()"

    def test_an_archive_on_disk_is_kept(self, service: CodeService, workspace: Workspace, tmp_path: Path) -> None:
        (tmp_path / "bot.zip").write_bytes(zipped(main__py="print()"))
        service.extract_code(service.download_code(str(tmp_path / "bot.zip"), workspace), workspace)
        assert (workspace.code / "main.py").exists()
        assert (tmp_path / "bot.zip").exists()

    @pytest.mark.parametrize("data", [b"", b"no archive"])
    def test_what_is_no_archive_is_refused_by_the_name_that_was_given(
        self, service: CodeService, workspace: Workspace, objects: Objects, data: bytes
    ) -> None:
        objects["bots/a.zip"] = data
        source = service.download_code("bots/a.zip", workspace)
        with pytest.raises(ArchiveError, match=r"bots/a.zip") as caught:
            service.extract_code(source, workspace)
        assert str(workspace.spool) not in str(caught.value)
        assert not workspace.code.exists()

    def test_the_configured_limits_hold(self, workspace: Workspace, objects: Objects) -> None:
        config = CodeConfig(file_bytes=10)
        service = CodeService(config, store=objects.store)
        objects["a.zip"] = zipped(main__py="x" * 11)
        with pytest.raises(ArchiveError) as caught:
            service.extract_code(service.download_code("a.zip", workspace), workspace)
        assert caught.value.limit == "file_bytes=10"

    def test_every_limit_of_the_configuration_is_one_of_the_archives(self) -> None:
        from botdock.archive import ArchiveLimits

        limits = attrs.asdict(ArchiveLimits())
        assert limits == {name: value for name, value in attrs.asdict(CodeConfig()).items() if name != "cache_bytes"}
        assert archive_limits(CodeConfig(entries=5)) == ArchiveLimits(entries=5)
