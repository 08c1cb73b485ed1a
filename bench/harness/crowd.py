"""Crowds of clients that wait, and what they cost the gateway they wait at."""
import contextlib
import json
import os
import resource
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.processes import ask

handshakes_at_once = 4  # so that client and gateway both have something to do

# Of a gateway with one slot: the upstream's port, the operator's, and how many may wait.
config = """
model_list:
  - model_name: slow
    litellm_params:
      model: openai/slow
      api_base: http://127.0.0.1:%d/v1
      api_key: sk-bench
      max_parallel_requests: 1
router_settings:
  timeout: 3600
vorrang_settings:
  admin_port: %d
  max_queue_size: %d
"""


def request(priority=None):
    """Bytes of a request of 0.6 KB. Its priority also stands where the upstream can read it."""
    body = {"model": "slow", "messages": [{"role": "user", "content": "x" * 500}], "seed": priority}
    if priority is not None:
        body["priority"] = priority
    text = json.dumps(body)
    return (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(text)}\r\n\r\n{text}"
    ).encode()


def raise_file_limit(wanted):
    """For our own side; the gateway raises its own."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = wanted
    elif hard < wanted and os.geteuid() == 0:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < wanted:
        raise RuntimeError(f"the limit on files is {hard}, {wanted} are needed: raise it with ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, resource.getrlimit(
        resource.RLIMIT_NOFILE)[0]), hard))


def possible(wanted, limit):
    """How many can wait: a gateway keeps a quarter of the files it may have for upstreams and itself, and one client
    has the slot."""
    return min(wanted, limit - limit // 4 - 1)


def raise_file_limit_for(waiting):
    """How many of them can wait. The gateway is a process of its own with the same limit as this one."""
    with contextlib.suppress(RuntimeError):
        raise_file_limit(waiting * 4 // 3 + 1000)
        return waiting
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    raise_file_limit(hard)
    return possible(waiting, hard)


def resident_kb(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise RuntimeError("the gateway is gone")


def processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def queue_of(admin, model):
    status, text = ask(admin, "GET", f"/queue/{model}?limit=1")
    if status != 200:
        raise RuntimeError(f"the admin port answers {status}")
    return json.loads(text)


def waiting_now(admin):
    return queue_of(admin, "slow")["waiting"]


def until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {seconds} s: {what}")
        time.sleep(0.002)


def client(port, text, tls):
    made = socket.create_connection(("127.0.0.1", port), timeout=20)
    if tls:
        made = tls.wrap_socket(made, server_hostname="localhost")
    made.sendall(text)
    return made


def clients(port, requests, tls=None):
    """Connections that have each sent one request, in that order; over TLS with a context, some at once."""
    with ThreadPoolExecutor(handshakes_at_once if tls else 1) as pool:
        return list(pool.map(lambda each: client(port, each, tls), requests))


def vanish(crowd):
    """All at once, as far as one thread can: without a word of TLS, as when their machine is gone."""
    for number in [each.detach() for each in crowd]:
        os.close(number)
