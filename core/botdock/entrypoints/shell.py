"""The `entrypoint.sh` that becomes a bot's program, in POSIX sh, for languages with a wrapper and for those without."""

from __future__ import annotations

from botdock.model.runtime import ENVIRONMENT_FILE, SECRETS_FILE, STARTUP_FILE

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
