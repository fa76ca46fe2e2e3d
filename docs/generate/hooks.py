"""What MkDocs calls while it builds the site: adds the pages that are made from the code."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pages import PAGES, for_the_site


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are in no folder; one that is in the folder, too, goes before what is made of it."""
    for path, make in PAGES.items():
        if written := files.get_file_from_path(path):
            files.remove(written)
        text = f"{written.content_string}\n{make()}" if written else make()
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Let links lead to pages of the site alone."""
    return for_the_site(markdown, page.file.src_uri)
