"""For MkDocs: files beside docs/ that a page links to are copied into the site, below project/, with what they link to.

So the same links work in the repository and in the site, and the strict build checks all of them. Markdown stays a
page, text becomes a page with a block of code, anything else is copied.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(\]\()(?![a-z]+:|/|#)([^)#\s]+)")  # a relative address in the brackets of a link or a picture
COPIES, PAGES = "project/", ("CHANGELOG.rst",)  # PAGES: in the navigation without a link to them
LANGUAGES = {".py": "python", ".yaml": "yaml", ".json": "json", ".xml": "xml", ".rst": "rst"}


def repository_path(uri: str) -> str:
    """Where a file of the site lies in the repository."""
    return uri.removeprefix(COPIES) if uri.startswith(COPIES) else f"docs/{uri}"


def site_uri(path: str) -> str:
    """Where a file of the repository lies in the site."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return COPIES + (f"{path}.md" if Path(path).suffix in LANGUAGES else path)


def linked(text: str, path: str) -> list[str]:
    """Paths in the repository that the text of a file there links to."""
    return [posixpath.normpath(posixpath.join(posixpath.dirname(path), link[2])) for link in LINK.finditer(text)]


def relinked(text: str, path: str, uri: str) -> str:
    """The text of a file of the repository with the links that it needs as a page of the site."""

    def replaced(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link[2]))
        return link[1] + posixpath.relpath(site_uri(target), posixpath.dirname(uri) or ".")

    return LINK.sub(replaced, text)


def on_files(files: Any, config: Any) -> Any:
    """Adds what is linked beside docs/, and what that links to."""
    from mkdocs.structure.files import File

    pages = {f"docs/{file.src_uri}": file.content_string for file in files.documentation_pages()}
    todo = [*PAGES, *(target for path, text in pages.items() for target in linked(text, path))]
    done = set()
    while todo:
        path = todo.pop()
        source = ROOT / path
        if path in done or path.startswith(("docs/", "..")) or not source.is_file():
            continue  # the strict build says which links lead nowhere
        done.add(path)
        if source.suffix in LANGUAGES:
            content = f"# {path}\n\n~~~~{LANGUAGES[source.suffix]}\n{source.read_text('utf-8')}\n~~~~\n"
        elif source.suffix == ".md":
            content = source.read_text("utf-8")
            todo += linked(content, path)
        else:
            content = source.read_bytes()
        files.append(File.generated(config, site_uri(path), content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """The links of a page as the site needs them."""
    uri = page.file.src_uri
    return relinked(markdown, repository_path(uri), uri)
