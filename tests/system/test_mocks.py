"""Mocks, and what the gateway tells about itself: models, health."""

import json
import time
import unittest

import client
from gateway import Gateway
from provider import Provider

TEXT = "Grüße, 世界! 😀 ok"
CONFIG = f"""
model_list:
  - model_name: m
    litellm_params: {{model: openai/upstream-name, mock_response: "{TEXT}", api_key: sk-hidden}}
    model_info: {{id: mock-one}}
  - model_name: limited
    litellm_params: {{model: openai/x, mock_response: "litellm.RateLimitError"}}
  - model_name: broken
    litellm_params: {{model: openai/x, mock_response: "litellm.InternalServerError", num_retries: 0}}
  - model_name: window
    litellm_params: {{model: openai/x, mock_response: "litellm.ContextWindowExceededError"}}
  - model_name: slow
    litellm_params: {{model: openai/x, mock_response: later, mock_delay: 0.4}}
  - model_name: never
    litellm_params: {{model: openai/x, mock_response: x, mock_timeout: true}}
  - model_name: one-a-minute
    litellm_params: {{model: openai/x, mock_response: x, rpm: 1}}
  - model_name: "family/*"
    litellm_params: {{model: "openai/*", mock_response: from the pattern}}
  - model_name: "family/sub-*"
    litellm_params: {{model: "openai/*", mock_response: from the longer pattern}}
  - model_name: family/sub-exact
    litellm_params: {{model: openai/x, mock_response: from the exact name}}
router_settings:
  timeout: 1.5
  model_group_alias:
    alias: m
    hidden-alias: {{model: m, hidden: true}}
"""


class Mocks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gateway = Gateway(CONFIG).start()

    @classmethod
    def tearDownClass(cls):
        cls.gateway.__exit__(None, None, None)

    def stream(self, path="/v1/chat/completions", body=None, **fields):
        response = self.gateway.post(body or client.chat_body(stream=True, **fields), path=path)
        self.assertEqual(response.status, 200, response)
        self.assertTrue(response.header("content-type").startswith("text/event-stream"))
        self.assertEqual(response.events[-1], "[DONE]")
        return [json.loads(event) for event in response.events[:-1]], response

    def test_whole(self):
        response = self.gateway.chat()
        self.assertTrue(response.header("content-type").startswith("application/json"))
        document = response.json
        self.assertTrue(document["id"].startswith("chatcmpl-"))
        self.assertEqual(document["object"], "chat.completion")
        self.assertEqual(document["model"], "m")
        self.assertAlmostEqual(document["created"], time.time(), delta=60)
        self.assertEqual(len(document["choices"]), 1)
        choice = document["choices"][0]
        self.assertEqual((choice["index"], choice["finish_reason"]), (0, "stop"))
        self.assertEqual((choice["message"]["role"], choice["message"]["content"]), ("assistant", TEXT))
        usage = document["usage"]
        self.assertEqual(
            (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]), (10, 20, 30)
        )

    def test_headers(self):
        response = self.gateway.chat(priority=3, headers={"x-litellm-call-id": "my-own-id"})
        self.assertEqual(response.header("x-litellm-call-id"), "my-own-id")
        self.assertEqual(response.header("x-vorrang-request-id"), "my-own-id")
        self.assertEqual(response.header("x-litellm-model-id"), "mock-one")
        self.assertEqual(response.header("x-litellm-model-group"), "m")
        self.assertEqual(response.header("x-litellm-attempted-retries"), "0")
        self.assertEqual(response.header("x-litellm-attempted-fallbacks"), "0")
        self.assertEqual(response.header("x-litellm-request-prioritization-used"), "True")
        self.assertEqual(response.header("x-vorrang-attempts"), "1")
        self.assertLess(float(response.header("x-vorrang-wait-ms")), 200)
        without = self.gateway.chat()
        self.assertIsNone(without.header("x-litellm-request-prioritization-used"))
        self.assertIsNone(without.header("x-litellm-priority"))
        ids = {self.gateway.chat().header("x-vorrang-request-id") for _ in range(10)}
        self.assertEqual(len(ids), 10)

    def test_n_choices(self):
        choices = self.gateway.chat(n=3).json["choices"]
        self.assertEqual([c["index"] for c in choices], [0, 1, 2])
        self.assertEqual({c["message"]["content"] for c in choices}, {TEXT})
        chunks, _ = self.stream(n=2)
        for index in (0, 1):
            pieces = [c["delta"].get("content", "") for chunk in chunks for c in chunk["choices"] if c["index"] == index]
            self.assertEqual("".join(pieces), TEXT)

    def test_streamed(self):
        chunks, response = self.stream()
        self.assertIsNone(response.header("content-length"))
        self.assertEqual({c["object"] for c in chunks}, {"chat.completion.chunk"})
        self.assertEqual(len({c["id"] for c in chunks}), 1)
        self.assertEqual({c["model"] for c in chunks}, {"m"})
        self.assertEqual(chunks[0]["choices"][0]["delta"]["role"], "assistant")
        pieces = [c["choices"][0]["delta"].get("content") for c in chunks]
        pieces = [piece for piece in pieces if piece]
        self.assertEqual(pieces, [TEXT[n : n + 3] for n in range(0, len(TEXT), 3)])
        self.assertEqual(chunks[-1]["choices"][0]["delta"], {})
        self.assertEqual(chunks[-1]["choices"][0]["finish_reason"], "stop")
        self.assertEqual({c["choices"][0]["finish_reason"] for c in chunks[:-1]}, {None})
        self.assertTrue(all(c.get("usage") is None for c in chunks))
        for name in ("x-vorrang-priority", "x-vorrang-granted-by", "x-vorrang-wait-ms", "x-vorrang-request-id"):
            self.assertIsNotNone(response.header(name), name)

    def test_streamed_with_usage(self):
        chunks, _ = self.stream(stream_options={"include_usage": True})
        self.assertEqual(chunks[-1]["choices"], [])
        self.assertEqual(chunks[-1]["usage"]["total_tokens"], 30)
        self.assertEqual(chunks[-2]["choices"][0]["finish_reason"], "stop")
        chunks, _ = self.stream(stream_options={"include_usage": False})
        self.assertTrue(all(c.get("usage") is None for c in chunks))

    def test_completions(self):
        response = self.gateway.post({"model": "m", "prompt": "x", "n": 2}, path="/v1/completions")
        self.assertEqual(response.json["object"], "text_completion")
        self.assertEqual([c["text"] for c in response.json["choices"]], [TEXT, TEXT])
        self.assertEqual(response.json["usage"]["total_tokens"], 30)
        chunks, _ = self.stream("/v1/completions", {"model": "m", "prompt": "x", "stream": True})
        self.assertEqual("".join(c["choices"][0]["text"] for c in chunks), TEXT)
        self.assertEqual(chunks[-1]["choices"][0]["finish_reason"], "stop")

    def test_embeddings(self):
        response = self.gateway.post({"model": "m", "input": "x"}, path="/v1/embeddings")
        document = response.json
        self.assertEqual((document["object"], document["model"]), ("list", "m"))
        self.assertEqual(document["data"][0]["object"], "embedding")
        vector = document["data"][0]["embedding"]
        self.assertTrue(vector and all(isinstance(number, float) for number in vector))
        again = self.gateway.post({"model": "m", "input": ["y", "z"]}, path="/v1/embeddings").json
        self.assertEqual([entry["index"] for entry in again["data"]], [0, 1])
        self.assertEqual(again["data"][1]["embedding"], vector)

    def test_queue_path(self):
        response = self.gateway.post(client.chat_body(priority=0), path="/queue/chat/completions")
        self.assertEqual((response.status, response.text), (200, TEXT))
        self.assertEqual(response.header("x-litellm-priority"), "0")

    def test_a_rate_limit_sends_it_back_until_the_deadline(self):
        connection = self.gateway.send_chat(model="limited")
        response = connection.read_response()
        self.assertEqual(response.status, 408)
        self.assertTrue(response.error["message"].startswith("Request timed out while polling queue"))
        self.assertGreater(len(response.error["message"]), len("Request timed out while polling queue"))
        self.assertAlmostEqual(response.received_at - connection.sent_at, 1.5, delta=0.12)

    def test_errors(self):
        response = self.gateway.chat(model="broken")
        self.assertEqual((response.status, response.error["code"]), (500, "500"))
        response = self.gateway.chat(model="window")
        self.assertEqual((response.status, response.error["type"]), (400, "invalid_request_error"))
        self.assertEqual(response.header("x-vorrang-attempts"), "1")

    def test_delay(self):
        connection = self.gateway.send_chat(model="slow")
        response = connection.read_response()
        self.assertEqual(response.text, "later")
        self.assertAlmostEqual(response.received_at - connection.sent_at, 0.4, delta=0.1)

    def test_mock_timeout(self):
        connection = self.gateway.send_chat(model="never")
        response = connection.read_response()
        self.assertEqual((response.status, response.error["type"]), (408, "timeout_error"))
        self.assertAlmostEqual(response.received_at - connection.sent_at, 1.5, delta=0.15)

    def test_limits_apply_to_mocks(self):
        self.assertEqual(self.gateway.chat(model="one-a-minute").status, 200)
        self.assertEqual(self.gateway.chat(model="one-a-minute").status, 408)

    # Names ----------------------------------------------------------------------------------

    def test_patterns(self):
        for model, text in (
            ("family/thing", "from the pattern"),
            ("family/sub-thing", "from the longer pattern"),
            ("family/sub-exact", "from the exact name"),
        ):
            response = self.gateway.chat(model=model)
            self.assertEqual((response.text, response.json["model"]), (text, model))
        self.assertEqual(self.gateway.chat(model="famil/thing").status, 400)

    def test_aliases(self):
        for model in ("alias", "hidden-alias"):
            response = self.gateway.chat(model=model)
            self.assertEqual((response.text, response.json["model"]), (TEXT, model))

    def test_pinned_by_id(self):
        self.assertEqual(self.gateway.chat(model="mock-one").text, TEXT)

    def test_models(self):
        expected = {"m", "limited", "broken", "window", "slow", "never", "one-a-minute", "alias"}
        expected |= {"family/*", "family/sub-*", "family/sub-exact"}
        for path in ("/v1/models", "/models"):
            document = self.gateway.call("GET", path).json
            self.assertEqual(document["object"], "list")
            self.assertEqual(sorted(entry["id"] for entry in document["data"]), sorted(expected))
            for entry in document["data"]:
                self.assertEqual(entry["object"], "model")
                self.assertIsInstance(entry["created"], int)
                self.assertIn("owned_by", entry)
        response = self.gateway.call("GET", "/v1/models/m")
        self.assertEqual((response.status, response.json["id"], response.json["object"]), (200, "m", "model"))
        self.assertEqual(self.gateway.call("GET", "/v1/models/family/sub-exact").json["id"], "family/sub-exact")
        self.assertEqual(self.gateway.call("GET", "/v1/models/no-such").status, 404)

    def test_model_info(self):
        for path in ("/v1/model/info", "/model/info"):
            document = self.gateway.call("GET", path).json
            entry = next(e for e in document["data"] if e["model_name"] == "m")
            self.assertEqual(entry["model_info"]["id"], "mock-one")
            self.assertEqual(entry["litellm_params"]["model"], "openai/upstream-name")
        groups = self.gateway.call("GET", "/model_group/info").json["data"]
        self.assertIn("m", [group["model_group"] for group in groups])

    def test_health(self):
        for path in ("/health/liveliness", "/health/liveness", "/health/readiness", "/health", "/health/backlog", "/"):
            with self.subTest(path):
                self.assertEqual(self.gateway.call("GET", path).status, 200)
        for path in ("/health/liveliness", "/health/readiness", "/health"):
            with self.subTest(f"admin {path}"):
                self.assertEqual(self.gateway.admin_get(path).status, 200)


class MocksInRequests(unittest.TestCase):
    def test_stripped_unless_allowed(self):
        text = """
            model_list:
              - model_name: m
                litellm_params: {{model: openai/x, api_base: "{base}", api_key: k}}
            {more}
        """
        with Provider() as provider:
            with Gateway(text.format(base=provider.base, more="")) as gateway:
                self.assertEqual(gateway.chat(mock_response="mine").text, "hello")
                self.assertEqual(len(provider.calls), 1)
            allowed = "general_settings: {dangerously_allow_mock_testing_request_params: true}"
            with Gateway(text.format(base=provider.base, more=allowed)) as gateway:
                self.assertEqual(gateway.chat(mock_response="mine").text, "mine")
                before = time.monotonic()
                self.assertEqual(gateway.chat(mock_response="litellm.RateLimitError").status, 429)
                self.assertEqual(gateway.chat(mock_response="litellm.InternalServerError").status, 500)
                self.assertLess(time.monotonic() - before, 0.4, "it was retried")
                self.assertEqual(len(provider.calls), 1)
                self.assertEqual(gateway.chat().text, "hello", "a mocked error must not cool anything")

    def test_an_empty_mock_is_none(self):
        text = """
            model_list:
              - model_name: m
                litellm_params: {{model: openai/x, api_base: "{base}", api_key: k, mock_response: ""}}
        """
        with Provider() as provider, Gateway(text.format(base=provider.base)) as gateway:
            self.assertEqual(gateway.chat().text, "hello")


if __name__ == "__main__":
    unittest.main()
