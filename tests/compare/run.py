#!/usr/bin/env python3
"""LiteLLM's proxy and Vorrang side by side: the same files, the same requests, the same upstream.

    python3 tests/compare/run.py --binary build/release/vorrang [--litellm-venv DIR] [NAME...]

NAME is one or more of configs/*.yaml (default: all). Prints what differs, and fails if something does
that wanted.py does not list, or if wanted.py lists what does not differ. LiteLLM's proxy is installed
once, at the version of litellm.txt, into build/compare; it takes some 15 s to start, for each file.
"""

import argparse
import concurrent.futures
import fnmatch
import hashlib
import inspect
import json
import os
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent
sys.path[:0] = [str(HERE), str(TESTS), str(TESTS / "system")]

import client  # noqa: E402
import library  # noqa: E402
import observe  # noqa: E402
import report  # noqa: E402
import sides  # noqa: E402
from cases import CASES  # noqa: E402
from provider import Reply  # noqa: E402
from verdict import Verdict, differences  # noqa: E402
from wanted import TOPICS, WANTED  # noqa: E402

REQUIREMENTS = HERE / "litellm.txt"
SHAPES_RECORDS = ("request.py", "observe.py", "sides.py", "litellm.txt")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--binary", help="path of the gateway")
    parser.add_argument("--litellm-venv", help="where litellm is installed (default: build/compare, by pip)")
    parser.add_argument("--work", default=TESTS.parent / "build" / "compare", help="default: build/compare")
    parser.add_argument("--jobs", type=int, default=2, help="files at a time (default: 2)")
    parser.add_argument("--recorded", action="store_true", help="LiteLLM's side as a former run saw it, if it asked the same")
    parser.add_argument("--all", action="store_true", help="each difference, not one line for each entry of the list")
    parser.add_argument("--write-docs", action="store_true", help="only writes wanted.py's list into docs/litellm.md")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    if options.write_docs:
        report.write_docs(TOPICS)
        return 0
    if not options.binary or not os.access(options.binary, os.X_OK):
        parser.error("--binary: a gateway that can be run")
    if unknown := sorted(set(options.names) - set(CASES)):
        parser.error(f"no such file: {', '.join(unknown)}; there are {', '.join(CASES)}")
    os.environ["VORRANG_BINARY"] = os.path.abspath(options.binary)
    os.environ["VORRANG_SYSTEM_WORK"] = os.path.abspath(options.work)
    begun = time.monotonic()
    names = options.names or list(CASES)
    environment = options.litellm_venv or library.python_environment("litellm", REQUIREMENTS).parent.parent
    run = Run(environment, pathlib.Path(options.work) / "recorded", options.recorded)
    verdict = Verdict(WANTED)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for name, found in zip(names, pool.map(run.compare, names)):
            print(f"{name}: {len(CASES[name]())} requests, {len(found)} differences", flush=True)
            verdict.judge(found)
    print()
    good = report.tell(verdict, names, CASES, options.all)
    print(f"{time.monotonic() - begun:.0f} s")
    return 0 if good else 1


class Run:
    """Both sides of each file."""

    def __init__(self, environment, records, may_use_records):
        self._environment = environment
        self._records = records
        self._may_use_records = may_use_records

    def compare(self, name):
        config = (HERE / "configs" / f"{name}.yaml").read_text(encoding="utf-8")
        with sides.Vorrang(config) as vorrang:
            ours = observe_all(vorrang, CASES[name]())
            warnings = vorrang.warnings
        theirs = self._litellm(name, config)
        found = differences(name, "start", {f"warning.{key}": text for key, text in warnings.items()}, {})
        for request in ours:
            found += differences(name, request, ours[request], theirs[request])
        return found

    def _litellm(self, name, config):
        """From a record if that was asked for and nothing has changed that it depends on."""
        digest = hashlib.sha256()
        for part in SHAPES_RECORDS:
            digest.update((HERE / part).read_bytes())
        digest.update((config + inspect.getsource(CASES[name])).encode())
        record = self._records / f"{name}.json"
        if self._may_use_records and record.exists():
            document = json.loads(record.read_text(encoding="utf-8"))
            if document["of"] == digest.hexdigest():
                return document["observed"]
        with sides.LiteLLM(config, self._environment) as litellm:
            observed = observe_all(litellm, CASES[name]())
        self._records.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps({"of": digest.hexdigest(), "observed": observed}, indent=1), encoding="utf-8")
        return observed


def observe_all(side, requests):
    """{name of the request: what was seen}, as JSON has it."""
    observed = {}
    for request in requests:
        assert request.name not in observed, f"two requests are called {request.name}"
        try:
            fields = observe_one(side, request)
        except AssertionError as reason:
            raise AssertionError(f"{side.name}, {request.name}: {reason}") from reason
        text = json.dumps({name: value for name, value in fields.items() if is_compared(request, name)})
        observed[request.name] = json.loads(text.replace(side.provider.root, sides.UPSTREAM))
    return observed


def is_compared(request, name):
    return not request.only or any(fnmatch.fnmatchcase(name, pattern) for pattern in request.only)


def observe_one(side, request):
    if request.pause_s:
        time.sleep(request.pause_s)  # LiteLLM's cooldowns end by its own clock, and nothing tells when
    if request.burst:
        return observe_burst(side, request)
    seen = []
    for _ in range(request.repeat):
        prepare(side.provider, request)
        begun = time.monotonic()
        response = client.call(side.port, request.method, request.path, request.body, headers_of(request), request.timeout_s)
        took = {"seconds": int(response.received_at - begun + 0.05)} if request.timed else {}
        seen.append({**took, **observe.answer(response), **observe.upstream(posts(side.provider))})
    return seen[0] if request.repeat == 1 else observe.together(seen)


def observe_burst(side, request):
    """The first is let through to the provider, then the others come together."""
    prepare(side.provider, request)
    connections = []
    try:
        for body in request.burst:
            connections.append(side.connect())
            connections[-1].request(request.method, request.path, body, headers_of(request))
            if len(connections) == 1:
                side.provider.wait_for_calls(1)
        responses = client.gather(connections, request.timeout_s)
    finally:
        for connection in connections:
            connection.close()
    calls = posts(side.provider)
    answered = [body.get("priority") for body, each in zip(request.burst, responses) if each.status == 200]
    order = [
        body.get("priority")
        for each, body in sorted(zip(responses, request.burst), key=lambda pair: pair[0].received_at)
        if each.status == 200
    ]
    return {
        "burst.statuses": sorted(each.status for each in responses),
        "burst.attempts": len(calls),
        "burst.at-once": side.provider.running_max,
        "burst.models": sorted(call.fields["model"] for call in calls),
        "burst.in-order": order[1:] == sorted(order[1:]) if None not in answered else None,
    }


def prepare(provider, request):
    provider.wait_until(lambda: provider.running == 0, what="an idle provider")
    provider.calls.clear()
    provider.running_max = 0
    provider.script = list(request.script)
    provider.answer = request.answer or Reply()


def posts(provider):
    """LiteLLM asks for lists of models by itself, whenever it likes."""
    return [call for call in provider.calls if call.method == "POST"]


def headers_of(request):
    headers = {"Authorization": "Bearer {key}", **request.headers}
    return {name: value.replace("{key}", sides.MASTER_KEY) if value else value for name, value in headers.items()}


if __name__ == "__main__":
    sys.exit(main())
