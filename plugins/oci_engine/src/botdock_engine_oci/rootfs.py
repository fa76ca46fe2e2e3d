"""The root file system: this machine's own programs, or those of a folder, below a made-up root. Read-only, all of it.

The root itself has nothing but links, a few small files, and where else the runtime mounts what the bot may see; see
`roots`. So nothing is ever made in a folder that is not ours.
"""

# ruff: noqa: PTH110, PTH112, PTH113, PTH114, PTH115, PTH118 - a path takes longer to make than to look at it

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import attrs

from botdock.errors import ContainerError
from botdock.model.profile import HOSTNAME, IDENTITY_FILES, identity_files
from botdock_engine_oci.runtimes import SYSTEM_PATH
from botdock_engine_oci.settings import HOST, IMAGE

ENGINE = "oci"
SYSTEM = ("bin", "lib", "lib32", "lib64", "libx32", "sbin", "usr")
"""Folders of the root that hold programs and libraries, or links to where they lie."""
OWN = frozenset({"dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "var"})
"""Folders of the root that each container has of its own."""
OWN_OF_IMAGE = (OWN - {"home", "root", "var"}) | {"bot", "botdock"}
"""Those where the root is that of an image, in which nothing is private; the last two are of what is shown besides."""
ETC = (
    *("alternatives", "crypto-policies", "ld.so.cache", "pki/ca-trust/extracted", "pki/tls/certs", "ssl/certs"),
    "ssl/openssl.cnf",
)
"""What is shown of /etc: where libraries and programs lie, and which authorities of the web are trusted."""
_FILES = {
    "hosts": f"127.0.0.1\tlocalhost {HOSTNAME}\n::1\tlocalhost {HOSTNAME}\n",
    "hostname": f"{HOSTNAME}\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "resolv.conf": "nameserver 127.0.0.1\nsearch .\n",
}
_GIVEN = (*IDENTITY_FILES, "hosts", "hostname", "resolv.conf")
"""What an image leaves empty, as it is known first where it runs."""
_OTHER_IMAGE = "Set runtime.images to an image that has it, and a POSIX shell."
_ZONES = "/usr/share/zoneinfo/"


@attrs.frozen(kw_only=True)
class RootFs:
    """A root file system, as it is to be made and mounted.

    Attributes:
        links: The links that it has: where they are, and where they lead.
        files: Its small files, and what is in them.
        binds: What else appears in it, read-only: where, and what of this machine.
        search_path: The bot's PATH.
        environment: What else it sets.
    """

    links: Mapping[str, str] = attrs.field(factory=dict)
    files: Mapping[str, str] = attrs.field(factory=dict)
    binds: Mapping[str, str]
    search_path: str
    environment: Mapping[str, str] = attrs.field(factory=dict)


def find_rootfs(
    new: Path,
    folder: Path,
    *,
    source: str,
    interpreters: Iterable[str],
    user: int,
    variables: Mapping[str, str] | None = None,
) -> RootFs:
    """Find what is in a root file system, and write those of its files that are the container's own.

    Args:
        new: The folder of a container; files are made in it.
        folder: Where it lies when the container starts.
        source: `host`, or the folder whose programs it has.
        interpreters: Programs one of which must be there; none for any.
        user: The bot's user id in the container.
        variables: Those that an image sets, if it is the root of one.

    Raises:
        ContainerError: It has none of the interpreters, or is not a root file system.
        OSError: A file cannot be made.
    """
    if source == HOST:
        prefixes = find_prefixes(interpreters)
        links, binds = _programs("/", SYSTEM)
        links |= _zone()
        binds |= {f"/etc/{name}": path for name in ETC if os.path.exists(path := f"/etc/{name}")}
        binds |= {prefix: prefix for prefix in prefixes} | _written(new, folder, IDENTITY_FILES, user)
        return RootFs(links=links, files=_made_up(), binds=binds, search_path=search_path(prefixes))
    root, is_image = Path(source), variables is not None
    if not os.path.lexists(root / "bin" / "sh"):  # it may be a link that leads somewhere in the container alone
        if is_image:
            raise _error("the image has no /bin/sh", _OTHER_IMAGE)
        raise _error(f"{source} has no bin/sh, so it is not a root file system", "Name another: options.oci.rootfs.")
    names = {entry.name for entry in root.iterdir()} - (OWN_OF_IMAGE if is_image else OWN)
    links, binds = _programs(source, sorted(names), files=is_image)
    files: dict[str, str] = {}
    given: tuple[str, ...] = IDENTITY_FILES
    if (etc := root / "etc").is_dir() and not etc.is_symlink():  # its own is shown, but for some files
        binds["/etc"] = str(etc)
        given = tuple(name for name in (_GIVEN if is_image else IDENTITY_FILES) if _is_file(etc / name))
    else:
        files = _made_up()
    binds |= _written(new, folder, given, user)
    environment = dict(variables or {})
    places = environment.pop("PATH", search_path(()))
    if is_image and (wanted := tuple(interpreters)) and not any(_may_have(root, places, name) for name in wanted):
        raise _error(f"the image has no {' or '.join(wanted)}, which the bot needs", _OTHER_IMAGE)
    return RootFs(links=links, files=files, binds=binds, search_path=places, environment=environment)


def search_path(prefixes: Iterable[str]) -> str:
    """Return a bot's PATH where programs of these prefixes are shown too."""
    return os.pathsep.join([SYSTEM_PATH, *(f"{prefix}/bin" for prefix in prefixes)])


def _programs(root: str, names: Iterable[str], *, files: bool = False) -> tuple[dict[str, str], dict[str, str]]:
    """Return the links of a root, and which of its folders, and files if they count, are shown."""
    links: dict[str, str] = {}
    shown: dict[str, str] = {}
    for name in names:
        entry = os.path.join(root, name)
        if os.path.islink(entry):
            if name not in OWN:  # a folder that each container has
                links[f"/{name}"] = os.readlink(entry)
        elif os.path.isdir(entry) or (files and os.path.isfile(entry)):
            shown[f"/{name}"] = entry
    return links, shown


def _made_up() -> dict[str, str]:
    return {f"/etc/{name}": text for name, text in _FILES.items()}


def _zone() -> dict[str, str]:
    """Return the link to this machine's time zone."""
    zone = os.path.realpath("/etc/localtime")
    return {"/etc/localtime": zone} if zone.startswith(_ZONES) else {}


def _written(new: Path, folder: Path, names: Iterable[str], user: int) -> dict[str, str]:
    """Write files of /etc into the folder of a container; return where they are shown."""
    files = {**_FILES, **identity_files(user)}
    for name in names:
        descriptor = os.open(f"{new}/{name}", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, files[name].encode("ascii"))
            os.fchmod(descriptor, 0o644)  # whatever the umask is: the bot is another user
        finally:
            os.close(descriptor)
    return {f"/etc/{name}": f"{folder}/{name}" for name in names}


def _may_have(root: Path, places: str, name: str) -> bool:
    """Tell whether a program is in one of the folders of a PATH, or may be where a link leads that was not followed."""
    folders = [root / place.lstrip("/") for place in places.split(os.pathsep) if place.startswith("/")]
    inside = os.path.realpath(root)
    return any(os.path.lexists(folder / name) or not os.path.realpath(folder).startswith(inside) for folder in folders)


def complete_etc(root: Path) -> None:
    """Make the files, in the new root of an image, in whose place a container's own are shown: a mount needs one."""
    etc = root / "etc"
    if etc.is_dir() and not etc.is_symlink():
        for name in _GIVEN:
            with suppress(FileExistsError):  # a link too, which is not followed
                os.close(os.open(etc / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644))


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def find_prefixes(interpreters: Iterable[str]) -> tuple[str, ...]:
    """Return where the interpreters lie that are not among the system's programs, which all bots see.

    Raises:
        ContainerError: None of them can be shown to a bot.
    """
    wanted = tuple(interpreters)
    places = [place for name in wanted if (place := find_interpreter(name)) is not None]
    if wanted and not places:
        names = " or ".join(wanted)
        raise _error(
            f"the bot needs {names}, which is not among the programs that bots are shown",
            f"Install {names} in /usr or /opt on this machine, or use --engine docker.",
        )
    return tuple(sorted({prefix for prefix in places if prefix}))


def find_interpreter(name: str) -> str | None:
    """Return the prefix of a program: empty for one of the system's, None for one that cannot be shown."""
    if shutil.which(name, path=SYSTEM_PATH):
        return ""
    own = os.environ.get("PATH", "").split(os.pathsep)
    for folder in [*own, str(Path(sys.base_prefix, "bin"))]:
        program = os.path.realpath(Path(folder, name)) if folder.startswith("/") else ""
        if os.access(program, os.X_OK) and (prefix := _prefix(program)):
            return prefix
    return None


def _prefix(program: str) -> str | None:
    """Return the folder that holds a program with its libraries and nothing else; None where it may hold more."""
    path = Path(program)
    with path.open("rb") as file:
        if file.read(2) == b"#!":  # a shim of pyenv or the like, which would look for the program elsewhere
            return None
    prefix, home = path.parent.parent, Path.home()
    mine = {home, home / ".local", *home.parents}
    is_own = path.parent.name == "bin" and prefix not in mine and prefix.parent != Path("/home")
    return str(prefix) if is_own else None


def describe(source: str) -> str:
    """Return which root file system bots see, in words: this machine's release, or the folder."""
    if source == IMAGE:
        return "the image of each bot's runtime"
    if source != HOST:
        return source
    with suppress(OSError):
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, this machine's own"
    return "this machine's own programs"


def _error(message: str, hint: str) -> ContainerError:
    return ContainerError(message, engine=ENGINE, operation="create", hint=hint)
