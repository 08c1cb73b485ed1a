"""Streams whose events are due at fixed times, with nobody, nginx and Vorrang in between: how late events are read."""
import contextlib
import json
import subprocess
import time

from harness import peers_load, proxies, report
from harness.crowd import until
from harness.processes import free_ports, server

rate = 50  # events a second of each stream
warm_seconds = 0.5
seconds = 1.5
within_ms = 5
rounds_max = 3
one_seconds_max = 40
nobody = "no proxy"
names = (nobody, "nginx", "vorrang")

config = """
model_list:
  - model_name: paced
    litellm_params: {model: openai/up, api_base: "http://127.0.0.1:%d/v1", api_key: k}
vorrang_settings:
  admin_port: 0
"""


def steps(most):
    """How many streams run at once: an eighth, a quarter, half of the most, and the most."""
    return sorted({max(most // each, 1) for each in (8, 4, 2, 1)})


def start_all(stack, folder, options):
    """(the upstream's port, {name: (port, its processes)}). Who cannot be started has the reason instead."""
    upstream, by_nginx, by_vorrang = free_ports(3)
    connections = 2 * options.streams + 1000

    def nginx():
        inside = proxies.nginx_text(by_nginx, upstream, more="proxy_buffering off;")
        return proxies.nginx(folder, "paced", options.threads, inside, connections)

    def vorrang():
        file = folder / "paced.yaml"
        file.write_text(config % upstream)
        return [str(options.gateway), "--config", str(file), "--port", str(by_vorrang), "--threads",
                str(options.threads), "--log-level", "warning"]  # fmt: skip

    made = {nobody: (upstream, [])}
    # nginx listens before its workers are there.
    for name, port, command, least in (("nginx", by_nginx, nginx, 1 + options.threads), ("vorrang", by_vorrang, vorrang, 1)):
        def start(name=name, port=port, command=command, least=least):
            process = stack.enter_context(server(command(), [port], folder / f"paced-{name}.log"))
            until(lambda: len(peers_load.family(process.pid)) >= least, 10, f"{name} has its processes")
            return port, sorted(peers_load.family(process.pid))

        made[name] = report.tried(start)
    return upstream, made


def run_one(options, upstream, target, count):
    port, processes = target
    done = subprocess.run(
        [str(options.paced_bench), *map(str, (upstream, port, count, rate, warm_seconds, seconds, within_ms, *processes))],
        capture_output=True, text=True, check=False, timeout=one_seconds_max)  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"the paced load ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return json.loads(done.stdout)


def turns(counts, rounds):
    """(streams, name) in the order in which they are measured: another one is first in each round."""
    return [(count, names[(turn + place) % len(names)]) for turn in range(rounds) for count in counts
            for place in range(len(names))]  # fmt: skip


def measure(options, folder, seconds_max):
    """{name: {streams: {"rounds": [found]} or why not}}. Ends in time, with fewer rounds if it must."""
    counts = steps(options.streams)
    results = {name: {str(count): {"rounds": []} for count in counts} for name in names}
    end = time.monotonic() + seconds_max
    with contextlib.ExitStack() as stack:
        upstream, targets = start_all(stack, folder, options)
        for count, name in turns(counts, min(options.rounds, rounds_max)):
            target, found = targets[name], results[name][str(count)]
            if "not_measured" in target:
                found |= target
            elif "not_measured" not in found and time.monotonic() < end:
                one = report.tried(lambda target=target, count=count: run_one(options, upstream, target, count))
                if "not_measured" in one:
                    found |= one
                else:
                    found["rounds"].append(one)
    for each in (found for of_name in results.values() for found in of_name.values()):
        if not each["rounds"]:
            each.setdefault("not_measured", f"its turn had not come after {seconds_max:.0f} s")
    return results
