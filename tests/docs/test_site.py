"""The site of the documentation is whole: each page has its place, and the reference leaves nothing out.

`make docs` builds it, as `make drills` does, and takes half a minute; what most often breaks it is looked at here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs
import click
import pytest

from botdock import Execution, errors
from botdock.config import Config, Policy
from botdock.errors import BotdockError, UserError
from botdock.hookspecs import BotdockSpecs
from botdock.plugin_manager import PluginManager
from botdock_cli.app import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
pages = import_module("pages")
docstrings = import_module("docstrings")

WRITTEN = {str(path.relative_to(DOCS)): path for path in sorted(DOCS.rglob("*.md"))}
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^):\s]*)#([\w.-]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
NAMED = re.compile(r"\{ #([\w.-]+) \}")


def text_of(page: str) -> str:
    """Return a page as the site has it: what is written, and what is made of the code below it."""
    written = WRITTEN[page].read_text() if page in WRITTEN else ""
    return f"{written}{pages.PAGES.get(page, str)()}"


def test_the_navigation_names_what_is_made_of_the_code_and_each_page_once() -> None:
    nav = re.findall(r"[\w/.-]+\.md", (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2])
    assert sorted(nav) == sorted(page for page in {*WRITTEN, *pages.PAGES} if page.endswith(".md"))


def anchors(page: str) -> tuple[set[str], set[str]]:
    """Return the anchors of a page's headings, as the site names them and as code hosts do."""
    headings = HEADING.findall(FENCED.sub("", text_of(page)))
    bare = [re.sub(r"[^\w\s-]", "", NAMED.sub("", heading)).strip().lower() for heading in headings]
    site = {re.sub(r"[-\s]+", "-", heading) for heading in bare} | set(NAMED.findall(text_of(page)))
    return site, {heading.replace(" ", "-") for heading in bare}


@pytest.mark.parametrize("page", WRITTEN)
def test_a_link_into_a_page_leads_to_a_heading_there_and_on_code_hosts(page: str) -> None:
    for target, anchor in LINK.findall(FENCED.sub("", WRITTEN[page].read_text())):
        path = WRITTEN[page].parent / target if target else WRITTEN[page]
        there = str(path.resolve().relative_to(DOCS))
        site, host = anchors(there)
        assert anchor in site, f"{page} links to #{anchor} of {there}, which has no such heading"
        assert anchor in host or there not in WRITTEN, f"#{anchor} of {there} has another name on code hosts"


def test_a_link_out_of_the_documentation_is_a_name_on_the_site() -> None:
    text = "[the core](../../core/botdock), [`tests`](../../tests), [logs](../how-to/logs.md#x)"
    there = "the core (`core/botdock`), `tests`, [logs](../how-to/logs.md#x)"
    assert pages.for_the_site(text, "reference/hooks.md") == there


def test_the_names_that_the_site_documents_can_be_found() -> None:
    texts = [text_of(page) for page in {*WRITTEN, *pages.PAGES}]
    named = [name for text in texts for name in re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)]
    assert len(named) > 10
    for name in named:
        module, _, member = name.rpartition(".")
        assert hasattr(import_module(module), member) if member[:1].isupper() else import_module(name)


def test_every_public_module_is_documented() -> None:
    written = (ROOT / "tests/docs/test_repository.py").read_text().partition("\nPUBLIC = [")[2].partition("]")[0]
    assert set(re.findall(r'"([\w.]+)"', written)) - set(pages.PUBLIC) == set()


def test_of_an_execution_the_site_shows_what_is_for_callers() -> None:
    internal = docstrings.INTERNAL[f"{Execution.__module__}.{Execution.__name__}"]
    public = {name for name in dir(Execution) if not name.startswith("_")}
    read = {"alogs", "aresult", "container_id", "done", "logs", "result", "stream"}
    told = {"add_done_callback", "kill", "stop", "wait"}
    assert public == {*read, *told, *internal}, "decide for a new method, and forget one that is gone"


def settings() -> Iterator[tuple[str, type]]:
    yield "", Config
    yield from ((f"options.{owner.name}", owner.settings) for owner in PluginManager.load().sections if owner.settings)


def keys(path: str, section: Any) -> Iterator[str]:
    for field in attrs.fields(type(section)):
        value = getattr(section, field.name)
        key = f"{path}.{field.name}".lstrip(".")
        yield from keys(key, value) if attrs.has(type(value)) else [key]


def test_every_setting_is_documented_with_its_type_default_and_meaning() -> None:
    rows = dict(re.findall(r"^\| `\w+`\{ #([\w.-]+) \} (\|.*\|)$", pages.configuration(), re.MULTILINE))
    expected = [key for path, section in settings() for key in keys(path, section())]
    assert len(expected) > 100
    assert sorted(rows) == sorted(expected)
    assert [
        key for key, row in rows.items() if not all(cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1])
    ] == []


def test_every_command_and_option_is_documented() -> None:
    sections = dict(re.findall(r"^## `([^`]+)`\n\n```text\n(.*?)^```", pages.commands(), re.MULTILINE | re.DOTALL))
    context = click.Context(app, info_name="botdock")
    for one in (context, *pages.verbs(app, context)):
        options = [
            option for param in one.command.params if not getattr(param, "hidden", False) for option in param.opts
        ]
        assert [option for option in options if option[0] == "-" and option not in sections[one.command_path]] == []
    assert len(sections) > 25


def first_column(page: str, heading: str) -> list[str]:
    """Return what stands as code in the first column of the table of a written page with that heading."""
    table = WRITTEN[page].read_text().partition(f"\n| {heading} |")[2].partition("\n\n")[0]
    cells = [re.split(r"(?<!\\)\|", row)[1] for row in table.splitlines()[2:]]
    return [word for cell in cells for word in re.findall(r"`([^`]+)`", cell)]


def test_a_written_table_of_verbs_or_options_names_what_there_is() -> None:
    context = click.Context(app, info_name="botdock")
    verbs = {one.command_path.removeprefix("botdock "): one.command for one in pages.verbs(app, context)}
    shown = [re.sub(r" (\[?[A-Z].*)$", "", verb) for verb in first_column("reference/command-line.md", "verb")]
    assert sorted(shown) == sorted(verbs.keys() - {"storage"})
    options = [option.partition(" ")[0] for option in first_column("reference/command-line.md", "option | means")]
    known = {name for parameter in verbs["logs"].params for name in parameter.opts if name.startswith("-")}
    assert set(options) == known - {"--config-file", "-h", "--help"}


def test_every_verb_that_prints_json_says_which_document() -> None:
    context = click.Context(app, info_name="botdock")
    said = " ".join(schema["description"] for schema in pages.documents.DEFINITIONS.values())
    for one in pages.verbs(app, context):
        if any("--json" in parameter.opts for parameter in one.command.params):
            assert f"`{one.command_path.removeprefix('botdock ')}" in said


@pytest.mark.parametrize(
    ("page", "heading", "document"),
    [
        ("reference/command-line.md", "key", "Result"),
        ("reference/command-line.md", "key of a line", "Line"),
        ("reference/command-line.md", "key of a gap", "Gap"),
        ("reference/errors-as-json.md", "key", "Error"),
    ],
)
def test_a_written_table_of_keys_names_those_of_the_document(page: str, heading: str, document: str) -> None:
    keys = pages.documents.DEFINITIONS[document]["properties"].keys()
    added = {"error_class", "problems", "hint"} if document == "Result" else set()
    assert sorted(first_column(page, heading)) == sorted(keys - {"schema"} - added)


def test_the_written_table_of_the_policy_names_its_keys() -> None:
    assert sorted(first_column("how-to/configure.md", "key")) == sorted(attrs.fields_dict(Policy))


def error_classes() -> list[type[BotdockError]]:
    found = (getattr(errors, name) for name in errors.__all__)
    return [one for one in found if isinstance(one, type) and one not in {BotdockError, UserError}]


@pytest.mark.parametrize("error", error_classes())
def test_every_error_class_says_how_to_mend_it(error: type[BotdockError]) -> None:
    assert re.search(r"^    To mend it, .{20}", str(error.__doc__), re.MULTILINE)


def test_every_hook_is_documented_with_an_example() -> None:
    assert f"::: {BotdockSpecs.__module__}.{BotdockSpecs.__name__}\n" in text_of("reference/hooks.md")
    hooks = {name: hook.__doc__ or "" for name, hook in vars(BotdockSpecs).items() if name.startswith("botdock_")}
    assert [name for name, text in hooks.items() if "Example:" not in text] == []
