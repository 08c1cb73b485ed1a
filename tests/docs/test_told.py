"""Whatever the code tells people, a page has a word about, and no page has words about what is not told."""

import os
import re
import socket
import subprocess
import tempfile
import unittest

import pages
import source
from gateway import clean_environment
from provider.certificates import Authority

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


class DataPort(unittest.TestCase):
    """docs/clients.md has every path, and every header that is the gateway's own."""

    page = "docs/clients.md"

    def test_each_path(self):
        told = {path for row in rows_of(section_of(self.page, "Paths")) for path in codes_of(row[1]) if path[0] == "/"}
        self.assertGreater(len(source.paths()), 25, "the code cannot be read any more")
        self.assertEqual(told - {"/v1/models/{model}"}, source.paths())

    def test_each_header(self):
        rows = rows_of(section_of(self.page, "What an answer tells"))
        told = {name for row in rows for name in codes_of(row[0]) if re.match(r"x-(vorrang|litellm)-", name)}
        self.assertGreater(len(told), 10)
        self.assertEqual(told, source.answer_headers())


class Errors(unittest.TestCase):
    """docs/operating.md has the words that clients see, also where they are not the error's own sentence."""

    def test_each_wording(self):
        rows = {codes_of(row[1])[0]: row[2] for row in rows_of(section_of("docs/operating.md", "Errors"))
                if len(row) > 3 and codes_of(row[1])}  # fmt: skip
        told = list(source.faults())
        self.assertGreater(len(told), 25, "the code cannot be read any more")
        for place, code, sentence in told:
            own, *others = [rows[code].split("; or `")[0], *codes_of(rows[code])]
            with self.subTest(place, code=code, sentence=sentence):
                self.assertTrue(any(source.fits(each.lower(), sentence.lower()) for each in [own, *others])
                                or sentence.lower().strip("…") in own.lower())  # fmt: skip


class Reload(unittest.TestCase):
    def test_each_setting_that_stays(self):
        rows = rows_of(section_of("docs/configuration.md", "Reading it again"))
        [stays] = [codes_of(row[0]) for row in rows if row[-1].startswith("stays as it was until a restart")]
        self.assertGreater(len(source.kept_by_a_reload()), 5)
        self.assertEqual({name for name in stays if "…" not in name} - {"service_name"}, source.kept_by_a_reload())


class AdminPort(unittest.TestCase):
    def test_each_path(self):
        rows = [row for row in rows_of(pages.text_of("docs/admin.md").split("## Who")[0]) if row[0] != "method, path"]
        told = {(method, re.match(r"/[a-z]*", path).group()) for row in rows for method, path in self.calls_of(row[0])}
        self.assertGreater(len(source.admin_paths()), 6)
        self.assertEqual(told - {("GET", "/")}, source.admin_paths())

    def calls_of(self, cell):
        method = cell.split(" ")[0]
        return [(method, path) for path in codes_of(cell) if path.startswith("/")]

    def test_each_error(self):
        rows = [row for row in rows_of(section_of("docs/operating.md", "Of the admin port")) if row[0] != "status"]
        patterns = [(row[0], pattern) for row in rows for pattern in codes_of(row[1])]
        told = [(status, sentence.strip("…")) for status, sentence in source.admin_errors()]
        told.append(("400", "The configuration was not taken, and nothing has changed"))
        self.assertGreater(len(told), 18, "the code cannot be read any more")
        for status, sentence in told:
            for each in sentence.split("…") if status == "answer.status" else [sentence]:
                with self.subTest(status=status, sentence=each):
                    self.assertTrue(
                        any(source.fits(pattern, each) and (status == its or status == "answer.status") for its, pattern in patterns)
                    )
        for status, pattern in patterns:
            with self.subTest(status=status, pattern=pattern):
                self.assertTrue(any(source.fits(pattern, sentence) for _status, sentence in told), "nothing is told so")
        for row in rows:
            self.assertGreater(len(row[2].split()), 1, "what to do about it?")


class Metrics(unittest.TestCase):
    def test_pages_name_those_that_are_there(self):
        there = {name for row in rows_of(pages.text_of("docs/metrics.md")) for name in codes_of(row[0])}
        self.assertGreater(len(there), 50)
        for page in pages.names():
            text = pages.text_of(page)
            for name in set(re.findall(r"`(vorrang_[a-z_]+?)(?:_bucket|_sum|_count)?(?:\{[^`]*\})?`", text)):
                if not re.match(r"vorrang_(settings|router|loops)\b", name):
                    with self.subTest(page=page):
                        self.assertIn(name, there)


class Start(unittest.TestCase):
    """A gateway that does not start says what docs/operating.md says of it, and ends with that status."""

    def test_each_reason(self):
        rows = [row for row in rows_of(section_of("docs/operating.md", "It does not start")) if row[0] != "exit status"]
        patterns = {(row[0], pattern) for row in rows for pattern in codes_of(row[1])}
        seen = set()
        with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            for name, text in (
                ("good.yaml", MOCK + "vorrang_settings: {admin_port: 0}\n"),
                ("admin.yaml", MOCK + f"vorrang_settings: {{admin_port: {port}}}\n"),
                ("bad.yaml", MOCK + "router_settings: {timeout: soon}\n"),
                ("open.yaml", MOCK + "vorrang_settings: {admin_host: 0.0.0.0}\n"),
            ):
                with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                    file.write(text)
            good = ["--config", "good.yaml", "--port", "0"]
            certificate = Authority(folder).certificate
            for status, arguments in (
                (2, []),
                (2, ["good.yaml"]),
                (2, [*good, "queue"]),
                (2, ["--config", "bad.yaml"]),
                (2, ["--config", "nowhere.yaml"]),
                (2, ["--config", "open.yaml"]),
                (1, ["--config", "good.yaml", "--port", port]),
                (1, ["--config", "good.yaml", "--host", "192.0.2.1"]),
                (1, ["--config", "admin.yaml", "--port", "0"]),
                (1, [*good, "--access-log", "nowhere/access.log"]),
                (1, [*good, "--ssl_certfile_path", "good.yaml", "--ssl_keyfile_path", "good.yaml"]),
                (1, [*good, "--ssl_certfile_path", certificate, "--ssl_keyfile_path", "good.yaml"]),
                (1, [*good, "--ssl_certfile_path", "good.yaml"]),
                (1, [*good, "--threads", "many"]),
            ):
                done = subprocess.run(
                    [os.environ["VORRANG_BINARY"], *arguments], cwd=folder, capture_output=True, text=True, timeout=20,
                    env=clean_environment(),
                )  # fmt: skip
                fitting = {(its, pattern) for its, pattern in patterns if source.fits(pattern, done.stderr)}
                with self.subTest(arguments):
                    self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
                    self.assertTrue(fitting, f"the table has no word about it: {done.stderr}")
                    self.assertIn(str(status), {its for its, _pattern in fitting})
                seen |= fitting
        self.assertEqual(patterns - seen, set(), "nothing is said so")


class Mentions(unittest.TestCase):
    """Where code, scripts and files of others' point to a page, it is there."""

    def test_pages_are_there(self):
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=pages.ROOT, capture_output=True, text=True)
        if listed.returncode != 0:
            self.skipTest("no clone")
        found = 0
        for name in filter(None, listed.stdout.split("\0")):
            path = pages.ROOT / name
            if path.suffix in (".png", ".svg", ".csv") or not path.is_file() or path.is_symlink():
                continue
            text = path.read_text(encoding="utf-8", errors="replace")
            for page, anchor in re.findall(r"\bdocs/([\w-]+\.md)(?:#([\w-]+))?", text):
                found += 1
                with self.subTest(file=name, page=page):
                    self.assertTrue((pages.ROOT / "docs" / page).exists(), "no such page")
                    if anchor:
                        self.assertIn(anchor, pages.anchors_of(pages.text_of(f"docs/{page}")), "no such heading")
        self.assertGreater(found, 50)


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
