"""Runs one client library for a test: a line of JSON in is a request, a line of JSON out its result.

One process for all the tests of a file: some of these libraries take seconds to import. What a
library prints itself must not get among the results, so it goes to standard error. SIGUSR2 cancels
the call that is running, as a program does whose user has left (async calls only).
"""

import asyncio
import inspect
import json
import os
import signal
import sys
import time


def serve(ask):
    """ask(request) does one call of the library and returns what it saw as a dict; it may be async."""
    results = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    print(json.dumps("ready"), file=results, flush=True)
    loop = asyncio.new_event_loop()  # one for all: LangChain keeps connections that belong to it
    for line in sys.stdin:
        request = json.loads(line)
        begun = time.monotonic()
        result = ask(request)
        if inspect.isawaitable(result):
            result = loop.run_until_complete(until_left(result))
        result.update(id=request["id"], seconds=time.monotonic() - begun)
        print(json.dumps(result), file=results, flush=True)


async def until_left(awaitable):
    task = asyncio.ensure_future(awaitable)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, task.cancel)
    await asyncio.wait([task])
    return {"left": True} if task.cancelled() else task.result()


def failure(error):
    """What every test wants to know of an error."""
    return {
        "error": type(error).__name__,
        "status": getattr(error, "status_code", None),
        "message": str(error),
        "code": getattr(error, "code", None),
    }
