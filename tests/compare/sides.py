"""The two gateways, started on the same file, each in front of a provider of its own."""

import os
import pathlib
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import client
from gateway import Gateway, clean_environment, free_port
from provider import Provider

UPSTREAM = "http://upstream.internal:8000"  # what the configurations call the provider
LITELLM_START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 20.0
MASTER_KEY = "sk-compare-5a1c7e0f94b2d863"

# What the configurations name as os.environ/…; the same for both, and nothing that a file does not name
# but the providers' own keys: LITELLM_MASTER_KEY alone would lock a gateway whose file has no key.
VARIABLES = {
    "LITELLM_MASTER_KEY": MASTER_KEY,
    "OPENAI_API_KEY": "sk-from-the-environment",
    "TEAM_API_KEY": "sk-of-the-team",
    "AZURE_API_KEY": "azure-from-the-environment",
    "ANTHROPIC_API_KEY": "sk-ant-from-the-environment",
}

# LiteLLM must not reach outside, nor ask for a database. A proxy that nobody listens at turns every
# attempt into an error at once.
LITELLM_VARIABLES = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_TELEMETRY": "False",
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    "HF_HUB_OFFLINE": "1",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1",
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "all_proxy": "http://127.0.0.1:9",
    "no_proxy": "127.0.0.1",
}


class Side:
    """One gateway in front of a fresh provider. Use as a context manager."""

    def __init__(self, config):
        self._config = config
        self.provider = Provider()
        self.port = None

    def __enter__(self):
        self.provider.__enter__()
        try:
            self.start(self._config.replace(UPSTREAM, self.provider.root))
        except BaseException:
            self.provider.__exit__(AssertionError)
            raise
        return self

    def __exit__(self, *exception):
        try:
            self.stop(*exception)
        finally:
            self.provider.__exit__(*exception)

    def connect(self):
        return client.Connection(self.port)

    @property
    def variables(self):
        """What the process's environment has besides."""
        is_locked = "os.environ/LITELLM_MASTER_KEY" in self._config
        return {name: value for name, value in VARIABLES.items() if is_locked or name != "LITELLM_MASTER_KEY"}


class Vorrang(Side):
    name = "Vorrang"

    def start(self, config):
        self._gateway = Gateway(config, environment={**self.variables, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"})
        self._gateway.__enter__()
        self.port = self._gateway.port

    def stop(self, *exception):
        self._gateway.__exit__(*exception)

    @property
    def warnings(self):
        """What it said of the file: {setting: the words after it}."""
        found = {}
        for line in self._gateway.output.splitlines():
            _, is_warning, text = line.partition("warning: ")
            if is_warning:
                _place, setting, *words = text.split(": ", 2)
                found[setting] = ": ".join(words)
        return found


class LiteLLM(Side):
    name = "LiteLLM"

    def __init__(self, config, environment):
        super().__init__(config)
        self._program = pathlib.Path(environment) / "bin" / "litellm"
        self._process = None

    def start(self, config):
        self._folder = tempfile.TemporaryDirectory(prefix="litellm-")
        folder = pathlib.Path(self._folder.name)
        (folder / "config.yaml").write_text(config, encoding="utf-8")
        self._log = folder / "log.txt"
        self.port = free_port()
        command = [self._program, "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(self.port)]
        environment = clean_environment(**self.variables, **LITELLM_VARIABLES)
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled once: half of the time that it takes to start
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [*command, "--telemetry", "False"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        self._wait_until_running()

    def stop(self, *_exception):
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if keep := os.environ.get("VORRANG_COMPARE_LOGS"):
            target = pathlib.Path(keep) / f"litellm-{self.port}.txt"
            target.write_bytes(self._log.read_bytes())
        self._folder.cleanup()

    @property
    def warnings(self):
        """Its log is for people; what matters of it shows in the answers."""
        return {}

    def _wait_until_running(self):
        end = time.monotonic() + LITELLM_START_TIMEOUT_S
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while True:
            try:
                with opener.open(f"http://127.0.0.1:{self.port}/health/liveliness", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                pass
            if self._process.poll() is not None or time.monotonic() > end:
                self._process.kill()
                self._process.wait()
                text = self._log.read_text("utf-8", "replace")
                self._folder.cleanup()
                raise AssertionError(f"LiteLLM did not start:\n{text[-4000:]}")
            time.sleep(0.1)  # a process of others, which tells nobody that it listens
