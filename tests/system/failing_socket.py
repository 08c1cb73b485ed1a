"""Makes the n-th event fail on the gateway's connections to one provider: the other side of
failing_socket.cpp, which run.py names and the gateway is started with.

    with FailingSocket() as failing, Gateway(config, environment=failing.environment()) as gateway:
        failing.arm(provider.port, at=3, kind="reset")
        ...
        failing.disarm()
        failing.failed       # "connect", or None if there was no third event

An event is a call on such a connection that did something: a descriptor made (`socket`), told to
epoll (`watch`), `connect`, how that ended (`connected`), a `write` or `read` that did not block,
`shutdown`, `close`.
"""

import mmap
import os
import re
import struct
import subprocess
import tempfile
import unittest

from gateway import binary_path

EVENTS = (None, "socket", "watch", "connect", "connected", "write", "read", "shutdown", "close")
# What each event fails with is the column of this kind in failing_socket.cpp.
KINDS = ("reset", "timeout", "end")
FIELDS = (
    "port fail_at fail_again kind send_buffer loaded events failed open bytes_written heap_bytes"
).split()
LOG_AT = 8 * len(FIELDS)
LOG_MAX = 4000
RUNTIMES = re.compile(r"=> (\S*/lib(?:asan|tsan|ubsan)\.so\S*)")


def library_path():
    path = os.environ.get("VORRANG_FAILING_SOCKET")
    if path and os.path.exists(path):
        return os.path.abspath(path)
    message = f"{path or 'libfailing_socket.so'} is not there: build failing_socket, or name it (run.py)"
    if os.environ.get("CI"):
        raise AssertionError(message)
    raise unittest.SkipTest(message)


def runtimes():
    """Libraries of sanitizers that the gateway is linked with."""
    linked = subprocess.run(["ldd", binary_path()], capture_output=True, text=True, check=True).stdout
    return RUNTIMES.findall(linked)


class FailingSocket:
    """Use as a context manager, around the gateway."""

    def __init__(self):
        self._library = library_path()
        self._file = tempfile.NamedTemporaryFile(prefix="vorrang-failing-socket-")
        self._file.truncate(LOG_AT + LOG_MAX)
        self._page = mmap.mmap(self._file.fileno(), LOG_AT + LOG_MAX)

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self._page.close()
        self._file.close()

    def environment(self):
        """Variables to start the gateway with. A sanitizer's runtime has to come before everything."""
        return {"LD_PRELOAD": " ".join([*runtimes(), self._library]), "VORRANG_TEST_FAILING_SOCKET": self._file.name}

    def arm(self, port, at, kind, send_buffer=0, again=0):
        """From now on events of connections to the port are counted, and number `at` fails; if `again`
        is not 0, so many events after it another one."""
        assert self._get("loaded") == 1, "the gateway runs without the library"
        for name in ("fail_at", "events", "failed", "bytes_written"):
            self._set(name, 0)
        self._set("fail_again", again)
        self._set("kind", KINDS.index(kind))
        self._set("send_buffer", send_buffer)
        self._set("port", port)
        self._set("fail_at", at)

    def disarm(self):
        """Nothing fails any more; counting goes on."""
        self._set("fail_again", 0)
        self._set("fail_at", 0)

    @property
    def failed(self):
        """The name of the event that has failed, of two the second; None: not yet."""
        return EVENTS[self._get("failed")]

    @property
    def events_before(self):
        """Those before the one that has failed, or all."""
        return self.events[: self._get("fail_at") - 1] if self.failed else self.events

    @property
    def events(self):
        """Names of all events since it was armed."""
        count = self._get("events")
        assert count <= LOG_MAX, f"{count} events are too many to be told apart"
        return [EVENTS[each] for each in self._page[LOG_AT : LOG_AT + count]]

    @property
    def open(self):
        """Connections to the port that are open, or about to be."""
        return self._get("open")

    @property
    def bytes_written(self):
        """To the port, since it was armed."""
        return self._get("bytes_written")

    @property
    def heap_bytes(self):
        """What the gateway had allocated when it last began to connect."""
        return self._get("heap_bytes")

    def _get(self, name):
        return struct.unpack_from("q", self._page, 8 * FIELDS.index(name))[0]

    def _set(self, name, value):
        struct.pack_into("q", self._page, 8 * FIELDS.index(name), value)
