"""Counts what the gateway asks of the kernel, of the allocator and of CAF: the other side of
counting.cpp, which run.py names and the gateway is started with.

    with Counting() as counting, Gateway(config, environment=counting.environment()) as gateway:
        counting.attach(gateway)
        before = counting.take()
        ...
        counting.take() - before       # Counts: {"reads": 4, "writes": 2, …}
"""

import mmap
import os
import struct
import tempfile
import time
import unittest
from pathlib import Path

from failing_socket import runtimes

FIELDS = (
    "loaded asleep reads reads_empty writes polls sleeps watches timers sockets others waits signals"
    " locks clocks allocations bytes frees copies bytes_copied messages"
).split()
PAGE_BYTES = 8 * len(FIELDS)
# What enters the kernel: a signal only where somebody waits, so that this may be too much.
SYSTEM_CALLS = "reads writes polls watches timers sockets others waits signals".split()
QUIET_TIMEOUT_S = 20.0


def library_path():
    path = os.environ.get("VORRANG_COUNTING")
    if path and os.path.exists(path):
        return os.path.abspath(path)
    message = f"{path or 'libcounting.so'} is not there: build counting, or name it (run.py)"
    if os.environ.get("CI"):
        raise AssertionError(message)
    raise unittest.SkipTest(message)


class Counting:
    """Use as a context manager, around the gateway."""

    def __init__(self):
        library = library_path()
        if runtimes():
            raise unittest.SkipTest("a sanitizer has calls and memory of its own")
        self._library = library
        self._file = tempfile.NamedTemporaryFile(prefix="vorrang-counting-")
        self._file.truncate(PAGE_BYTES)
        self._page = mmap.mmap(self._file.fileno(), PAGE_BYTES)
        self._tasks = None

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self._page.close()
        self._file.close()

    def environment(self):
        """Variables to start the gateway with."""
        return {"LD_PRELOAD": self._library, "VORRANG_TEST_COUNTING": self._file.name}

    def attach(self, gateway):
        """To a gateway that runs."""
        assert self.now("loaded") == 1, "the gateway runs without the library"
        self._tasks = Path(f"/proc/{gateway.process.pid}/task")

    def now(self, name):
        return struct.unpack_from("q", self._page, 8 * FIELDS.index(name))[0]

    def wait_until_asleep(self, loops=1, also=lambda: True):
        """Waits until every loop waits for what comes next. Only then all has been counted that a
        request costs; look for what it has caused first, or for `also`."""
        end = time.monotonic() + QUIET_TIMEOUT_S
        while not (also() and self.now("asleep") == loops):
            if time.monotonic() > end:
                raise AssertionError(f"{self.now('asleep')} loops of {loops} are asleep after {QUIET_TIMEOUT_S} s")
            os.sched_yield()  # it is a matter of microseconds, thousands of times

    def take(self):
        """All counts so far."""
        counts = Counts(zip(FIELDS, struct.unpack(f"{len(FIELDS)}q", self._page[:])))
        for unwanted in ("loaded", "asleep"):
            del counts[unwanted]
        counts["system_calls"] = sum(counts[name] for name in SYSTEM_CALLS)
        counts["switches"] = self._switches()
        return counts

    def _switches(self):
        """How often a thread of the gateway has given its processor up to wait."""
        total = 0
        for task in self._tasks.iterdir():
            for line in (task / "status").read_text(encoding="ascii").splitlines():
                if line.startswith("voluntary_ctxt_switches:"):
                    total += int(line.split()[1])
        return total


class Counts(dict):
    """By name."""

    def __sub__(self, before):
        return Counts({name: self[name] - before[name] for name in self})
