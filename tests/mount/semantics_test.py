#!/usr/bin/env python3
"""Every row of a table of SEMANTICS.md is held by tests, or says why by none: see semantics.tsv."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).parents[2]
# Tables of words and of fields: whoever prints them has tests of his own.
OTHER_SECTIONS = ("What waiting reads are said to wait for",)


def rows(text, sections):
    """(section, first cell) of each row of a table in these sections, heads left out."""
    section, fresh = None, True
    for line in text.splitlines():
        if line.startswith("#"):
            section = line.strip("# ")
        if not line.startswith("|"):
            fresh = True
            continue
        first = re.match(r"\| *(.*?) *\|", line)[1]
        if not fresh and set(first) - set("-: ") and section in sections:
            yield section, first
        fresh = False


def listed():
    lines = (ROOT / "tests/mount/semantics.tsv").read_text().splitlines()
    for line in lines:
        if line and not line.startswith("#"):
            section, first, tests = line.split("\t")
            yield section, first, tests


class Semantics(unittest.TestCase):
    def test_every_row_has_tests_and_no_test_is_of_a_row_that_is_gone(self):
        text = (ROOT / "SEMANTICS.md").read_text()
        sections = {line.strip("# ") for line in text.splitlines()
                    if line.startswith("#")} - set(OTHER_SECTIONS)
        self.assertEqual(sorted(rows(text, sections)), sorted(row[:2] for row in listed()))

    def test_every_test_exists(self):
        sources = {p: p.read_text() for p in ROOT.glob("tests/**/*") if p.suffix in (".cc", ".py")}
        cases = {f"{m[1]}.{m[2]}" for text in sources.values()
                 for m in re.finditer(r"\bTEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", text)}
        by_name = {p.name: text for p, text in sources.items()}
        for section, first, tests in listed():
            if tests.startswith("not tested: "):
                continue
            for test in tests.split():
                with self.subTest(f"{section}: {first}: {test}"):
                    if ":" in test:
                        file, name = test.split(":")
                        self.assertRegex(by_name.get(file, ""), rf"\b{name}\b")
                    else:
                        self.assertIn(test, cases)


if __name__ == "__main__":
    unittest.main()
