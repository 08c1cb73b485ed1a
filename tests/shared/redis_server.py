"""A redis-server of the test's own, on a socket in a folder of its own, and a client for it."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

START_TIMEOUT_S = 10.0


class RedisError(Exception):
    """An error of the server's."""


def run_redis(name, *arguments):
    """A process of the program that is redis-server or redis-sentinel, as it is called."""
    # Debian's redis-tools has the whole program under this name; its redis-server would start a service
    # on whatever machine it is installed on.
    program = shutil.which("redis-server") or shutil.which("redis-check-rdb")
    if not program:
        raise RuntimeError("there is no redis-server: ./dev setup installs redis-tools")
    return subprocess.Popen([name, *arguments], executable=program, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL)  # fmt: skip


class RedisServer:
    """Use as a context manager. Keeps nothing on disk unless it is told so."""

    def __init__(self, *arguments):
        self.arguments = arguments
        self.process = None

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="vorrang-redis-")
        self.path = os.path.join(self._folder.name, "redis.sock")
        self.start()
        return self

    def start(self):
        """Also once more, after kill(): with whatever `save()` has put on disk."""
        self.process = run_redis("redis-server", *self._first(), "--unixsocket", self.path, "--save", "",
                                 "--dir", self._folder.name, *self.arguments)  # fmt: skip
        end = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                client = RedisClient(self.path)
                with contextlib.suppress(RedisError):  # it asks for a password
                    client.call("PING")
                client.close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    self.__exit__()
                    raise RuntimeError("redis-server did not start") from None
                time.sleep(0.01)

    def _first(self):
        return ["--port", "0"]

    def call(self, *arguments):
        """One command on a connection of its own."""
        client = RedisClient(self.path)
        try:
            return client.call(*arguments)
        finally:
            client.close()

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait(START_TIMEOUT_S)

    def forget(self):
        """What is on disk."""
        for name in os.listdir(self._folder.name):
            if name.endswith(".rdb"):
                os.remove(os.path.join(self._folder.name, name))

    def __exit__(self, *_exception):
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._folder.cleanup()


class RedisSentinel(RedisServer):
    """One sentinel that watches `service` at a port of this machine, and is enough to fail over."""

    def __init__(self, port, service, master_port):
        super().__init__()
        self.port = port
        self._text = (f"port {port}\nsentinel monitor {service} 127.0.0.1 {master_port} 1\n"
                      f"sentinel down-after-milliseconds {service} 500\n"
                      f"sentinel failover-timeout {service} 2000\n")  # fmt: skip

    def _first(self):
        path = os.path.join(self._folder.name, "sentinel.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(self._text)
        self.arguments = ("--sentinel",)
        return [path]


class RedisClient:
    def __init__(self, path, raw=False):
        """`raw`: long texts come as bytes."""
        self._raw = raw
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(path)
        self._file = self._socket.makefile("rb")

    def close(self):
        self._file.close()
        self._socket.close()

    def call(self, *arguments):
        self.send(*arguments)
        return self.receive()

    def send(self, *arguments):
        parts = [b"*%d\r\n" % len(arguments)]
        for each in arguments:
            data = each if isinstance(each, bytes) else str(each).encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
        self._socket.sendall(b"".join(parts))

    def receive(self):
        line = self._file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if rest == b"-1":
                return None
            data = self._file.read(int(rest) + 2)[:-2]
            return data if self._raw else data.decode()
        if kind == b"*":
            return None if rest == b"-1" else [self.receive() for _ in range(int(rest))]
        raise RedisError(f"no answer: {line!r}")


class SharedLine:
    """One group's line, as one instance calls it."""

    text = (pathlib.Path(__file__).resolve().parents[2] / "actors" / "shared" / "line.lua").read_text()
    # As servers before Redis 7 run it; else as a function.
    is_script = os.environ.get("VORRANG_LINE_AS") == "script"

    def __init__(self, client, instance, settings, base="vorrang:{m}:line"):
        self.client = client
        self.instance = instance
        self.base = base
        self.known = {}
        self.change(settings)

    def change(self, settings):
        self.settings = json.dumps(settings)
        self.known["digest"] = hashlib.sha1(self.settings.encode()).hexdigest()

    def call(self, *operations, ready=True, all_rooms=False, lost=False):
        """What the script says, with times as numbers. `ready`: whatever was known of another line has been told.
        `lost`: the reply does not reach the instance."""
        if ready:
            operations += ({"op": "ready"},)
        texts = (json.dumps({name: value for name, value in each.items() if value is not None}) for each in operations)
        known = (self.known.get(name, "") for name in ("digest", "epoch", "seq", "members"))
        arguments = (1, self.base, self.instance, self.settings, *known, "all" if all_rooms else "", *texts)
        said = json.loads(self._script(arguments) if self.is_script else self._function(arguments))
        said["now"], said["next"] = int(said["now"]), int(said.get("next", 0))
        for name in ("results", "grants", "refused", "rooms"):
            said.setdefault(name, [])
        for name in ("rank", "overruns", "inversions"):
            said.setdefault(name, 0)
        if ready:
            said["results"].pop()
        if not lost:
            self.known.update(epoch=said["epoch"], seq=said["seq"], members=said["members"])
        return said

    def _script(self, arguments):
        script = f"{self.text}\nreturn call(KEYS, ARGV)\n"
        try:
            return self.client.call("EVALSHA", hashlib.sha1(script.encode()).hexdigest(), *arguments)
        except RedisError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
            return self.client.call("EVAL", script, *arguments)

    def _function(self, arguments):
        name = "vorrang_" + hashlib.sha1(self.text.encode()).hexdigest()
        try:
            return self.client.call("FCALL", name, *arguments)
        except RedisError as error:
            if "Function not found" not in str(error):
                raise
            library = f"#!lua name={name}\n{self.text}\nredis.register_function('{name}', call)\n"
            self.client.call("FUNCTION", "LOAD", library)
            return self.client.call("FCALL", name, *arguments)

    def set_time(self, now):
        """The script's time never runs back: a later one than the server's stands still."""
        self.client.call("HSET", self.base, "now", now)
