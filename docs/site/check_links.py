#!/usr/bin/env python3
"""Checks that every relative link and anchor leads somewhere, in the Markdown files of the repository and in the site.

    check_links.py [SITE]

In the repository: files and anchors of the links in all Markdown files but those of test fixtures; the paths of pages that other
files name, such as `docs/chat.md#streams` in an error message; and that the table of contents of the site has every page below
docs/. In the site, if its directory is given: every link, image, script and anchor in its pages. URLs of other servers are not
requested.
"""

import os.path
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from markdown import anchors, is_relative, links
from repository_files import DOCS, ROOT, tracked_files

PAGE_NAME = re.compile(r"\b(docs/[\w/-]+\.md)(?:#([\w-]+))?")


def check_markdown(files: list[str]) -> list[str]:
    """Returns a problem for each link of the Markdown files that leads nowhere."""
    problems = []
    known = set(files) | {str(parent) for name in files for parent in Path(name).parents}
    pages = {name: (ROOT / name).read_text("utf-8") for name in files if name.endswith(".md") and not name.startswith("tests/fixtures/")}
    for name, text in pages.items():
        for destination in filter(is_relative, links(text)):
            path, _, anchor = destination.partition("#")
            target = os.path.normpath(os.path.join(os.path.dirname(name), unquote(path))) if path else name
            if target not in known:
                problems.append(f"{name}: {destination}: no such file in the repository")
            elif anchor and (target not in pages or anchor not in anchors(pages[target])):
                problems.append(f"{name}: {destination}: no such heading in {target}")
    return problems


def check_names(files: list[str]) -> list[str]:
    """Returns a problem for each page that a file other than Markdown names and that does not exist."""
    problems = []
    for name in files:
        if name.endswith(".md") or name.startswith(("tests/fixtures/", f"{DOCS}/site/")):
            continue
        try:
            text = (ROOT / name).read_text("utf-8")
        except UnicodeDecodeError:
            continue
        for page, anchor in PAGE_NAME.findall(text):
            if not (ROOT / page).is_file():
                problems.append(f"{name}: {page}: no such page")
            elif anchor and anchor not in anchors((ROOT / page).read_text("utf-8")):
                problems.append(f"{name}: {page}#{anchor}: no such heading")
    return problems


def check_contents(files: list[str]) -> list[str]:
    """Returns a problem for each page that is missing in the table of contents, or is there twice."""
    listed = [f"{DOCS}/{destination}" for destination in links((ROOT / DOCS / "SUMMARY.md").read_text("utf-8"))]
    pages = {name for name in files if name.startswith(f"{DOCS}/") and name.endswith(".md")} - {f"{DOCS}/SUMMARY.md"}
    missing = [f"{DOCS}/SUMMARY.md: {name} is missing" for name in sorted(pages - set(listed))]
    return missing + [f"{DOCS}/SUMMARY.md: {name} is listed twice" for name in sorted({name for name in listed if listed.count(name) > 1})]


class Page(HTMLParser):
    """The anchors and links of a page of the site."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, _: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)


def check_site(site: Path) -> list[str]:
    """Returns a problem for each link in the pages of the site that leads nowhere."""
    # The page of missing pages is served at any path, so that its links begin with the root of the server.
    pages = {path: Page(path.read_text("utf-8")) for path in site.rglob("*.html") if path.name != "404.html"}
    problems = []
    for page, content in pages.items():
        for destination in filter(is_relative, content.links):
            path, _, anchor = destination.partition("#")
            target = Path(os.path.normpath(page.parent / unquote(path))) if path else page
            if target.is_dir():
                target /= "index.html"
            if not target.is_file():
                problems.append(f"{page.relative_to(site)}: {destination}: no such file in the site")
            elif anchor and target in pages and unquote(anchor) not in pages[target].anchors:
                problems.append(f"{page.relative_to(site)}: {destination}: no such heading in {target.relative_to(site)}")
    print(f"site: {len(pages)} pages, {sum(len(page.links) for page in pages.values())} links")
    return problems


def main() -> int:
    files = tracked_files()
    problems = check_markdown(files) + check_names(files) + check_contents(files)
    for directory in sys.argv[1:]:
        problems += check_site(Path(directory).resolve())
    for problem in problems:
        print(f"PROBLEM {problem}")
    print(f"links: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
