"""A Prometheus of the test's own, and promtool."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
import urllib.parse

import client
from gateway import free_port, wait_until

START_TIMEOUT_S = 20.0


def program(name):
    """Its path; a test is skipped where it is not there, or fails if that is CI."""
    path = shutil.which(name)
    if path is None and os.environ.get("CI"):
        raise RuntimeError(f"there is no {name}: ./dev setup installs the package prometheus")
    if path is None:
        raise unittest.SkipTest(f"there is no {name} (Debian: prometheus)")
    return path


def promtool(*arguments, text=None, folder=None):
    """(exit status, what it printed)."""
    done = subprocess.run([program("promtool"), *arguments], input=text, capture_output=True, text=True,
                          cwd=folder, timeout=60)  # fmt: skip
    return done.returncode, done.stdout + done.stderr


class Prometheus:
    """Scrapes one gateway each `interval_s`. Use as a context manager."""

    def __init__(self, admin_port, rules, interval_s=1, more=""):
        self._program = program("prometheus")
        self._config = (f"global: {{scrape_interval: {interval_s}s, evaluation_interval: {interval_s}s}}\n"
                        f"rule_files: ['{rules}']\n"
                        "scrape_configs:\n"
                        "  - job_name: vorrang\n"
                        f"    static_configs: [{{targets: ['127.0.0.1:{admin_port}']}}]\n{more}")  # fmt: skip
        self.port = None
        self.process = None

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="vorrang-prometheus-")
        path = os.path.join(self._folder.name, "prometheus.yml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self._config)
        self._log = open(os.path.join(self._folder.name, "log"), "w+", encoding="utf-8")
        self.port = free_port()
        self.process = subprocess.Popen(
            [self._program, f"--config.file={path}", f"--storage.tsdb.path={self._folder.name}/data",
             f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip
        try:
            wait_until(self._is_ready, START_TIMEOUT_S, lambda: f"Prometheus is not ready: {self.log()}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _is_ready(self):
        assert self.process.poll() is None, f"Prometheus has ended: {self.log()}"
        try:
            return client.call(self.port, "GET", "/-/ready").status == 200
        except OSError:
            return False

    def log(self):
        self._log.flush()
        self._log.seek(0)
        return self._log.read()[-3000:]

    def __exit__(self, *_exception):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()
        self._folder.cleanup()

    def get(self, path, **query):
        target = f"/api/v1/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        answer = json.loads(client.call(self.port, "GET", target).body)
        assert answer["status"] == "success", (query, answer)
        return answer["data"]

    def query(self, expression):
        """What it comes to now: [(labels, value)]."""
        result = self.get("query", query=expression)["result"]
        return [(each["metric"], float(each["value"][1])) for each in result]

    def value(self, expression):
        """Of an expression with one result; 0 if there is none."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return found[0][1] if found else 0.0
