"""One connection of a client to the provider, on the provider's loop."""

import asyncio
import socket
import struct
import time

from provider.call import RequestReader

TCP_ESTABLISHED = 1
ENDLESS_PIECE = 8192
ENDLESS_BYTES_MAX = 64 * 1024 * 1024  # nothing here is really endless

ENDLESS = {
    "endless-head": (b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"x" * 1000 + b"\r\n"),
    "endless-line": (b"HTTP/1.1 200 OK\r\nX-More: ", b"x" * ENDLESS_PIECE),
    "endless-body": (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"ffffffff\r\ndata: ",
        b"x" * ENDLESS_PIECE,
    ),
}


class Connection(asyncio.Protocol):
    def __init__(self, provider):
        self.provider = provider
        self.reader = RequestReader()
        self.call = None
        self.task = None
        self.transport = None
        self.connection_id = None
        self._may_write = asyncio.Event()
        self._may_write.set()

    def connection_made(self, transport):
        self.transport = transport
        # asyncio does it for sockets that name their protocol, which accepted ones do not.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection_id = self.provider.connection_opened(self)

    def data_received(self, data):
        self.reader.feed(data)
        self._take_next()

    def eof_received(self):
        self._other_side_closed()
        return False

    def connection_lost(self, _exception):
        self._other_side_closed()
        self.provider.connection_closed(self)

    def pause_writing(self):
        self._may_write.clear()

    def resume_writing(self):
        self._may_write.set()

    def has_ended(self):
        """Whether the other side has closed or reset, as the kernel sees it now."""
        raw = self.transport.get_extra_info("socket")
        try:
            return raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[0] != TCP_ESTABLISHED
        except OSError:
            return True

    def _other_side_closed(self):
        if self.call is not None and self.call.running:
            self.provider.closed(self.call)
        if self.task is not None:
            self.task.cancel()

    def _take_next(self):
        if self.call is not None and self.call.running:
            return
        try:
            request = self.reader.take()
        except (ValueError, IndexError) as reason:
            self.provider.failures.append(ValueError(f"what came is no HTTP: {reason}"))
            self.transport.abort()
            return
        if request is None:
            return
        self.call = self.provider.arrived(self, *request)
        if self.call.running:
            self.task = asyncio.ensure_future(self._answer(self.call))
            self.task.add_done_callback(self._answered)

    def _answered(self, task):
        if not task.cancelled() and task.exception() is not None:
            self.provider.failures.append(task.exception())
            self.transport.abort()

    async def _answer(self, call):
        reply = call.reply
        if reply.delay_s:
            await asyncio.sleep(reply.delay_s)
        if reply.hold:
            await call.release_event.wait()
        then = reply.then
        if then in ENDLESS:
            await self._never_end(call, *ENDLESS[then])
        elif then == "raw":
            await self._send(reply.body)
            self._end(call, "close")
        elif then in ("reset", "close", "hang"):
            await self._stop(call, then)
        else:
            await self._send_answer(call, reply, then)

    async def _send_answer(self, call, reply, then):
        rendered = reply.render(call)
        part, _, ending = then.rpartition("-")
        if then == "cut":
            part, ending = "half", "reset"
        if part == "head":
            pieces = []
        elif part == "half":
            pieces = rendered.half
        else:
            pieces = rendered.pieces
        if ending in ("answer", "end") and not reply.interval_s:
            pieces = [b"".join(pieces)]
        await self._send(rendered.head + (pieces[0] if pieces else b""))
        for piece in pieces[1:]:
            if reply.interval_s:
                await asyncio.sleep(reply.interval_s)
            await self._send(piece)
        if ending not in ("answer", "end"):
            await asyncio.sleep(0.05)  # so that it is read before it breaks off
            await self._stop(call, ending)
            return
        await self._send(rendered.end)
        self.provider.finished(call)
        if rendered.closes:
            self.transport.close()
            return
        self._take_next()

    async def _send(self, data):
        if data:
            if self.call is not None:
                self.call.last_write_at = time.monotonic()
            self.transport.write(data)
            await self._may_write.wait()

    async def _never_end(self, call, begin, more):
        await self._send(begin)
        for _ in range(ENDLESS_BYTES_MAX // len(more)):
            await self._send(more)
            await asyncio.sleep(0)
        self._end(call, "reset")

    async def _stop(self, call, how):
        if how == "hang":
            await asyncio.Event().wait()
        self._end(call, how)

    def _end(self, call, how):
        self.provider.finished(call)
        if how == "reset":
            raw = self.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            self.transport.close()
