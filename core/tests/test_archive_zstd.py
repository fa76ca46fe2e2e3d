"""What is particular about zstd: frames to be skipped, the window that a file asks for, a module that may be absent."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from botdock.archive import ArchiveFormat, detect, extract, pack
from botdock.archive._formats import PIECE, decompressed
from botdock.errors import ArchiveError
from botdock_testing.archives import Member, tar_of, zstd_of

TAR = tar_of([Member("f", content=bytes(range(256)) * 100)])
MAGIC = b"\x28\xb5\x2f\xfd"
SKIPPED = b"\x5a\x2a\x4d\x18\3\0\0\0any"


def asking_for(window: int) -> bytes:
    """Return a frame that asks for a window of 2^window bytes, and holds one byte (RFC 8878, 3.1.1)."""
    return MAGIC + bytes([0, window - 10 << 3]) + b"\x09\0\0x"


def refused(data: bytes, folder: Path) -> ArchiveError:
    with pytest.raises(ArchiveError) as caught:
        extract(io.BytesIO(data), folder / "out")
    assert list(folder.iterdir()) == []
    return caught.value


@pytest.mark.parametrize(
    "data",
    [
        SKIPPED + zstd_of(TAR),
        zstd_of(TAR[:5000]) + SKIPPED * 2 + zstd_of(TAR[5000:]) + SKIPPED,
        zstd_of(TAR, compression_level=22, window_log=27),
    ],
    ids=["as pzstd writes it", "several frames", "at its strongest"],
)
def test_what_zstd_and_pzstd_write_is_unpacked(data: bytes, tmp_path: Path) -> None:
    assert detect(io.BytesIO(data)) is ArchiveFormat.TAR_ZST
    extract(io.BytesIO(data), tmp_path / "out")
    assert (tmp_path / "out" / "f").read_bytes() == bytes(range(256)) * 100


def test_a_frame_cannot_ask_for_more_memory_than_the_command_allows(tmp_path: Path) -> None:
    assert refused(asking_for(27), tmp_path).limit == "truncated"
    error = refused(asking_for(28), tmp_path)
    assert error.limit == f"memory={128 << 20}"
    assert "--long=27" in str(error.hint)


def test_a_wrong_checksum(tmp_path: Path) -> None:
    packed = bytearray(zstd_of(TAR))
    packed[-1] ^= 1
    assert refused(bytes(packed), tmp_path).limit == "checksum"


def test_a_bomb_comes_out_in_small_pieces(tmp_path: Path) -> None:
    bomb = zstd_of(tar_of([Member("zeros", content=bytes(64 << 20))]))
    pieces = decompressed(io.BytesIO(bomb).read, ArchiveFormat.TAR_ZST)
    assert max(map(len, pieces)) == PIECE
    assert refused(bomb, tmp_path).limit == "ratio=200"


def test_without_a_module_for_it_the_command_that_installs_one_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    error = refused(asking_for(20), tmp_path)
    assert error.limit == "zstd"
    assert error.hint == 'Run: pip install "botdock[zstd]"; or pack it as tar.gz.'
    (tmp_path / "tree").mkdir()
    with pytest.raises(ArchiveError, match="no module for it is installed"):
        pack(tmp_path / "tree", tmp_path / "a.tar.zst")
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]
