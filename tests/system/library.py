"""Client libraries as people install them, and a tap that counts what they send.

The libraries are installed once into the tests' work folder, at the versions pinned in clients/, and
kept there. Without a network the tests that need them are skipped, visibly; where CI is set that
counts as a failure.
"""

import filecmp
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest
import venv

from gateway import clean_environment
from provider.call import RequestReader

HERE = pathlib.Path(__file__).resolve().parent / "clients"
INSTALL_TIMEOUT_S = 400
ANSWER_TIMEOUT_S = 60.0


def python_command(driver):
    """How to run a driver of clients/ with the libraries for Python."""
    return [str(python_environment("clients-python", HERE / "python.txt")), str(HERE / driver)]


def python_environment(name, requirements):
    """The Python of a virtual environment in the work folder that holds these requirements."""
    folder = _work_folder(name)
    python = folder / "bin" / "python"

    def install():
        venv.create(folder, with_pip=True, clear=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        # Wheels only: nothing is compiled, and nothing of a package runs before a test does.
        _run([*pip, "--only-binary=:all:", "--no-compile", "--requirement", requirements])

    _install_once(folder, f"{sys.version}\n{requirements.read_text(encoding='ascii')}", install)
    return python


def node_command(driver):
    """The same with the libraries for Node."""
    folder = node_environment("clients-node", HERE)
    for file in HERE.glob("*.mjs"):  # Node looks for libraries beside the file that imports them
        if not (folder / file.name).exists() or not filecmp.cmp(file, folder / file.name, shallow=False):
            shutil.copy(file, folder)
    return [shutil.which("node"), str(folder / driver)]


def node_environment(name, source):
    """A folder in the work folder with what the package files in `source` name in its node_modules."""
    folder = _work_folder(name)
    if shutil.which("node") is None or shutil.which("npm") is None:
        _cannot("node or npm is missing")
    lock = (source / "package-lock.json").read_text(encoding="ascii")

    def install():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(source / file, folder)
        _run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"], cwd=folder)

    _install_once(folder, lock, install)
    return folder


def _work_folder(name):
    return pathlib.Path(os.environ["VORRANG_SYSTEM_WORK"]) / name


def _install_once(folder, wanted, install):
    marker = folder / "installed.txt"  # what is in there; written last
    if marker.exists() and marker.read_text(encoding="ascii") == wanted:
        return
    begun = time.monotonic()
    try:
        install()
    except (subprocess.SubprocessError, OSError) as reason:
        detail = getattr(reason, "stderr", None) or str(reason)
        _cannot(f"{folder.name} cannot be installed: {str(detail).strip()[-500:]}")
    marker.write_text(wanted, encoding="ascii")
    print(f"[{folder.name} installed in {time.monotonic() - begun:.0f} s] ", end="", flush=True)


def _run(command, **more):
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, **more)


def _cannot(message):
    if os.environ.get("CI"):
        raise AssertionError(message)
    raise unittest.SkipTest(message)


class Driver:
    """A process that runs one library (clients/driver.py says how it is spoken to)."""

    def __init__(self, command):
        environment = clean_environment(NO_PROXY="127.0.0.1", no_proxy="127.0.0.1")
        # Only what is imported gets compiled, once: for litellm the difference between 4 s and 10 s.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._sent = 0
        self._errors = []
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()
        self._expect_line()

    def send(self, **request):
        """Begins one call; `result` is what came of it."""
        self._sent += 1
        try:
            self.process.stdin.write(json.dumps({**request, "id": self._sent}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._has_ended() from None

    def leave(self):
        """Gives up the call that is running, as a program does whose user has left."""
        self.process.send_signal(signal.SIGUSR2)

    def result(self):
        while True:
            result = json.loads(self._expect_line())
            if result["id"] == self._sent:  # others are of a test that has failed
                return result

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(10)
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()

    def _read_errors(self):
        for line in self.process.stderr:
            self._errors.append(line)

    def _expect_line(self):
        timer = threading.Timer(ANSWER_TIMEOUT_S, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        if not line:
            raise self._has_ended()
        return line

    def _has_ended(self):
        self.process.kill()
        self._reader.join(10)
        return AssertionError(f"the library's process ended:\n{''.join(self._errors)[-3000:]}")


class Arrival:
    """The head of a request: the gateway may answer before the body has come."""

    def __init__(self, method, target, headers):
        self.at = time.monotonic()
        self.method = method
        self.target = target
        self.headers = {name.lower(): value for name, value in headers}


class Tap:
    """Passes everything on to the gateway, and records each request: what a library sends again by
    itself is seen nowhere else. An end of either side becomes one of the other."""

    def __init__(self, port):
        self.target_port = port
        self.arrivals = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.base = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._answers = bytearray()
        self._sockets = []
        self._threads = []

    def __enter__(self):
        self._start(self._accept)
        return self

    def __exit__(self, *_exception):
        # A close alone does not wake a thread that waits in accept or recv.
        for each in [self._listener, *self._sockets]:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(10)
        for each in [self._listener, *self._sockets]:
            each.close()

    def wait_until_answered(self, text, count=1, other=None, timeout_s=10.0):
        """Waits until the gateway has sent this text (or the other) so many times."""
        end = time.monotonic() + timeout_s
        while max(bytes(self._answers).count(each) for each in (text, other or text)) < count:
            if time.monotonic() > end:
                raise AssertionError(f"no {text!r} came, only {bytes(self._answers)[-500:]!r}")
            time.sleep(0.002)

    @property
    def retry_after_s(self):
        """What the first answer that had it said."""
        found = re.search(rb"(?i)\r\nretry-after: (\d+)\r\n", bytes(self._answers))
        assert found, f"no Retry-After in {bytes(self._answers)!r}"
        return int(found.group(1))

    @property
    def pauses(self):
        """Seconds between one request and the next."""
        times = [arrival.at for arrival in self.arrivals]
        return [after - before for before, after in zip(times, times[1:])]

    def _start(self, run, *arguments):
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            gateway = socket.create_connection(("127.0.0.1", self.target_port))
            for each in (client, gateway):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets += [client, gateway]
            self._start(self._pass_on, client, gateway, RequestReader(self._arrived))
            self._start(self._pass_on, gateway, client, None)

    def _arrived(self, *head):
        self.arrivals.append(Arrival(*head))

    def _pass_on(self, source, target, reader):
        try:
            while data := source.recv(65536):
                if reader is None:
                    self._answers += data
                else:
                    reader.feed(data)
                    while reader.take() is not None:
                        pass
                target.sendall(data)
        except OSError:
            pass
        for each in (source, target):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
