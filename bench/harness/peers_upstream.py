"""An upstream that streams as fast as it can: `peers_upstream.py PORT`, until it is terminated.

The last message of a request for a stream is the number of events. Each is written by itself, with a turn of the
loop between two, so that streams that run at once take turns.
"""
import asyncio
import json
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent.parent.parent / "tests")]
from harness import proxies  # noqa: E402
from harness.peers_setups import about_the_model, model, slots_many  # noqa: E402
from provider.call import RequestReader  # noqa: E402


def framed(data):
    text = f"data: {data}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(text), text)


def event(content, finish=None):
    return framed(json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [
        {"index": 0, "delta": {"role": "assistant", "content": content}, "finish_reason": finish}]}))  # fmt: skip


head = (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n")  # fmt: skip
words = [event(f"word {number} ") for number in range(10)]  # LiteLLM breaks off where a hundred are the same
last = event("", "stop") + framed("[DONE]") + b"0\r\n\r\n"


class Connection(asyncio.Protocol):
    def __init__(self):
        self._reader = RequestReader()
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._task = None

    def connection_made(self, transport):
        self._transport = transport

    def connection_lost(self, _exception):
        self._may_write.set()
        if self._task:
            self._task.cancel()

    def pause_writing(self):
        self._may_write.clear()

    def resume_writing(self):
        self._may_write.set()

    def data_received(self, data):
        self._reader.feed(data)
        while request := self._reader.take():
            method, target, _headers, body = request
            asked = json.loads(body) if method == "POST" else {}
            if asked.get("stream"):
                self._task = asyncio.ensure_future(self._stream(int(asked["messages"][-1]["content"])))
            else:
                self._tell(json.loads(proxies.answer) if asked else about_the_model(target, slots_many))

    def _tell(self, document):
        text = json.dumps(document or {}).encode()
        line = b"200 OK" if document is not None else b"404 Not Found"
        self._transport.write(b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                              % (line, len(text), text))  # fmt: skip

    async def _stream(self, events):
        self._transport.write(head + words[0])
        for number in range(events - 2):
            await asyncio.sleep(0)
            await self._may_write.wait()
            self._transport.write(words[number % 10])
        self._transport.write(last)


async def main():
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
