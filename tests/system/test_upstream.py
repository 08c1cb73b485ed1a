"""Real upstream calls: what is sent, what comes back, and what can go wrong there; which outcome has which
consequences is test_attempts_table.py's."""

import socket
import time
import unittest

import client
from gateway import Gateway, free_port, wait_until
from provider import Provider, Reply, completion, error

CONFIG = """
model_list:
  - model_name: m
    litellm_params:
      model: openai/upstream-model
      api_base: {base}
      api_key: sk-upstream
      {params}
    model_info: {{id: first}}
{more}
router_settings:
  timeout: 20
{router}
"""


def config(base, params="", more="", router=""):
    return CONFIG.format(base=base, params=params, more=more, router=router)


def deployment(base, group="m", id="second", params=""):
    return f"""
  - model_name: {group}
    litellm_params: {{model: openai/{id}-model, api_base: "{base}", api_key: sk-{id}{params}}}
    model_info: {{id: {id}}}
"""


class Relay(unittest.TestCase):
    def test_headers_upstream(self):
        with Provider() as provider:
            params = "organization: org-1\n      extra_headers: {x-own: configured}"
            with Gateway(config(provider.base, params)) as gateway:
                headers = {
                    "Authorization": "Bearer client-key",
                    "api-key": "client-key",
                    "Cookie": "c=1",
                    "User-Agent": "test/1",
                    "Accept-Encoding": "gzip",
                    "Accept": "application/json",
                    "Connection": "keep-alive, x-hop",
                    "Keep-Alive": "timeout=5",
                    "TE": "trailers",
                    "Upgrade": "h2c",
                    "Proxy-Authorization": "Basic x",
                    "X-Hop": "1",
                    "X-Mine": "1",
                    "X-Forwarded-For": "1.2.3.4",
                    "x-stainless-lang": "python",
                    "x-litellm-tags": "a",
                    "x-vorrang-priority": "3",
                    "openai-beta": "assistants=v2",
                    "anthropic-beta": "b",
                    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                    "tracestate": "k=v",
                }
                self.assertEqual(gateway.chat(headers=headers).status, 200)
                call = provider.calls[0]
                self.assertEqual(call.header("host"), f"127.0.0.1:{provider.port}")
                self.assertEqual(call.header("authorization"), "Bearer sk-upstream")
                self.assertEqual(call.header("content-type"), "application/json")
                self.assertEqual(call.header("accept"), "application/json")
                self.assertEqual(call.header("accept-encoding"), "identity")
                self.assertEqual(call.header("openai-beta"), "assistants=v2")
                self.assertEqual(call.header("anthropic-beta"), "b")
                self.assertEqual(call.header("traceparent"), headers["traceparent"])
                self.assertEqual(call.header("tracestate"), "k=v")
                self.assertEqual(call.header("x-own"), "configured")
                self.assertEqual(call.header("openai-organization"), "org-1")
                arrived = {name.lower() for name, _ in call.headers}
                for name in (
                    "cookie keep-alive te upgrade proxy-authorization x-hop x-mine x-forwarded-for "
                    "x-stainless-lang x-litellm-tags x-vorrang-priority api-key"
                ).split():
                    self.assertNotIn(name, arrived)

    def test_forwarded_client_headers(self):
        with Provider() as provider:
            text = config(provider.base) + "general_settings: {forward_client_headers_to_llm_api: true}\n"
            with Gateway(text) as gateway:
                headers = {
                    "X-Mine": "1",
                    "x-stainless-lang": "python",
                    "x-litellm-tags": "a",
                    "x-vorrang-priority": "3",
                    "x-api-key": "client-key",
                    "x-goog-api-key": "client-key",
                    "x-litellm-api-key": "client-key",
                    "Cookie": "c",
                }
                self.assertEqual(gateway.chat(headers=headers).status, 200)
                call = provider.calls[0]
                self.assertEqual(call.header("x-mine"), "1")
                arrived = {name.lower() for name, _ in call.headers}
                self.assertEqual(arrived & {name.lower() for name in headers if name != "X-Mine"}, set())

    def test_headers_of_answers(self):
        reply = Reply(
            headers=[
                ("x-ratelimit-remaining-requests", "9"),
                ("x-request-id", "req-upstream"),
                ("openai-processing-ms", "5"),
                ("Set-Cookie", "a=b"),
                ("X-Custom", "c"),
                ("Server", "upstream"),
                ("Keep-Alive", "timeout=5"),
                ("Connection", "keep-alive, x-hop"),
                ("X-Hop", "1"),
                ("Proxy-Authenticate", "Basic"),
                ("Trailer", "x"),
                ("Upgrade", "h2c"),
            ]
        )
        with Provider(reply) as provider, Gateway(config(provider.base)) as gateway:
            response = gateway.chat(priority=1)
            self.assertEqual(response.status, 200)
            self.assertEqual(response.header("x-ratelimit-remaining-requests"), "9")
            self.assertEqual(response.header("x-request-id"), "req-upstream")
            self.assertEqual(response.header("openai-processing-ms"), "5")
            self.assertEqual(response.header("llm_provider-x-custom"), "c")
            for name in ("set-cookie", "x-custom", "x-hop", "proxy-authenticate", "trailer", "upgrade"):
                self.assertIsNone(response.header(name), name)
            for name in ("x-hop", "keep-alive", "connection", "proxy-authenticate", "upgrade", "transfer-encoding", "content-length"):
                self.assertIsNone(response.header(f"llm_provider-{name}"), name)
            self.assertEqual(response.header("x-litellm-model-id"), "first")

    def test_a_cookie_of_the_upstream_is_one_of_the_rest(self):
        reply = Reply(headers={"Set-Cookie": "a=b"})
        with Provider(reply) as provider, Gateway(config(provider.base)) as gateway:
            response = gateway.chat()
            self.assertIsNone(response.header("set-cookie"))
            self.assertEqual(response.header("llm_provider-set-cookie"), "a=b")

    def test_model_in_answers_is_the_name_asked_for_and_nothing_else_changes(self):
        body = (
            b'{ "id":"x",  "model" : "upstream-model-2024", "choices":[{"index":0,"message":{"role":"assistant",'
            b'"content":"model \\u00e9","model":"inner"},"finish_reason":"stop"}],\n"usage":{"total_tokens":1e0}, "odd":1.50 }'
        )
        router = "  model_group_alias: {alias: m}\n"
        with Provider(Reply(body=body)) as provider, Gateway(config(provider.base, router=router)) as gateway:
            for name in ("m", "alias"):
                response = gateway.chat(model=name)
                self.assertEqual(response.body, body.replace(b'"upstream-model-2024"', b'"%s"' % name.encode()))

    def test_framings_of_answers(self):
        plain = client.json.dumps(completion("framed")).encode()
        ends = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        frames = {
            "chunked": Reply(body=plain, headers={"Transfer-Encoding": "chunked"}),
            "until the end": Reply(then="raw", body=ends + b"Connection: close\r\n\r\n" + plain),
            "HTTP/1.0": Reply(then="raw", body=ends.replace(b"1.1", b"1.0") + b"\r\n" + plain),
            "after 100 and 103": Reply(
                then="raw",
                body=b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                + ends
                + b"Content-Length: %d\r\n\r\n" % len(plain)
                + plain,
            ),
            "closing": Reply(body=plain, headers={"Connection": "close"}),
        }
        for name, reply in frames.items():
            with self.subTest(name), Provider(reply) as provider, Gateway(config(provider.base)) as gateway:
                for _ in range(2):
                    self.assertEqual(gateway.chat().text, "framed")

    def test_a_large_answer(self):
        text = "x" * (9 * 1024 * 1024)
        with Provider(Reply(body=completion(text))) as provider, Gateway(config(provider.base)) as gateway:
            self.assertEqual(len(gateway.chat().text), len(text))

    def test_connections_are_kept(self):
        with Provider() as provider, Gateway(config(provider.base), ["--threads", "1"]) as gateway:
            for _ in range(20):
                self.assertEqual(gateway.chat().status, 200)
            self.assertEqual(provider.connections_total, 1)

    def test_a_kept_connection_that_the_upstream_closed(self):
        with Provider() as provider:
            with Gateway(config(provider.base, "num_retries: 0"), ["--threads", "1"]) as gateway:
                for _ in range(10):
                    self.assertEqual(gateway.chat().status, 200)
                    provider.drop_idle_connections()

    def test_relay_on_two_connections_at_once(self):
        with Provider(Reply(hold=True)) as provider, Gateway(config(provider.base)) as gateway:
            connections = [gateway.send_chat(f"{n}") for n in range(30)]
            provider.wait_for_calls(30)
            provider.release()
            self.assertEqual([r.status for r in client.gather(connections)], [200] * 30)

    def test_paths_of_bases(self):
        with Provider() as provider:
            root = f"http://127.0.0.1:{provider.port}"
            for base, target in (
                (f"{root}/v1", "/v1/chat/completions"),
                (f"{root}/v1/", "/v1/chat/completions"),
                (root, "/chat/completions"),
                (f"{root}/deep/path", "/deep/path/chat/completions"),
                (f"{root}/v1/chat/completions", "/v1/chat/completions"),
            ):
                with self.subTest(base), Gateway(config(base)) as gateway:
                    self.assertEqual(gateway.chat().status, 200)
                    self.assertEqual(provider.calls[-1].target, target)

    def test_a_deployment_without_a_key_takes_its_providers_variable(self):
        text = "model_list:\n  - model_name: m\n    litellm_params: {model: openai/x}\n"
        with Provider() as provider:
            environment = {"OPENAI_API_KEY": "sk-env", "OPENAI_BASE_URL": provider.base}
            with Gateway(text, environment=environment) as gateway:
                self.assertEqual(gateway.chat().status, 200)
                self.assertEqual(provider.calls[0].header("authorization"), "Bearer sk-env")

    def test_pattern_takes_the_matched_text(self):
        more = """
  - model_name: "vendor/*"
    litellm_params: {{model: "openai/*", api_base: "{base}", api_key: k}}
"""
        with Provider() as provider:
            with Gateway(config(provider.base, more=more.format(base=provider.base))) as gateway:
                self.assertEqual(gateway.chat(model="vendor/some-model").json["model"], "vendor/some-model")
                self.assertEqual(provider.calls[0].json["model"], "some-model")


class Failures(unittest.TestCase):
    def test_a_4xx_that_is_not_in_openais_form_is_wrapped(self):
        with Provider(Reply(422, b"plain words", {"Content-Type": "text/plain"})) as provider:
            with Gateway(config(provider.base)) as gateway:
                response = gateway.chat()
                self.assertEqual(response.status, 422)
                self.assertIn("plain words", response.error["message"])

    def test_connection_refused_gives_the_rpm_unit_back(self):
        port = free_port()
        base = f"http://127.0.0.1:{port}/v1"
        with Gateway(config(base, "rpm: 2", router="  num_retries: 0\n")) as gateway:
            for _ in range(3):
                self.assertEqual(gateway.chat().status, 502)

    def test_a_good_one_beside_a_refusing_one(self):
        base = f"http://127.0.0.1:{free_port()}/v1"
        with Provider() as good:
            with Gateway(config(base, "order: 1", deployment(good.base, params=", order: 2"))) as gateway:
                for _ in range(10):
                    self.assertEqual(gateway.chat().status, 200)

    def test_an_upstream_that_does_not_accept(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(1)
            base = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
            with Gateway(config(base, "timeout: 0.4", router="  num_retries: 0\n")) as gateway:
                connection = gateway.send_chat()
                response = connection.read_response()
                self.assertEqual(response.status, 504)
                self.assertAlmostEqual(response.received_at - connection.sent_at, 0.4, delta=0.15)

    def test_cooldown_and_probe(self):
        router = "  num_retries: 0\n  allowed_fails: 1\n  cooldown_time: 30\n"
        with Provider(Reply(500, error())) as provider, Gateway(config(provider.base, router=router)) as gateway:
            for _ in range(2):  # more than one failure: it cools
                self.assertEqual(gateway.chat().status, 500)
            provider.answer = Reply()
            before = time.monotonic()
            response = gateway.chat()
            self.assertEqual(response.status, 200)
            self.assertEqual(response.header("x-vorrang-granted-by"), "head-of-line")
            self.assertLess(time.monotonic() - before, 2, "probes begin after polling_interval")
            response = gateway.chat()
            self.assertEqual(response.header("x-vorrang-granted-by"), "healthy-deployment")

    def test_never_more_than_max_parallel_requests(self):
        with Provider(Reply(delay_s=0.02)) as provider:
            with Gateway(config(provider.base, "max_parallel_requests: 3")) as gateway:
                connections = [gateway.send_chat(f"{n}", priority=n % 5) for n in range(120)]
                self.assertEqual({r.status for r in client.gather(connections)}, {200})
                self.assertEqual(provider.running_max, 3)


class Fallbacks(unittest.TestCase):
    def run_case(self, first, settings, expected_status=200, **fields):
        with Provider(first) as a, Provider(Reply(body=completion("from b"))) as b:
            text = config(a.base, "num_retries: 0", deployment(b.base, "b", "second"), settings)
            with Gateway(text) as gateway:
                response = gateway.chat(**fields)
                self.assertEqual(response.status, expected_status, response)
                return response, len(a.calls), len(b.calls)

    def test_fallbacks(self):
        settings = "  fallbacks: [{m: [b]}]\n"
        for status in (500, 400, 413, 422, 401, 404):
            with self.subTest(status):
                response, a, b = self.run_case(Reply(status, error()), settings, priority=7)
                self.assertEqual(response.text, "from b")
                self.assertEqual(response.json["model"], "m")
                self.assertEqual(response.header("x-litellm-attempted-fallbacks"), "1")
                self.assertEqual(response.header("x-litellm-model-id"), "second")
                self.assertEqual(response.header("x-vorrang-priority"), "7")
                self.assertEqual((a, b), (1, 1))

    def test_default_fallbacks(self):
        response, _, _ = self.run_case(Reply(500, error()), "  default_fallbacks: [b]\n")
        self.assertEqual(response.text, "from b")

    def test_fallbacks_of_a_star(self):
        response, _, _ = self.run_case(Reply(500, error()), '  fallbacks: [{"*": [b]}]\n')
        self.assertEqual(response.text, "from b")

    def test_context_window_fallbacks(self):
        too_long = Reply(400, error("too long", "context_length_exceeded", "invalid_request_error"))
        settings = "  context_window_fallbacks: [{m: [b]}]\n"
        response, _, _ = self.run_case(too_long, settings)
        self.assertEqual(response.text, "from b")
        _, _, b = self.run_case(Reply(400, error("other")), settings, expected_status=400)
        self.assertEqual(b, 0)

    def test_a_prompt_that_fits_nowhere_by_the_files_own_figures(self):
        """Pre-call checks leave no deployment: the group has failed for good."""
        checks = "  enable_pre_call_checks: true\n"
        with Provider() as a, Provider(Reply(body=completion("from b"))) as b:
            text = config(a.base, "num_retries: 0", deployment(b.base, "b", "second"), f"{checks}  fallbacks: [{{m: [b]}}]\n")
            text = text.replace("{id: first}", "{id: first, max_input_tokens: 10}")
            with Gateway(text) as gateway:
                self.assertEqual(gateway.chat("x" * 500).text, "from b")
                self.assertEqual(gateway.chat("short").text, "hello")
                self.assertEqual((len(a.calls), len(b.calls)), (1, 1))

    def test_disabled_by_the_request(self):
        _, _, b = self.run_case(
            Reply(500, error()), "  fallbacks: [{m: [b]}]\n", expected_status=500, disable_fallbacks=True
        )
        self.assertEqual(b, 0)

    def test_merely_full_is_not_failed(self):
        with Provider(Reply(hold=True)) as a, Provider() as b:
            more = deployment(b.base, "b", "second")
            with Gateway(config(a.base, "max_parallel_requests: 1", more, "  fallbacks: [{m: [b]}]\n")) as gateway:
                first = gateway.send_chat()
                call = a.wait_for_calls(1)
                second = gateway.send_chat()
                gateway.wait_until_waiting(1)
                a.release(call)
                a.release(a.wait_for_calls(2))
                self.assertEqual([r.status for r in client.gather([first, second])], [200, 200])
                self.assertEqual(b.calls, [])

    def test_when_the_fallback_fails_too(self):
        with Provider(Reply(500, error("from a"))) as a, Provider(Reply(400, error("from b"))) as b:
            more = deployment(b.base, "b", "second")
            settings = "  num_retries: 0\n  fallbacks: [{m: [b]}, {b: [m]}]\n"
            with Gateway(config(a.base, "", more, settings)) as gateway:
                self.assertIn(gateway.chat().status, (400, 500))
                self.assertEqual((len(a.calls), len(b.calls)), (1, 1))


class Aliases(unittest.TestCase):
    def test_an_alias_joins_its_targets_queue(self):
        router = "  model_group_alias: {alias: m}\n"
        with Provider(Reply(hold=True)) as provider:
            with Gateway(config(provider.base, "max_parallel_requests: 1", router=router)) as gateway:
                connections = [gateway.send_chat("running")]
                provider.wait_for_calls(1)
                connections.append(gateway.send_chat("by name", priority=5))
                gateway.wait_until_waiting(1)
                connections.append(gateway.send_chat("by alias", model="alias", priority=1))
                gateway.wait_until_waiting(2)
                connections.append(gateway.send_chat("by id", model="first", priority=0))
                gateway.wait_until_waiting(3)
                for number, prompt in enumerate(("running", "by id", "by alias", "by name")):
                    call = provider.wait_for_calls(number + 1)
                    self.assertEqual(call.prompt, prompt)
                    provider.release(call)
                self.assertEqual({r.status for r in client.gather(connections)}, {200})


class Pipelined(unittest.TestCase):
    def test_answers_come_in_the_order_of_requests(self):
        with Provider(lambda call: Reply(delay_s=0.2 if call.prompt == "slow" else 0)) as provider:
            with Gateway(config(provider.base)) as gateway, gateway.connect() as connection:
                data = b"".join(
                    client.build_request("POST", "/v1/chat/completions", client.chat_body(p, priority=n), host="localhost")
                    for n, p in enumerate(("slow", "fast", "fast"))
                )
                connection.send(data + client.build_request("GET", "/v1/models", host="localhost"))
                for number in range(3):
                    self.assertEqual(connection.read_response().header("x-vorrang-priority"), str(number))
                self.assertEqual(connection.read_response().json["object"], "list")
                wait_until(lambda: len(provider.calls) == 3)


if __name__ == "__main__":
    unittest.main()
