"""Tests of the tools of the site: python3 -m unittest discover docs/site"""

import tempfile
import unittest
from pathlib import Path

from check_links import check_contents, check_markdown, check_site
from markdown import anchors, links
from repository_files import Pages, page_path

PAGE = """# A `code` title, twice

[a](one.md#x) `[not](a-link.md)` ![b](p.webp "title")

```text
# no heading
[not](in-code.md)
```

## Twice
## Twice
"""


class SiteTest(unittest.TestCase):
    def test_links_are_read_outside_of_code_only(self):
        self.assertEqual(links(PAGE), ["one.md#x", "p.webp"])

    def test_anchors_are_those_of_the_repository_host(self):
        self.assertEqual(anchors(PAGE), {"a-code-title-twice", "twice", "twice-1"})

    def test_missing_file_and_heading_are_reported(self):
        self.assertEqual(check_markdown(["LICENSE-MIT"]), [])
        # The README without the other files of the repository: all of its links to files are missing, those to its headings are not.
        problems = check_markdown(["README.md"])
        self.assertTrue(any("docs/install.md: no such file" in problem for problem in problems))
        self.assertFalse(any("#start" in problem for problem in problems))

    def test_page_without_an_entry_in_the_contents_is_reported(self):
        self.assertEqual(check_contents(["docs/chat.md", "docs/orphan.md"]), ["docs/SUMMARY.md: docs/orphan.md is missing"])

    def test_links_to_other_files_lead_to_their_pages(self):
        pages = Pages()
        text = pages.rewrite("docs/providers/x.md", "[p](../../proto/triptych/v1) [c](../chat.md#streams) [m](../../CONTRIBUTING.md)")
        proto = "../repository/proto/triptych/v1/index.md"
        self.assertEqual(text, f"[p]({proto}) [c](../chat.md#streams) [m](../repository/CONTRIBUTING.md)")
        self.assertIn("proto/triptych/v1/chat.proto", pages.chapters)
        self.assertEqual(page_path("examples/run"), "repository/examples/run.md")

    def test_dead_links_of_the_site_are_reported(self):
        with tempfile.TemporaryDirectory() as directory:
            Path(directory, "a.html").write_text('<h1 id="x"></h1><a href="b.html">b</a><a href="#y">y</a><a href="a.html#x">x</a>')
            problems = check_site(Path(directory))
        self.assertEqual(problems, ["a.html: b.html: no such file in the site", "a.html: #y: no such heading in a.html"])


if __name__ == "__main__":
    unittest.main()
