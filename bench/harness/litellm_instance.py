"""One instance of LiteLLM's scheduler under load; runs with the Python that has litellm installed.

    python litellm_instance.py SLOT_READ SLOT_WRITE

Reads commands as lines of JSON and answers each with one: `load` keeps a number of requests going,
`burst` sends requests of given priorities for one slot. It stays for all measurements, because
importing litellm takes seconds; each command begins with a Router and a Scheduler of its own.

SLOT_READ and SLOT_WRITE are the ends of a pipe that all instances share. A byte in it is the free
slot: LiteLLM's scheduler knows none.
"""
import asyncio
import json
import logging
import os
import select
import sys
import time
import uuid

import litellm
from litellm import Router
from litellm.caching.caching import RedisCache
from litellm.scheduler import FlowItem, Scheduler

model = "m"
messages = [{"role": "user", "content": "What is the capital of France?"}]
wait_seconds_max = 40


def timed(scheduler):
    """Notes how long each request took to its grant, in seconds."""
    waits, wait_for_turn = [], scheduler.wait_for_turn

    async def wait(*arguments, **named):
        asked = time.perf_counter()
        await wait_for_turn(*arguments, **named)
        waits.append(time.perf_counter() - asked)

    scheduler.wait_for_turn = wait
    return waits


class GatedScheduler(Scheduler):
    """Nobody looks into the queue while the slot is taken, and within an instance one at a time: what
    goes wrong is the queue's, not the way it is driven."""

    def __init__(self, redis, slot):
        super().__init__(redis_cache=redis)
        self._slot = slot
        self._turn = asyncio.Lock()
        self.has_slot = {}  # request id → whether the slot was free when its turn came

    async def none_healthy_once_free(self):
        await self._turn.acquire()
        await self._slot.is_free.wait()
        return []

    async def poll(self, request, health_deployments):
        try:
            granted = await super().poll(request, health_deployments)
            if granted:
                self._slot.is_free.clear()
                self.has_slot[request.request_id] = self._slot.try_take()
            return granted
        finally:
            self._turn.release()


class Slot:
    """A byte in the shared pipe."""

    def __init__(self, read_end, write_end):
        self._read_end = read_end
        self._write_end = write_end
        self.is_free = asyncio.Event()

    def try_take(self):
        try:
            return bool(os.read(self._read_end, 1))
        except BlockingIOError:
            return False

    def give_back(self):
        os.write(self._write_end, b".")

    async def watch(self):
        """Looks every millisecond, which costs less than a wake-up for each byte and instance."""
        poller = select.poll()
        poller.register(self._read_end, select.POLLIN)
        while True:
            if poller.poll(0):
                self.is_free.set()
            else:
                self.is_free.clear()
            await asyncio.sleep(0.001)


def router_for(redis, api_base=None):
    """A Router with one deployment: a mock that takes everything, or a provider with one slot."""
    parameters = {"model": "openai/small", "api_key": "sk-bench", "mock_response": "Paris."}
    if api_base:
        parameters = {"model": "openai/small", "api_key": "sk-bench", "api_base": api_base,
                      "max_parallel_requests": 1}
    return Router(model_list=[{"model_name": model, "litellm_params": parameters, "model_info": {"id": "d1"}}],
                  redis_url=redis, timeout=wait_seconds_max)


async def healthy():
    return ["d1"]


def flow_item(priority):
    return FlowItem(priority=priority, request_id=str(uuid.uuid4()), model_name=model)


async def load(command):
    """Grants, and p50 and p99 from request to grant in µs."""
    if command["what"] == "router":
        router = router_for(command["redis"])
        scheduler = router.scheduler

        async def ask():
            await router.schedule_acompletion(model=model, messages=messages, priority=5)
    else:
        scheduler = Scheduler(redis_cache=RedisCache(url=command["redis"]))

        async def ask():
            await scheduler.wait_for_turn(flow_item(5), wait_seconds_max, healthy)

    waits = timed(scheduler)
    await asyncio.gather(*(ask() for _ in range(max(command["at_once"], 4))))  # connections open, pages are touched
    waits.clear()
    print(json.dumps("ready"), flush=True)
    sys.stdin.readline()
    end = time.monotonic() + command["seconds"]
    pause = command["pause_ms"] / 1000
    served = 0

    async def client():
        nonlocal served
        while time.monotonic() < end:
            await ask()
            served += 1
            if pause:
                await asyncio.sleep(pause)

    await asyncio.gather(*(client() for _ in range(command["at_once"])))
    waits.sort()
    at = [1e6 * waits[int(share * (len(waits) - 1))] for share in (0.5, 0.99)]
    return {"grants": served, "p50": at[0], "p99": at[1]}


async def burst_of_router(command):
    """What became of each request: the provider says when it had them."""
    router = router_for(command["redis"], command["api_base"])
    told = []

    async def ask(priority):
        try:
            await router.schedule_acompletion(
                model=model, messages=[{"role": "user", "content": f"{priority}"}], priority=priority)
            told.append("answered")
        except Exception as reason:
            told.append(str(getattr(reason, "status_code", type(reason).__name__)))

    return await in_turns(ask, command), told


async def burst_of_queue(command, slot):
    """When each request had the slot, and whether it was granted while another one had it."""
    scheduler = GatedScheduler(RedisCache(url=command["redis"]), slot)
    told = []
    await asyncio.gather(*(scheduler.get_queue("other") for _ in command["priorities"]))  # connections open

    async def ask(priority):
        item = flow_item(priority)
        try:
            await scheduler.wait_for_turn(item, wait_seconds_max, scheduler.none_healthy_once_free)
        except Exception as reason:
            told.append({"priority": priority, "failed": str(getattr(reason, "status_code", repr(reason)))})
            return
        is_beside = not scheduler.has_slot[item.request_id]
        while is_beside and not slot.try_take():
            await asyncio.sleep(0.001)
        began = time.monotonic()
        await asyncio.sleep(command["call_seconds"])
        ended = time.monotonic()
        slot.give_back()
        told.append({"priority": priority, "beside": is_beside, "began": began, "ended": ended})

    return await in_turns(ask, command), told


async def in_turns(ask, command):
    """All at the same moment would each begin with the empty queue that they find."""
    running = []
    for each in command["priorities"]:
        running.append(asyncio.ensure_future(ask(each)))
        await asyncio.sleep(command["pause_ms"] / 1000)
    return running


async def burst(command, slot):
    """Says `ready` when all have asked, and what came of them when all are over."""
    watching = asyncio.ensure_future(slot.watch())
    if command["what"] == "router":
        running, told = await burst_of_router(command)
    else:
        running, told = await burst_of_queue(command, slot)
    await asyncio.sleep(1)  # every request has asked and been entered, or been refused
    print(json.dumps("ready"), flush=True)
    await asyncio.gather(*running)
    watching.cancel()
    return told


async def obey(command, slot):
    return await (load(command) if command["do"] == "load" else burst(command, slot))


async def main():
    litellm.suppress_debug_info = True
    logging.getLogger("LiteLLM Router").setLevel(logging.CRITICAL)
    logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)
    slot = Slot(int(sys.argv[1]), int(sys.argv[2]))
    print(json.dumps("imported"), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await obey(json.loads(line), slot)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
