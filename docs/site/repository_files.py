#!/usr/bin/env python3
"""A preprocessor of mdBook that adds the files outside of docs/ to which pages link, so that every link of the site works.

The pages are written for the repository host, where `../proto/triptych/v1` is a folder. The site has such a file as a page below
`repository/`: Markdown as it is, other text as a block of code, a folder as a list of its files. Links are changed accordingly.

    repository_files.py                         reads [context, book] from standard input, writes the book (mdBook's protocol)
    repository_files.py supports RENDERER       exits with 0
"""

import json
import os.path
import subprocess
import sys
from pathlib import Path, PurePosixPath

from markdown import is_relative, replace_links

ROOT = Path(__file__).resolve().parents[2]
DOCS = "docs"
# Where the pages of other files are in the site.
PREFIX = "repository"
# Pages with entries of their own in the table of contents, under the heading "Project".
PROJECT = {"CONTRIBUTING.md": "Contributing", "SECURITY.md": "Security policy", "CHANGELOG.md": "Changelog"}
# Folders with more files, and larger files in folders, are listed without links: their pages would be most of the search index.
LINKED_FILES = 25
LINKED_BYTES = 20_000
LANGUAGES = {".py": "python", ".mjs": "javascript", ".ts": "typescript", ".toml": "toml", ".yaml": "yaml", ".json": "json", ".sh": "bash",
             ".proto": "protobuf"}  # fmt: skip


def tracked_files() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return [name for name in listed if (ROOT / name).is_file()]


def page_path(name: str) -> str:
    """Returns the path of the page of a file or folder, relative to docs/. `name` is relative to the repository."""
    if name.startswith(f"{DOCS}/"):
        path = name.removeprefix(f"{DOCS}/")
    elif (ROOT / name).is_dir():
        path = f"{PREFIX}/{name}/README.md"
    else:
        path = f"{PREFIX}/{name}" if name.endswith(".md") else f"{PREFIX}/{name}.md"
    # mdBook makes index.html of README.md, and of links to it README.html.
    return str(PurePosixPath(path).with_name("index.md")) if PurePosixPath(path).name == "README.md" else path


class Pages:
    """The pages of files outside of docs/, made when a link leads to them."""

    def __init__(self) -> None:
        self.files = tracked_files()
        self.chapters: dict[str, dict] = {}

    def add(self, name: str) -> None:
        if name in self.chapters:
            return
        # Entered before its links are followed, which may lead back to it.
        chapter = {"name": PROJECT.get(name, name), "number": None, "sub_items": [], "parent_names": [], "source_path": None}
        self.chapters[name] = chapter
        chapter["path"] = page_path(name)
        chapter["content"] = self.rewrite(name, self.text(name))

    def text(self, name: str) -> str:
        if (ROOT / name).is_dir():
            below = [file for file in self.files if file.startswith(f"{name}/")]
            few = len(below) <= LINKED_FILES

            def line(file: str) -> str:
                path = file.removeprefix(f"{name}/")
                return f"- [{path}]({path})\n" if few and (ROOT / file).stat().st_size <= LINKED_BYTES else f"- `{path}`\n"

            return f"# {name}\n\n" + "".join(map(line, below))
        content = (ROOT / name).read_text("utf-8")
        if name.endswith(".md"):
            return content
        return f"# {name}\n\n````{LANGUAGES.get(Path(name).suffix, 'text')}\n{content.rstrip()}\n````\n"

    def rewrite(self, name: str, content: str) -> str:
        """Changes the links of a file to those between pages, and adds the pages to which they lead."""
        folder = name if (ROOT / name).is_dir() else os.path.dirname(name)

        def replace(destination: str) -> str:
            path, _, anchor = destination.partition("#")
            if not path or not is_relative(destination):
                return destination
            target = os.path.normpath(os.path.join(folder, path))
            if target.startswith("..") or not (ROOT / target).exists():
                return destination  # the check of links reports it
            inside = target.startswith(f"{DOCS}/") and (ROOT / target).is_file()
            if not inside:
                self.add(target)
            relative = os.path.relpath(page_path(target), os.path.dirname(page_path(name)) or ".")
            return f"{relative}#{anchor}" if anchor else relative

        return replace_links(content, replace)


def chapters_of(items: list) -> list[dict]:
    """Returns all chapters with a page, at any depth."""
    found = []
    for item in items:
        chapter = item.get("Chapter") if isinstance(item, dict) else None
        if chapter is not None:
            found += [chapter] if chapter["path"] else []
            found += chapters_of(chapter["sub_items"])
    return found


def main() -> None:
    _, book = json.load(sys.stdin)
    pages = Pages()
    for chapter in chapters_of(book["items"]):
        chapter["content"] = pages.rewrite(f"{DOCS}/{chapter['source_path'] or chapter['path']}", chapter["content"])
    for name in PROJECT:
        pages.add(name)
    # mdBook indents the table of contents by the numbers of chapters.
    number = sum(1 for item in book["items"] if isinstance(item, dict) and item.get("Chapter", {}).get("number"))
    project = [pages.chapters.pop(name) for name in PROJECT]
    source = {"name": "Files of the repository", "content": "# Files of the repository\n\nThe files to which the pages link.\n",
              "path": f"{PREFIX}/files.md", "source_path": None, "parent_names": [],
              "sub_items": [{"Chapter": pages.chapters[name]} for name in sorted(pages.chapters)]}  # fmt: skip
    for index, chapter in enumerate([*project, source], number + 1):
        chapter["number"] = [index]
    for index, item in enumerate(source["sub_items"], 1):
        item["Chapter"] |= {"number": [*source["number"], index], "parent_names": [source["name"]]}
    book["items"] += [{"PartTitle": "Project"}, *({"Chapter": chapter} for chapter in [*project, source])]
    json.dump(book, sys.stdout)


if __name__ == "__main__":
    if sys.argv[1:2] != ["supports"]:
        main()
