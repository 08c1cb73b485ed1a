"""One slot and many that want it: who is answered, in which order, and how many calls ran at once."""
import asyncio
import contextlib
import json
import random
import re
import statistics
import time
from dataclasses import asdict, dataclass

from harness import proxies
from harness.peers_setups import about_the_model, model, priorities
from provider import Reply

seed = 11  # and the number of the round
requests = 100
early = 30  # of them, which ask while the first call is held; the others ask while the slot goes round
early_seconds = 0.002  # between two
call_seconds = 0.02
late_seconds = call_seconds  # between two: about as many come as are answered
quiet_seconds = 1  # nothing happens for so long: everybody has asked
quiet_seconds_max = 20
answer_seconds_max = 60
# Who was sent less than this before another's call began may have been on the way still.
on_the_way_seconds = 0.02


@dataclass
class Record:
    """One request. Times are those of `time.monotonic()`; None where it never came to that."""

    number: int
    priority: int
    sent_at: float
    started_at: float | None = None  # its first call came to the upstream
    status: int | str | None = None  # `closed`: the connection, before a whole answer; None: no answer in time
    answered_at: float | None = None


def inversions(records):
    """(wrong pairs, all pairs) of calls where the later one was waiting when the earlier began, and their
    priorities differ. Wrong is a pair whose later one was the more urgent."""
    started = sorted((each for each in records if each.started_at is not None), key=lambda each: each.started_at)
    wrong = pairs = 0
    for place, first in enumerate(started):
        for second in started[place + 1 :]:
            if second.priority != first.priority and second.sent_at + on_the_way_seconds <= first.started_at:
                pairs += 1
                wrong += second.priority < first.priority
    return wrong, pairs


def most_at_once(spans):
    """Of (begin, end): how many overlap. One that begins when another ends does not."""
    running = most = 0
    for _, step in sorted([(end, -1) for _, end in spans] + [(begin, 1) for begin, _ in spans]):
        running += step
        most = max(most, running)
    return most


def outcome(records, spans):
    """What a round comes to."""
    answered = [each for each in records if each.status == 200]
    refused = {}
    for each in records:
        if each.status != 200:
            status = "no answer" if each.status is None else str(each.status)
            refused[status] = refused.get(status, 0) + 1
    waits = {priority: sorted(1000 * (each.answered_at - each.sent_at) for each in answered if each.priority == priority)
             for priority in priorities}  # fmt: skip
    wrong, pairs = inversions(records)
    return {
        "requests": len(records), "answered": len(answered), "refused": refused,
        "answered_of": {priority: [len(waits[priority]), sum(each.priority == priority for each in records)]
                        for priority in priorities},
        "at_once": most_at_once(spans), "inversions": wrong, "pairs": pairs,
        "wait_p50_ms": {priority: statistics.median(found) if found else None for priority, found in waits.items()},
        "wait_p99_ms": {priority: found[int(0.99 * (len(found) - 1) + 0.5)] if found else None
                        for priority, found in waits.items()},
    }  # fmt: skip


def drawn(turn):
    generator = random.Random(seed + turn)
    return [generator.choice(priorities) for _ in range(requests)]


def answer(call):
    """The upstream's: one slot is all it says it has."""
    if call.method != "POST":
        known = about_the_model(call.target, 1)
        return Reply(status=404, body={}) if known is None else Reply(body=known)
    return Reply(hold=True) if call.prompt == "hold" else Reply(delay_s=call_seconds)


def request(text, priority, headers):
    body = json.dumps({"model": model, "priority": priority, "messages": [{"role": "user", "content": text}]})
    lines = ["Host: 127.0.0.1", "Connection: close", "Content-Type: application/json", f"Content-Length: {len(body)}",
             *(f"{name}: {value}" for name, value in headers.items())]  # fmt: skip
    return (f"POST {proxies.path} HTTP/1.1\r\n" + "\r\n".join(lines) + f"\r\n\r\n{body}").encode()


class Burst:
    """One round at one gateway."""

    def __init__(self, peer, port, provider, turn):
        self._peer, self._port, self._provider = peer, port, provider
        self._first_call = len(provider.calls)
        self._priorities = drawn(turn)
        self.records = []

    async def _ask(self, text, priority, record):
        writer = None
        try:
            async with asyncio.timeout(answer_seconds_max):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                record.sent_at = time.monotonic()
                writer.write(request(text, priority, self._peer.headers(self._provider.port, priority)))
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                await (reader.readexactly(int(length[1])) if length else reader.read())  # it closes after the answer
            record.status, record.answered_at = int(head.split()[1]), time.monotonic()
        except TimeoutError:
            pass
        except (OSError, asyncio.IncompleteReadError):
            record.status = "closed"
        finally:
            if writer is not None:
                writer.close()

    def _calls(self):
        return [call for call in self._provider.calls[self._first_call :] if call.method == "POST"]

    async def _until(self, condition, seconds, what):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError(f"{self._peer.name}: not within {seconds} s: {what}")
            await asyncio.sleep(0.01)

    async def _until_quiet(self):
        """None of the gateways tells in one way who waits; so nothing may have happened for a while."""
        seen, since = None, time.monotonic()
        end = since + quiet_seconds_max
        while time.monotonic() < min(since + quiet_seconds, end):
            now = (len(self._calls()), sum(each.status is not None for each in self.records))
            if now != seen:
                seen, since = now, time.monotonic()
            await asyncio.sleep(0.01)

    async def run(self):
        holder = Record(-1, priorities[0], time.monotonic())  # the most urgent: nobody takes the slot from it
        tasks = [asyncio.ensure_future(self._ask("hold", holder.priority, holder))]
        try:
            await self._until(self._calls, 20, "the first call comes to the upstream")
            for number, priority in enumerate(self._priorities):
                if number == early:
                    await self._until_quiet()
                    self._provider.release()
                self.records.append(Record(number, priority, time.monotonic()))
                tasks.append(asyncio.ensure_future(self._ask(f"{number}", priority, self.records[-1])))
                await asyncio.sleep(early_seconds if number < early else late_seconds)
        finally:
            self._provider.release()
            await asyncio.gather(*tasks)
        await self._until(lambda: not any(call.running for call in self._calls()), 20, "every call is over")
        return self._told(holder)

    def _told(self, holder):
        calls = self._calls()
        for call in calls:
            with contextlib.suppress(ValueError):  # the holder's
                record = self.records[int(call.prompt)]
                record.started_at = call.arrived_at if record.started_at is None else record.started_at
        found = outcome(self.records, [(call.arrived_at, call.finished_at or call.closed_at) for call in calls])
        zero = holder.sent_at
        rounded = [{name: round(value - zero, 4) if name.endswith("_at") and value is not None else value
                    for name, value in asdict(each).items()} for each in self.records]  # fmt: skip
        return {**found, "holder_status": holder.status, "calls": len(calls), "records": rounded}


def burst(peer, port, provider, turn):
    return asyncio.run(Burst(peer, port, provider, turn).run())
