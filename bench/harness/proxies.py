"""Requests per second through nginx, HAProxy and Vorrang, before the same upstream, in turns."""
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from harness import installed, report
from harness.processes import ask, free_ports, processor_times, server

# Vorrang's share of nginx's `proxy_pass`, which looks into no body and keeps no queue, and of HAProxy.
share_of_nginx_min = 1.0
share_of_haproxy_min = 1.1
# Of Vorrang's own peak: the load under which lateness is compared, and how much later than nginx it may be at p99.
share_of_peak = 0.7
times_nginx_max = 1.2

path = "/v1/chat/completions"
question = json.dumps({
    "model": "small-chat",
    "priority": 5,
    "messages": [{"role": "system", "content": "You are a helpful assistant."},
                 {"role": "user", "content": "What is the capital of France?"}],
    "temperature": 0.2,
    "max_tokens": 64,
})
answer = json.dumps({
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": "small-chat",
    "choices": [{"index": 0, "finish_reason": "stop",
                 "message": {"role": "assistant", "content": "The capital of France is Paris."}}],
    "usage": {"prompt_tokens": 24, "completion_tokens": 8, "total_tokens": 32},
})

lua = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [[%s]]
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("RESULT %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""

nginx_frame = """
%(user)s
daemon off;
worker_processes %(threads)d;
pid %(folder)s/%(name)s.pid;
error_log %(folder)s/%(name)s.error.log;
events { worker_connections %(connections)d; }
http {
  access_log off;
  keepalive_timeout 75;
  keepalive_requests 1000000000;
  client_body_temp_path %(folder)s/%(name)s.body;
  proxy_temp_path %(folder)s/%(name)s.proxy;
  fastcgi_temp_path %(folder)s/%(name)s.fastcgi;
  uwsgi_temp_path %(folder)s/%(name)s.uwsgi;
  scgi_temp_path %(folder)s/%(name)s.scgi;
%(inside)s
}
"""

upstream_inside = """
  default_type application/json;
  server {
    listen 127.0.0.1:%d backlog=4096;
    location / { return 200 '%s'; }
  }
"""

proxy_inside = """
  upstream models {
    server 127.0.0.1:%(upstream)d;
    keepalive 1024;
    keepalive_requests 1000000000;
  }
  %(zone)s
  server {
    listen 127.0.0.1:%(port)d backlog=4096;
    location / {
      %(more)s
      proxy_pass http://models;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
"""

haproxy_text = """
global
  nbthread %(threads)d
  maxconn 4096
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend front
  bind 127.0.0.1:%(port)d
  %(more)s
  default_backend models
backend models
  server one 127.0.0.1:%(upstream)d %(server)s
"""

vorrang_text = """
model_list:
  - model_name: small-chat
    litellm_params:
      model: openai/small-chat
      api_base: http://127.0.0.1:%(upstream)d/v1
      api_key: sk-bench
      %(more)s
vorrang_settings:
  admin_port: 0
"""


def tool(name):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if not found:
        raise RuntimeError(f"{name} is not installed; ./dev bench installs it")
    return found


def nginx(folder, name, threads, inside, connections=4096):
    text = nginx_frame % {"user": "user root;" if os.geteuid() == 0 else "", "threads": threads,
                          "folder": folder, "name": name, "inside": inside, "connections": connections}
    file = folder / f"{name}.conf"
    file.write_text(text)
    return [tool("nginx"), "-p", str(folder), "-c", str(file), "-e", str(folder / f"{name}.early.log")]


def nginx_text(port, upstream, zone="", more=""):
    """What stands in the `http` block of one that passes everything on."""
    return proxy_inside % {"port": port, "upstream": upstream, "zone": zone, "more": more}


def haproxy(folder, port, upstream, threads, more="", of_server=""):
    file = folder / "haproxy.cfg"
    file.write_text(haproxy_text % {"threads": threads, "port": port, "upstream": upstream, "more": more,
                                    "server": of_server})
    return [tool("haproxy"), "-db", "-f", str(file)]


def vorrang(folder, port, upstream, options, more=""):
    file = folder / "vorrang.yaml"
    file.write_text(vorrang_text % {"upstream": upstream, "more": more})
    return [str(options.gateway), "--config", str(file), "--port", str(port), "--threads", str(options.threads),
            "--log-level", "warning"]


def relay(options, how, port, upstream):
    return [str(options.relay_bench), how, str(port), str(upstream)]


def start_all(stack, folder, options):
    """Name → (port, process). All stand before the first measurement; the idle ones cost nothing."""
    upstream, by_epoll, by_asio, by_nginx, by_haproxy, by_vorrang = free_ports(6)
    commands = [
        ("no proxy", upstream,
         nginx(folder, "upstream", options.threads, upstream_inside % (upstream, answer))),
        ("bytes alone", by_epoll, relay(options, "epoll", by_epoll, upstream)),
        ("bytes by Asio", by_asio, relay(options, "asio", by_asio, upstream)),
        ("nginx", by_nginx, nginx(folder, "nginx", options.threads, nginx_text(by_nginx, upstream))),
        ("haproxy", by_haproxy, haproxy(folder, by_haproxy, upstream, options.threads)),
        ("vorrang", by_vorrang, vorrang(folder, by_vorrang, upstream, options)),
    ]
    started = {}
    for name, port, command in commands:
        started[name] = port, stack.enter_context(server(command, [port], folder / f"{name}.log"))
        status, body = ask(port, "POST", path, question)
        if status != 200 or json.loads(body) != json.loads(answer):
            raise RuntimeError(f"{name} answers {status}: {body[:200]!r}")
    return started


def wrk(script, port, threads, connections, seconds):
    """What one run of it counted. An answer that takes longer than the run lasts is no error: it is not counted."""
    done = subprocess.run(
        [tool("wrk"), f"-t{min(threads, connections)}", f"-c{connections}", f"-d{seconds:g}s",
         "--timeout", f"{seconds + 10:g}s", "-s", str(script), f"http://127.0.0.1:{port}{path}"],
        capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            requests, microseconds, p50, p99, errors = map(int, line.split()[1:])
            return {"requests": requests, "errors": errors, "per_second": requests / microseconds * 1e6,
                    "p50_us": p50, "p99_us": p99}
    raise RuntimeError("wrk failed:\n" + done.stdout + done.stderr)


def load(script, started, options, seconds):
    """What wrk counted, and the processor time of the gateway for each request, its own and the kernel's."""
    port, process = started
    before = processor_times(process.pid)
    counted = wrk(script, port, options.threads, options.connections, seconds)
    if counted["errors"]:
        raise RuntimeError(f"port {port}: {counted['errors']} of {counted['requests']} requests failed")
    after = processor_times(process.pid)
    counted["own_us"], counted["kernel_us"] = ((now - then) * 1e6 / counted["requests"]
                                               for now, then in zip(after, before, strict=True))
    return counted


def open_load(file, port, options, rate, seed):
    """Requests that are due at drawn times, each timed from when it was due."""
    done = subprocess.run(
        [str(options.open_bench), str(port), path, str(file), f"{rate:.0f}", f"{options.seconds:g}", "512", str(seed)],
        capture_output=True, text=True, check=False, timeout=options.seconds + 60)  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"the open load ended with {done.returncode}: {done.stderr}")
    counted = json.loads(done.stdout)
    if counted["failed"]:
        raise RuntimeError(f"port {port}: {counted['failed']} of {counted['due']} requests failed")
    return counted


def in_turns(names, rounds, measure):
    """name → what `measure(name, round)` said in each round; another one is first each time."""
    results = {name: [] for name in names}
    for turn in range(rounds):
        for i in range(len(names)):
            each = names[(turn + i) % len(names)]
            results[each].append(measure(each, turn))
    return results


def versions():
    return {
        "nginx": report.output_of(tool("nginx"), "-v"),
        "haproxy": report.output_of(tool("haproxy"), "-v"),
    }


def run(options):
    facts = report.circumstances(options.gateway.parent)
    facts.update(versions())
    facts["load"] = (f"wrk, {options.connections} connections, {options.rounds} rounds of "
                     f"{options.seconds:g} s in turns, {options.threads} thread(s) for each program")
    report.print_circumstances("http", facts, "./dev bench http")
    with tempfile.TemporaryDirectory(prefix="vorrang-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        script = folder / "chat.lua"
        script.write_text(lua % question)
        started = start_all(stack, folder, options)
        names = list(started)
        for each in names:
            load(script, started[each], options, 1)  # pools fill, pages are touched
        results = in_turns(names, options.rounds, lambda name, _: load(script, started[name], options, options.seconds))
        rate = share_of_peak * report.median_and_mad([each["per_second"] for each in results["vorrang"]])[0]
        body = folder / "body.json"
        body.write_text(json.dumps({key: value for key, value in json.loads(question).items() if key != "priority"}))
        opened = in_turns([each for each in names if not each.startswith("bytes")], options.rounds,
                          lambda name, turn: open_load(body, started[name][0], options, rate, options.seed + turn))  # fmt: skip
    print_results(results)
    print(f"\nAn open load of {rate:,.0f} requests/s, {share_of_peak:.0%} of Vorrang's peak, each timed from when it was due:\n")
    print_open(opened)
    report.save(options.results, "http", facts, {**results, "open": opened})
    installed.draw("http", options.results / "http.json")


def print_results(results):
    def middle(name, figure):
        return report.median_and_mad([each[figure] for each in results[name]])

    by_nginx, by_haproxy = middle("nginx", "per_second")[0], middle("haproxy", "per_second")[0]
    rows = []
    for name in results:
        rate, spread = middle(name, "per_second")
        rows.append([name, f"{rate:,.0f}", f"{spread:,.0f}", f"{middle(name, 'p50_us')[0] / 1000:.2f} ms",
                     f"{middle(name, 'p99_us')[0] / 1000:.2f} ms", f"{rate / by_nginx:.2f}", f"{rate / by_haproxy:.2f}",
                     *("" if name == "no proxy" else f"{middle(name, figure)[0]:.1f}"
                       for figure in ("own_us", "kernel_us"))])  # fmt: skip
    report.print_table(["gateway", "requests/s", "MAD", "p50", "p99", "of nginx", "of HAProxy", "processor for each, µs",
                        "… the kernel's"], rows)  # fmt: skip
    ours = middle("vorrang", "per_second")[0]
    print()
    report.print_table(["Vorrang's requests/s", "reached", "aim", ""], [
        [f"of {name}'s", f"{ours / theirs:.2f}", f"≥ {least}", report.reached(ours / theirs, least)]
        for name, theirs, least in (("nginx", by_nginx, share_of_nginx_min), ("HAProxy", by_haproxy, share_of_haproxy_min))])


def print_open(opened):
    def middle(name, which, figure):
        return report.median_and_mad([each[which][figure] for each in opened[name]])[0] / 1000

    by_nginx = middle("nginx", "all", "p99")
    rows = []
    for name in opened:
        share = middle(name, "all", "p99") / by_nginx
        is_ours = name == "vorrang"
        rows.append([name, *(f"{middle(name, 'all', figure):.2f} ms" for figure in ("p50", "p99", "p999")),
                     " · ".join(f"{middle(name, priority, 'p99'):.2f}" for priority in ("1", "5", "9")),
                     f"{share:.2f}", f"≤ {times_nginx_max}" if is_ours else "",
                     report.reached(share, times_nginx_max, at_least=False) if is_ours else "",
                     f"{middle(name, 'late', 'p99'):.2f} ms"])  # fmt: skip
    report.print_table(["gateway", "p50", "p99", "p99.9", "p99 by priority 1 · 5 · 9", "p99 of nginx's", "aim", "",
                        "the load itself late, p99"], rows)  # fmt: skip
