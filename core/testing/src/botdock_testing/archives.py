"""Archives of any content, hostile ones too, in memory; and hypothesis strategies for them."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import tarfile
import unicodedata
import warnings
import zipfile
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Literal, TypeAlias

import attrs
from hypothesis import strategies as st

Kind: TypeAlias = Literal["file", "folder", "symlink", "hard_link", "device", "fifo"]
Compression: TypeAlias = Literal["", "gz", "bz2", "xz", "zst"]

_TAR_TYPES: dict[Kind, bytes] = {
    "file": tarfile.REGTYPE,
    "folder": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "hard_link": tarfile.LNKTYPE,
    "device": tarfile.CHRTYPE,
    "fifo": tarfile.FIFOTYPE,
}

_ZIP_TYPES: dict[Kind, int] = {
    "file": stat.S_IFREG,
    "folder": stat.S_IFDIR,
    "symlink": stat.S_IFLNK,
    "device": stat.S_IFCHR,
    "fifo": stat.S_IFIFO,
}


@attrs.frozen
class Member:
    """One entry to be written as it is, whether any program should accept it or not.

    Attributes:
        name: The name.
        content: Of a file.
        kind: What it is; zip knows no hard links.
        mode: Permission bits.
        target: What a link points to.
    """

    name: str
    content: bytes = attrs.field(default=b"", kw_only=True)
    kind: Kind = attrs.field(default="file", kw_only=True)
    mode: int = attrs.field(default=0o644, kw_only=True)
    target: str = attrs.field(default="", kw_only=True)


def tar_of(
    members: Iterable[Member],
    *,
    compression: Compression = "",
    form: int = tarfile.PAX_FORMAT,
) -> bytes:
    """Return a tar with these members, in this order."""
    if compression == "zst":
        return zstd_of(tar_of(members, form=form))
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=f"w:{compression}", format=form) as archive:  # type: ignore[call-overload]  # the mode is put together
        for member in members:
            archive.addfile(_tar_info(member), io.BytesIO(member.content))
    return file.getvalue()


def zstd_of(data: bytes, **options: int) -> bytes:
    """Return what zstd makes of data, with a checksum; needs Python 3.14 or `botdock[zstd]`.

    Args:
        data: What is packed.
        options: By the names of `compression.zstd.CompressionParameter`.
    """
    try:
        module = import_module("compression.zstd")
    except ImportError:
        module = import_module("backports.zstd")
    named = {getattr(module.CompressionParameter, name): value for name, value in options.items()}
    packed: bytes = module.compress(data, options={module.CompressionParameter.checksum_flag: 1, **named})
    return packed


def zip_of(members: Iterable[Member], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip with these members, in this order."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile warns of names that come twice, which is the point
        for member in members:
            archive.writestr(_zip_info(member, method), _zip_content(member))
    return file.getvalue()


def _tar_info(member: Member) -> tarfile.TarInfo:
    info = tarfile.TarInfo(member.name)
    info.type = _TAR_TYPES[member.kind]
    info.mode = member.mode
    info.size = len(member.content) if member.kind == "file" else 0
    info.linkname = member.target
    return info


def _zip_content(member: Member) -> bytes:
    return {"file": member.content, "symlink": member.target.encode()}.get(member.kind, b"")


def _zip_info(member: Member, method: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(member.name)
    info.filename = member.name  # the constructor would cut it at a NUL
    info.create_system = 3
    info.external_attr = (_ZIP_TYPES[member.kind] | member.mode) << 16
    info.compress_type = method
    return info


def snapshot(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Return all that lies below `folder`: type and mode, and the content of each file or the target of each link."""
    return {path.relative_to(folder).as_posix(): _seen(path) for path in sorted(folder.rglob("*"))}


def _seen(path: Path) -> tuple[str, bytes]:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return "link", os.fsencode(path.readlink())
    return stat.filemode(mode), path.read_bytes() if stat.S_ISREG(mode) else b""


_USUAL = st.sampled_from(["a", "b", "c", "dir", "link", "main.py", "A", "ä", "a\u0308", ".hidden", "ß", "ss"])
_ODD = st.sampled_from(["..", ".", "", "\\", "C:", "x" * 256, "nul\0", "new\nline"]) | st.text(max_size=4)


def member_names(*, hostile: bool = True) -> st.SearchStrategy[str]:
    """Names that often meet in one place; hostile ones also climb, are absolute, or cannot be."""
    segments = st.one_of(_USUAL, _USUAL, _ODD) if hostile else _USUAL
    starts = ["", "", "", "", "./", "/", "../"] if hostile else ["", "./"]
    names = st.lists(segments, min_size=1, max_size=4 if hostile else 2).map("/".join)
    return st.builds(str.__add__, st.sampled_from(starts), names)


def members(*, hostile: bool = True, kinds: Iterable[Kind] = tuple(_TAR_TYPES)) -> st.SearchStrategy[Member]:
    """Entries of any kind; a hostile one often breaks a rule by itself, others at most together."""
    leaving = st.sampled_from(["..", "../..", "a/..", "link/..", "../canary/bird", "/etc/passwd"])
    return st.builds(
        Member,
        member_names(hostile=hostile),
        content=st.binary(max_size=600),
        kind=st.sampled_from(["file", "file", *kinds]),
        mode=st.sampled_from([0o644, 0o755, 0o600, 0o777, 0o1755, *([0o4755] if hostile else [])]),
        target=st.one_of(leaving, member_names()) if hostile else member_names(hostile=False),
    )


Form: TypeAlias = Literal["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]
FORMS: tuple[Form, ...] = ("zip", "tar", "tar.gz", "tar.bz2", "tar.xz")

Hostility: TypeAlias = Literal[
    "traversal", "absolute", "link_out", "absolute_link", "device", "fifo", "set_uid", "twice", "case"
]
_HOSTILE: dict[Hostility, tuple[Member, ...]] = {
    "traversal": (Member("../evil"), Member("a/../../evil"), Member("..")),
    "absolute": (Member("/evil"), Member("//evil")),
    "link_out": (Member("l", kind="symlink", target="../.."), Member("d/l", kind="symlink", target="../../evil")),
    "absolute_link": (Member("l", kind="symlink", target="/etc/passwd"),),
    "device": (Member("null", kind="device"),),
    "fifo": (Member("pipe", kind="fifo"),),
    "set_uid": (Member("su", mode=0o4755),),
    "twice": (Member("~", content=b"another"),),
    "case": (Member("ONE FILE"), Member("One File")),
}
"""Entries that no extraction may let pass; the last two meet a file of the harmless part."""
HOSTILITIES = tuple(_HOSTILE)


_COMPRESSIONS: dict[Form, Compression] = {"tar": "", "tar.gz": "gz", "tar.bz2": "bz2", "tar.xz": "xz"}


def packed(entries: Iterable[Member], form: Form) -> bytes:
    """Return an archive of a form with these members, in this order."""
    if form == "zip":
        return zip_of(entries)
    return tar_of(entries, compression=_COMPRESSIONS[form])


def archives(*, forms: Sequence[Form] = FORMS) -> st.SearchStrategy[bytes]:
    """Return harmless archives: files of any printable name and any content, in folders of any depth.

    Args:
        forms: Which they may have.
    """
    return st.builds(packed, trees().map(_harmless), st.sampled_from(list(forms)))


def hostile_archives(
    *, forms: Sequence[Form] = FORMS, hostilities: Sequence[Hostility] = HOSTILITIES
) -> st.SearchStrategy[bytes]:
    """Return archives that must be refused: somewhere among harmless entries is one that breaks a rule.

    Args:
        forms: Which they may have.
        hostilities: Which rules may be broken: a name that climbs (`traversal`) or is `absolute`, a link that leaves
            the tree (`link_out`, `absolute_link`), a `device`, a `fifo`, a `set_uid` bit, a name that comes `twice`,
            or twice but for its `case`.
    """
    hostile = st.sampled_from(list(hostilities)).flatmap(lambda kind: st.sampled_from(_HOSTILE[kind]))
    return st.builds(_poisoned, trees().map(_harmless), hostile, st.integers(0, 8)).flatmap(
        lambda entries: st.builds(packed, st.just(entries), st.sampled_from(list(forms)))
    )


def _harmless(tree: Tree, above: str = "") -> list[Member]:
    found = [] if above else [Member("one file")]
    for name, what in tree.items():
        if isinstance(what, bytes):
            found.append(Member(above + name, content=what))
        else:
            found += [Member(f"{above}{name}/", kind="folder", mode=0o755), *_harmless(what, f"{above}{name}/")]
    return found


def _poisoned(entries: list[Member], hostile: Member, at: int) -> list[Member]:
    return [*entries[:at], hostile, *entries[at:]]


Tree: TypeAlias = "dict[str, Tree | bytes]"
"""A folder by name: folders, and the content of files."""


def trees() -> st.SearchStrategy[Tree]:
    """Harmless trees: any printable names, any content, empty folders, and at least one file."""
    name = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"], exclude_characters="/\\:"), min_size=1)
    safe = name.filter(lambda text: text.strip(".") and len(text.encode()) < 200)
    files: st.SearchStrategy[Tree | bytes] = st.binary(max_size=200)
    inner = st.recursive(files, lambda parts: _folders(safe, parts), max_leaves=8)
    return _folders(safe, inner).map(lambda tree: {**tree, "~": b"one file"})


def _folders(names: st.SearchStrategy[str], parts: st.SearchStrategy[Tree | bytes]) -> st.SearchStrategy[Tree]:
    return st.lists(st.tuples(names, parts), max_size=4, unique_by=lambda item: _alike(item[0])).map(dict)


def _alike(name: str) -> str:
    """Return what names share that some file system takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def write_tree(folder: Path, tree: Tree) -> Path:
    """Make `tree` below a new folder; files whose content begins with `#!` may be executed."""
    folder.mkdir()
    for name, what in tree.items():
        if isinstance(what, bytes):
            (folder / name).write_bytes(what)
            (folder / name).chmod(0o755 if what.startswith(b"#!") else 0o644)
        else:
            write_tree(folder / name, what)
    return folder


def open_below(folder: Path) -> list[str]:
    """Return the descriptors of this process that are open on something in `folder`; others are other tests'."""
    targets = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            targets.append(str(descriptor.readlink()))
    return [target for target in targets if target.startswith(str(folder))]
