"""The gateways beside which Vorrang is measured: how each is installed, configured, started and asked."""
import json
import os
import shutil
import sys

from harness import installed, proxies, report
from harness.processes import free_ports

sys.path[:0] = [str(report.root / "tests" / name) for name in ("system", "compare")]
import sides  # noqa: E402
from gateway import clean_environment  # noqa: E402

model = "small-chat"
slots_many = 4096
priorities = (1, 2, 3, 4)  # as many as SMG has classes; 1 is the most urgent
smg_classes = dict(zip(priorities, ("system", "interactive", "default", "bulk")))

litellm_text = """
model_list:
  - model_name: %(model)s
    litellm_params:
      model: openai/%(model)s
      api_base: http://127.0.0.1:%(upstream)d/v1
      api_key: sk-bench
      %(more)s
    model_info: {id: d1}
router_settings:
  timeout: 60
"""

upstream_inside = """
  default_type application/json;
  server {
    listen 127.0.0.1:%(port)d backlog=4096;
%(places)s
    location = /version { return 404; }
    location = /status { stub_status; }
    location / { return 200 '%(answer)s'; }
  }
"""


def about_the_model(path, slots):
    """What an upstream answers when SMG asks what it is (as SGLang does, which tells its slots); None: 404."""
    server = {"model_id": model, "served_model_name": model, "max_running_requests": slots}
    models = {"object": "list", "data": [{"id": model, "object": "model", "created": 1, "owned_by": "sglang"}]}
    known = {"/health": {}, "/v1/models": models, "/server_info": server, "/get_server_info": server,
             "/model_info": server, "/get_model_info": server}  # fmt: skip
    return known.get(path.partition("?")[0])


def upstream_text(port):
    """An nginx that answers a small chat completion and SMG's questions, and counts."""
    places = "".join(f"    location = {path} {{ return 200 '{json.dumps(about_the_model(path, slots_many))}'; }}\n"
                     for path in ("/health", "/v1/models", "/server_info", "/get_server_info", "/model_info"))  # fmt: skip
    return upstream_inside % {"port": port, "places": places, "answer": proxies.answer}


class Peer:
    """One gateway. `install` comes first; RuntimeError says why it cannot be had."""

    name = None
    one_slot = None  # how it is told of the slot
    start_seconds = 20

    def __init__(self, options):
        self.options = options

    def install(self):
        """The version, in words."""
        raise NotImplementedError

    def command(self, folder, port, upstream, slots):
        """What starts it. `slots`: at most so many calls at once, None for no limit."""
        raise NotImplementedError

    def environment(self):
        return None

    def headers(self, upstream, priority=None):  # noqa: ARG002
        """Besides the body, in which `priority` stands for those that read it."""
        return {}

    def variants(self):
        """Itself, and itself with other settings, for the slot."""
        return [self]


class Nginx(Peer):
    name = "nginx"
    one_slot = "limit_conn 1"

    def install(self):
        return report.output_of(proxies.tool("nginx"), "-v")

    def command(self, folder, port, upstream, slots):
        zone = "limit_conn_zone $server_port zone=slots:1m;" if slots else ""
        limit = f"limit_conn slots {slots}; limit_conn_status 429;" if slots else ""
        text = proxies.nginx_text(port, upstream, zone, f"proxy_buffering off; {limit}")
        return proxies.nginx(folder, "nginx", self.options.threads, text)


class HAProxy(Peer):
    name = "haproxy"
    one_slot = "maxconn 1, set-priority-class"

    def install(self):
        return report.output_of(proxies.tool("haproxy"), "-v")

    def command(self, folder, port, upstream, slots):
        by_body = ("timeout queue 60s\n  option http-buffer-request\n"
                   "  http-request set-priority-class req.body,json_query('$.priority','int')")  # fmt: skip
        limits = (by_body, f"maxconn {slots}") if slots else ()
        return proxies.haproxy(folder, port, upstream, self.options.threads, *limits)


class Smg(Peer):
    name = "smg"
    one_slot = "upstream tells 1 slot, x-smg-priority"

    def __init__(self, options, preempts=True):
        super().__init__(options)
        self.preempts = preempts
        if not preempts:
            self.name = "smg, no preemption"

    def install(self):
        python = installed.smg()
        self._program = python.parent / "smg"
        return "smg " + installed.version_of(python, "smg")

    def classes(self):
        """Its defaults, but nothing is reserved for a class: of one slot nothing would be left for the others."""
        queues = {"system": (64, 30, 5), "interactive": (256, 30, 5), "default": (512, 60, 30), "bulk": (1024, 300, 120)}
        lines = ["classes:"]
        for name, (size, timeout, starvation) in queues.items():
            preempts = str(self.preempts and name in ("system", "interactive")).lower()
            lines += [f"  {name}:", "    reserved_floor: 0", "    reserved_per_slot: 0.0", f"    queue_size: {size}",
                      f"    queue_timeout_secs: {timeout}", f"    starvation_threshold_secs: {starvation}",
                      f"    can_preempt: {preempts}"]  # fmt: skip
        return "\n".join(lines) + "\n"

    def command(self, folder, port, upstream, slots):  # noqa: ARG002 — it asks the upstream
        file = folder / "smg.yaml"
        file.write_text(self.classes())
        return [str(self._program), "launch", "--host", "127.0.0.1", "--port", str(port),
                "--worker-urls", f"http://127.0.0.1:{upstream}", "--policy", "round_robin",
                "--priority-scheduler-enabled", "--priority-scheduler-default-max-class", "system",
                "--priority-scheduler-config", str(file), "--worker-startup-check-interval", "1",
                "--disable-tokenizer-autoload", "--history-backend", "none", "--log-level", "error",
                "--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_ports(1)[0]),
                "--shutdown-grace-period-secs", "1"]  # fmt: skip

    def environment(self):
        return clean_environment(TOKIO_WORKER_THREADS=str(self.options.threads))

    def headers(self, upstream, priority=None):  # noqa: ARG002
        return {} if priority is None else {"x-smg-priority": smg_classes[priority]}

    def variants(self):
        other = Smg(self.options, preempts=False)
        other._program = self._program
        return [self, other]


class LiteLLM(Peer):
    name = "litellm"
    one_slot = "max_parallel_requests: 1, priority"
    start_seconds = 120

    def install(self):
        python = installed.litellm()
        self._program = python.parent / "litellm"
        return f"litellm {installed.version_of(python, 'litellm')}, " + report.output_of(str(python), "--version")

    def command(self, folder, port, upstream, slots):
        file = folder / "litellm.yaml"
        limit = f"max_parallel_requests: {slots}" if slots else ""
        file.write_text(litellm_text % {"model": model, "upstream": upstream, "more": limit})
        return [str(self._program), "--config", str(file), "--host", "127.0.0.1", "--port", str(port),
                "--num_workers", "1", "--telemetry", "False"]  # fmt: skip

    def environment(self):
        made = clean_environment(**sides.LITELLM_VARIABLES)
        made.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled once
        return made


class Portkey(Peer):
    name = "portkey"
    one_slot = "has none"

    def install(self):
        folder = installed.portkey() / "node_modules" / "@portkey-ai" / "gateway"
        self._node = shutil.which("node")
        self._program = folder / "build" / "start-server.js"
        version = json.loads((folder / "package.json").read_text())["version"]
        return f"@portkey-ai/gateway {version}, Node {report.output_of(self._node, '--version')}"

    def command(self, folder, port, upstream, slots):  # noqa: ARG002 — each request says where to
        return [self._node, str(self._program), f"--port={port}", "--headless"]

    def environment(self):
        return {**os.environ, "NODE_ENV": "production"}

    def headers(self, upstream, priority=None):  # noqa: ARG002
        return {"x-portkey-provider": "openai", "authorization": "Bearer sk-bench",
                "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1"}  # fmt: skip


class Vorrang(Peer):
    name = "vorrang"
    one_slot = "max_parallel_requests: 1, priority"

    def install(self):
        return report.output_of(str(self.options.gateway), "--version")

    def command(self, folder, port, upstream, slots):
        limit = f"max_parallel_requests: {slots}" if slots else ""
        return proxies.vorrang(folder, port, upstream, self.options, limit)


def all_peers(options):
    return [kind(options) for kind in (Nginx, HAProxy, Smg, LiteLLM, Portkey, Vorrang)]
