"""Whatever the code tells people, a page has a word about, and no page has words about what is not told."""

import os
import re
import subprocess
import tempfile
import unittest

import pages
import source
from gateway import clean_environment, free_port
from scene import Scene

MOCK = "model_list:\n  - model_name: m\n    litellm_params: {model: openai/m, mock_response: hello}\n"


def section_of(page, heading):
    """The text below a heading, to the next one that is not deeper."""
    found = re.search(rf"^(#+) {re.escape(heading)}$", pages.text_of(page), re.MULTILINE)
    rest = found.string[found.end() :]
    end = re.search(rf"^#{{1,{len(found.group(1))}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def rows_of(text):
    """The cells of each row of the tables in it."""
    rows = re.findall(r"^\| (.*) \|$", text, re.MULTILINE)
    return [row.split(" | ") for row in rows if not re.fullmatch(r"[-| ]+", row)]


def codes_of(cell):
    return re.findall(r"`([^`]+)`", cell)


class Log(unittest.TestCase):
    """docs/logging.md has every warning and error, by its level."""

    def test_each_warning_and_error(self):
        told = [row for row in rows_of(section_of("docs/logging.md", "Every warning and error")) if row[0] != "level"]
        patterns = [(row[0], pattern) for row in told for pattern in codes_of(row[1])]
        lines = list(source.log_lines())
        self.assertGreater(len(lines), 40, "the code cannot be read any more")
        for place, level, sentence in lines:
            with self.subTest(place, level=level, sentence=sentence):
                self.assertTrue(
                    any(level == its and source.fits(pattern, sentence) for its, pattern in patterns),
                    "the table has no word about it, or another level",
                )
        for level, pattern in patterns:
            with self.subTest(level=level, pattern=pattern):
                self.assertTrue(
                    any(level == its and source.fits(pattern, sentence) for _, its, sentence in lines),
                    "nothing is told so",
                )
        for row in told:
            self.assertGreater(len(row[2].split()), 1, "what to do about it?")


class Bite(unittest.TestCase):
    def test_sentences_are_read_from_the_code(self):
        text = 'log_bounded(log_cause::a, f("x, (y"), "one " + name + // no, "this"\n  " two " "three", {}, log_level::error);'
        [(line, arguments)] = source.calls(text, r"log_bounded\(")
        self.assertEqual((line, len(arguments)), (1, 5))
        self.assertEqual(source.sentence_of(arguments[2]), "one … two three")
        self.assertEqual(source.sentence_of(' std::string("a ") + b '), "…a …")

    def test_patterns(self):
        self.assertTrue(source.fits("no TLS with …", "no TLS with …: …"))
        self.assertTrue(source.fits("… closed it", "… closed it at once"))
        self.assertFalse(source.fits("two … one", "one … two"))


if __name__ == "__main__":
    unittest.main()
