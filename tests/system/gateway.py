"""Starts the real binary on free ports with a configuration of the test's, and stops it."""

import os
import random
import re
import signal
import socket
import subprocess
import tempfile
import textwrap
import threading
import time

import client

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 20.0
SANITIZER_REPORT = re.compile(r"(Address|Thread|Leak|Memory)Sanitizer|runtime error: ")
RELOADED_LINE = re.compile(r"reloaded; |reload: nothing has changed")
RUNNING_LINE = re.compile(r"RUNNING on (https?)://(\S+):(\d+)")

# Variables that would change what the gateway does if the person who runs the tests has them set.
FOREIGN_VARIABLES = re.compile(
    r"^(LITELLM_|VORRANG_|OTEL_|OPENAI_|AZURE_|ANTHROPIC_|HOSTED_VLLM_|CONFIG_FILE_PATH$|HOST$|PORT$|NUM_WORKERS$"
    r"|SSL_|REQUEST_TIMEOUT$|REDIS_|(?i:(HTTPS|NO)_PROXY$))"
)


def binary_path():
    path = os.environ.get("VORRANG_BINARY")
    if not path:
        raise RuntimeError("VORRANG_BINARY is not set: start the tests by run.py --binary PATH")
    return os.path.abspath(path)


def free_port():
    """A port that nobody listens on, below the range that outgoing connections are taken from."""
    for _ in range(1000):
        port = random.randint(18000, 31000)
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


def clean_environment(**variables):
    environment = {
        name: value for name, value in os.environ.items() if not FOREIGN_VARIABLES.match(name)
    }
    environment.update(variables)
    return environment


def run_binary(*arguments, environment=None, timeout_s=30.0):
    """Runs the binary to its end: (exit status, standard output, standard error)."""
    done = subprocess.run(
        [binary_path(), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=clean_environment(**(environment or {})),
    )
    return done.returncode, done.stdout, done.stderr


class Gateway:
    """One running gateway. Use as a context manager; leaving it stops the process and checks that
    it ended with status 0 and that no sanitizer spoke, so that every test also tests a clean stop.

    config       text of the YAML file, without admin settings
    admin        False: no admin port
    file_limit   soft and hard limit of descriptors, None: as inherited. UBSan needs descriptors of its
                 own to look at an object, and reports good ones as bad where none is left: with a
                 limit its reports are not looked at
    """

    def __init__(self, config, arguments=(), environment=None, admin=True, file_limit=None, port=None):
        self.config = textwrap.dedent(config)
        self.arguments = list(arguments)
        self.environment = environment or {}
        self.admin = admin
        self.file_limit = file_limit
        self.port = port
        self.admin_port = None
        self.process = None
        self.host = None
        self.stopped = False
        self._fixed_port = port is not None
        self._output = []
        self._output_changed = threading.Condition()
        self._directory = None
        self._readers = []

    @property
    def output(self):
        with self._output_changed:
            return "".join(self._output)

    def start(self):
        self._directory = tempfile.TemporaryDirectory(prefix="vorrang-system-")
        for attempt in range(5):
            self._launch()
            if self._wait_until_running():
                return self
            status = self.process.wait(STOP_TIMEOUT_S)
            # Another program may have taken the free port in between.
            if self._fixed_port or attempt == 4 or not re.search(r"(?i)address.*in use|taken", self.output):
                raise AssertionError(f"the gateway ended with {status} at its start:\n{self.output}")
            self._close_pipes()
        raise AssertionError("no free port found")

    def _launch(self):
        if not self._fixed_port:
            self.port = free_port()
        self.admin_port = free_port() if self.admin else 0
        path = os.path.join(self._directory.name, "config.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self._with_admin_port())
        command = [binary_path(), "--config", path, "--port", str(self.port), *self.arguments]
        if self.file_limit is not None:
            command = ["/bin/sh", "-c", f'ulimit -n {self.file_limit}; exec "$@"', "sh", *command]
        self._output = []
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(**self.environment),
        )
        self._readers = [
            threading.Thread(target=self._read, args=(stream,), daemon=True)
            for stream in (self.process.stdout, self.process.stderr)
        ]
        for reader in self._readers:
            reader.start()

    def _with_admin_port(self):
        setting = f"  admin_port: {self.admin_port}\n"
        if "\nvorrang_settings:\n" in self.config:
            return self.config.replace("\nvorrang_settings:\n", "\nvorrang_settings:\n" + setting, 1)
        assert "vorrang_settings" not in self.config, "write vorrang_settings as a block"
        return self.config.rstrip("\n") + "\nvorrang_settings:\n" + setting

    def _read(self, stream):
        for line in iter(stream.readline, b""):
            with self._output_changed:
                self._output.append(line.decode("utf-8", "replace"))
                self._output_changed.notify_all()
        with self._output_changed:
            self._output_changed.notify_all()

    def _wait_until_running(self):
        """True once the line was printed, False if the process ended before."""
        end = time.monotonic() + START_TIMEOUT_S
        while True:
            match = RUNNING_LINE.search(self.output)
            if match:
                self.host = match.group(2)
                assert int(match.group(3)) == self.port, f"asked for {self.port}: {match.group(0)}"
                return True
            if self.process.poll() is not None:
                for reader in self._readers:
                    reader.join(STOP_TIMEOUT_S)
                return bool(RUNNING_LINE.search(self.output))
            if time.monotonic() > end:
                self.kill()
                raise AssertionError(f"no RUNNING line within {START_TIMEOUT_S} s:\n{self.output}")
            with self._output_changed:
                self._output_changed.wait(0.05)

    def __enter__(self):
        return self.start()

    def __exit__(self, exception_type, *_exception):
        try:
            if self.process.poll() is None:
                if exception_type is not None:
                    self.kill()
                else:
                    self.stop()
            elif not self.stopped and exception_type is None:
                raise AssertionError(
                    f"the gateway ended by itself with {self.process.returncode}:\n{self.output[-4000:]}"
                )
            if exception_type is not None:
                print(f"--- last output of the gateway ---\n{self.output[-3000:]}\n---", flush=True)
        finally:
            self.kill()
            self._close_pipes()
            self._directory.cleanup()
        if exception_type is None and self.file_limit is None:
            report = SANITIZER_REPORT.search(self.output)
            assert report is None, self.output[report.start() : report.start() + 6000]

    def terminate(self, with_signal=signal.SIGTERM):
        """Sends the signal and returns; the test looks at what follows."""
        self.stopped = True
        self.process.send_signal(with_signal)

    def wait(self, timeout_s=STOP_TIMEOUT_S):
        """Exit status of a gateway that was told to stop."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running {timeout_s} s after its signal:\n{self.output[-3000:]}") from None

    def stop(self):
        """A clean stop: no running requests are expected, so it must be quick."""
        self.terminate()
        status = self.wait()
        assert status == 0, f"exit status {status} after SIGTERM:\n{self.output[-4000:]}"

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _close_pipes(self):
        for reader in self._readers:
            reader.join(5)
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()

    # Talking to it --------------------------------------------------------------------------

    def connect(self, timeout_s=client.DEFAULT_TIMEOUT_S):
        return client.Connection(self.port, timeout_s)

    def call(self, method, path, body=None, headers=None, timeout_s=client.DEFAULT_TIMEOUT_S):
        return client.call(self.port, method, path, body, headers, timeout_s)

    def chat(self, prompt="hello", model="m", headers=None, timeout_s=client.DEFAULT_TIMEOUT_S, **fields):
        body = client.chat_body(prompt, model, **fields)
        return self.call("POST", "/v1/chat/completions", body, headers, timeout_s)

    def post(self, body, headers=None, path="/v1/chat/completions"):
        """A body as it is: bytes or text go out untouched."""
        return self.call("POST", path, body, headers)

    def send_chat(self, prompt="hello", model="m", headers=None, **fields):
        """A chat request on a connection of its own whose answer is read later."""
        connection = self.connect()
        connection.chat(client.chat_body(prompt, model, **fields), headers)
        return connection

    def admin_get(self, path):
        return client.call(self.admin_port, "GET", path)

    # Reading its configuration again --------------------------------------------------------

    def rewrite(self, config):
        """Puts another configuration into the file; nothing reads it yet."""
        self.config = textwrap.dedent(config)
        path = os.path.join(self._directory.name, "config.yaml")
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(self._with_admin_port())
        os.replace(path + ".new", path)

    def post_reload(self, headers=None):
        headers = {"Content-Type": "application/json", **(headers or {})}
        return client.call(self.admin_port, "POST", "/reload", b"{}", headers)

    def reload(self, config):
        """The warnings of a reload that must be taken."""
        self.rewrite(config)
        response = self.post_reload()
        assert response.status == 200, response
        return response.json["warnings"]

    def hang_up(self, timeout_s=client.DEFAULT_TIMEOUT_S):
        """SIGHUP; returns when the log says what came of it."""
        count = len(RELOADED_LINE.findall(self.output))
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(RELOADED_LINE.findall(self.output)) > count, timeout_s, "no line of a reload")

    def queue(self, model="m"):
        return Queue(self.admin_get(f"/queue/{model}"))

    def waiting_count(self, model="m"):
        return self.queue(model).waiting_count

    def wait_until_waiting(self, count, model="m", timeout_s=client.DEFAULT_TIMEOUT_S):
        """Waits until exactly `count` tickets wait in the group; returns when that was seen."""
        wait_until(
            lambda: self.waiting_count(model) == count,
            timeout_s,
            lambda: f"{self.waiting_count(model)} tickets wait, not {count}",
        )
        return time.monotonic()

    def cpu_seconds(self):
        """User and system time that the process has used."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self):
        """Memory that the process holds."""
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def descriptor_count(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def connections_to(self, port):
        """States of its TCP connections to a port of this machine, as the kernel numbers them."""
        folder = f"/proc/{self.process.pid}/fd"
        own = {os.readlink(os.path.join(folder, name)) for name in os.listdir(folder)}
        with open(f"/proc/{self.process.pid}/net/tcp", encoding="ascii") as file:
            rows = [line.split() for line in file.readlines()[1:]]
        return [row[3] for row in rows if row[2].endswith(f":{port:04X}") and f"socket:[{row[9]}]" in own]


class Queue:
    """What the admin port says about one group. The contract names what is told, not the names of
    the fields around the list, so the list is recognised by what its entries hold."""

    def __init__(self, response):
        assert response.status == 200, response
        self.document = response.json

    @property
    def tickets(self):
        found = self._find_list(self.document)
        return found if found is not None else []

    @property
    def waiting_count(self):
        for name in ("waiting", "waiting_count", "total", "depth"):
            value = self.document.get(name)
            if isinstance(value, int) and not isinstance(value, bool):
                return value
        return len(self.tickets)

    def _find_list(self, value):
        if isinstance(value, list):
            if value and all(isinstance(e, dict) and "priority" in e and "id" in e for e in value):
                return value
            children = value
        elif isinstance(value, dict):
            children = value.values()
        else:
            return None
        for child in children:
            found = self._find_list(child)
            if found is not None:
                return found
        return None


def wait_until(condition, timeout_s=client.DEFAULT_TIMEOUT_S, what="the condition did not come true"):
    """Waits on a condition of another process, which has no event to wait for."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what() if callable(what) else what} after {timeout_s} s")
        time.sleep(0.002)
