"""Full speed through one gateway, recorded: bench/checked and the configuration that it expects."""

import json
import os
import subprocess

import speed_history

# Few slots, so that a line forms; d3 has its fill of the first minute at once, and must take no more.
SLOTS = {"d1": 8, "d2": 12, "d3": 4}
RPM = {"d3": 600}
RETRIES = 2
FAILING = 0.005  # of the calls, with 429 or 500
SHOWN = 20

CONFIG = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/x, api_base: "http://127.0.0.1:{d1}/v1", api_key: k, max_parallel_requests: 8}}
    model_info: {{id: d1}}
  - model_name: m
    litellm_params: {{model: openai/x, api_base: "http://127.0.0.1:{d2}/v1", api_key: k, max_parallel_requests: 12}}
    model_info: {{id: d2}}
  - model_name: m
    litellm_params: {{model: openai/x, api_base: "http://127.0.0.1:{d3}/v1", api_key: k, max_parallel_requests: 4, rpm: 600}}
    model_info: {{id: d3}}
router_settings:
  timeout: 120
  num_retries: 2
  disable_cooldowns: true
"""


def config(ports):
    return CONFIG.format(**dict(zip(SLOTS, ports)))


def play(program, port, admin_port, ports, seconds, connections, seed, record=None, pace="when-full"):
    """What the program says of itself; with a `record` it also asks who waits, and writes that file. `pace`: see
    bench/checked/provider.hpp."""
    done = subprocess.run(
        [str(program), str(port), str(admin_port if record else 0), f"{seconds:g}", str(connections), str(FAILING),
         str(seed), str(record or "-"), pace, *(f"{each}/{slots}" for each, slots in zip(ports, SLOTS.values()))],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=seconds + 60)  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"{os.path.basename(program)} ended with {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def check(record):
    with open(record, encoding="ascii") as lines:
        return speed_history.Checker(speed_history.read(lines, SLOTS, RPM, RETRIES))


def story(checker):
    """What was broken; times are in seconds since the first request."""
    rules = {}
    for rule, _ in checker.broken:
        rules[rule] = rules.get(rule, 0) + 1
    lines = [f"{len(checker.broken)} times a rule is broken: {rules}"]
    return "\n".join(lines + [f"{rule}: {what}" for rule, what in checker.broken[:SHOWN]])
