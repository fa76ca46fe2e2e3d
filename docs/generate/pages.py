"""The pages of the reference that are made from the code: they are committed nowhere, and cannot differ from it.

`make docs` shows them beside the written ones. Nothing here needs MkDocs, so that tests can read the pages.
"""

from __future__ import annotations

import inspect
import posixpath
import re
import types
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import partial
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
import click
import documents
from schemas import meanings

from botdock.config import Config, document, to_toml
from botdock.config.rules import SECRET, VARIABLE
from botdock.model.units import Unit
from botdock.plugin_manager import PluginManager
from botdock_cli.app import app
from botdock_cli.help import HelpContext

PUBLIC = (
    "botdock",
    "botdock.archive",
    "botdock.config",
    "botdock.docker_runner",
    "botdock.entrypoints",
    "botdock.errors",
    "botdock.executions",
    "botdock.factory",
    "botdock.logging",
    "botdock.model",
    "botdock.orchestrator",
    "botdock.plugin_manager",
    "botdock.pool",
    "botdock.runner",
    "botdock.seccomp",
    "botdock.services",
    "botdock.shim",
    "botdock.supervisor",
    "botdock_reports",
    "botdock_testing",
    "botdock_testing.strategies",
)
"""The public modules that say what is public in them; `botdock.hookspecs` has a page of its own."""

_UNITS = {Unit.BYTES: "size", Unit.SECONDS: "time"}
_SHORT = {
    Unit.BYTES: {"GiB": 1024**3, "MiB": 1024**2, "KiB": 1024},
    Unit.SECONDS: {"d": 86_400, "h": 3600, "m": 60, "s": 1},
}
_PLAIN = {str: "text", bool: "true or false", int: "whole number", float: "number", type(None): "nothing", Any: "any"}
_UPWARDS = re.compile(r"\[([^\[\]]+)\]\((\.\./[^)\s]+)\)")
_WIDTH = 80


def for_the_site(text: str, page: str) -> str:
    """Return a page whose links to files of the repository, which the site has not, are their names.

    Args:
        text: The page.
        page: Its path below `docs`.
    """

    def named(link: re.Match[str]) -> str:
        words, target = link.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        if not path.startswith("../"):
            return link[0]
        return words if words.strip("`") in path else f"{words} (`{path.removeprefix('../')}`)"

    return _UPWARDS.sub(named, text)


def type_in_words(hint: Any) -> str:
    """Return a type as a reader of a configuration file thinks of it."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return next(_UNITS[mark] for mark in inner[1:] if mark in _UNITS)
    if origin in {Union, types.UnionType}:
        return " or ".join(type_in_words(one) for one in inner if one is not type(None))
    if origin is Literal or (inspect.isclass(hint) and issubclass(hint, Enum)):
        values = inner or [member.value for member in hint]
        return " or ".join(f"`{value}`" for value in values)
    if origin in {tuple, list}:
        return f"list of {type_in_words(inner[0])}"
    if origin in {dict, Mapping}:
        return f"table of {type_in_words(inner[1])}"
    return _PLAIN[hint]


def default_in_words(value: Any, hint: Any) -> str:
    """Return a default as it is written in `botdock.toml`, with the unit that makes it short; `-` for none."""
    marks = [mark for one in (hint, *get_args(hint)) for mark in get_args(one)[1:] if isinstance(mark, Unit)]
    if value is None or value == {}:
        return "-"
    if marks and value:
        fits = (f"{value / size:.0f}{unit}" for unit, size in _SHORT[marks[0]].items() if not value % size)
        return f"`{next(fits, value)}`"
    return f"`{to_toml({'': value}).partition(' = ')[2].strip()}`"


def settings(kind: type, default: Any, path: str) -> Iterator[str]:
    """Yield the lines of a section: a table of its keys, and the sections below it."""
    hints, meaning = get_type_hints(kind, include_extras=True), meanings(kind)
    plain = document(default, show_secrets=True)
    rows, below = [], list[str]()
    for field in attrs.fields(kind):
        key = f"{path}.{field.name}" if path else field.name
        value = getattr(default, field.name)
        if attrs.has(type(value)):
            below += ["", f"## `[{key}]`", "", meaning[field.name], "", *settings(type(value), value, key)]
            continue
        notes = [f"`{field.metadata[VARIABLE]}` sets it as well."] if VARIABLE in field.metadata else []
        notes += ["It is never shown."] if field.metadata.get(SECRET) else []
        text = " ".join([meaning[field.name], *notes]).replace("|", "\\|")
        hint = hints[field.name]
        shown = default_in_words(plain[field.name], hint)
        rows.append(f"| `{field.name}`{{ #{key} }} | {type_in_words(hint)} | {shown} | {text} |")
    yield from ("| key | type | default | meaning |", "|---|---|---|---|", *rows, *below)


def configuration() -> str:
    """Return the page of every setting, of the core and of the plugins that come with it."""
    lines = [*_CONFIGURATION.splitlines(), "", *settings(Config, Config(), "")]
    for owner in PluginManager.load().sections:
        assert owner.settings  # noqa: S101 - those that are listed have some
        short = f", or short `[{owner.section}]`" if owner.section else ""
        lines += ["", f"## `[options.{owner.name}]`{{ #options.{owner.name} }}", ""]
        lines += [f"Settings of the plugin `{owner.name}`{short}.", ""]
        lines += settings(owner.settings, owner.settings(), f"options.{owner.name}")
    return "\n".join(lines)


_CONFIGURATION = """# Every setting

How they are given, by file, variable and argument, is told in [how to configure botdock](../how-to/configure.md).
Sizes are bytes, or `512MiB`; times are seconds, or `2h30m`. A variable's name is the path of the key:
`BOTDOCK_RUNTIME__TIMEOUT`. `botdock config` shows what is in force.
"""


def verbs(command: click.Command, context: click.Context) -> Iterator[click.Context]:
    """Yield the context of each command below one, in the order of its help."""
    if not isinstance(command, click.Group):
        return
    for name in command.list_commands(context):
        _, found, _ = command.resolve_command(context, [name])
        assert found  # noqa: S101 - it was listed
        below = HelpContext(found, parent=context, info_name=name, max_content_width=_WIDTH, terminal_width=_WIDTH)
        yield below
        yield from verbs(found, below)


def commands() -> str:
    """Return the page of every command, each with its own help."""
    context = HelpContext(app, info_name="botdock", max_content_width=_WIDTH, terminal_width=_WIDTH)
    lines = _COMMANDS.splitlines()
    for one in (context, *verbs(app, context)):
        lines += ["", f"## `{one.command_path}`", "", "```text", *one.command.get_help(one).splitlines(), "```"]
    return "\n".join(lines)


_COMMANDS = """# Every command

What `botdock VERB --help` says. What they share (exit codes, what goes where, JSON) is told on
[the page of the command line](command-line.md).
"""


def errors() -> str:
    """Return the page of every error class."""
    return _ERRORS


_ERRORS = """# Errors

As a command, botdock exits with 2 for each `UserError`, and with 125 for the others.

::: botdock.errors
    options:
      inherited_members: false
      members_order: source
      show_bases: true
"""


def hooks() -> str:
    """Return what the page of the hooks has below its written part."""
    return """
## Every hook

::: botdock.hookspecs.BotdockSpecs
    options:
      heading_level: 3
      show_root_heading: false
      show_root_toc_entry: false
"""


def python(module: str) -> str:
    """Return the page of a public module."""
    return f"# `{module}`\n\n::: {module}\n"


PAGES: dict[str, Callable[[], str]] = {
    "reference/commands.md": commands,
    "reference/configuration.md": configuration,
    "reference/documents.json": documents.all_schemas,
    "reference/documents.md": documents.page,
    "reference/errors.md": errors,
    "reference/hooks.md": hooks,
    **{f"reference/python/{module}.md": partial(python, module) for module in PUBLIC if module != "botdock.errors"},
}
"""The pages by their paths below `docs`."""
