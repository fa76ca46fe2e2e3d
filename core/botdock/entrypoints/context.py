"""What a bot is told about its run, the files that hold it, and the `entrypoint.sh` that reads them in POSIX sh.

The files come when a bot is there to run, and go with it; the program that reads them is kept, see `program`.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from botdock.errors import EntrypointError, ExecutableError
from botdock.model import MAX_ENVIRONMENT_STRING
from botdock.model.runtime import CONFIG_FILE, CONTEXT_FILE, ENVIRONMENT_FILE, SECRETS_FILE, STARTUP_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from botdock.model import ExecutionContext

CONTEXT_VERSION = 1
"""Version of the context document; a wrapper that knows another one must not guess."""

MAX_ENVIRONMENT_BYTES = 1024 * 1024
"""Bytes that the caller's own variables may take together, as `execve` counts them.

Linux lets arguments and environment take a quarter of the stack limit, 2 MiB where that is the usual 8 MiB (execve(2)).
The config, up to twice 128 KiB, must fit beside them.
"""
_LAST = "BOTDOCK_RESULT_FILE"
DATA_MODE = 0o644
"""Others read it too: the bot runs as another user than botdock."""
_SECRET_MODE = 0o400
_POINTER = 8
"""Bytes of the pointer that `execve` keeps for each string, besides the string and its NUL."""


_EXPORT = r"""while IFS= read -r BOTDOCK_RESULT_FILE; do
    case $BOTDOCK_RESULT_FILE in
    =*) set -- "$1" "$2" "$3
${BOTDOCK_RESULT_FILE#=}" ;;
    *)
        [ "$#" = 2 ] || command export "$3" 2>/dev/null
        set -- "$1" "$2" "$BOTDOCK_RESULT_FILE"
        ;;
    esac
done <"$2/LINES"
command export "$3" 2>/dev/null
"""
"""Exports what a file holds, whose folder is `$2`. Its lines are data: no shell reads them as its source, no `ps` shows
them. They lie in the positional parameters and in a variable of the contract that comes last: any other name may be one
of the bot's.

`command export`: of a variable that a shell keeps to itself, such as bash its UID, it complains and goes on."""

_SECRETS = r"""# Each secret becomes a file in memory that the bot's user alone can read. A subshell leaves no variable.
if [ -f "$2/SECRETS" ]; then
    (
        umask 377
        case $(command -v printf) in */*) exit 1 ;; esac # a program of its own would show them as its arguments
        { IFS= read -r folder && names=$(while IFS= read -r name; do echo "$name"; done); } <"$2/SECRETS"
        cd -- "$folder" || exit 1
        name=
        while IFS= read -r line; do
            case $line in
            =*) value="$value
${line#=}" ;;
            *)
                [ -z "$name" ] || printf %s "$value" >"$name" || exit 1
                name=${line%%=*} value=${line#*=}
                case "
$names
" in *"
$name
"*) ;; *) name= ;; esac
                ;;
            esac
        done <"$2/LINES"
        [ -z "$name" ] || printf %s "$value" >"$name"
    ) || {
        echo "botdock: the secrets cannot be written to the folder in memory that is for them" >&2
        exit 126
    }
fi
""".replace("SECRETS", SECRETS_FILE).replace("LINES", ENVIRONMENT_FILE)

_SHELL = (
    r"""#!/bin/sh
# Becomes the bot's program, with its variables.
set -- "$(command -v PROGRAM)" "$1"
if [ -z "$1" ]; then
    echo "botdock: there is no PROGRAM on PATH ($PATH)" >&2
    exit 127
fi
if [ -p "$2/ready" ]; then
    while IFS= read -r BOTDOCK_RESULT_FILE; do :; done <"$2/ready"
    [ -f "$2/context.json" ] || exit 125 # nothing is to run after all
fi
# Lines of Python programs that the bot starts are out at once.
export PYTHONUNBUFFERED="${PYTHONUNBUFFERED-1}"
"""
    + _SECRETS
    + _EXPORT.replace("LINES", ENVIRONMENT_FILE)
    + r"""cd -- "$CODE_MOUNT_DIR" || exit 126
set -- "$1"
BEFOREunset OLDPWD
exec "$@" ARGUMENTS
"""
)

_WRAPPER = (
    r"""#!/bin/sh
# Becomes WRAPPER, which lies beside this file: the process stays the same, so that signals reach the bot.
case $0 in
*/*) set -- "${0%/*}/WRAPPER" "$1" ;;
*) set -- ./WRAPPER "$1" ;;
esac
"""
    + _SECRETS
    + r"""# What the interpreter reads as it starts; its wrapper reads the other variables.
if [ -f "$2/startup" ]; then
"""
    + _EXPORT.replace("LINES", STARTUP_FILE)
    + r"""fi
BECOMEecho "botdock: there is no PROGRAMS on PATH ($PATH)" >&2
exit 127
"""
)
_BECOME = '! command -v PROGRAM >/dev/null 2>&1 || exec PROGRAM "$1" "$2"\n'


def environment_of(context: ExecutionContext) -> dict[str, str]:
    """Return the variables that the contract gives to a bot, those of the caller among them.

    A config that is too long for one variable is not among them: `CONFIG_FILE` names the file that holds it.

    Raises:
        ExecutableError: The script's name is not text, or the caller's variables are too much for any program.
    """
    kind, script = context.entrypoint.upper(), context.script
    # its keys in their own order, ASCII alone, so that no locale can garble it
    config = json.dumps(context.config, allow_nan=False, separators=(",", ":"))
    problems = []
    try:
        script.encode()
    except UnicodeEncodeError:
        problems.append(f"entrypoint_files: the script's name {script!r} is not valid text")
    size = sum(len(f"{name}={value}".encode()) + 1 + _POINTER for name, value in context.variables.items())
    if size > MAX_ENVIRONMENT_BYTES:
        problems.append(
            f"env: the variables take {size} bytes together; {MAX_ENVIRONMENT_BYTES} are allowed "
            "(what is large belongs into config, which has no such bound)"
        )
    if problems:
        raise ExecutableError(problems)
    if len(f"{kind}_CONFIG={config}") <= MAX_ENVIRONMENT_STRING:
        told = {"CONFIG": config, f"{kind}_CONFIG": config}
    else:
        told = dict.fromkeys(("CONFIG_FILE", f"{kind}_CONFIG_FILE"), f"{context.context_dir}/{CONFIG_FILE}")
    return {
        **context.variables,
        "ID": context.id,
        f"{kind}_ID": context.id,
        "ENTRYPOINT_TYPE": context.entrypoint,
        "CODE_MOUNT_DIR": context.code_dir,
        "SCRIPT_PATH": f"./{script}" if script.startswith(("-", "+")) else script,  # no program takes it for an option
        "BOTDOCK_RESULT_FILE": context.result_file,
        **({"BOTDOCK_SECRETS_DIR": context.secrets_dir} if context.secrets else {}),
        **told,
    }


def write_context(context: ExecutionContext, directory: Path) -> None:
    """Write what one run is told: `environment`, `context.json`, and `config.json`, `startup`, `secrets` where needed.

    `context.json` appears last, and whole: where it is, all else is. It has a version, and all that a wrapper must
    know; its keys are `version id entrypoint script code_dir config environment result_file result_limit`.

    Raises:
        ExecutableError: As `environment_of`.
        EntrypointError: The files cannot be written.
    """
    environment = environment_of(context)
    document = {
        "version": CONTEXT_VERSION,
        "id": context.id,
        "entrypoint": context.entrypoint,
        "script": context.script,
        "code_dir": context.code_dir,
        "config": context.config,
        "environment": dict(sorted(environment.items())),
        "result_file": context.result_file,
        "result_limit": context.result_limit,
    }
    last, draft = directory / CONTEXT_FILE, directory / f".{CONTEXT_FILE}"
    write_file(draft, json.dumps(document, allow_nan=False, separators=(",", ":")).encode(), DATA_MODE)
    variables = sorted(environment.items(), key=lambda variable: (variable[0] == _LAST, variable))
    write_file(directory / ENVIRONMENT_FILE, _lines(variables), DATA_MODE)
    if context.startup:
        startup = _lines((name, context.variables[name]) for name in context.startup)
        write_file(directory / STARTUP_FILE, startup, DATA_MODE)
    if "CONFIG_FILE" in environment:
        config = json.dumps(context.config, allow_nan=False, separators=(",", ":"))
        write_file(directory / CONFIG_FILE, config.encode(), DATA_MODE)
    if context.secrets:
        _write_secrets(context, directory / SECRETS_FILE)
    try:
        draft.rename(last)
    except OSError as error:
        raise _cannot_write(last, error) from error


def _write_secrets(context: ExecutionContext, place: Path) -> None:
    """Write the secrets where the bot is to find them; or, where that is in its container, say where, and which."""
    if context.secrets_dir != str(place):
        write_file(place, "".join(f"{line}\n" for line in (context.secrets_dir, *context.secrets)).encode(), DATA_MODE)
        return
    try:
        place.mkdir(mode=0o700)
    except OSError as error:
        raise _cannot_write(place, error) from error
    for name in context.secrets:
        write_file(place / name, context.variables[name].encode(), _SECRET_MODE)


def _lines(variables: Iterable[tuple[str, str]]) -> bytes:
    return "".join(f"{name}={value}".replace("\n", "\n=") + "\n" for name, value in variables).encode()


def write_file(path: Path, content: bytes, mode: int | None) -> None:
    """Write a file whose mode does not depend on the umask (None keeps it); a link in its place is not followed.

    Raises:
        EntrypointError: It cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode or 0o600)
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(content)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> EntrypointError:
    hint = "Look at the disk that botdock's state folder is on."
    return EntrypointError(f"cannot write {path}: {error.strerror}", hint=hint)


def shell_entrypoint(program: str, arguments: str = '"$SCRIPT_PATH"', *, before: str = "") -> bytes:
    """Return an `entrypoint.sh` for languages whose bots need no wrapper: it starts a program on the script.

    The program gets the variables of the contract in its environment, and the tree as its working directory. It is
    looked for before the bot's own PATH holds.

    Args:
        program: Name of the program, such as `awk`.
        arguments: What follows it, as shell source, such as `-f "$SCRIPT_PATH"`; of the author of a runtime alone.
        before: Shell source of the same author that runs in the tree at last. It finds the program's path in `"$@"`,
            adds what stands between it and `arguments`, and sets no variable but `OLDPWD` and `IFS`.
    """
    return _SHELL.replace("ARGUMENTS", arguments).replace("BEFORE", before).replace("PROGRAM", program).encode()


def wrapper_entrypoint(wrapper: str, *programs: str) -> bytes:
    """Return an `entrypoint.sh` for languages whose bots need a wrapper: it starts an interpreter on that.

    The wrapper's argument is the context folder. The interpreter finds in its environment, of the bot's variables,
    those that the runtime's `startup_variables` name.

    Args:
        wrapper: Name of the wrapper's file, which stands beside `entrypoint.sh`, such as `wrapper.py`.
        programs: Names of the interpreters, such as `python3.11` and `python3`; the first that is on PATH is taken.
    """
    become = "".join(_BECOME.replace("PROGRAM", program) for program in programs)
    return (
        _WRAPPER.replace("WRAPPER", wrapper)
        .replace("BECOME", become)
        .replace("PROGRAMS", " or ".join(programs))
        .encode()
    )
