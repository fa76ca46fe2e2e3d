"""Finds out what a tree of code is run with: its runtime, and the script of an entrypoint."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from botdock.archive._formats import is_archive
from botdock.errors import CodeError, nearest
from botdock.model.runtime import inside

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from botdock.model import Runtime

_LOOKED_AT = 500
"""Files that are looked at to say what there is instead."""
_SHOWN = 5
_OF_A_MAC = ("__MACOSX", ".DS_Store", "._")
"""How the names of what Finder, and tar on a Mac, add to what they pack begin."""
_NOT_IN_A_NAME = re.compile("[\\0\\ud800-\\udfff]")
"""What no path holds: NUL, and halves of surrogate pairs."""

_IN_SCRIPT = rb"(?:^|[^\w$.])(?:from|import|require)[ \t]*\(?[ \t]*['\"]\./([^'\"\n]+)['\"]"
_TAKES = {
    ".py": re.compile(
        rb"(?m)^[ \t]*(?:from[ \t]+(\w+)[\w.]*[ \t]+import\b|import[ \t]+(\w+)[\w.]*[ \t]*(?:$|[\r#;,]|as\b))"
    ),
    **dict.fromkeys((".js", ".mjs", ".cjs"), re.compile(_IN_SCRIPT)),
    ".sh": re.compile(rb"(?m)^[ \t]*(?:\.|source)[ \t]+[\"']?(?:[^\n#]*/)?([\w.-]+)"),
}
"""How scripts, by their ending, name a file beside them that they take in."""
_FILES = ("{}", "{}.py", "{}.js", "{}.cjs", "{}.json", "{}/__init__.py", "{}/index.js")
"""Which file such a name may mean."""


def taken_from_beside(script: Path, source: bytes) -> str | None:
    """Return the first file beside a script that it takes in, as far as its text tells; None for none.

    Args:
        script: Where it lies.
        source: Its text.
    """
    takes = _TAKES.get(script.suffix)
    for found in takes.finditer(source) if takes else ():
        name = next(filter(None, found.groups())).decode("utf-8", "surrogateescape")
        for file in (pattern.format(name) for pattern in _FILES):
            if (script.parent / file).is_file() and file != script.name:
                return file
    return None


def code_root(tree: Path, script: str | None) -> Path:
    """Return the folder that an unpacked archive means: its only one, as GitHub and Finder pack, else all of it.

    Args:
        tree: The unpacked archive.
        script: The script that the caller names; where it is found below the whole tree, that is meant.
    """
    if script and os.path.lexists(tree / script):
        return tree
    with os.scandir(tree) as found:
        top = [entry for entry in itertools.islice(found, _LOOKED_AT) if not entry.name.startswith(_OF_A_MAC)]
        return Path(top[0].path) if len(top) == 1 and top[0].is_dir(follow_symlinks=False) else tree


def detect_runtime(tree: Path, entrypoint: str, runtimes: Iterable[Runtime], script: str | None = None) -> Runtime:
    """Return the one runtime that runs the script that is named, or recognises a tree of code.

    Args:
        tree: The code.
        entrypoint: `bot` or `backtest`.
        runtimes: Those that may run it.
        script: What the user or the manifest named.

    Raises:
        CodeError: None does, or several do.
    """
    candidates = _one_of_each_language(tuple(runtimes))
    found = [runtime for runtime in candidates if script and script.endswith(runtime.suffixes)]
    found = found or [runtime for runtime in candidates if runtime.usual_script(tree, entrypoint)]
    found = found or [runtime for runtime in candidates if runtime.declared(tree)]
    if len(found) == 1:
        return found[0]
    say = 'Say which with --runtime, or in bot.toml: runtime = "NAME".'
    if found:
        names = [f"{script or runtime.find_script(tree, entrypoint)} ({runtime.name})" for runtime in found]
        seen = " and ".join(names)
        raise CodeError(f"the code can be run by several runtimes: it holds {seen}", source=str(tree), hint=say)
    if odd := _not_code(tree, script):
        problem, hint = odd
        raise CodeError(f"no runtime recognises the code: {problem}", source=str(tree), hint=hint)
    if script:
        endings = "; ".join(f"{', '.join(runtime.suffixes)} ({runtime.name})" for runtime in candidates)
        raise CodeError(
            f"no runtime runs a script of the name {script[:120]!r}",
            source=str(tree),
            hint=f"Endings: {endings or 'none, since no runtime is installed'}. {say}",
        )
    there = list(itertools.islice((name for each in candidates for name in _scripts(tree, each)), _SHOWN))
    usual = "; ".join(f"{', '.join(runtime.scripts.get(entrypoint, ()))} ({runtime.name})" for runtime in candidates)
    usual = f"Usual names: {usual or 'none, since no runtime is installed'}."
    raise CodeError(
        f"no runtime recognises the code: it holds no script of a usual name for the entrypoint {entrypoint!r}",
        source=str(tree),
        hint=f"There is {', '.join(there)}. Name the script with --script, or in [entrypoints] of bot.toml."
        if there
        else usual,
    )


def runtime_of_packages(tree: Path, runtimes: Iterable[Runtime]) -> Runtime:
    """Return the one runtime for which a tree of code lists packages.

    Raises:
        CodeError: None was found, or several.
    """
    able = [(each, each.packages) for each in _one_of_each_language(tuple(runtimes)) if each.packages]
    found = [(each, name) for each, packages in able if (name := packages.manifest_in(tree))]
    if len(found) == 1:
        return found[0][0]
    if found:
        seen = " and ".join(f"{name} ({each.name})" for each, name in found)
        raise CodeError(f"{tree} holds {seen}", source=str(tree), hint="Say with --runtime which of them counts.")
    looked_for = ", ".join(f"{' or '.join(packages.manifests)} ({each.name})" for each, packages in able)
    raise CodeError(f"{tree} lists no packages: it holds no {looked_for or 'file for a runtime'}", source=str(tree))


def _one_of_each_language(runtimes: tuple[Runtime, ...]) -> tuple[Runtime, ...]:
    """Leave out the versions of a language that only run what names them."""
    usual = {each.language: each for each in runtimes if each.language and each.knows(each.language)}
    return tuple(each for each in runtimes if usual.get(each.language, each) is each)


def _not_code(tree: Path, script: str | None) -> tuple[str, str] | None:
    """Return what a tree holds that is often taken for code, and what to do about it."""
    names = [script] if script else sorted(itertools.islice(_files(tree), _LOOKED_AT))
    for name in names:
        if name.endswith((".ts", ".mts", ".cts", ".tsx")) and not name.endswith(".d.ts"):
            hint = "Compile it, for example with `npx tsc --outDir dist`, and run the JavaScript that comes of it."
            return f"{name} is TypeScript, which Node.js does not run", hint
        if name.endswith(".ipynb"):
            return f"{name} is a notebook", f"Make a script of it: `jupyter nbconvert --to script {name}`."
    if len(names) == 1 and is_archive(names[0], b""):
        return f"it holds nothing but {names[0]}, an archive in an archive", "Unpack the outer one, and name the inner."
    return None


def find_script(tree: Path, runtime: Runtime, entrypoint: str, script: str | None) -> str:
    """Return the script to run, relative to the tree and normalised.

    A name without an ending that is not a file gets the endings of the runtime: `main` means `main.js` to Node.

    Raises:
        CodeError: The tree holds no such script, or it is not a file within it.
    """
    if script is None:
        found = runtime.find_script(tree, entrypoint)
        if found is None:
            raise _nothing_usual(tree, runtime, entrypoint)
    else:
        name = os.path.normpath(script)
        candidates = [] if name.startswith(("/", "../")) else [name, *(name + suffix for suffix in runtime.suffixes)]
        found = next((candidate for candidate in candidates if os.path.isfile(tree / candidate)), None)  # noqa: PTH113 - pathlib's raises for a name that is too long
        if found is None:
            raise _no_such_script(tree, runtime, script, name)
    if not inside(tree, found):
        raise CodeError(f"script {found!r} is a link that leads out of the code", source=str(tree))
    return found


def _no_such_script(tree: Path, runtime: Runtime, script: str, name: str) -> CodeError:
    problem, hint = "", None
    if not script or _NOT_IN_A_NAME.search(script):
        problem = "is not the name of a file"
    elif name.startswith("/"):
        problem = "is absolute; name it relative to the code"
    elif name == ".." or name.startswith("../"):
        problem = "leads out of the code"
    elif not inside(tree, name):
        problem = "is a link that leads out of the code"
    elif os.path.exists(tree / name):  # noqa: PTH110 - as above
        problem = f"is {'a folder' if (tree / name).is_dir() else 'not a regular file'}; name a file"
        hint = _what_there_is(tree, runtime)
    if problem:
        return CodeError(f"script {script[:120]!r} {problem}", source=str(tree), hint=hint)
    near = nearest(name, _scripts(tree, runtime))
    hint = f"Did you mean {' or '.join(near)}?" if near else _what_there_is(tree, runtime)
    return CodeError(f"the code holds no script {name[:120]!r}", source=str(tree), hint=hint)


def _nothing_usual(tree: Path, runtime: Runtime, entrypoint: str) -> CodeError:
    usual = ", ".join(runtime.scripts.get(entrypoint, ())) or "none by itself"
    return CodeError(
        f"the code holds no script for the entrypoint {entrypoint!r}; {runtime.name} looks for {usual}",
        source=str(tree),
        hint=f"{_what_there_is(tree, runtime)} Name one with --script, or in [entrypoints] of bot.toml.",
    )


def _what_there_is(tree: Path, runtime: Runtime) -> str:
    names = list(itertools.islice(_scripts(tree, runtime), _SHOWN))
    if names:
        return f"There is {', '.join(names)}."
    return f"The code holds no file that ends with {' or '.join(runtime.suffixes)}."


def _scripts(tree: Path, runtime: Runtime) -> Iterator[str]:
    for name in itertools.islice(_files(tree), _LOOKED_AT):
        if name.endswith(runtime.suffixes):
            yield name


def _files(tree: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(tree):
        folders.sort()
        for name in sorted(files):
            yield os.path.relpath(Path(folder) / name, tree)
