"""Reads Markdown as far as the site and its checks need it: links, headings and their anchors on the repository host."""

import re
from collections.abc import Callable, Iterator

# The destination of an inline link or image, `](destination)`, possibly with a title. The repository uses no reference links.
LINK = re.compile(r"(?<=\]\()(<[^>]*>|[^()\s]*)(?=(?:\s+\"[^\"]*\")?\))")
FENCE = re.compile(r"^\s*(```+|~~~+)")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")
CODE_SPAN = re.compile(r"(`+)(?:.|\n)+?\1")


def prose(text: str) -> Iterator[tuple[bool, str]]:
    """Splits a page into runs of lines: pairs of whether the run is prose, and its text. The others are blocks of code."""
    lines: list[str] = []
    fence = ""
    for line in text.splitlines(keepends=True):
        found = FENCE.match(line)
        if not fence and found:
            yield True, "".join(lines)
            lines, fence = [line], found[1]
        elif fence and line.strip().startswith(fence):
            yield False, "".join([*lines, line])
            lines, fence = [], ""
        else:
            lines.append(line)
    yield not fence, "".join(lines)


def replace_links(text: str, replace: Callable[[str], str]) -> str:
    """Replaces each destination of a link by the result of `replace`, outside of code."""
    parts = []
    for is_prose, run in prose(text):
        if is_prose:
            spans = [match.span() for match in CODE_SPAN.finditer(run)]
            run = LINK.sub(
                lambda match: match[0] if any(a <= match.start() < b for a, b in spans) else replace(match[0]),
                run,
            )
        parts.append(run)
    return "".join(parts)


def links(text: str) -> list[str]:
    """Returns the destinations of all links outside of code."""
    found: list[str] = []

    def collect(destination: str) -> str:
        found.append(destination)
        return destination

    replace_links(text, collect)
    return found


def anchors(text: str) -> set[str]:
    """Returns the anchors of the headings, as the repository host forms them: lower case, without punctuation, spaces as hyphens."""
    found: set[str] = set()
    for is_prose, run in prose(text):
        for line in run.splitlines() if is_prose else ():
            if heading := HEADING.match(line):
                title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1])
                base = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
                anchor, count = base, 0
                while anchor in found:
                    count += 1
                    anchor = f"{base}-{count}"
                found.add(anchor)
    return found


def is_relative(destination: str) -> bool:
    """Returns whether a destination is a path of the repository or an anchor, and not a URL."""
    return re.match(r"[a-z][a-z0-9+.-]*:|//", destination) is None
