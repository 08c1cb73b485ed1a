"""`/health?probe=true`: each upstream is asked by the engine's leave, and what it says is told."""

import threading
import time
import unittest

import client
from gateway import Gateway, free_port, wait_until
from provider import Provider, Reply, error

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
"""

MORE = """
  - model_name: {name}
    litellm_params: {{model: {model}, api_base: "{base}", api_key: sk-more}}
    model_info: {{id: {name}}}
"""


def config(base, params="", more=""):
    return CONFIG.format(base=base, params=params, more=more)


def probe(gateway, admin=False):
    """(the page, what is said of each deployment by its id)."""
    port = gateway.admin_port if admin else gateway.port
    response = client.call(port, "GET", "/health?probe=true")
    assert response.status == 200, response
    page = response.json
    entries = page["healthy_endpoints"] + page["unhealthy_endpoints"]
    return page, {entry["model_id"]: entry["probe"] for entry in entries}


class Probe(unittest.TestCase):
    def test_each_upstream_is_asked_for_its_models(self):
        with Provider() as provider:
            root = f"http://127.0.0.1:{provider.port}"
            more = "".join(
                MORE.format(name=name, model=model, base=base)
                for name, model, base in (
                    ("claude", "anthropic/claude", f"{root}/anthropic"),
                    ("in-azure", "azure/gpt", f"{root}/azure"),
                    ("whole-path", "openai/x", f"{root}/whole/v1/chat/completions"),
                )
            )
            with Gateway(config(provider.base, "extra_headers: {x-own: mine}", more)) as gateway:
                for admin in (False, True):
                    with self.subTest(admin=admin):
                        count = len(provider.calls)
                        page, said = probe(gateway, admin)
                        self.assertEqual((page["healthy_count"], page["unhealthy_count"]), (4, 0))
                        for entry in said.values():
                            self.assertEqual((entry["result"], entry["status"]), ("answered 200", 200))
                            self.assertGreaterEqual(entry["took_ms"], 0)
                        calls = {call.target: call for call in provider.calls[count:]}
                        self.assertEqual(
                            set(calls),
                            {
                                "/v1/models",
                                "/anthropic/v1/models",
                                "/azure/openai/models?api-version=2025-02-01-preview",
                                "/whole/v1/models",
                            },
                        )
                        for call in calls.values():
                            self.assertEqual((call.method, call.body), ("GET", b""))
                            self.assertEqual(call.header("accept-encoding"), "identity")
                        plain = calls["/v1/models"]
                        self.assertEqual(plain.header("authorization"), "Bearer sk-upstream")
                        self.assertEqual(plain.header("x-own"), "mine")
                        claude = calls["/anthropic/v1/models"]
                        self.assertEqual(claude.header("x-api-key"), "sk-more")
                        self.assertEqual(claude.header("anthropic-version"), "2023-06-01")
                        azure = calls["/azure/openai/models?api-version=2025-02-01-preview"]
                        self.assertEqual(azure.header("api-key"), "sk-more")

    def test_without_the_question_nobody_is_asked(self):
        with Provider() as provider, Gateway(config(provider.base)) as gateway:
            for path in ("/health", "/health?probe=false", "/health?probe="):
                entry = gateway.call("GET", path).json["healthy_endpoints"][0]
                self.assertNotIn("probe", entry)
            self.assertEqual(provider.calls, [])

    def test_mocks_are_not_asked(self):
        text = "model_list:\n  - {model_name: m, litellm_params: {model: openai/x, mock_response: hi}, model_info: {id: first}}\n"
        with Gateway(text) as gateway:
            page, said = probe(gateway)
            self.assertEqual(said["first"]["result"], "a mock, not asked")
            self.assertEqual(page["healthy_count"], 1)

    def test_a_full_one_is_not_asked_and_who_waits_is_not_overtaken(self):
        with Provider(Reply(hold=True)) as provider:
            with Gateway(config(provider.base, "max_parallel_requests: 1")) as gateway:
                connections = [gateway.send_chat("running")]
                provider.wait_for_calls(1)
                self.assertEqual(probe(gateway)[1]["first"]["result"], "full, not asked")
                connections.append(gateway.send_chat("waiting", priority=2147483647))
                gateway.wait_until_waiting(1)
                self.assertEqual(probe(gateway)[1]["first"]["result"], "full, not asked")
                self.assertEqual(gateway.waiting_count(), 1, "a probe never waits")
                for number in range(2):
                    provider.release(provider.wait_for_calls(number + 1))
                self.assertEqual([r.status for r in client.gather(connections)], [200, 200])
                self.assertEqual([call.method for call in provider.calls], ["POST", "POST"])

    def test_it_takes_an_rpm_unit_and_a_slot(self):
        with Provider() as provider:
            params = "rpm: 2\n      max_parallel_requests: 1"
            with Gateway(config(provider.base, params)) as gateway:
                provider.script = [Reply(hold=True)]
                answers = []
                asks = threading.Thread(target=lambda: answers.append(probe(gateway)))
                asks.start()
                call = provider.wait_for_calls(1)
                waits = gateway.send_chat("behind the probe")
                gateway.wait_until_waiting(1)
                provider.release(call)
                self.assertEqual(waits.read_response().status, 200)
                asks.join()
                self.assertEqual(answers[0][1]["first"]["result"], "answered 200")
                self.assertEqual(gateway.chat(timeout=0.3).status, 408, "its rpm unit was not counted")

    def test_a_refused_connection_gives_the_unit_back(self):
        with Gateway(config(f"http://127.0.0.1:{free_port()}/v1", "rpm: 1")) as gateway:
            for _ in range(2):
                page, said = probe(gateway)
                self.assertEqual(said["first"]["result"], "cannot be connected to")
                self.assertIsNone(said["first"]["status"])
                self.assertEqual(page["unhealthy_count"], 1)

    def test_what_an_upstream_may_say(self):
        answers = {
            "401": (Reply(401, error()), "answered 401: it refused the gateway's credentials", True),
            "404": (Reply(404, error()), "answered 404: it is there, but has no list of models", False),
            "429": (Reply(429, error(), {"Retry-After": "30"}), "answered 429", True),
            "500": (Reply(500, error()), "answered 500", True),
            "a FIN": (Reply(then="close"), "closed the connection without an answer", True),
            "no HTTP": (Reply(then="raw", body=b"220 mail\r\n\r\n"), "answered something that is no HTTP", True),
        }
        for name, (reply, said, is_bad) in answers.items():
            with self.subTest(name), Provider(reply) as provider, Gateway(config(provider.base)) as gateway:
                for _ in range(5):  # more than allowed_fails
                    page, heard = probe(gateway)
                    self.assertEqual(heard["first"]["result"], said)
                    self.assertEqual(page["unhealthy_count"], 1 if is_bad else 0)
                # It is told to who asks, and counts for nothing else.
                provider.answer = Reply()
                response = gateway.chat()
                self.assertEqual(response.status, 200)
                self.assertEqual(response.header("x-vorrang-granted-by"), "healthy-deployment")

    def test_a_cooling_one(self):
        more = "  - model_name: m\n    litellm_params: {model: openai/y, mock_response: hi, order: 2}\n"
        with Provider(Reply(429, error(), {"Retry-After": "30"})) as provider:
            with Gateway(config(provider.base, "order: 1", more)) as gateway:
                self.assertEqual(gateway.chat().status, 200)
                page, said = probe(gateway)
                self.assertEqual(said["first"]["result"], "cooling, not asked")
                self.assertEqual(page["unhealthy_count"], 1)
                self.assertEqual(len(provider.calls), 1)

    def test_an_upstream_that_does_not_answer(self):
        with Provider(Reply(then="hang")) as provider, Gateway(config(provider.base)) as gateway:
            before = time.monotonic()
            page, said = probe(gateway, admin=True)
            self.assertEqual(said["first"]["result"], "did not answer in time")
            self.assertEqual(page["unhealthy_count"], 1)
            self.assertTrue(4.5 < time.monotonic() - before < 7)

    def test_one_run_at_a_time(self):
        with Provider(Reply(hold=True)) as provider, Gateway(config(provider.base)) as gateway:
            answers = []
            asks = [
                threading.Thread(target=lambda admin=admin: answers.append(probe(gateway, admin)))
                for admin in (False, True, False)
            ]
            asks[0].start()
            call = provider.wait_for_calls(1)
            for thread in asks[1:]:
                thread.start()
            # A second of silence, in which a second run would be seen.
            with self.assertRaises(AssertionError):
                provider.wait_for_calls(2, timeout_s=1)
            provider.release(call)
            for thread in asks:
                thread.join()
            self.assertEqual({said["first"]["result"] for _, said in answers}, {"answered 200"})
            self.assertEqual(len(provider.calls), 1)
            provider.answer = Reply()
            probe(gateway)
            self.assertEqual(len(provider.calls), 2, "a run that is over was told again")

    def test_many_deployments(self):
        with Provider() as provider:
            more = "".join(
                MORE.format(name=f"more-{n}", model="openai/x", base=provider.base) for n in range(60)
            )
            with Gateway(config(provider.base, more=more)) as gateway:
                self.assertEqual(probe(gateway)[0]["healthy_count"], 61)
                self.assertLessEqual(provider.running_max, 16)
                self.assertEqual(len(provider.calls), 61)

    def test_who_hangs_up_meanwhile(self):
        with Provider(Reply(hold=True)) as provider, Gateway(config(provider.base)) as gateway:
            with gateway.connect() as connection:
                connection.request("GET", "/health?probe=true")
                call = provider.wait_for_calls(1)
            provider.release(call)
            provider.answer = Reply()
            wait_until(lambda: provider.running == 0)
            self.assertEqual(probe(gateway)[1]["first"]["result"], "answered 200")

    def test_a_stop_meanwhile(self):
        with Provider(Reply(then="hang")) as provider, Gateway(config(provider.base)) as gateway:
            with gateway.connect() as connection:
                connection.request("GET", "/health?probe=true")
                provider.wait_for_calls(1)
                before = time.monotonic()
                gateway.terminate()
                entry = connection.read_response().json["healthy_endpoints"][0]
                self.assertEqual(entry["probe"]["result"], "not asked: the gateway is shutting down")
                self.assertEqual(gateway.wait(), 0)
                self.assertLess(time.monotonic() - before, 3)

    def test_it_wants_the_key(self):
        with Provider() as provider:
            text = config(provider.base) + "general_settings: {master_key: sk-master}\n"
            with Gateway(text) as gateway:
                self.assertEqual(gateway.call("GET", "/health?probe=true").status, 401)
                self.assertEqual(provider.calls, [])


if __name__ == "__main__":
    unittest.main()
