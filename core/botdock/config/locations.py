"""Where the configuration and the state lie, and whether other users could write there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import attrs

from botdock._ownership import PathFault, fault_of, part_fault
from botdock._whole_files import make_private
from botdock.errors import BotdockError, ConfigError, UserError
from botdock.model._validation import path_problem

CONFIG_FILE_NAME = "botdock.toml"
"""Of the working folder."""
CONFIG_VARIABLE = "BOTDOCK_CONFIG"
"""Names the configuration file; else `botdock.toml` of the working folder over that of the platform's config folder."""
POLICY_VARIABLE = "BOTDOCK_POLICY"
"""Names an operator's file that binds besides the one of this machine."""
PREFIX = "BOTDOCK_"
"""Of the environment variables that are settings."""

_HOME_VARIABLE = "BOTDOCK_HOME"
_KNOWN_VARIABLES = {_HOME_VARIABLE, CONFIG_VARIABLE, POLICY_VARIABLE, "BOTDOCK_DEBUG"}
_ANOTHER_HOME = "BOTDOCK_HOME=DIR names another state folder."


@attrs.frozen(kw_only=True)
class ConfigFiles:
    """The configuration files that there are.

    Attributes:
        used: Those that are read; the later win.
        folder: The one of the working folder, used or not; None when there is none, or when another was named.
        ignored: Why that one is not used; empty when it is.
        remedy: What has it used all the same.
    """

    used: tuple[Path, ...] = ()
    folder: Path | None = None
    ignored: str = ""
    remedy: str = ""


def platform_folder(kind: str) -> Path:
    """Return the user's own folder of a kind, `config` or `state`.

    Raises:
        ConfigError: It would be one of the working folder, which may be a stranger's.
    """
    import platformdirs

    folder = Path()
    with suppress(RuntimeError):  # there is neither HOME nor an entry of this user
        folder = Path(getattr(platformdirs, f"user_{kind}_dir")("botdock", appauthor=False))
    if not folder.is_absolute():
        name = f"XDG_{kind.upper()}_HOME"
        raise ConfigError([f"HOME: is not set to an absolute path, nor {name}, so the {kind} folder is not known"])
    return folder


def find_config_files(
    path: str | os.PathLike[str] | None,
    environ: Mapping[str, str],
    code: str | os.PathLike[str] | None = None,
) -> ConfigFiles:
    """Return the files to read: `path`, else BOTDOCK_CONFIG's, else the platform's and `botdock.toml` here over it.

    Raises:
        ConfigError: A file that was named is not there.
    """
    for named, source in ((path, ""), (environ.get(CONFIG_VARIABLE), f"environment {CONFIG_VARIABLE}: ")):
        if named:
            if not os.path.lexists(named):  # False, not an error, for what no file can be called
                raise ConfigError([f"{source}{Path(named)}: there is no such file"])
            return ConfigFiles(used=(Path(named),))
    own = platform_folder("config") / CONFIG_FILE_NAME
    used, folder = (own,) if os.path.isfile(own) else (), Path(CONFIG_FILE_NAME)  # noqa: PTH113 - never an error
    if not os.path.isfile(folder) or (used and folder.samefile(own)):  # noqa: PTH113 - never an error
        return ConfigFiles(used=used)
    if _is_code(folder.absolute(), code):
        why = f"{folder.absolute()} belongs to the code that is to be run"
        return ConfigFiles(used=used, folder=folder, ignored=why, remedy=f"--config-file {folder} reads it")
    if fault := folder_file_fault(folder.absolute()):
        return ConfigFiles(used=used, folder=folder, ignored=str(fault), remedy=fault.remedy)
    return ConfigFiles(used=(*used, folder), folder=folder)


def _is_code(file: Path, code: str | os.PathLike[str] | None) -> bool:
    """Tell whether a file, or what it links to, lies in the folder that is to be run."""
    if code is None or not os.path.isdir(code):  # noqa: PTH112 - False, not an error, for what is not a path at all
        return False
    places = {*file.parent.resolve().joinpath("_").parents, *file.resolve().parents}
    return any(place.samefile(code) for place in places)


def folder_file_fault(path: Path) -> PathFault | None:
    """Return why a `botdock.toml` of a folder is not read: other users could write it, or its folder."""
    return fault_of(path.parent) or fault_of(path)


def load_home(path: str | os.PathLike[str] | None = None) -> Path:
    """Return the state folder that the configuration names, checked; no plugin is loaded, nor its settings looked at.

    Where neither a file nor a variable says more than BOTDOCK_HOME, no configuration is made, which takes long.

    Raises:
        ConfigError: The configuration is wrong.
        UserError: Other users could write the state folder.
        BotdockError: It is not a folder.
    """
    files, home = find_config_files(path, os.environ), os.environ.get(_HOME_VARIABLE, "")
    says_more = any(name.startswith(PREFIX) and name not in _KNOWN_VARIABLES for name in os.environ)
    if files.used or files.ignored or says_more or (home and path_problem(home)):
        from botdock.config.loading import load_without_plugins

        return load_without_plugins(path, os.environ).checked_home()
    return checked_home(home_dir(home))


def home_dir(home: str) -> Path:
    """Return the state folder of that name, or the platform's when there is none.

    Raises:
        ConfigError: No folder can have that name.
    """
    home = home or str(platform_folder("state"))
    try:
        problem = path_problem(home) or path_problem(str(path := Path(home).expanduser().absolute()))
    except OSError as error:
        problem = f"the working folder is gone: {error.strerror}"
    if problem:
        raise ConfigError([f"home: {problem}"], hint=_ANOTHER_HOME)
    return path


def checked_home(home: Path, *, make: bool = False) -> Path:
    """Return the state folder, checked as `Config.checked_home` says, which raises the same."""
    problem = _make_or_problem(home) if make else ""
    fault = fault_of(home)
    if fault is None:
        with suppress(OSError):  # not there yet; or not ours to read, which its first use tells
            fault = next(filter(None, map(part_fault, sorted(home.iterdir()))), None)
    nearest = next(path for path in (home, *home.parents) if os.path.lexists(path))
    if fault is None and not os.path.isdir(nearest):  # noqa: PTH112 - never an error
        raise BotdockError(f"cannot use the state folder {home}: {nearest} is not a folder", hint=_ANOTHER_HOME)
    if fault is None and problem:
        raise BotdockError(
            f"cannot write the state folder {home}: {problem}", hint=f"Make it writable. {_ANOTHER_HOME}"
        )
    if fault is None:
        return home
    left = f"; then remove {home / 'cache'}, where others may have left code" if fault.path == home else ""
    raise UserError(f"the state folder {home} is not used: {fault}", hint=f"{fault.remedy}{left}. {_ANOTHER_HOME}")


def _make_or_problem(home: Path) -> str:
    """Make the state folder where it is not there, and return why nothing can be written to it; else nothing."""
    try:
        make_private(home)
    except OSError as error:
        return error.strerror or str(error)
    return "" if os.access(home, os.W_OK | os.X_OK) else "permission denied, or a file system that is read-only"
