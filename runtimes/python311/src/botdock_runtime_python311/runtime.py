"""The runtime: which image and scripts it stands for, and the files that start a bot."""

from __future__ import annotations

from functools import partial

from botdock import Runtime, RuntimeCapabilities, wrapper_entrypoint
from botdock_runtime_python311.check import problems
from botdock_runtime_python311.packages import packages


def python(version: str, *, aliases: tuple[str, ...] = (), interpreters: tuple[str, ...] = ()) -> Runtime:
    """Return the runtime of one Python; all share their files, which run on 3.8 and newer.

    Args:
        version: Such as `3.12`.
        aliases: Names beside `python3.12`.
        interpreters: Programs that will do where there is no `python3.12`.

    Example:
        >>> python("3.12").names
        ('python312', 'python3.12')
    """
    programs = (f"python{version}", *interpreters)
    major, minor = map(int, version.split("."))
    return Runtime(
        name=f"python{major}{minor}",
        aliases=(f"python{version}", *aliases),
        summary=f"Python {version}: main(id, config) of a script, async or not, or a program",
        language="python",
        image=f"python:{version}-slim",
        interpreters=programs,
        suffixes=(".py",),
        scripts={"bot": ("main.py", "bot.py", "__main__.py"), "backtest": ("backtest.py", "main.py")},
        files=partial(_files, programs),
        check=partial(problems, version=(major, minor)),
        packages=packages((major, minor), programs),
        startup_variables=("PYTHON*",),
        capabilities=RuntimeCapabilities(late_secrets=True),
        refused_variables={
            "PYTHONINSPECT": "Python would wait for commands at the bot's end, and forget its exit code",
            "PYTHONSAFEPATH": "a bot's modules are found in its script's folder",
        },
    )


def _files(programs: tuple[str, ...]) -> dict[str, bytes]:
    """Return what starts a bot: `entrypoint.sh`, which looks for `programs`, and the wrapper it becomes."""
    from importlib.resources import files as resources

    package = resources(__package__)
    return {
        "entrypoint.sh": wrapper_entrypoint("wrapper.py", *programs),
        "_botdock_script.py": package.joinpath("script.py").read_bytes(),
        **{entry.name: entry.read_bytes() for entry in package.joinpath("files").iterdir() if entry.is_file()},
    }


PYTHON311 = python("3.11", aliases=("python3", "python"), interpreters=("python3",))
"""Bots in Python that name no version of it; its `python3` may be another one, in an image that is configured."""
