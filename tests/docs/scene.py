"""What the commands of a page need: a folder like a clone, free ports, and what runs behind them.

In the folder the ports that pages write are replaced by free ones, in commands and files alike, so
that nothing on the machine is in the way. `./dev run`, `vorrang` and `redis-server` are scripts
there that start what was built already.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from gateway import clean_environment, free_port
from pages import ROOT

STARTED_IN_S = 60.0
ENDED_IN_S = 20.0
COMMAND_IN_S = 180.0  # some import large libraries, on machines with much else to do
# Written on the pages. 4001 is the admin port, 4010 the provider to play with.
PORTS = (4000, 4001, 4002, 4003, 4010, 6379, 26379)
IN_BACKGROUND = re.compile(r"^(\./dev run|(build/release/)?vorrang --config (?!.*(?:--check-config|\|\|))|redis-server)\b")


class Scene:
    """Use as a context manager. `run` and `start` raise AssertionError with all that was printed."""

    def __init__(self, binary):
        self._binary = binary
        self._services = []  # (process, log, port)
        self.variables = {}  # what the page exports

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="vorrang-docs-")
        self.folder = pathlib.Path(self._folder.name)
        self._ports = dict(zip(map(str, PORTS), map(str, _distinct_ports(len(PORTS)))))
        for entry in ROOT.iterdir():
            if entry.name not in ("dev", "build", "examples", "deploy", ".git"):
                (self.folder / entry.name).symlink_to(entry)
        for name in ("examples", "deploy"):
            shutil.copytree(ROOT / name, self.folder / name)
        for path in (self.folder / "examples").glob("*.yaml"):
            path.write_text(self.placed(path.read_text(encoding="utf-8"), is_configuration=True), encoding="utf-8")
        self._tools()
        return self

    def __exit__(self, *_):
        for process, log, _ports in reversed(self._services):
            _end(process)
            log.close()
        self._folder.cleanup()

    def placed(self, text, is_configuration=False):
        """The text with the ports of this scene."""
        text = re.sub(r"(?<![\w.])(%s)(?![\w])" % "|".join(self._ports), lambda m: self._ports[m.group()], text)
        if is_configuration and "admin_port" not in text and "model_list" in text:
            setting = f"  admin_port: {self._ports['4001']}\n"
            if re.search(r"^vorrang_settings:", text, re.MULTILINE):
                text = re.sub(r"^vorrang_settings:.*\n", lambda m: m.group() + setting, text, flags=re.MULTILINE)
            else:
                text += "\nvorrang_settings:\n" + setting
        return text

    def write(self, name, text):
        path = self.folder / name
        path.write_text(self.placed(text, is_configuration=True), encoding="utf-8")
        return path

    def run(self, command, shell=True):
        """Standard output of a command that has to succeed."""
        done = subprocess.run(
            ["bash", "-c", self.placed(command)] if shell else command,
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_IN_S,
        )
        assert done.returncode == 0, (
            f"status {done.returncode} of\n{command}\n--- output\n{done.stdout}\n--- errors\n{done.stderr}"
            f"\n--- behind it\n{self._logs()}"
        )
        return done.stdout

    def check(self, path):
        """`--check-config` of one file, which has to pass."""
        # Values for variables that a reader has; the page need not set them before it shows a file.
        names = re.findall(r"os\.environ/(\w+)", path.read_text(encoding="utf-8"))
        some = {name: "6379" if name.endswith("_PORT") else f"sk-{name}" for name in names}
        told = " ".join(f"{name}=${{{name}-{value}}}" for name, value in some.items())
        self.run(f"{told} vorrang --check-config --config '{path}'")

    def start(self, command):
        """One that goes on. What it takes the port of is ended first, as its reader would have to."""
        command = self.placed(command.strip())
        port = self._port_of(command)
        for service in [each for each in self._services if each[2] == port]:
            self._services.remove(service)
            _end(service[0])
            service[1].close()
        log = tempfile.TemporaryFile("w+", dir=self.folder)
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        self._services.append((process, log, port))
        end = time.monotonic() + STARTED_IN_S
        wanted = "Ready to accept connections" if "redis-server" in command else "RUNNING on"
        while wanted not in self._text_of(log):
            assert process.poll() is None, f"ended with {process.returncode}: {command}\n{self._text_of(log)}"
            assert time.monotonic() < end, f"does not start: {command}\n{self._text_of(log)}"
            time.sleep(0.02)

    def _port_of(self, command):
        given = re.search(r"--port (\d+)", command)
        return given.group(1) if given else self._ports["6379" if "redis-server" in command else "4000"]

    def _text_of(self, log):
        position = log.tell()
        log.seek(0)
        text = log.read()
        log.seek(position)
        return text

    def _logs(self):
        return "\n".join(self._text_of(log)[-2000:] for _process, log, _port in self._services)

    def _environment(self):
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        admin = f"http://127.0.0.1:{self._ports['4001']}"
        return clean_environment(PATH=path, HOME=str(self.folder), VORRANG_ADMIN_URL=admin, **self.variables)

    def _tools(self):
        """The programs that pages call, on this scene's ports."""
        gateway = (
            f'for each in "$@"; do case $each in --port | --port=*) exec {self._binary} "$@" ;; esac; done\n'
            f'exec {self._binary} "$@" --port {self._ports["4000"]}\n'
        )
        commands = "top | queue | bump | cancel | why | reload | check | init"
        self._script("bin/vorrang", f'case "$1" in {commands}) exec {self._binary} "$@" ;; esac\n{gateway}')
        self._script("build/release/vorrang", gateway)
        self._script(
            "dev",
            '[ "$1" = run ] || { echo "dev $1 is not run here" >&2; exit 2; }\nshift\n'
            'case " $* " in *" --config "*) exec vorrang "$@" ;; esac\n'
            f"{sys.executable} tests/provider --port {self._ports['4010']} --script examples/demo-provider.json"
            " --with-parent >/dev/null &\n"
            'exec vorrang --config examples/demo.yaml "$@"\n',
        )
        # As in tests/shared/redis_server.py: redis-tools has the whole server under another name.
        server = shutil.which("redis-server") or shutil.which("redis-check-rdb")
        if server:
            self._script(
                "bin/redis-server",
                f"exec -a redis-server {server} --port {self._ports['6379']} --save '' --bind 127.0.0.1 \"$@\"\n",
            )

    def _script(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/bash\n" + text, encoding="utf-8")
        path.chmod(0o755)


_given = set()
_giving = threading.Lock()


def _distinct_ports(count):
    """Free ones that no other scene of this process has been given: most are bound only later."""
    ports = []
    with _giving:
        while len(ports) < count:
            port = free_port()
            if port not in _given:
                _given.add(port)
                ports.append(port)
    return ports


def _end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(ENDED_IN_S)
        except subprocess.TimeoutExpired:
            pass
    try:
        os.killpg(process.pid, signal.SIGKILL)  # what it started
    except ProcessLookupError:
        pass
    process.wait()
