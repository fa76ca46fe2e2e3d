"""New distributions and bots: the bundled members, under another name.

`templates` holds nothing of its own: in the repository it links to the members, in a wheel it is a copy of them as they
were when it was built. So what is written passes the same tests, and cannot fall behind.
"""

from __future__ import annotations

import ast
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

TEMPLATES = Path(__file__).with_name("templates")
NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
"""What a plugin or a bot may be called here: a distribution, a package and a class are called after it."""
USES = {
    "runtime": "botdock run example",
    "storage": "botdock storage ls --storage {name}",
    "engine": "botdock run BOT --engine {name}",
    "sink": 'botdock config    # with sinks = ["{name}"] below [logging] in botdock.toml',
    "exporter": 'botdock config    # with exporters = ["{name}"] below [metrics] in botdock.toml',
}
"""What shows at once that a new plugin of a kind works."""
_README = """\
# {distribution}

The {kind} `{name}` for botdock. It was begun with `botdock new {kind} {name}` as a copy of `{member}`, whose work it
still does; change what makes it yours, and keep the contract passing.

```console
{commands}
```

| file | what it holds |
|---|---|
{files}

It needs `{requirement}`: a later version may have another plugin interface, and says in its changelog what changed.
"""


def folder_name(kind: str, name: str) -> str:
    """Return what the folder of a new thing is called: its distribution, or the bot itself."""
    return name if kind == "bot" else f"{_member(kind).rpartition('-')[0]}-{name}"


def next_steps(kind: str, name: str) -> list[str]:
    """Return the commands that install, prove and use what was written, in its folder."""
    if kind == "bot":
        return ["botdock run ."]
    return ["python -m pip install -e '.[test]'", "python -m pytest", "botdock plugins", USES[kind].format(name=name)]


def files_of(kind: str, name: str) -> dict[str, str]:
    """Return what is written, path to text."""
    sources = dict(_sources(TEMPLATES / kind))
    if kind == "bot":
        return {
            path: text.replace("examples/hello-python", ".").replace("hello-python", name)
            for path, text in sources.items()
        }
    member = _member(kind)
    files = {
        _place(path, f"{member.rpartition('-')[0]}-{name}"): _renamed(text, member, name)
        for path, text in sources.items()
    }
    files["pyproject.toml"] = _bounded(files["pyproject.toml"], kind, name)
    return {"README.md": _readme(files, kind, name), **files}


def _member(kind: str) -> str:
    """Return the distribution that a new one of a kind is a copy of."""
    project = tomllib.loads((TEMPLATES / kind / "pyproject.toml").read_text())["project"]
    return str(project["name"])


def _sources(template: Path) -> Iterator[tuple[str, str]]:
    for folder, folders, names in os.walk(template, followlinks=True):
        folders[:] = sorted(folder for folder in folders if folder != "__pycache__")
        for name in sorted(names):
            path = Path(folder, name)
            yield str(path.relative_to(template)), path.read_text(encoding="utf-8")


def _place(path: str, distribution: str) -> str:
    package = distribution.replace("-", "_")
    if path == "contract":
        return f"tests/test_{package}.py"
    return re.sub(r"^package/", f"src/{package}/", path)


def _renamed(text: str, member: str, name: str) -> str:
    """Return a source in which the member's own name is `name`, and nothing else that is spelt the same."""
    prefix, _, word = member.rpartition("-")
    new = f"{prefix}-{name}"
    text = text.replace(member, new).replace(member.replace("-", "_"), new.replace("-", "_"))
    text = re.sub(rf'((?:\b(?:name|NAME|runtime) ?= ?f?|options_for\()"){word}\b', rf"\g<1>{name}", text)
    text = re.sub(rf'^{word}(?= = ")', name, text, flags=re.MULTILINE)
    text = re.sub(rf"`{word}`", f"`{name}`", text)
    text = re.sub(rf"(?<=options\.){word}\b", name, text)
    text = re.sub(rf"\b(Test)?{word.title()}(?=[A-Z(])", rf"\g<1>{_words(name).title().replace('_', '')}", text)
    return re.sub(rf"\b{word.upper()}\b", _words(name).upper(), text)


def _words(name: str) -> str:
    return name.replace("-", "_")


def _bounded(pyproject: str, kind: str, name: str) -> str:
    """Return a pyproject.toml with bounded versions, what tests need, and no licence, which is its author's choice."""
    pyproject = re.sub(r"^(license|authors).*\n", "", pyproject, flags=re.MULTILINE)
    pyproject = re.sub(r"^version = .*", 'version = "0.1.0"', pyproject, count=1, flags=re.MULTILINE)
    pyproject = re.sub(
        r"^description = .*", f'description = "The {kind} {name} for botdock."', pyproject, count=1, flags=re.MULTILINE
    )
    bounds = bounds_of(version("botdock"))
    pyproject = pyproject.replace('"botdock",', f'"botdock{bounds}",')
    tests = f'[project.optional-dependencies]\ntest = ["botdock-testing{bounds}", "pytest>=8.3"]\n\n'
    return pyproject.replace("[project.entry-points.botdock]", f"{tests}[project.entry-points.botdock]")


def bounds_of(release: str) -> str:
    """Return which versions of botdock have the plugin interface of a release (see `botdock.hookspecs`)."""
    major, minor = (int(part) for part in release.split(".")[:2])
    below = f"{major + 1}" if major else f"0.{minor + 1}"
    return f">={major}.{minor},<{below}"


def _readme(files: Mapping[str, str], kind: str, name: str) -> str:
    documented = {path: ast.get_docstring(ast.parse(text)) for path, text in files.items() if path.endswith(".py")}
    lines = [f"| `{path}` | {text.partition(chr(10))[0]} |" for path, text in sorted(documented.items()) if text]
    return _README.format(
        distribution=folder_name(kind, name),
        kind=kind,
        name=name,
        member=_member(kind),
        commands="\n".join(f"$ {command}" for command in next_steps(kind, name)),
        files="\n".join(lines),
        requirement=f"botdock{bounds_of(version('botdock'))}",
    )
