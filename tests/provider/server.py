"""The server: its own thread and event loop, on a free port of 127.0.0.1.

Tests script what it answers (`script`, `answer`), hold answers back (`hold`, `release`) and read
afterwards what arrived: time, order, headers, bytes, and when the other side closed. Times are
`time.monotonic()` seconds.
"""

import asyncio
import socket
import threading
import time

from provider.call import Call
from provider.connection import Connection
from provider.reply import Reply

DEFAULT_TIMEOUT_S = 20.0


class Provider:
    """Use as a context manager: `with Provider() as provider`."""

    def __init__(self, answer=None, port=0, tls=None, host="127.0.0.1"):
        """
        answer  a Reply for every call, or a function of the Call that returns one
        tls     a server's ssl.SSLContext (see certificates.py), None for plain HTTP
        host    the name that `base` has; it listens on 127.0.0.1 whatever it is called
        """
        self.answer = answer if answer is not None else Reply()
        self.script = []  # replies used up first, one for each call
        self.calls = []
        self.running_max = 0
        self.connections_total = 0
        self.failures = []  # of the provider's own code, raised when it is left
        self.port = port
        self.tls = tls
        self.host = host
        self.on_finished = None  # called with each Call that is over, on the loop's thread
        self._running = 0
        self._open = set()
        self._changed = threading.Condition()  # reentrant
        self._loop = None
        self._thread = None

    # For tests ------------------------------------------------------------------------------

    @property
    def base(self):
        return f"{self.root}/v1"

    @property
    def root(self):
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    @property
    def running(self):
        with self._changed:
            return self._running

    @property
    def connections_open(self):
        with self._changed:
            return len(self._open)

    def wait_until(self, condition, timeout_s=DEFAULT_TIMEOUT_S, what="the provider's condition"):
        """Waits until `condition()` holds; it is looked at after every event here."""
        with self._changed:
            if not self._changed.wait_for(condition, timeout_s):
                raise AssertionError(
                    f"{what} did not come true within {timeout_s} s; "
                    f"{len(self.calls)} calls, {self._running} running"
                )

    def wait_for_calls(self, count, timeout_s=DEFAULT_TIMEOUT_S):
        self.wait_until(lambda: len(self.calls) >= count, timeout_s, f"call number {count}")
        return self.calls[count - 1]

    def release(self, call=None):
        """Lets one held call answer, or all of them."""
        for held in [call] if call is not None else list(self.calls):
            self._loop.call_soon_threadsafe(held.release_event.set)

    def drop_idle_connections(self):
        """Closes the connections that no call uses, as a server does after its keep-alive time."""

        def drop():
            for connection in list(self._open):
                if connection.call is None or not connection.call.running:
                    connection.transport.close()

        self._loop.call_soon_threadsafe(drop)
        self.wait_until(lambda: len(self._open) == self._running, what="closing idle connections")

    def __enter__(self):
        started = threading.Event()
        listener = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        self.port = listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, args=(listener, started), daemon=True)
        self._thread.start()
        if not started.wait(DEFAULT_TIMEOUT_S):
            raise AssertionError("the provider did not start")
        return self

    def __exit__(self, exception_type, *_exception):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEFAULT_TIMEOUT_S)
        if self.failures and exception_type is None:
            raise self.failures[0]

    # On the loop's thread -------------------------------------------------------------------

    def _run(self, listener, started):
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            self._loop.create_server(lambda: Connection(self), sock=listener, ssl=self.tls)
        )
        started.set()
        self._loop.run_forever()
        server.close()
        for connection in list(self._open):
            if connection.task is not None:
                connection.task.cancel()
            connection.transport.abort()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def connection_opened(self, connection):
        with self._changed:
            self.connections_total += 1
            self._open.add(connection)
            self._changed.notify_all()
            return self.connections_total

    def connection_closed(self, connection):
        with self._changed:
            self._open.discard(connection)
            self._changed.notify_all()

    def _note_silent_ends(self):
        """The kernel may know of an end that the loop has not reported yet. Who hung up before the
        call that just arrived was sent does not count as running beside it."""
        for connection in self._open:
            if connection.call is not None and connection.call.running and connection.has_ended():
                self.closed(connection.call)

    def arrived(self, connection, method, target, headers, body):
        with self._changed:
            self._note_silent_ends()
            call = Call(len(self.calls), connection.connection_id, method, target, headers, body)
            call.release_event = asyncio.Event()
            if self.script:
                call.reply = self.script.pop(0)
            else:
                call.reply = self.answer(call) if callable(self.answer) else self.answer
            self.calls.append(call)
            if connection.has_ended():  # sent and given up before it was read here
                call.closed_at = time.monotonic()
            else:
                self._running += 1
                self.running_max = max(self.running_max, self._running)
            call.at_once = self._running
            self._changed.notify_all()
            return call

    def finished(self, call):
        """The answer was handed to the kernel."""
        self._over(call, "finished_at")

    def closed(self, call):
        """The other side left before that."""
        self._over(call, "closed_at")

    def _over(self, call, when):
        with self._changed:
            if call.running:
                setattr(call, when, time.monotonic())
                self._running -= 1
                if self.on_finished is not None:
                    self.on_finished(call)
            self._changed.notify_all()
