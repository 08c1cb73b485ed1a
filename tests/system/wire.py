"""A stretch of network between a gateway and a server: it can be cut, in either direction, and led elsewhere."""

import os
import selectors
import socket
import tempfile
import threading


class Wire:
    """Listens on a socket in a folder of its own and passes everything on to `target`, another such
    socket. Use as a context manager. Times of its own it has none: what it holds back, it holds for good."""

    def __init__(self, target):
        self.target = target
        self.holds_to_server = False  # what comes from the client does not arrive
        self.holds_to_client = False

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="vorrang-wire-")
        self.path = os.path.join(self._folder.name, "wire.sock")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(64)
        self._wake, waker = socket.socketpair()
        self._waker = waker
        self._pairs = {}
        self._ended = False
        self._cut = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exception):
        self._ended = True
        self._waker.send(b"x")
        self._thread.join()
        self._listener.close()
        self._folder.cleanup()

    def cut(self):
        """Ends every connection."""
        self._cut = True
        self._waker.send(b"x")

    def lead_to(self, target):
        self.target = target
        self.cut()

    def _run(self):
        with selectors.DefaultSelector() as self._selector:
            self._selector.register(self._listener, selectors.EVENT_READ)
            self._selector.register(self._wake, selectors.EVENT_READ)
            while not self._ended:
                for key, _ in self._selector.select(0.05):
                    if key.fileobj is self._wake:
                        self._wake.recv(64)
                    elif key.fileobj is self._listener:
                        self._connect()
                    else:
                        self._pass_on(key.fileobj)
                if self._cut:
                    self._cut = False
                    for each in list(self._pairs):
                        self._close(each)
            for each in list(self._pairs):
                self._close(each)

    def _connect(self):
        near, _ = self._listener.accept()
        far = socket.socket(socket.AF_UNIX)
        try:
            far.connect(self.target)
        except OSError:
            far.close()
            near.close()
            return
        self._pairs[near], self._pairs[far] = (far, "to_server"), (near, "to_client")
        self._selector.register(near, selectors.EVENT_READ)
        self._selector.register(far, selectors.EVENT_READ)

    def _pass_on(self, source):
        if source not in self._pairs:
            return
        other, direction = self._pairs[source]
        try:
            data = source.recv(1 << 16)
            if not data:
                return self._close(source)
            if not getattr(self, f"holds_{direction}"):
                other.sendall(data)
        except OSError:
            self._close(source)

    def _close(self, one):
        if one not in self._pairs:
            return
        other, _ = self._pairs.pop(one)
        self._pairs.pop(other)
        for each in (one, other):
            self._selector.unregister(each)
            each.close()
