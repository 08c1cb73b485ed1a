"""A gateway is killed while a line waits: what the provider and the line see, and a picture of it.

Three gateways share one queue and one deployment. Their clients ask again and again, and go to another
gateway when theirs is gone, as behind a load balancer.
"""
import contextlib
import http.client
import json
import os
import random
import sys
import threading
import time

from harness import installed, report
from harness.processes import ask

sys.path[:0] = [str(report.root / "tests" / name) for name in (".", "system")]
from gateway import Gateway, wait_until  # noqa: E402
from provider import Provider, Reply  # noqa: E402
from shared.redis_server import RedisServer  # noqa: E402

slots = 12
call_seconds = (0.3, 0.5)  # no two alike, or all begin and end together
clients_each = 12
sample_seconds = 0.1
before_seconds = 5  # of full load, until the kill
replace_seconds = 22  # after the kill
after_seconds = 31  # after the kill, until the end
killed = 1
replacement = 3

config = """
model_list:
  - model_name: m
    litellm_params:
      model: openai/slow
      api_base: {base}
      api_key: sk-bench
      max_parallel_requests: {slots}
    model_info: {{id: d1}}
router_settings:
  timeout: 60
  redis_url: "unix://{redis}"
"""


class Fleet:
    """The gateways by number, and which of them a client of each may use."""

    def __init__(self, text, stack):
        self._text = text
        self._stack = stack
        self.gateways = {}
        self.homes = {}  # number → that of the gateway that its clients use now
        self.instances = {}  # number → what the line calls it

    def start(self, number):
        gateway = self._stack.enter_context(Gateway(self._text))
        wait_until(lambda: gateway.admin_get("/health/readiness").json["queue"] == "shared")
        self.gateways[number] = gateway
        self.homes[number] = number

    def kill(self, number):
        self.gateways[number].stopped = True  # it need not end well
        self.gateways[number].process.kill()
        self.gateways[number].process.wait()
        return self.gateways.pop(number)

    def line(self):
        """What the admin port of the first says about the line, and of the others which tickets are theirs."""
        for number, gateway in list(self.gateways.items()):
            if number not in self.instances or number == 0:
                status, text = ask(gateway.admin_port, "GET", "/queue/m?limit=500")
                if status != 200:
                    raise RuntimeError(f"the admin port answers {status}: {text[:200]!r}")
                document = json.loads(text)
                own = [each["instance"] for each in document["tickets"] if each["bytes"] > 0]
                if own:  # an instance knows the bytes of its own tickets only
                    self.instances[number] = own[0]
                if number == 0:
                    line = document
        return line


class Clients:
    """Threads that ask again and again."""

    def __init__(self, fleet):
        self._fleet = fleet
        self._ended = threading.Event()
        self._threads = []
        self.answered = 0
        self.failed = 0
        self._lock = threading.Lock()

    def start(self, home):
        for number in range(clients_each):
            thread = threading.Thread(target=self._ask_for_ever, args=(home, number), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _ask_for_ever(self, home, number):
        while not self._ended.is_set():
            places = self._fleet.homes
            place = places[home] if home in places else sorted(places)[number % len(places)]
            body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}], "user": f"{place}"})
            try:
                good = ask(self._fleet.gateways[place].port, "POST", "/v1/chat/completions", body)[0] == 200
            except (OSError, http.client.HTTPException, KeyError):
                good = False
                time.sleep(0.02)
            with self._lock:
                self.answered += good
                self.failed += not good

    def stop(self):
        self._ended.set()
        for thread in self._threads:
            thread.join(20)


def watch(fleet, until, samples):
    """Samples the line until then."""
    while (now := time.monotonic()) < until:
        line = fleet.line()
        waiting = {}
        for each in line["tickets"]:
            waiting[each["instance"]] = waiting.get(each["instance"], 0) + 1
        samples.append({"at": now, "waiting": waiting, "taken": line["deployments"][0]["in_flight"]})
        time.sleep(max(0, now + sample_seconds - time.monotonic()))


def play(stack):
    server = stack.enter_context(RedisServer())
    provider = stack.enter_context(Provider(lambda _call: Reply(delay_s=random.uniform(*call_seconds))))
    fleet = Fleet(config.format(base=provider.base, redis=server.path, slots=slots), stack)
    for number in range(3):
        fleet.start(number)
    clients = Clients(fleet)
    for number in range(3):
        clients.start(number)
    wait_until(lambda: fleet.gateways[0].waiting_count() > slots and len(provider.calls) > 2 * slots)
    samples = []
    watch(fleet, time.monotonic() + before_seconds, samples)
    # With an even share of the slots; who has how many changes in waves.
    wait_until(lambda: running(provider, killed) == slots // 3)
    fleet.homes.pop(killed)
    fleet.kill(killed)
    zero = time.monotonic()
    watch(fleet, zero + replace_seconds, samples)
    fleet.start(replacement)
    fleet.homes[killed] = replacement
    replaced_at = time.monotonic()
    watch(fleet, zero + after_seconds, samples)
    clients.stop()
    calls = [{"instance": int(call.json["user"]), "begin": call.arrived_at - zero,
              "end": (call.finished_at or call.closed_at) - zero} for call in provider.calls]  # fmt: skip
    numbers = {name: number for number, name in fleet.instances.items()}
    for each in samples:
        each["at"] -= zero
        each["waiting"] = {numbers.get(name, -1): count for name, count in each["waiting"].items()}
    return {"slots": slots, "killed": killed, "replaced_at": replaced_at - zero, "from": -before_seconds,
            "to": after_seconds, "most_at_once": provider.running_max, "answered": clients.answered,
            "failed": clients.failed, "samples": samples, "calls": calls}  # fmt: skip


def running(provider, number):
    return sum(call.running and call.fields.get("user") == f"{number}" for call in provider.calls[-2 * slots:])


def told(found):
    """What the picture shows, in numbers."""

    def on_average(begin, end):
        within = [each for each in found["calls"] if each["begin"] < end and each["end"] > begin]
        spent = sum(min(each["end"], end) - max(each["begin"], begin) for each in within)
        return f"{spent / (end - begin):.1f}"

    last = max((each["at"] for each in found["samples"] if each["waiting"].get(killed)), default=0)
    begins = [each["begin"] for each in found["calls"] if each["begin"] > 1]
    back = next((at for at in begins if at_once(found, at) == slots), None)
    return [
        ["most at once at the provider, ever", f"{found['most_at_once']} of {slots}"],
        ["calls at once, before the kill", on_average(-4, 0)],
        ["… until 5 s after it", on_average(0.5, 5)],
        ["… from 6 s to 14 s after it", on_average(6, 14)],
        ["… from 17 s after it", on_average(17, found["to"] - 1)],
        ["all slots used again after", "–" if back is None else f"{back:.1f} s"],
        ["the last of its tickets has left the line after", f"{last:.1f} s"],
        ["answered; failed at the kill", f"{found['answered']}; {found['failed']}"],
    ]


def at_once(found, moment):
    return sum(each["begin"] <= moment < each["end"] for each in found["calls"])


def run(options):
    os.environ["VORRANG_BINARY"] = str(options.gateway.resolve())
    facts = report.circumstances(options.gateway.parent)
    facts["redis"] = report.output_of("redis-cli", "--version")
    calls = f"{slots} slots, calls of {call_seconds[0]} to {call_seconds[1]} s"
    facts["load"] = f"{clients_each} clients of each of three gateways, {calls}"
    report.print_circumstances("recovery", facts, "./dev bench recovery")
    with contextlib.ExitStack() as stack:
        found = play(stack)
    report.print_table(["three gateways, one is killed", ""], told(found))
    report.save(options.results, "recovery", facts, found)
    installed.draw("recovery", options.results / "recovery.json")
