"""README and docs: what they tell a reader to do is done, and what they point to is there."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import unittest

import library
import pages
from scene import IN_BACKGROUND, Scene

COMMANDS_IN_S = 500  # the client libraries may have to be installed first
INSTALLING = threading.Lock()  # two pages may want the same libraries
COMPILER = os.environ.get("CXX") or "c++"
SECTIONS = re.compile(
    r"^(model_list|router_settings|litellm_settings|general_settings|vorrang_settings|environment_variables):",
    re.MULTILINE,
)
# A model to go with a block that shows settings alone.
SOME_MODEL = "model_list:\n  - model_name: m\n    litellm_params: {model: openai/m, mock_response: hello}\n"


def binary():
    return os.environ["VORRANG_BINARY"]


DURATION = r"\d+(?:\.\d+)? (?:ms|s|min|h)\b(?: \d+ (?:s|min)\b)?"
VARYING = re.compile(
    r'chatcmpl-\w+|(?P<time>\d\d:\d\d:\d\d\.\d+)|(?P<duration>' + DURATION + r')|\d+\.\d+|(?<="created":)\d+'
    r"|(?<=wait-ms: )\d{3,}|\b\d{12,}\b|\b[0-9a-f]{16,}\b"
)


def expected(text):
    """A pattern of what a page shows as output: figures, ids and times may differ, and so the widths of a
    table's columns; `…` is anything."""
    made = []
    for piece in re.split(r"\n?…\n?", text.strip()):
        pattern, end = "", 0
        for match in VARYING.finditer(piece):
            pattern += re.escape(piece[end : match.start()]) + (DURATION if match.group("duration") else r"\S+?")
            end = match.end()
        made.append(re.sub(r"(?:\\ ){2,}", " +", pattern + re.escape(piece[end:])))
    return re.compile(r"\A" + r"(?s:.*?)".join(made) + r"\s*\Z")


def configuration_of(block):
    """The block as a whole file, or nothing if it is no configuration of the gateway."""
    if not SECTIONS.search(block.text):
        return None
    return block.text if "model_list:" in block.text else SOME_MODEL + block.text


class Player:
    """One page from its top to its end, as somebody who follows it. Most of it is waiting for mocks,
    so that pages are played beside each other."""

    def __init__(self, page):
        self.page = page
        self.failures = []
        self._sources = []

    def play(self):
        """What went wrong, each with its place."""
        with Scene(binary()) as scene:
            for block in pages.blocks_of(self.page):
                if not block.not_run and block.language not in ("text", "json"):
                    kind = "shell" if block.language in pages.RUN_AS_SHELL else block.language
                    self._try(block.place, getattr(self, f"_{kind}"), scene, block)
            if self._sources:
                self._try(self.page, self._compile, scene)
        return self.failures

    def _try(self, place, do, *arguments):
        try:
            do(*arguments)
        except (AssertionError, subprocess.TimeoutExpired) as problem:
            self.failures.append(f"{place}: {problem}")

    def _shell(self, scene, block):
        for name, value in re.findall(r"^export (\w+)=(\S+)$", block.text, re.MULTILINE):
            scene.variables[name] = value.strip("'\"")
        if IN_BACKGROUND.match(block.text):
            for command in block.text.strip().splitlines():
                scene.start(command)
            return
        # A machine with much else to do may start one command after the next one: then once more.
        for _ in range(2):
            with contextlib.suppress(AssertionError):
                return self._compare(scene, scene.run("set -e\n" + block.text), block.output)
        self._compare(scene, scene.run("set -e\n" + block.text), block.output)

    @staticmethod
    def _compare(scene, printed, output):
        if output:
            printed = printed.strip().replace("\r\n", "\n")
            shown = scene.placed(output.text)
            assert expected(shown).search(printed), f"{output.place} shows\n{shown}\nand this came:\n{printed}"

    def _yaml(self, scene, block):
        text = configuration_of(block)
        if text is not None:
            scene.check(scene.write(block.file_name or "block.yaml", text))
        elif "scrape_configs:" in block.text:
            path = scene.write("prometheus.yml", block.text)
            if shutil.which("promtool"):
                scene.run(["promtool", "check", "config", "--syntax-only", str(path)], shell=False)
        else:
            raise AssertionError("neither a configuration of the gateway nor of Prometheus")

    def _python(self, scene, block):
        with INSTALLING:
            python = library.python_environment("clients-python", library.HERE / "python.txt")
        self._program(scene, block, "block.py", python)

    def _js(self, scene, block):
        modules = scene.folder / "node_modules"  # Node looks for them beside the program
        if not modules.exists():
            with INSTALLING:
                environment = library.node_environment("clients-node", library.HERE)
            modules.symlink_to(environment / "node_modules")
        self._program(scene, block, "block.mjs", shutil.which("node"))

    def _program(self, scene, block, name, interpreter):
        path = scene.folder / name
        path.write_text(scene.placed(block.text), encoding="utf-8")
        self._compare(scene, scene.run([str(interpreter), str(path)], shell=False), block.output)

    def _cpp(self, scene, block):
        """As the body of a function of its own; its includes stay before it."""
        includes = [line for line in block.text.splitlines() if line.startswith("#include")]
        body = [line if not line.startswith("#include") else "" for line in block.text.splitlines()]
        name = f"block_{block.line}()"
        place = f'#line {block.line + 1} "{block.page}"'
        self._sources.append("\n".join([*includes, f"void {name};", f"void {name} {{", place, *body, "}"]))

    def _compile(self, scene):
        standard = ["chrono", "functional", "iostream", "optional", "string", "thread", "variant"]
        path = scene.folder / "blocks.cpp"
        text = "\n".join([*(f"#include <{name}>" for name in standard), *self._sources])
        path.write_text(text + "\n", encoding="utf-8")
        scene.run([COMPILER, "-std=c++20", "-fsyntax-only", f"-I{pages.ROOT}", str(path)], shell=False)


class Commands(unittest.TestCase):
    """One test for each page."""

    @classmethod
    def setUpClass(cls):
        cls.played = [page for page in pages.names() if page != pages.FIGURES]
        cls.pool = concurrent.futures.ThreadPoolExecutor(max_workers=6)
        cls.results = {page: cls.pool.submit(Player(page).play) for page in cls.played}

    @classmethod
    def tearDownClass(cls):
        cls.pool.shutdown()

    def check(self, page):
        failures = self.results[page].result(COMMANDS_IN_S)
        self.assertFalse(failures, "\n\n".join(failures))


def _add_pages():
    for page in pages.names():
        if page != pages.FIGURES:
            name = re.sub(r"\W", "_", page.removesuffix(".md").lower())
            setattr(Commands, f"test_{name}", lambda self, page=page: self.check(page))


_add_pages()


class Blocks(unittest.TestCase):
    """What has to be so of every block, run or not."""

    def all_blocks(self):
        for page in pages.names():
            yield from pages.blocks_of(page)

    def test_each_says_what_it_is(self):
        for block in self.all_blocks():
            with self.subTest(block.place):
                if block.page == pages.FIGURES:
                    continue
                self.assertIn(block.language, pages.LANGUAGES, "write a language behind the fence; output is `text`")

    def test_each_is_run_or_says_why_not(self):
        for block in self.all_blocks():
            with self.subTest(block.place):
                if block.not_run is not None:
                    self.assertGreater(len(block.not_run.split()), 2, "a reason in some words")
                if block.language in ("cmake", "console", "ini"):
                    self.assertIsNotNone(block.not_run, f"{block.language} is not run here: say what tests it")
                if block.language == "json" and not block.not_run:
                    json.loads(block.text)

    def test_nothing_is_left_to_fill_in(self):
        for page in pages.names():
            self.assertEqual(re.findall(r"@[A-Z]+@|\bTODO\b|\bTBD\b", pages.text_of(page)), [], page)

    def test_commands_are_there(self):
        usage = subprocess.run([pages.ROOT / "dev", "help"], capture_output=True, text=True, check=True).stdout
        commands = set(re.findall(r"^  (\w+)", usage, re.MULTILINE)) | {"help"}
        benches = set(re.findall(r'"(\w+)": \w+\.run', (pages.ROOT / "bench/run").read_text()))
        self.assertIn("engine", benches)
        options = subprocess.run([binary(), "--help"], capture_output=True, text=True, check=True).stdout
        known = set(re.findall(r"--[\w-]+", options))
        for page in pages.names():
            text = pages.text_of(page)
            with self.subTest(page):
                self.assertLessEqual(set(re.findall(r"\./dev (?!<)(\w+)", text)), commands)
                self.assertLessEqual(set(re.findall(r"\./dev bench (\w+)", text)), benches)
            for block in pages.blocks_of(page):
                if block.language in pages.RUN_AS_SHELL or page == pages.FIGURES:
                    with self.subTest(block.place):
                        self._check_names(block, known)

    def test_flags_and_variables_are_told(self):
        told = ("docs/configuration.md", "docs/terminal.md", "docs/logging.md")
        page = "\n".join(pages.text_of(name) for name in told if (pages.ROOT / name).exists())
        options = subprocess.run([binary(), "--help"], capture_output=True, text=True, check=True).stdout
        source = (pages.ROOT / "http/command_line.cpp").read_text(encoding="utf-8")
        names = set(re.findall(r"--[a-z][\w-]+", options)) | set(re.findall(r'variables(?:\(|, )"([A-Z_]+)"', source))
        self.assertGreater(len(names), 15)
        for name in names:
            with self.subTest(name):
                self.assertTrue(re.search(rf"`{name}[` ]", page), "docs/configuration.md lacks it: The command line")

    def _check_names(self, block, known):
        if block.page == pages.FIGURES:
            return  # some of its commands write files
        for path in re.findall(r"(?<![\w/.-])(?:tests|examples|scripts|deploy|bench|docs)/[\w./-]*\w", block.text):
            self.assertTrue((pages.ROOT / path).exists(), f"there is no {path}")
        for command in re.findall(r"^(?:build/release/)?vorrang (-.*)$", block.text, re.MULTILINE):
            self.assertLessEqual(set(re.findall(r"(?<!\S)--[\w-]+", command)), known)


class Links(unittest.TestCase):
    def test_links_lead_somewhere(self):
        anchors = {}
        for page in pages.all_markdown():
            folder = (pages.ROOT / page).parent
            for link in pages.links_of(pages.text_of(page)):
                if re.match(r"[a-z]+:", link):
                    continue
                with self.subTest(page=page, link=link):
                    name, _, anchor = link.partition("#")
                    target = (folder / name).resolve() if name else pages.ROOT / page
                    self.assertTrue(target.exists(), "nothing is there")
                    if anchor and target.suffix == ".md":
                        if target not in anchors:
                            anchors[target] = pages.anchors_of(target.read_text(encoding="utf-8"))
                        self.assertIn(anchor, anchors[target], "no such heading")

    def test_each_page_is_in_the_index(self):
        index = {link.partition("#")[0] for link in pages.links_of(pages.text_of("docs/README.md"))}
        for page in pages.names():
            if page.startswith("docs/") and page != "docs/README.md":
                self.assertIn(page.removeprefix("docs/"), index)
        self.assertIn("docs/README.md", pages.links_of(pages.text_of("README.md")))


class Operating(unittest.TestCase):
    """Whatever the gateway tells, the operator's page has a word about."""

    page = "docs/operating.md"

    def test_each_error(self):
        text = (pages.ROOT / "http/error_reply.cpp").read_text(encoding="utf-8")
        rows = re.findall(r"\{our_error::(\w+), (\d+), (?:true|false), \"([\w-]+)\",\s*((?:\"[^\"]*\"\s*)+)\}", text)
        declared = re.findall(r"^  (\w+) = \d+,", (pages.ROOT / "http/our_error.hpp").read_text(), re.MULTILINE)
        self.assertEqual({row[0] for row in rows}, set(declared) - {"none"}, "the table cannot be read any more")
        page = pages.text_of(self.page)
        for _code, status, name, pieces in rows:
            sentence = "".join(re.findall(r'"([^"]*)"', pieces))
            with self.subTest(name):
                row = re.search(rf"(?m)^\| {status}[^|]* \| `{re.escape(name)}` \| (.*)$", page)
                self.assertIsNotNone(row, f"the table of errors lacks {status} `{name}`")
                line = row.group(1)
                self.assertIn(sentence, line.replace("`", ""))
                self.assertGreater(len(line.split(" | ")[-1].split()), 1, "what to do about it?")
        listed = re.findall(r"(?m)^\| [1-5]\d\d[^|]* \| `([\w-]+)` \| ", page)
        self.assertEqual(sorted(listed), sorted(name for _code, _status, name, _pieces in rows))

    def test_each_metric(self):
        page = pages.text_of(self.page)
        with Scene(binary()) as scene:
            scene.start("vorrang --config examples/demo.yaml")
            told = scene.run("curl -sf http://127.0.0.1:4001/metrics")
        families = set(re.findall(r"^# TYPE (\S+)", told, re.MULTILINE))
        self.assertGreater(len(families), 40)
        families |= set(re.findall(r"^\| `((?:vorrang|process)_\w+)`", pages.text_of("docs/metrics.md"), re.MULTILINE))
        for name in sorted(families):
            with self.subTest(name):
                self.assertTrue(f"`{name}`" in page, "there is no word about it")
        for name in re.findall(r"`((?:vorrang|process)_[a-z_]+)`", page):
            if not name.startswith("vorrang_settings"):
                self.assertIn(name, families, "there is no such metric")

    def test_each_alert(self):
        rules = (pages.ROOT / "deploy/prometheus/vorrang.rules.yml").read_text(encoding="utf-8")
        page = pages.text_of(self.page)
        alerts = re.findall(r"alert: (\w+)", rules)
        self.assertGreater(len(alerts), 10)
        for name in alerts:
            with self.subTest(name):
                self.assertTrue(f"\n| `{name}` | " in page, "there is no row of it")
        self.assertEqual(set(re.findall(r"^\| `(Vorrang\w+)` \|", page, re.MULTILINE)), set(alerts))


class Settings(unittest.TestCase):
    """The reference and the schema are what the code says, and the schema says what the reader does."""

    def test_they_are_as_made(self):
        done = subprocess.run(
            ["python3", pages.ROOT / "scripts/settings_reference.py", "--check", "--tool",
             os.environ["VORRANG_SETTINGS_REFERENCE"]],
            capture_output=True,
            text=True,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    @classmethod
    def setUpClass(cls):
        import jsonschema
        import yaml

        schema = json.loads((pages.ROOT / "deploy/schema/vorrang.schema.json").read_text(encoding="utf-8"))
        jsonschema.Draft7Validator.check_schema(schema)
        cls.validator = jsonschema.Draft7Validator(schema)
        cls.load = staticmethod(yaml.safe_load)

    def mistakes(self, text):
        return [
            f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
            for error in self.validator.iter_errors(self.load(text))
        ]

    def test_good_files_are_valid(self):
        tried = 0
        files = [*pages.ROOT.glob("examples/*.yaml"), *pages.ROOT.glob("tests/compare/configs/*.yaml")]
        with tempfile.TemporaryDirectory() as folder:
            started = pathlib.Path(folder) / "started.yaml"
            subprocess.run([binary(), "init", started], check=True, stdout=subprocess.DEVNULL)
            for path in [*files, pages.ROOT / "deploy/debian/config.yaml", started]:
                with self.subTest(path.name):
                    self.assertEqual(self.mistakes(path.read_text(encoding="utf-8")), [])
                    tried += 1
        for page in pages.names():
            for block in pages.blocks_of(page):
                if block.language == "yaml" and SECTIONS.search(block.text):
                    with self.subTest(block.place):
                        self.assertEqual(self.mistakes(block.text), [])
                        tried += 1
        self.assertGreater(tried, 25)

    # Each with what the reader says of it: an error, or nothing.
    cases = (
        ("router_settings: {timeout: soon}", False),
        ("router_settings: {timeout: 0}", False),
        ("router_settings: {timeout: 2592001}", False),
        ("router_settings: {timeout: '2.5'}", True),
        ("router_settings: {timeout: os.environ/HOW_LONG}", True),
        ("router_settings: {timeout: null}", True),
        ("router_settings: {num_retries: -1}", False),
        ("router_settings: {num_retries: 1.5}", False),
        ("router_settings: {num_retries: 2.0}", True),
        ("router_settings: {default_priority: 2147483648}", False),
        ("router_settings: {default_priority: -2147483648}", True),
        ("router_settings: {disable_cooldowns: 3}", False),
        ("router_settings: {disable_cooldowns: 'off'}", True),
        ("router_settings: {disable_cooldowns: perhaps}", False),
        ("router_settings: {routing_strategy: random}", False),
        ("router_settings: {routing_strategy: least-busy}", True),
        ("router_settings: {fallbacks: {m: m}}", False),
        ("router_settings: {fallbacks: [{m: []}]}", True),
        ("router_settings: {retry_policy: 5}", False),
        ("router_settings: {retry_policy: {RateLimitErrorRetries: many}}", False),
        ("router_settings: {retry_policy: {RateLimitErrorRetries: 3}}", True),
        ("router_settings: {model_group_alias: {other: m, third: {model: m, hidden: true}}}", True),
        ("router_settings: {model_group_alias: {other: {hidden: true}}}", False),
        ("router_settings: {model_group_alias: {other: 5}}", False),
        ("router_settings: {redis_port: 70000, redis_host: h}", False),
        ("router_settings: {sentinel_nodes: [[h, 26379]], service_name: s}", True),
        ("router_settings: {sentinel_nodes: [h], service_name: s}", False),
        ("router_settings: {some_key_of_litellms: 1}", True),
        ("litellm_settings: []", False),
        ("litellm_settings: {callbacks: [prometheus], ssl_verify: false}", True),
        ("general_settings: {master_key: 1234}", False),
        ("general_settings: {max_request_size_mb: 0}", False),
        ("vorrang_settings: {keys: [sk-1, {key: sk-2, best_priority: 5, models: [m]}]}", True),
        ("vorrang_settings: {keys: [{name: nobody}]}", False),
        ("vorrang_settings: {keys: [{key: sk-2, best_priority: high}]}", False),
        ("vorrang_settings: {metrics_priority_classes: [0, 10]}", True),
        ("vorrang_settings: {metrics_priority_classes: 10}", False),
        ("vorrang_settings: {redis_unavailable: wait}", False),
        ("vorrang_settings: {admin_port: 65536}", False),
        ("environment_variables: [A]", False),
        ("model_list: {}", False),
        ("model_list: [{model_name: m}]", False),
        ("model_list: [{litellm_params: {model: openai/m, mock_response: x}}]", False),
        ("model_list: [{model_name: m, litellm_params: {mock_response: x}}]", False),
        ("model_list: [{model_name: m, litellm_params: {model: openai/m, mock_response: x, rpm: many}}]", False),
        ("model_list: [{model_name: m, litellm_params: {model: 5, mock_response: x}}]", False),
        ("model_list: [{model_name: m, litellm_params: {model: openai/m, mock_response: x, tags: {a: b}}}]", False),
        ("model_list: [{model_name: m, litellm_params: {model: openai/m, mock_response: x, extra_body: 5}}]", False),
        ("model_list: [{model_name: m, litellm_params: {model: openai/m, mock_response: x, temperature: 0}}]", True),
    )

    def test_schema_and_reader_agree(self):
        with tempfile.TemporaryDirectory() as folder:
            for case, is_good in self.cases:
                text = case + "\n" if case.startswith("model_list") else SOME_MODEL + case + "\n"
                path = os.path.join(folder, "config.yaml")
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
                done = subprocess.run(
                    [binary(), "--check-config", "--config", path],
                    capture_output=True,
                    text=True,
                    env={**os.environ, "HOW_LONG": "3"},
                )
                with self.subTest(case):
                    found = self.mistakes(text)
                    self.assertEqual(not found, is_good, found)
                    self.assertEqual(done.returncode, 0 if is_good else 2, done.stdout + done.stderr)

    def test_slips_in_our_own_section_are_found(self):
        self.assertTrue(self.mistakes(SOME_MODEL + "vorrang_settings: {max_queue_sise: 5}\n"))


class Bite(unittest.TestCase):
    """These tests notice what they are for."""

    def test_a_block_without_a_language(self):
        block = pages.blocks_of("x.md", "```\n./dev run\n```\n")[0]
        self.assertNotIn(block.language, pages.LANGUAGES)

    def test_reasons_and_outputs_belong_to_the_next_block_alone(self):
        text = "<!-- not run: needs a whole machine -->\n\n```sh\na\n```\n\n```text\nb\n```\n\n```sh\nc\n```\n\nd\n\n```text\ne\n```\n"
        first, output, second, _ = pages.blocks_of("x.md", text)
        self.assertEqual(first.not_run, "needs a whole machine")
        self.assertIs(first.output, output)
        self.assertIsNone(second.not_run)
        self.assertIsNone(second.output)

    def test_wrong_output(self):
        shown = "priority 5: 200 after 1.5 s\n…\nlast"
        self.assertRegex("priority 5: 200 after 22.75 s\nanything\nat all\nlast", expected(shown))
        self.assertNotRegex("priority 6: 200 after 1.5 s\nlast", expected(shown))
        self.assertNotRegex("priority 5: 200 after 1.5 s\nlast one", expected(shown))
        table = "POS             ID  WAITED\n  1  123456789012   97 ms"
        self.assertRegex("POS               ID  WAITED\n  1  12345678901234   1.2 s", expected(table))
        self.assertNotRegex("POS             ID  WAITED\n  2  123456789012   97 ms", expected(table))

    def test_a_command_that_fails(self):
        with Scene(binary()) as scene:
            with self.assertRaisesRegex(AssertionError, "status 3"):
                scene.run("exit 3")
            with self.assertRaisesRegex(AssertionError, "expected a number"):
                scene.check(scene.write("c.yaml", SOME_MODEL + "router_settings: {timeout: soon}\n"))
            with self.assertRaisesRegex(AssertionError, "ended with 2"):
                scene.start("vorrang --config nowhere.yaml")

    def test_anchors(self):
        text = "# A b\n## `x_y` and *z*!\n## A b\n```sh\n# no heading\n```\n"
        self.assertEqual(pages.anchors_of(text), {"a-b", "x_y-and-z", "a-b-1"})


if __name__ == "__main__":
    unittest.main()
