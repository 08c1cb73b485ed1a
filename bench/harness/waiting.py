"""What requests cost that wait: memory, processor time, and how fast they go when nobody wants them."""
import asyncio
import contextlib
import json
import os
import resource
import socket
import tempfile
import time
from pathlib import Path

from harness import report
from harness.processes import ask, free_ports, server

core_share_max = 0.01
watch_seconds = 10

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

body = json.dumps({"model": "slow", "messages": [{"role": "user", "content": "x" * 500}]})
request = (
    "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    f"Content-Length: {len(body)}\r\n\r\n{body}"
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


def waiting_now(admin):
    status, text = ask(admin, "GET", "/queue/slow?limit=1")
    if status != 200:
        raise RuntimeError(f"the admin port answers {status}")
    return json.loads(text)["waiting"]


def until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {seconds} s: {what}")
        time.sleep(0.002)


async def hold(reader, writer):
    """The upstream: takes a request, and never answers."""
    with contextlib.suppress(ConnectionError):
        while await reader.read(65536):
            pass
    writer.close()


def clients(port, count):
    """Connections that have each sent one request."""
    made = []
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", port), timeout=20)
        one.sendall(request)
        made.append(one)
    return made


def measure(gateway, port, admin, count):
    """Blocks; runs beside the upstream's loop."""
    pid = gateway.pid
    first = clients(port, 1)  # holds the only slot
    warm = clients(port, 50)
    until(lambda: waiting_now(admin) == 50, 20, "50 waiting")
    for each in warm:
        each.close()
    until(lambda: waiting_now(admin) == 0, 20, "none waiting")
    files_before, memory_before = descriptors(pid), resident_kb(pid)

    begun = time.monotonic()
    crowd = clients(port, count)
    until(lambda: waiting_now(admin) == count, 120, f"{count} waiting")
    parked_after = time.monotonic() - begun
    time.sleep(1)  # what arrived last settles; not waited for by any check
    memory = resident_kb(pid)

    used = processor_seconds(pid)
    begun = time.monotonic()
    time.sleep(watch_seconds)
    share = (processor_seconds(pid) - used) / (time.monotonic() - begun)

    begun = time.monotonic()
    for each in crowd:
        each.close()
    closed_after = time.monotonic() - begun
    until(lambda: waiting_now(admin) == 0, 60, "the line is empty")
    line_empty_after = time.monotonic() - begun
    until(lambda: descriptors(pid) <= files_before, 60, "every connection is closed")
    freed_after = time.monotonic() - begun
    memory_after = resident_kb(pid)
    for each in first:
        each.close()
    return {
        "waiting": count,
        "parked_after_s": parked_after,
        "resident_kb_each": (memory - memory_before) / count,
        "core_share": share,
        "clients_took_to_close_s": closed_after,
        "line_empty_after_s": line_empty_after,
        "all_freed_after_s": freed_after,
        "resident_mb_before": memory_before / 1024,
        "resident_mb_waiting": memory / 1024,
        "resident_mb_after": memory_after / 1024,
    }


async def with_upstream(options, folder):
    upstream = await asyncio.start_server(hold, "127.0.0.1", 0)
    upstream_port = upstream.sockets[0].getsockname()[1]
    port, admin = free_ports(2)
    file = folder / "waiting.yaml"
    file.write_text(config % (upstream_port, admin, options.waiting + 100))
    command = [str(options.gateway), "--config", str(file), "--port", str(port), "--log-level", "warning"]

    def drive():
        with server(command, [port, admin], folder / "gateway.log") as gateway:
            return measure(gateway, port, admin, options.waiting)

    try:
        return await asyncio.to_thread(drive)
    finally:
        upstream.close()


def run(options):
    facts = report.circumstances(options.gateway.parent)
    report.print_circumstances("waiting", facts, "./dev bench waiting")
    # The gateway is a process of its own with the same limit, of which it keeps a quarter for
    # upstreams and files.
    raise_file_limit(options.waiting * 4 // 3 + 1000)
    with tempfile.TemporaryDirectory(prefix="vorrang-bench-") as name:
        result = asyncio.run(with_upstream(options, Path(name)))
    share = result["core_share"]
    count = f"{options.waiting:,}"
    report.print_table(["waiting requests", "reached", "aim", ""], [
        [f"resident memory, each of {count} (600 B of body)", f"{result['resident_kb_each']:.2f} KB", "", ""],
        [f"processor, {watch_seconds} s", f"{share:.2%} of a core", f"< {core_share_max:.0%}",
         report.reached(share, core_share_max, at_least=False)],
        ["all have their place after", f"{result['parked_after_s']:.2f} s", "", ""],
        ["all clients gone: the line is empty after", f"{result['line_empty_after_s']:.2f} s "
         f"(closing took {result['clients_took_to_close_s']:.2f} s)", "", ""],
        ["… and every descriptor is back after", f"{result['all_freed_after_s']:.2f} s", "", ""],
        ["resident memory before, with them, after", "%.1f, %.1f, %.1f MB" % (
            result["resident_mb_before"], result["resident_mb_waiting"], result["resident_mb_after"]), "", ""],
    ])
    report.save(options.results, "waiting", facts, result)
