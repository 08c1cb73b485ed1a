"""Speed and streams of one gateway, and what its processes take."""
import asyncio
import json
import statistics
import time
from pathlib import Path

from harness import proxies
from harness.peers_setups import model
from harness.processes import ask, family, processor_times

connections = (1, 64, 512)
streams_alone, events_alone = 20, 20
streams_together, events_together = 16, 500
stream_seconds_max = 60
settle_seconds = 0.25
settle_seconds_max = 20
settle_share = 0.2  # of a core; what LiteLLM does of its own accord is less


# Processes ------------------------------------------------------------------------------------


def resident_mb(pid):
    """Proportional, so that what several processes share counts once."""
    total = 0
    for each in family(pid):
        for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


def processor_seconds(pid):
    return sum(processor_times(pid))


# Speed ----------------------------------------------------------------------------------------


def script(headers):
    """wrk's, with a gateway's own headers."""
    added = "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in headers.items())
    return proxies.lua % proxies.question + added


def requests_at(upstream):
    """How many the nginx there has had, this one included."""
    return int(ask(upstream, "GET", "/status")[1].split()[9])


def settle(pid):
    """Waits until a gateway has done with what wrk left behind, or it would be in the next one's way."""
    end = time.monotonic() + settle_seconds_max
    used = None
    while time.monotonic() < end and (used is None or processor_seconds(pid) - used > settle_share * settle_seconds):
        used = processor_seconds(pid)
        time.sleep(settle_seconds)


def speed(pid, file, port, upstream, threads, count, seconds):
    """One run of wrk. The processor time is divided by what the upstream was asked, since wrk does not count what
    it gave up at its end; `pid` None: nobody's is of interest."""
    if not pid:
        counted = proxies.wrk(file, port, threads, count, seconds)
    else:
        used, asked = processor_seconds(pid), requests_at(upstream)
        counted = proxies.wrk(file, port, threads, count, seconds)
        settle(pid)
        counted["cpu_us"] = (processor_seconds(pid) - used) * 1e6 / max(requests_at(upstream) - asked - 1, 1)
    good = counted["requests"] - counted["errors"]
    return {**counted, "per_second": counted["per_second"] * good / max(counted["requests"], 1)}


# Streams --------------------------------------------------------------------------------------


async def read_stream(port, headers, events):
    """(seconds to the first event, events) of one stream; None if it did not come whole."""
    body = json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": str(events)}]})
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        begun = time.monotonic()
        writer.write((f"POST {proxies.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{lines}"
                      f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode())  # fmt: skip
        first, tail, seen = None, b"", 0
        while more := await reader.read(65536):
            seen += (tail + more).count(b"data: ") - tail.count(b"data: ")
            if seen and first is None:
                first = time.monotonic() - begun
            tail = (tail + more)[-60:]
            if b"data: [DONE]" in tail:
                return first, seen
        return None
    finally:
        writer.close()


async def _streams(port, headers):
    async with asyncio.timeout(stream_seconds_max):
        alone = [await read_stream(port, headers, events_alone) for _ in range(streams_alone)]
        begun = time.monotonic()
        together = await asyncio.gather(
            *(read_stream(port, headers, events_together) for _ in range(streams_together)))
        took = time.monotonic() - begun
    firsts = sorted(1000 * each[0] for each in alone if each)
    whole = [each for each in (*alone, *together) if each]
    carried = events_together * sum(each is not None for each in together)
    return {"first_p50_ms": statistics.median(firsts) if firsts else None,
            "first_p99_ms": firsts[int(0.99 * (len(firsts) - 1) + 0.5)] if firsts else None,
            "events_per_second": carried / took, "whole": len(whole), "streams": streams_alone + streams_together,
            "lines_seen": sum(each[1] for each in whole)}  # fmt: skip


def streams(port, headers):
    """Some one by one, then some at once."""
    return asyncio.run(_streams(port, headers))
