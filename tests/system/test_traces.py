"""Traces: the trace context that goes on upstream, and the spans that a collector gets by OTLP/HTTP."""

import json
import re
import socket
import tempfile
import time
import unittest

import client
from collector import Collector, exporting
from gateway import Gateway, wait_until
from provider import Provider, Reply, certificates, error

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNSAMPLED = PARENT[:-1] + "0"

MODELS = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/x, api_base: "{base}", api_key: k, max_parallel_requests: 1, cooldown_time: 0}}
    model_info: {{id: first}}
router_settings:
  timeout: 10
  num_retries: 2
"""


class Context(unittest.TestCase):
    def test_it_passes_as_it_came_where_nothing_is_exported(self):
        fields = {"traceparent": PARENT, "tracestate": "a=1,b=2"}
        with Provider() as provider, Gateway(MODELS.format(base=provider.base)) as gateway:
            gateway.chat(headers=fields)
            gateway.chat()
        self.assertEqual(provider.calls[0].header("traceparent"), PARENT)
        self.assertEqual(provider.calls[0].header("tracestate"), "a=1,b=2")
        self.assertIsNone(provider.calls[1].header("traceparent"))

    def test_a_parent_that_is_not_sampled_is_respected(self):
        with Collector() as collector, Provider() as provider, Gateway(
            MODELS.format(base=provider.base), environment=exporting(collector)
        ) as gateway:
            gateway.chat(headers={"traceparent": UNSAMPLED, "tracestate": "a=1"})
            gateway.chat("last")
            spans = collector.spans(4)
        self.assertEqual(provider.calls[0].header("traceparent"), UNSAMPLED)
        self.assertEqual(provider.calls[0].header("tracestate"), "a=1")
        self.assertNotIn(UNSAMPLED[3:35], {span.trace for span in spans})
        self.assertEqual(len(spans), 4)

    def test_those_after_us_hear_that_a_root_was_not_sampled(self):
        with Collector() as collector, Provider() as provider, Gateway(
            MODELS.format(base=provider.base), environment=exporting(collector, OTEL_TRACES_SAMPLER="always_off")
        ) as gateway:
            gateway.chat()
            gateway.chat(headers={"traceparent": PARENT})
        self.assertRegex(provider.calls[0].header("traceparent"), "^00-[0-9a-f]{32}-[0-9a-f]{16}-00$")
        self.assertRegex(provider.calls[1].header("traceparent"), f"^{PARENT[:36]}[0-9a-f]{{16}}-00$")
        self.assertEqual(collector.requests, [])

    def test_one_that_is_no_context_begins_a_trace(self):
        wrong = {"traceparent": PARENT.upper(), "tracestate": "a=1"}
        with Collector() as collector, Provider() as provider, Gateway(
            MODELS.format(base=provider.base), environment=exporting(collector)
        ) as gateway:
            gateway.chat(headers=wrong)
            server = collector.spans(4)[0]
        self.assertIsNone(server.parent)
        self.assertEqual(provider.calls[0].header("traceparent")[3:35], server.trace)
        self.assertIsNone(provider.calls[0].header("tracestate"))


    def test_a_state_in_several_fields_is_one_list(self):
        with Collector() as collector, Provider() as provider, Gateway(
            MODELS.format(base=provider.base), environment=exporting(collector)
        ) as gateway:
            body = json.dumps(client.chat_body()).encode()
            with gateway.connect() as connection:
                connection.send(
                    f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\ntraceparent: {PARENT}\r\n"
                    f"tracestate: a=1,b=2\r\ntracestate:\r\nTraceState: c=3\r\n"
                    f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                    + body
                )
                self.assertEqual(connection.read_response().status, 200)
            spans = collector.spans(4)
        self.assertEqual({span.document["traceState"] for span in spans}, {"a=1,b=2,c=3"})
        went_on = [value for name, value in provider.calls[0].headers if name.lower() == "tracestate"]
        self.assertEqual([value for value in went_on if value], ["a=1,b=2", "c=3"])


    def test_a_state_that_is_long_goes_on_but_into_no_span(self):
        state = ",".join(f"v{number}={'x' * 250}" for number in range(20))
        with Collector() as collector, Provider() as provider, Gateway(
            MODELS.format(base=provider.base), environment=exporting(collector)
        ) as gateway:
            gateway.chat(headers={"traceparent": PARENT, "tracestate": state})
            spans = collector.spans(4)
        self.assertEqual([span.trace for span in spans if "traceState" in span.document], [])
        self.assertEqual(provider.calls[0].header("tracestate"), state)


class Spans(unittest.TestCase):
    def test_a_request_that_waits_and_is_tried_twice(self):
        with Collector() as collector, Provider() as provider, Gateway(
            MODELS.format(base=provider.base), environment=exporting(collector)
        ) as gateway:
            provider.script = [Reply(429, error(), {"retry-after-ms": "300"}), Reply(delay_s=0.05)]
            response = gateway.chat(
                "hello", priority=7, headers={"traceparent": PARENT, "tracestate": "a=1"}
            )
            spans = collector.spans(6)
            path, fields, _ = collector.requests[0]
        self.assertEqual(response.status, 200)
        self.assertEqual(path, "/v1/traces")
        self.assertEqual(fields["Content-Type"], "application/json")
        self.assertEqual(
            [span.name for span in spans], ["POST /v1/chat/completions", "wait", "attempt", "wait", "attempt", "relay"]
        )
        server, wait, attempt, again, second, relay = spans
        self.assertEqual({span.trace for span in spans}, {PARENT[3:35]})
        self.assertEqual({span.document["traceState"] for span in spans}, {"a=1"})
        self.assertEqual(server.parent, PARENT[36:52])
        self.assertEqual({span.parent for span in spans[1:]}, {server.id})
        self.assertEqual([span.document["kind"] for span in spans], [2, 1, 3, 1, 3, 1])
        for span in spans[1:]:
            self.assertLessEqual(server.begins, span.begins)
            self.assertLessEqual(span.ends, server.ends)
        for before, after in ((wait, attempt), (attempt, again), (again, second)):
            self.assertLessEqual(before.ends, after.begins)
        self.assertLess(second.begins, relay.begins)
        # Each call upstream has its attempt as its parent.
        self.assertEqual(
            [call.header("traceparent") for call in provider.calls],
            [f"00-{span.trace}-{span.id}-01" for span in (attempt, second)],
        )
        self.assertEqual([call.header("tracestate") for call in provider.calls], ["a=1", "a=1"])
        # The wait that is told is that of the spans.
        told_ms = int(response.header("x-vorrang-wait-ms"))
        self.assertEqual(server.values["vorrang.wait_ms"], told_ms)
        self.assertAlmostEqual((again.ends - wait.begins) / 1e6, told_ms, delta=25)
        self.assertGreaterEqual(again.ms, 280)
        self.assertGreaterEqual(second.ms, 50)
        # Attributes.
        expected = {
            "http.request.method": "POST",
            "http.route": "/v1/chat/completions",
            "http.response.status_code": 200,
            "gen_ai.request.model": "m",
            "gen_ai.operation.name": "chat",
            "vorrang.priority": 7,
            "vorrang.attempts": 2,
            "vorrang.granted_by": response.header("x-vorrang-granted-by"),
            "vorrang.request_id": response.header("x-vorrang-request-id"),
            "vorrang.deployment": "first",
        }
        self.assertEqual({name: server.values.get(name) for name in expected}, expected)
        expected = {
            "vorrang.attempt": 1,
            "vorrang.deployment": "first",
            "http.response.status_code": 429,
            "error.type": "429",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "x",
            "server.address": "127.0.0.1",
            "server.port": provider.port,
        }
        self.assertEqual({name: attempt.values.get(name) for name in expected}, expected)
        self.assertEqual([span.failed for span in spans], [False, False, True, False, False, False])

    def test_a_stream(self):
        with Collector() as collector, Provider(Reply(interval_s=0.05)) as provider, Gateway(
            MODELS.format(base=provider.base), environment=exporting(collector)
        ) as gateway:
            gateway.chat(stream=True)
            spans = {span.name: span for span in collector.spans(4)}
        self.assertGreater(spans["relay"].ms, 90)
        self.assertLessEqual(spans["relay"].ends, spans["POST /v1/chat/completions"].ends)

    def test_those_that_fail(self):
        with Collector() as collector, Provider() as provider, Gateway(
            MODELS.format(base=provider.base), environment=exporting(collector)
        ) as gateway:
            gateway.chat(model="nobody")
            unknown = collector.spans(1)[-1]
            provider.answer = Reply(400, error("no"))
            gateway.chat()
            refused = collector.spans(4)[1:]
            provider.answer = Reply(hold=True)
            gone = gateway.send_chat()
            provider.wait_for_calls(2)
            gone.reset()
            left = collector.spans(7)[4:]
        self.assertEqual((unknown.values["error.type"], unknown.failed), ("unknown-model", False))
        self.assertEqual([span.name for span in refused], ["POST /v1/chat/completions", "wait", "attempt"])
        self.assertEqual([span.failed for span in refused], [False, False, True])
        self.assertEqual(left[0].values["error.type"], "hung-up")
        self.assertEqual(left[2].values["error.type"], "cancelled")

    def test_health_checks_are_no_story(self):
        with Collector() as collector, Provider() as provider, Gateway(
            MODELS.format(base=provider.base), environment=exporting(collector)
        ) as gateway:
            gateway.call("GET", "/health/liveliness")
            gateway.call("GET", "/v1/models")
            gateway.chat()
            self.assertEqual(len(collector.spans(4)), 4)

    def test_nothing_of_keys_prompts_and_answers(self):
        with Collector() as collector, Provider(Reply(text="m4rk-answer")) as provider, Gateway(
            MODELS.format(base=provider.base).replace("api_key: k", "api_key: m4rk-upstream"),
            environment=exporting(collector),
        ) as gateway:
            gateway.chat("m4rk-prompt", headers={"Authorization": "Bearer m4rk-client"})
            provider.answer = Reply(400, error("m4rk-error"))
            gateway.chat("m4rk-prompt", user="m4rk-user")
            gateway.post(client.chat_body("m4rk-prompt"), None, "/v1/chat/completions?key=m4rk-query")
            collector.spans(10)
            metrics = gateway.admin_get("/metrics").body.decode()
        self.assertNotIn("m4rk", "".join(body.decode() for _, _, body in collector.requests))
        self.assertNotIn("m4rk", metrics)


class Export(unittest.TestCase):
    def test_variables(self):
        more = {
            "OTEL_EXPORTER_OTLP_HEADERS": "x-team=red%20one,api-key=s3cret",
            "OTEL_SERVICE_NAME": "front-door",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        }
        with Collector() as collector, Provider() as provider, Gateway(
            MODELS.format(base=provider.base), environment=exporting(collector, **more)
        ) as gateway:
            gateway.chat()
            collector.spans(4)
            _, fields, body = collector.requests[0]
            output = gateway.output
        self.assertEqual((fields["x-team"], fields["api-key"]), ("red one", "s3cret"))
        self.assertEqual(fields["Content-Encoding"], "gzip")
        resource = {
            each["key"]: each["value"]["stringValue"]
            for each in json.loads(body)["resourceSpans"][0]["resource"]["attributes"]
        }
        self.assertEqual(resource["service.name"], "front-door")
        self.assertEqual(resource["deployment.environment.name"], "test")
        self.assertNotIn("s3cret", output)

    def test_a_ratio_of_none(self):
        more = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}
        with Collector() as collector, Provider() as provider, Gateway(
            MODELS.format(base=provider.base), environment=exporting(collector, **more)
        ) as gateway:
            gateway.chat()
        self.assertEqual(collector.requests, [])

    def test_it_is_tried_again_where_that_may_help(self):
        with Collector([503, 429]) as collector, Provider() as provider, Gateway(
            MODELS.format(base=provider.base), environment=exporting(collector)
        ) as gateway:
            gateway.chat()
            wait_until(lambda: len(collector.requests) == 3, 20)
            wait_until(lambda: "traces are exported again" in gateway.output)
            metrics = gateway.admin_get("/metrics").body.decode()
            output = gateway.output
        self.assertEqual(len({body for _, _, body in collector.requests}), 1)
        self.assertIn("vorrang_spans_exported_total 4", metrics)
        self.assertIn("vorrang_spans_dropped_total 0", metrics)
        self.assertRegex(output, r"warning traces cannot be exported to http://127\.0\.0\.1:\d+: status 503")

    def test_and_not_where_it_does_not(self):
        with Collector([400]) as collector, Provider() as provider, Gateway(
            MODELS.format(base=provider.base), environment=exporting(collector)
        ) as gateway:
            gateway.chat()
            wait_until(
                lambda: "vorrang_spans_dropped_total 4" in gateway.admin_get("/metrics").body.decode()
            )
        self.assertEqual(len(collector.requests), 1)

    def test_what_is_left_goes_out_at_the_end(self):
        with Collector() as collector, Provider() as provider:
            variables = exporting(collector, OTEL_BSP_SCHEDULE_DELAY="60000")
            with Gateway(MODELS.format(base=provider.base), environment=variables) as gateway:
                gateway.chat()
            self.assertEqual(len(collector.spans(4)), 4)

    def test_a_dead_collector_is_nobodys_business(self):
        """It hangs, and what waits for it is bounded: requests are as quick, the process ends."""
        with Collector(hangs=True) as collector, Provider() as provider:
            variables = exporting(collector, OTEL_BSP_MAX_QUEUE_SIZE="20", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="4")
            with Gateway(MODELS.format(base=provider.base), environment=variables) as gateway:
                slowest = 0.0
                for _ in range(30):
                    before = time.monotonic()
                    self.assertEqual(gateway.chat().status, 200)
                    slowest = max(slowest, time.monotonic() - before)
                self.assertLess(slowest, 1.0)
                metrics = gateway.admin_get("/metrics").body.decode()
                self.assertGreater(int(re.search(r"vorrang_spans_dropped_total (\d+)", metrics).group(1)), 50)
                self.assertIn("spans are left out: too many wait for the collector", gateway.output)
                before = time.monotonic()
                gateway.stop()
                self.assertLess(time.monotonic() - before, 8)

    def test_a_collector_that_never_speaks_tls_does_not_hold_the_end_up(self):
        with socket.create_server(("127.0.0.1", 0)) as silent, Provider() as provider:
            variables = {
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://127.0.0.1:{silent.getsockname()[1]}",
                "OTEL_BSP_SCHEDULE_DELAY": "100",
            }
            with Gateway(MODELS.format(base=provider.base), environment=variables) as gateway:
                gateway.chat()
                silent.settimeout(10)
                connection, _ = silent.accept()  # so that it stands in its handshake
                with connection:
                    before = time.monotonic()
                    gateway.stop()
                    self.assertLess(time.monotonic() - before, 5)  # 3 s, and what else an end takes

    def test_by_tls(self):
        with tempfile.TemporaryDirectory() as folder:
            authority = certificates.Authority(folder)
            tls = authority.server()
            with Collector(tls=tls) as collector, Provider() as provider:
                trusted = exporting(collector, OTEL_EXPORTER_OTLP_CERTIFICATE=authority.certificate)
                with Gateway(MODELS.format(base=provider.base), environment=trusted) as gateway:
                    gateway.chat()
                    self.assertEqual(len(collector.spans(4)), 4)
                with Gateway(MODELS.format(base=provider.base), environment=exporting(collector)) as gateway:
                    gateway.chat()
                    wait_until(lambda: "traces cannot be exported" in gateway.output)
                self.assertEqual(len(collector.spans(4)), 4)


if __name__ == "__main__":
    unittest.main()
