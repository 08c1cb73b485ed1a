"""What a body may hold, what of it goes upstream, and what stays as it is, byte for byte."""

import json
import unittest

import client
from gateway import Gateway
from provider import Provider, Reply, error

CONFIG = """
model_list:
  - model_name: m
    litellm_params:
      model: openai/upstream-model
      api_base: {base}
      api_key: sk-upstream
  - model_name: defaults
    litellm_params:
      model: openai/with-defaults
      api_base: {base}
      api_key: sk-upstream
      temperature: 0.25
      max_tokens: 99
      extra_body: {{top_k: 7}}
      additional_drop_params: [logit_bias, seed]
  - model_name: dropping
    litellm_params:
      model: openai/dropping
      api_base: {base}
      api_key: sk-upstream
      drop_params: true
litellm_settings:
  num_retries: 0
"""

MESSAGES = '"messages":[{"role":"user","content":"hi"}]'


class Body(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.provider = Provider().__enter__()
        cls.gateway = Gateway(CONFIG.format(base=cls.provider.base)).start()

    @classmethod
    def tearDownClass(cls):
        cls.gateway.__exit__(None, None, None)
        cls.provider.__exit__(None, None, None)

    def upstream(self, body, headers=None, path="/v1/chat/completions"):
        """The call as it arrived upstream."""
        count = len(self.provider.calls)
        response = self.gateway.post(body, headers, path)
        self.assertEqual(response.status, 200, response)
        self.assertEqual(len(self.provider.calls), count + 1)
        return self.provider.calls[-1]

    def assert_400(self, body, param=None, headers=None, path="/v1/chat/completions"):
        count = len(self.provider.calls)
        response = self.gateway.post(body, headers, path)
        self.assertEqual(response.status, 400, response)
        self.assertEqual(response.error["type"], "invalid_request_error")
        self.assertEqual(response.error["code"], "400")
        if param is not None:
            self.assertEqual(response.error["param"], param)
        self.assertEqual(len(self.provider.calls), count, "it went upstream all the same")
        return response

    def priority_of(self, body, headers=None):
        response = self.gateway.post(body, headers)
        self.assertEqual(response.status, 200, response)
        return response.header("x-vorrang-priority"), response.header("x-litellm-request-prioritization-used")

    # Priority -------------------------------------------------------------------------------

    def test_priority_that_is_an_integer(self):
        for text in ("0", "1", "-1", "255", "2000", "2147483647", "-2147483648"):
            with self.subTest(text):
                body = '{"model":"m","priority":%s,%s}' % (text, MESSAGES)
                self.assertEqual(self.priority_of(body), (text, "True"))

    def test_priority_that_is_none(self):
        for text in ('{"model":"m",%s}' % MESSAGES, '{"model":"m","priority":null,%s}' % MESSAGES):
            self.assertEqual(self.priority_of(text), ("255", None))

    def test_priority_that_is_no_32_bit_integer(self):
        wrong = ['"5"', "5.0", "5.5", "1e2", "true", "false", "[1]", "{}", '""', "2147483648", "-2147483649"]
        wrong += ["99999999999999999999999999", "-99999999999999999999999999"]
        for text in wrong:
            with self.subTest(text):
                self.assert_400('{"model":"m","priority":%s,%s}' % (text, MESSAGES), "priority")

    def test_priority_as_header(self):
        body = '{"model":"m",%s}' % MESSAGES
        self.assertEqual(self.priority_of(body, {"x-vorrang-priority": "7"}), ("7", "True"))
        self.assertEqual(self.priority_of(body, {"X-Vorrang-Priority": "-7"}), ("-7", "True"))
        both = '{"model":"m","priority":3,%s}' % MESSAGES
        self.assertEqual(self.priority_of(both, {"x-vorrang-priority": "7"}), ("3", "True"))
        absent = '{"model":"m","priority":null,%s}' % MESSAGES
        self.assertEqual(self.priority_of(absent, {"x-vorrang-priority": "7"}), ("7", "True"))
        for text in ("high", "1.5", "2147483648", "1 2", "0x10"):
            with self.subTest(text):
                self.assert_400(body, "priority", {"x-vorrang-priority": text})

    def test_priority_on_every_path(self):
        chat = {"model": "m", "messages": [{"role": "user", "content": "x"}], "priority": 3}
        text = {"model": "m", "prompt": "x", "priority": 3}
        vector = {"model": "m", "input": "x", "priority": 3}
        paths = {
            "/v1/chat/completions": chat,
            "/chat/completions": chat,
            "/engines/m/chat/completions": chat,
            "/openai/deployments/m/chat/completions": chat,
            "/queue/chat/completions": chat,
            "/v1/completions": text,
            "/completions": text,
            "/engines/m/completions": text,
            "/openai/deployments/m/completions": text,
            "/v1/embeddings": vector,
            "/embeddings": vector,
            "/openai/deployments/m/embeddings": vector,
        }
        for path, body in paths.items():
            with self.subTest(path):
                response = self.gateway.post(body, path=path)
                self.assertEqual(response.status, 200, response)
                self.assertEqual(response.header("x-vorrang-priority"), "3")
                call = self.provider.calls[-1]
                ending = path[path.rindex("/") :] if "chat" not in path else "/chat/completions"
                self.assertEqual(call.target, "/v1" + ending)
                self.assertNotIn("priority", call.json)
                self.assertEqual(call.json["model"], "upstream-model")
                if path.startswith("/queue"):
                    self.assertEqual(response.header("x-litellm-priority"), "3")

    def test_the_models_of_long_paths(self):
        body = {"messages": [{"role": "user", "content": "x"}]}
        for path in ("/engines/m/chat/completions", "/openai/deployments/m/chat/completions?api-version=2024-02-01"):
            with self.subTest(path):
                call = self.upstream(body, path=path)
                self.assertEqual(call.json["model"], "upstream-model")
                self.assertEqual(call.target, "/v1/chat/completions")

    # What is wrong with a body --------------------------------------------------------------

    def test_bad_json(self):
        good = '{"model":"m",%s}' % MESSAGES
        bad = [
            "",
            " ",
            "{",
            good[:-1],
            good + "x",
            good + "{}",
            good + "\x00",
            "[]",
            '"text"',
            "null",
            "42",
            good.replace("}]", "},]"),
            '{"model":"m",,%s}' % MESSAGES,
            '{"model":"m",%s,}' % MESSAGES,
            "{'model':'m'}",
            '{"model":"m","x":nul,%s}' % MESSAGES,
            '{"model":"m","x":NaN,%s}' % MESSAGES,
            '{"model":"m","x":01,%s}' % MESSAGES,
            '{"model":"m","x":1.,%s}' % MESSAGES,
            '{"model":"m","x":+1,%s}' % MESSAGES,
            '{"model":"m","x":"\\q",%s}' % MESSAGES,
            '{"model":"m","x":"\\u12",%s}' % MESSAGES,
            '{"model":"m","x":"a\nb",%s}' % MESSAGES,
            '{"model":"m" "x":1,%s}' % MESSAGES,
            '{"model":"m",%s}/* comment */' % MESSAGES,
            '{"model":"m","x":[1}],%s}' % MESSAGES,
        ]
        for text in bad:
            with self.subTest(text):
                self.assert_400(text)

    def test_bad_utf8(self):
        for piece in (b"\xff", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\xe2\x82"):
            with self.subTest(piece):
                body = b'{"model":"m","messages":[{"role":"user","content":"' + piece + b'"}]}'
                self.assert_400(body)
                self.assert_400(b'{"model":"m","' + piece + b'":1,' + MESSAGES.encode() + b"}")

    def test_depth(self):
        def nested(levels):  # levels of arrays inside the object, which is one more
            return '{"model":"m","x":%s%s,%s}' % ("[" * levels, "]" * levels, MESSAGES)

        self.upstream(nested(255))
        self.assert_400(nested(256))
        self.assert_400(nested(100_000))
        self.assert_400('{"model":"m","x":' + '{"a":' * 100_000)

    def test_missing_fields(self):
        self.assert_400({"messages": [{"role": "user", "content": "x"}]}, "model")
        self.assert_400({"model": "m"}, "messages")
        self.assert_400({"model": "m"}, "prompt", path="/v1/completions")
        self.assert_400({"model": "m"}, "input", path="/v1/embeddings")
        for model in (5, None, [], {}, ""):
            with self.subTest(model=model):
                self.assert_400({"model": model, "messages": [{"role": "user", "content": "x"}]})

    def test_unknown_model(self):
        response = self.assert_400(client.chat_body(model="no-such"))
        self.assertIn("Invalid model name passed in model=no-such", response.error["message"])
        self.assertIn("defaults", response.error["message"], "the names that exist are told")
        hostile = 'x"}\r\nEvil: 1\u2028<script>'
        response = self.assert_400(client.chat_body(model=hostile))
        self.assertIn("Invalid model name", response.error["message"])
        self.assertNotIn("evil", response.names)

    def test_stream_of_a_wrong_type(self):
        self.assert_400('{"model":"m","stream":"yes",%s}' % MESSAGES)

    def test_timeout_of_a_wrong_type(self):
        self.assert_400('{"model":"m","timeout":"soon",%s}' % MESSAGES)

    # Duplicates -----------------------------------------------------------------------------

    def test_a_second_field_of_ours(self):
        second = {
            "model": '"m"',
            "priority": "1",
            "stream": "false",
            "timeout": "5",
            "metadata": "{}",
            "num_retries": "1",
            "mock_response": '"x"',
            "fallbacks": "[]",
        }
        for name, value in second.items():
            with self.subTest(name):
                self.assert_400('{"model":"m","%s":%s,"%s":%s,%s}' % (name, value, name, value, MESSAGES))

    def test_a_second_field_of_ours_in_disguise(self):
        self.assert_400('{"model":"m","mod\\u0065l":"m",%s}' % MESSAGES)
        self.assert_400('{"priority":1,"\\u0070riority":0,"model":"m",%s}' % MESSAGES)
        self.assert_400('{"model":"m","stream":false,"\\u0073tr\\u0065am":true,%s}' % MESSAGES)

    def test_a_field_of_ours_in_disguise(self):
        call = self.upstream('{"mod\\u0065l":"m","\\u0070riority":3,"mock\\u005fresponse":"no",%s}' % MESSAGES)
        self.assertEqual(set(call.json), {"model", "messages"})
        self.assertEqual(call.json["model"], "upstream-model")

    def test_ours_only_at_the_top(self):
        body = '{"model":"m","x":{"priority":"a","model":"b","model":"c","timeout":[]},%s}' % MESSAGES
        self.assertIn(b'"x":{"priority":"a","model":"b","model":"c","timeout":[]}', self.upstream(body).body)

    def test_other_duplicates_pass(self):
        call = self.upstream('{"model":"m","top_p":0.1,"top_p":0.2,%s}' % MESSAGES)
        self.assertIn(b'"top_p":0.1,"top_p":0.2', call.body)

    # What is forwarded ----------------------------------------------------------------------

    def test_never_forwarded(self):
        ours = {
            "priority": 1,
            "timeout": 30,
            "request_timeout": 30,
            "stream_timeout": 30,
            "num_retries": 1,
            "max_retries": 1,
            "fallbacks": ["m"],
            "context_window_fallbacks": [],
            "disable_fallbacks": True,
            "tags": ["a"],
            "cache": {"no-cache": True},
            "caching": False,
            "guardrails": ["g"],
            "litellm_session_id": "s",
            "litellm_anything": 1,
            "mock_response": "no",
            "mock_delay": 60,
            "mock_timeout": False,
            "mock_testing_fallbacks": True,
            "no-log": True,
            "ttl": 5,
            "keepalive_seconds": 5,
            "metadata": {"user": "x"},
        }
        kept = {"temperature": 0.5, "user": "u", "store": False}
        call = self.upstream({**ours, **client.chat_body(), **kept})
        self.assertEqual(set(call.json), {"model", "messages"} | set(kept))
        for name, value in ours.items():  # each alone: as first, middle and last member
            with self.subTest(name):
                call = self.upstream({name: value, **client.chat_body()})
                self.assertEqual(call.json, {"model": "upstream-model", "messages": client.chat_body()["messages"]})
                call = self.upstream({"model": "m", name: value, "messages": client.chat_body()["messages"]})
                self.assertEqual(set(call.json), {"model", "messages"})
                call = self.upstream({**client.chat_body(), name: value})
                self.assertEqual(set(call.json), {"model", "messages"})

    def test_metadata_with_store(self):
        call = self.upstream(client.chat_body(store=True, metadata={"a": "b"}))
        self.assertEqual(call.json["metadata"], {"a": "b"})
        call = self.upstream({"metadata": {"a": "b"}, **client.chat_body(), "store": True})
        self.assertEqual(call.json["metadata"], {"a": "b"})

    def test_refused_fields(self):
        for name in ("api_key", "api_base", "base_url", "api_version", "custom_llm_provider", "model_list"):
            with self.subTest(name):
                self.assert_400(client.chat_body(**{name: "x"}))

    def test_every_other_byte_is_untouched(self):
        inside = (
            '"x1":  {"a" : 1.0e+2,\t"b":"\\u00e9\\/\\ud83d\\ude00"},\r\n "x2":[1e400,-0,0.10,12345678901234567890123],'
            ' "\\u0078": "é 😀 \\"quoted\\" model priority", "x3" : true'
        )
        call = self.upstream('{ "model" : "m" ,%s,"priority":1,%s }' % (inside, MESSAGES))
        self.assertIn(inside.encode(), call.body)
        self.assertIn(MESSAGES.encode(), call.body)
        self.assertEqual(call.json["model"], "upstream-model")
        self.assertNotIn("priority", call.json)

    def test_content_length_upstream_is_right(self):
        call = self.upstream(client.chat_body("ü" * 1000, priority=4))
        self.assertEqual(int(call.header("content-length")), len(call.body))
        self.assertIsNone(call.header("transfer-encoding"))

    def test_a_large_body(self):
        text = "0123456789abcdef" * (20 * 1024 * 1024 // 16)
        call = self.upstream(client.chat_body(text, priority=1))
        self.assertEqual(call.prompt, text)

    def test_defaults_of_a_deployment(self):
        call = self.upstream(client.chat_body(model="defaults"))
        self.assertEqual(call.json["model"], "with-defaults")
        self.assertEqual((call.json["temperature"], call.json["max_tokens"], call.json["top_k"]), (0.25, 99, 7))
        self.assertNotIn("api_key", call.json)
        self.assertNotIn("extra_body", call.json)
        call = self.upstream(client.chat_body(model="defaults", temperature=1, logit_bias={}, seed=4))
        self.assertEqual((call.json["temperature"], call.json["max_tokens"]), (1, 99))
        self.assertNotIn("logit_bias", call.json)
        self.assertNotIn("seed", call.json)
        call = self.upstream('{"model":"defaults"  ,%s}' % MESSAGES)
        self.assertEqual(call.json["temperature"], 0.25)

    def test_extra_body_of_a_request_is_merged_in(self):
        call = self.upstream(client.chat_body(extra_body={"priority": 3, "top_k": 1}))
        self.assertEqual(call.json["top_k"], 1)
        self.assertNotIn("extra_body", call.json)

    def test_drop_params(self):
        def answer(call):
            if "reasoning_effort" in call.json:
                return Reply(400, error("no such thing", "unsupported_parameter", "invalid_request_error", "reasoning_effort"))
            if "max_tokens" in call.json:
                return Reply(400, error("use the other", "unsupported_parameter", "invalid_request_error", "max_tokens"))
            return Reply()

        self.provider.answer = answer
        try:
            count = len(self.provider.calls)
            response = self.gateway.chat(model="dropping", reasoning_effort="low")
            self.assertEqual(response.status, 200, response)
            self.assertEqual(response.header("x-vorrang-attempts"), "1", "the same grant")
            self.assertEqual(len(self.provider.calls), count + 2)
            # Remembered: the second request needs one call.
            self.assertEqual(self.gateway.chat(model="dropping", reasoning_effort="low").status, 200)
            self.assertEqual(len(self.provider.calls), count + 3)
            self.assertEqual(self.gateway.chat(model="dropping", max_tokens=5).status, 200)
            self.assertEqual(self.provider.calls[-1].json["max_completion_tokens"], 5)
            self.assertNotIn("max_tokens", self.provider.calls[-1].json)
            # Without drop_params the 400 goes to the client.
            response = self.gateway.chat(reasoning_effort="low")
            self.assertEqual((response.status, response.error["param"]), (400, "reasoning_effort"))
        finally:
            self.provider.answer = Reply()

    def test_unicode_model_name_round_trip(self):
        self.assertEqual(json.loads(self.gateway.post('{"model":"\\u006d",%s}' % MESSAGES).body)["model"], "m")


if __name__ == "__main__":
    unittest.main()
