"""GET /metrics: what promtool, a real Prometheus, the alert rules and the dashboard make of it."""

import json
import pathlib
import re
import signal
import time
import unittest

import client
from gateway import Gateway, wait_until
from prometheus import Prometheus, program, promtool
from provider import Provider, Reply, completion, error

from shared.redis_server import RedisServer

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
RULES = ROOT / "deploy" / "prometheus" / "vorrang.rules.yml"

CONFIG = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/x, api_base: {base}, api_key: k, max_parallel_requests: 1, rpm: 1000, tpm: 900000}}
    model_info: {{id: one}}
  - model_name: spare
    litellm_params: {{model: openai/y, mock_response: hi}}
    model_info: {{id: "spare of m"}}
  - model_name: broken
    litellm_params: {{model: openai/z, api_base: {base}/broken, api_key: k, cooldown_time: 60}}
    model_info: {{id: broken}}
router_settings:
  timeout: 20
  num_retries: 1
  fallbacks: [{{broken: [spare]}}]
  {router}
vorrang_settings:
  max_queue_size: 100
"""

# Of these histogram, the others have no suffix.
SUFFIXES = re.compile(r"_(bucket|sum|count)$")
OF_QUEUES = ("vorrang_inversions_total", "vorrang_limit_overruns_total", "vorrang_queue_outages_total",
             "vorrang_cooldowns_total")  # fmt: skip
NAME = re.compile(r"\b(?:vorrang|process)_[a-z_]+\b")


def config(base="http://127.0.0.1:9/v1", router=""):
    return CONFIG.format(base=base, router=router)


def samples(page):
    """{series: value}"""
    lines = (line for line in page.split("\n") if line and not line.startswith("#"))
    return {series: float(value) for series, value in (line.rsplit(" ", 1) for line in lines)}


def families(page):
    """{name: type}"""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE))


def metrics_of(gateway, headers=None):
    response = client.call(gateway.admin_port, "GET", "/metrics", None, headers)
    assert response.status == 200, response
    return response.body.decode()


class Page(unittest.TestCase):
    def check(self, page):
        status, said = promtool("check", "metrics", text=page)
        self.assertEqual((status, said), (0, ""))
        self.assertEqual(len(page.splitlines()), len(set(page.splitlines())), "a line stands there twice")

    def test_promtool_has_nothing_to_say(self):
        with Gateway(config()) as gateway:
            response = gateway.admin_get("/metrics")
            self.assertEqual(response.header("content-type"), "text/plain; version=0.0.4; charset=utf-8")
            self.check(response.body.decode())
            before = set(samples(response.body.decode()))
            self.assertEqual(gateway.chat(model="spare").status, 200)
            self.assertEqual(gateway.chat(model="spare", stream=True).status, 200)
            self.assertEqual(gateway.chat(model="unknown").status, 400)
            page = metrics_of(gateway)
            self.check(page)
            self.assertEqual(set(samples(page)), before, "every series is there from the beginning")
            told = samples(page)
            self.assertEqual(told['vorrang_refusals_total{reason="unknown-model"}'], 1)
            self.assertEqual(told['vorrang_requests_total{group="spare",priority_class="100-999"}'], 2)
            self.assertEqual(told['vorrang_streams_total{group="spare"}'], 1)
            answers = 'vorrang_upstream_answers_total{group="spare",deployment="spare of m",code="%s"}'
            self.assertEqual([told[answers % code] for code in ("200", "other")], [2, 0])

    def test_names_that_are_odd(self):
        names = ['q"uote', "back\\slash", "trail\\", "{a,b}", "ümlaut-名前-😀", "tab\tx", "n" * 500]
        text = "model_list:\n" + "".join(
            f"- {{model_name: {json.dumps(name, ensure_ascii=False)}, litellm_params: {{model: openai/x, mock_response: hi}},"
            f" model_info: {{id: {json.dumps('of ' + name, ensure_ascii=False)}}}}}\n"
            for name in names
        )
        with Gateway(text) as gateway:
            for name in names:
                self.assertEqual(gateway.chat(model=name).status, 200)
            for number in range(200):
                self.assertEqual(gateway.chat(model=f'unknown-{number}"}} 7\n').status, 400)
            page = metrics_of(gateway)
        self.check(page)
        told = samples(page)
        for name in names:
            label = name.replace("\\", "\\\\").replace('"', '\\"')
            self.assertEqual(told[f'vorrang_requests_ended_total{{group="{label}",reason="answered"}}'], 1)
        self.assertNotIn("unknown-7", page)

    def test_counters_never_fall_whatever_a_reload_brings(self):
        def text(number):
            more = f"""
  - model_name: m
    litellm_params: {{model: openai/x, mock_response: hi}}
    model_info: {{id: late-{number % 3}}}
  - model_name: group-{number % 4}
    litellm_params: {{model: openai/x, mock_response: hi}}
router_settings:"""
            return config().replace("\nrouter_settings:", more)

        with Gateway(text(0)) as gateway:
            before, answered = {}, 0
            for number in range(24):
                gateway.reload(text(number))
                for name in ("spare", f"group-{number % 4}"):
                    self.assertEqual(gateway.chat(model=name).status, 200)
                    answered += 1
                page = metrics_of(gateway)
                now, kinds = samples(page), families(page)
                for series, value in before.items():
                    name = series.partition("{")[0]
                    if kinds.get(SUFFIXES.sub("", name), kinds.get(name)) == "gauge":
                        continue
                    # What its queue tells of a group or deployment goes with that.
                    if series in now or name not in OF_QUEUES:
                        self.assertGreaterEqual(now[series], value, series)
                before = now
            self.check(page)
            for name in ("vorrang_requests_total", "vorrang_requests_ended_total", "vorrang_grants_total",
                         "vorrang_request_wait_seconds_count", "vorrang_call_duration_seconds_count",
                         "vorrang_upstream_answers_total"):  # fmt: skip
                total = sum(value for series, value in now.items() if series.startswith(name + "{"))
                self.assertEqual(total, answered, name)

    def test_a_deployment_that_is_newer_than_the_request_is_counted(self):
        full = config().replace("max_parallel_requests: 1,", "max_parallel_requests: 0,")
        with Gateway(full) as gateway:
            waits = gateway.send_chat()
            gateway.wait_until_waiting(1)
            more = "  - model_name: m\n    litellm_params: {model: openai/x, mock_response: hi}\n    model_info: {id: late}\n"
            gateway.reload(full.replace("router_settings:", more + "router_settings:", 1))
            self.assertEqual(waits.read_response().status, 200)
            told = samples(metrics_of(gateway))
            of = 'group="m",deployment="late"'
            self.assertEqual(told[f'vorrang_grants_total{{{of},reason="healthy-deployment"}}'], 1)
            self.assertEqual(told[f'vorrang_upstream_answers_total{{{of},code="200"}}'], 1)

    def test_documentation_names_what_is_there(self):
        with RedisServer() as redis, Gateway(config(router=f'redis_url: "unix://{redis.path}"')) as gateway:
            wait_until(lambda: gateway.admin_get("/health/readiness").json["queue"] == "shared")
            self.assertEqual(gateway.chat(model="spare").status, 200)
            # Each group's line opens by itself.
            wait_until(lambda: samples(metrics_of(gateway))['vorrang_queue_state{group="m",state="shared"}'] == 1)
            page = metrics_of(gateway)
            self.check(page)
            told = samples(page)
            self.assertEqual(told["vorrang_redis_up"], 1)
            self.assertGreater(told["vorrang_redis_round_trip_seconds_count"], 0)
            self.assertEqual(told["vorrang_redis_calls_failed_total"], 0)
            self.assertEqual(told['vorrang_queue_outages_total{group="m"}'], 0)
            redis.kill()
            wait_until(lambda: samples(metrics_of(gateway))['vorrang_queue_state{group="m",state="local"}'] == 1)
            self.assertEqual(samples(metrics_of(gateway))["vorrang_redis_up"], 0)
            self.assertEqual(samples(metrics_of(gateway))['vorrang_queue_outages_total{group="m"}'], 1)
        table = re.findall(
            r"^\| `([a-z_]+)` \| (counter|gauge|histogram) \|([^|]*)\|",
            (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8"),
            re.MULTILINE,
        )
        self.assertEqual({name: kind for name, kind, _ in table}, families(page))
        labels = {name: set(filter(None, labels.replace(" ", "").split(","))) for name, _, labels in table}
        for series in told:
            name, _, inside = series.partition("{")
            of = name if name in labels else SUFFIXES.sub("", name)
            found = set(re.findall(r'(\w+)="(?:[^"\\]|\\.)*"', inside)) - {"le"}
            self.assertEqual(found, labels[of], series)

    def test_instances_with_other_limits(self):
        """Spec §6: the lowest announced by a live one holds; the mismatch is logged and exported."""

        def differ(gateway, group="m"):
            return samples(metrics_of(gateway))[f'vorrang_limits_differ{{group="{group}"}}'] == 1

        with RedisServer() as redis:
            text = config(router=f'redis_url: "unix://{redis.path}"')
            with Gateway(text) as first, Gateway(text.replace("rpm: 1000", "rpm: 500")) as second:
                for gateway in (first, second):
                    wait_until(lambda: differ(gateway))
                    wait_until(lambda: "warning instances have different limits for the group" in gateway.output)
                self.assertFalse(differ(first, "spare"))
                self.assertIn("the lowest hold group=m\n", first.output)
                second.reload(text)
                wait_until(lambda: not differ(first))
                wait_until(lambda: "info instances have the same limits again group=m" in first.output)

    def test_a_redis_that_stands_still_is_not_waited_for(self):
        with RedisServer() as redis, Gateway(config(router=f'redis_url: "unix://{redis.path}"')) as gateway:
            wait_until(lambda: metrics_of(gateway).count('state="shared"} 1') == 3)
            before = set(samples(metrics_of(gateway)))
            redis.signal(signal.SIGSTOP)
            begins = time.monotonic()
            page = metrics_of(gateway)
            took_s = time.monotonic() - begins
            redis.signal(signal.SIGCONT)
        self.assertLess(took_s, 1.0)
        self.assertEqual(set(samples(page)), before)

    def test_a_key_is_asked_for_where_the_port_is_open(self):
        keyed = config().replace("vorrang_settings:", "vorrang_settings:\n  admin_host: 0.0.0.0")
        with Gateway(keyed, environment={"VORRANG_MASTER_KEY": "sk-master"}) as gateway:
            self.assertEqual(gateway.admin_get("/metrics").status, 401)
            page = metrics_of(gateway, {"Authorization": "Bearer sk-master", "Host": "any.name:4001"})
            self.assertIn("vorrang_build_info", page)
        with Gateway(config()) as gateway:
            foreign = client.call(gateway.admin_port, "GET", "/metrics", None, {"Host": "evil.example"})
            self.assertEqual(foreign.status, 403)


class Rules(unittest.TestCase):
    def test_the_rules_and_their_own_tests(self):
        folder = RULES.parent
        for what in (("check", "config", "prometheus.yml"), ("test", "rules", "vorrang.rules.test.yml")):
            status, said = promtool(*what, folder=folder)
            self.assertEqual(status, 0, said)
        rules = set(re.findall(r"alert: (\w+)", RULES.read_text(encoding="utf-8")))
        tests = (folder / "vorrang.rules.test.yml").read_text(encoding="utf-8")
        for rule in rules:
            fires = rf"alertname: {rule}\n\s+exp_alerts:"
            self.assertRegex(tests, fires, "no test shows that it can come")


class RealPrometheus(unittest.TestCase):
    """One gateway, a load whose numbers are known, and what Prometheus says of it."""

    def test_a_load(self):
        program("prometheus")
        with Provider() as provider, Gateway(config(provider.base)) as gateway:
            with Prometheus(gateway.admin_port, RULES) as prometheus:
                self.load(gateway, provider)
                # What comes now has been scraped after the load.
                end = client.call(gateway.admin_port, "GET", "/metrics").received_at
                self.wait_for_scrapes(prometheus, gateway)
                self.assertGreater(end, 0)
                self.compare(prometheus)
                self.check_rules(prometheus)
                self.check_dashboard(prometheus, families(metrics_of(gateway)))

    def load(self, gateway, provider):
        # One at a time: the first runs, three wait, and one of those hangs up.
        provider.answer = Reply(hold=True)
        runs = gateway.send_chat(priority=5)
        provider.wait_for_calls(1)
        waits = [gateway.send_chat(priority=priority) for priority in (7, 500, -1)]
        gateway.wait_until_waiting(3)
        waits[1].close()
        gateway.wait_until_waiting(2)
        told = samples(metrics_of(gateway))
        self.assertEqual(told['vorrang_requests_waiting{group="m",priority_class="0-9"}'], 1)
        self.assertEqual(told['vorrang_requests_waiting{group="m",priority_class="below 0"}'], 1)
        self.assertEqual(told['vorrang_requests_waiting{group="m",priority_class="100-999"}'], 0)
        oldest = 'vorrang_oldest_wait_seconds{group="m",priority_class="%s"}'
        self.assertGreater(told[oldest % "0-9"], told[oldest % "below 0"])
        self.assertGreater(told[oldest % "below 0"], 0)
        self.assertEqual(told[oldest % "100-999"], 0)
        self.assertEqual(told['vorrang_parallel_requests{group="m",deployment="one"}'], 1)
        self.assertEqual(told['vorrang_deployment_full{group="m",deployment="one"}'], 1)
        provider.answer = Reply(body=completion("some words"))
        provider.release()
        for each in (runs, waits[0], waits[2]):
            with each:
                self.assertEqual(each.read_response().status, 200)
        # A retry, then a stream, an upstream that fails for good and a fallback, requests that are refused.
        provider.script = [Reply(status=500, body=error())]
        self.assertEqual(gateway.chat().status, 200)
        provider.answer = Reply(text="a stream of words")
        self.assertEqual(gateway.chat(stream=True).status, 200)
        provider.answer = Reply(status=404, body=error())
        self.assertEqual(gateway.chat(model="broken").status, 200)
        self.assertEqual(gateway.post(b"{").status, 400)
        provider.answer = Reply(status=400, body=error())
        self.assertEqual(gateway.chat().status, 400)

    def wait_for_scrapes(self, prometheus, gateway):
        page = samples(metrics_of(gateway))
        answers = sum(value for series, value in page.items() if series.startswith("vorrang_answers_total{"))
        wait_until(lambda: prometheus.value("sum(vorrang_answers_total)") >= answers)

    def compare(self, prometheus):
        for expression, wanted in {
            'up{job="vorrang"}': 1,
            'vorrang_requests_total{group="m", priority_class="0-9"}': 2,
            'vorrang_requests_total{group="m", priority_class="below 0"}': 1,
            'vorrang_requests_total{group="m", priority_class="100-999"}': 4,
            "sum(vorrang_requests_total)": 8,
            "sum(vorrang_requests_waiting)": 0,
            "vorrang_requests_in_flight": 0,
            'vorrang_requests_ended_total{group="m", reason="answered"}': 5,
            'vorrang_requests_ended_total{group="m", reason="hung-up"}': 1,
            'vorrang_requests_ended_total{group="m", reason="rejected"}': 1,
            'vorrang_requests_ended_total{group="broken", reason="answered"}': 1,
            "sum(vorrang_requests_ended_total)": 8,
            # Three that waited, one twice, a stream, one rejected; the one that hung up had none.
            'vorrang_grants_total{group="m", reason="healthy-deployment"}': 7,
            'vorrang_grants_total{group="broken", reason="healthy-deployment"}': 1,
            'vorrang_grants_total{group="spare", reason="healthy-deployment"}': 1,
            'sum(vorrang_grants_total{reason="head-of-line"})': 0,
            'vorrang_request_wait_seconds_count{group="m", priority_class="0-9"}': 2,
            "sum(vorrang_request_wait_seconds_count)": 8,
            'vorrang_request_wait_seconds_bucket{group="m", priority_class="below 0", le="+Inf"}': 1,
            "sum(vorrang_call_duration_seconds_count)": 9,
            'vorrang_upstream_answers_total{deployment="one", code="200"}': 5,
            'vorrang_upstream_answers_total{deployment="one", code="500"}': 1,
            'vorrang_upstream_answers_total{deployment="one", code="400"}': 1,
            'vorrang_upstream_answers_total{deployment="broken", code="404"}': 1,
            'vorrang_upstream_answers_total{deployment="spare of m", code="200"}': 1,
            "sum(vorrang_upstream_errors_total)": 0,
            'vorrang_request_answers_total{group="m", code="200"}': 5,
            'vorrang_request_answers_total{group="m", code="400"}': 1,
            'vorrang_request_answers_total{group="broken", code="200"}': 1,
            'vorrang_answers_total{code="400"}': 2,
            'vorrang_refusals_total{reason="bad-json"}': 1,
            "sum(vorrang_refusals_total)": 1,
            'vorrang_retries_total{group="m"}': 1,
            'vorrang_fallbacks_total{group="broken"}': 1,
            'vorrang_streams_total{group="m"}': 1,
            "sum(vorrang_streams_open)": 0,
            'vorrang_stream_first_byte_seconds_count{group="m", priority_class="100-999"}': 1,
            'vorrang_deployment_cooling{deployment="broken"}': 1,
            'vorrang_cooldowns_total{deployment="broken"}': 1,
            'vorrang_parallel_requests_limit{deployment="one"}': 1,
            'vorrang_window_requests_limit{deployment="one"}': 1000,
            'vorrang_window_requests{deployment="one"}': 7,
            'vorrang_tokens_total{deployment="one"} > bool 0': 1,
            "sum(vorrang_inversions_total) + sum(vorrang_limit_overruns_total)": 0,
            'sum(vorrang_queue_state{state="alone"})': 3,
            "min(vorrang_loop_lag_seconds_count) > bool 0": 1,
            "max(vorrang_loop_stalled_seconds) < bool 1": 1,
            "process_open_fds > bool 5": 1,
        }.items():
            with self.subTest(expression):
                self.assertEqual(prometheus.value(expression), wanted)
        # Nobody was faster than the slot allowed, and the waits are of this test.
        self.assertLess(prometheus.value("sum(vorrang_request_wait_seconds_sum)"), 60)
        self.assertGreater(prometheus.value('vorrang_request_wait_seconds_sum{priority_class="below 0", group="m"}'), 0)

    def check_rules(self, prometheus):
        rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        self.assertGreater(len(rules), 10)
        for rule in rules:
            self.assertIn(rule["health"], ("ok", "unknown"), rule)  # unknown: not evaluated yet
            prometheus.query(rule["query"])

    def check_dashboard(self, prometheus, there):
        board = json.loads((ROOT / "deploy" / "grafana" / "vorrang.json").read_text(encoding="utf-8"))
        expressions = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
        self.assertGreater(len(expressions), 40)
        variables = {each["name"] for each in board["templating"]["list"]}
        named = set()
        for written in expressions:
            self.assertLessEqual(set(re.findall(r"\$(\w+)", written)), variables | {"__rate_interval"})
            expression = written.replace("$__rate_interval", "1m")
            expression = re.sub(r"\$(group|instance)", ".*", expression)
            with self.subTest(expression):
                prometheus.query(expression)
            named |= set(NAME.findall(re.sub(r"\{[^}]*\}", "", expression)))
        for rule in RULES.read_text(encoding="utf-8").split("expr:")[1:]:
            named |= set(NAME.findall(re.sub(r"\{[^}]*\}", "", rule.split("labels:")[0])))
        redis = {name for name in named if name.startswith("vorrang_redis_")}
        unknown = {name for name in named - redis if name not in there and SUFFIXES.sub("", name) not in there}
        self.assertEqual(unknown, set())
        shown = {SUFFIXES.sub("", name) if name not in there else name for name in named}
        quiet = {"vorrang_draining", "process_start_time_seconds"}
        self.assertEqual(set(there) - shown - quiet, set(), "neither in the dashboard nor in a rule")
        self.assertEqual(len({panel["id"] for panel in board["panels"]}), len(board["panels"]))


if __name__ == "__main__":
    unittest.main()
