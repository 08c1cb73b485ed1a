"""The other APIs beside chat: responses, messages, completions, embeddings, azure's paths, providers.

Each has its own shape of errors, its own usage, and its own words while a stream waits.
"""

import json
import unittest

import client
from gateway import Gateway, wait_until
from provider import Provider, Reply, completion, error

CONFIG = """
model_list:
  - model_name: m
    litellm_params:
      model: {model}
      api_base: "{base}"
      api_key: sk-upstream
      {params}
    model_info: {{id: first}}
{more}
router_settings:
  timeout: 20
  num_retries: 0
{rest}
"""

MORE = """
  - model_name: {group}
    litellm_params: {{model: {model}, api_base: "{base}", api_key: sk-{id}}}
    model_info: {{id: {id}{info}}}
"""

STREAM = {"Content-Type": "text/event-stream"}


def config(base, model="openai/up", params="", more="", rest=""):
    return CONFIG.format(base=base, model=model, params=params, more=more, rest=rest)


def more(base, group="m", model="openai/up", id="second", info=""):
    return MORE.format(group=group, model=model, base=base, id=id, info=info)


def root(provider):
    return f"http://127.0.0.1:{provider.port}"


def events(*documents, named=False, done=False):
    """Server-sent events; `named`: each with its type, as responses and messages have it."""
    text = ""
    for each in documents:
        text += (f"event: {each['type']}\n" if named else "") + f"data: {json.dumps(each)}\n\n"
    return Reply(body=(text + ("data: [DONE]\n\n" if done else "")).encode(), headers=STREAM)


def response_object(id="resp_1", **fields):
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    return {"id": id, "object": "response", "model": "up", "output": [], "usage": usage, **fields}


def responses_stream(id="resp_1"):
    begun = response_object(id, status="in_progress", usage=None)
    return events(
        {"type": "response.created", "response": begun},
        {"type": "response.output_text.delta", "delta": "Ha", "item_id": "i"},
        {"type": "response.completed", "response": response_object(id, status="completed")},
        named=True,
    )


MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-up",
    "content": [{"type": "text", "text": "Ha"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 25, "output_tokens": 15},
}

MESSAGES_STREAM = events(
    {"type": "message_start", "message": {**MESSAGE, "content": [], "usage": {"input_tokens": 25, "output_tokens": 1}}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Ha"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 15}},
    {"type": "message_stop"},
    named=True,
)


def wait_for_tokens(gateway, count):
    """Waits until so many were charged: an attempt is settled beside its answer."""
    used = lambda: gateway.admin_get("/queue/m").json["deployments"][0]["tpm"]["used"]
    wait_until(lambda: used() == count, 5, lambda: f"{used()} tokens were charged, not {count}")


def named_events(response):
    """(type or None, data as JSON) of each event that is no comment."""
    found = []
    for event in response.body.decode().split("\n\n"):
        lines = [line for line in event.split("\n") if line and not line.startswith(":")]
        if lines:
            fields = dict(line.split(": ", 1) for line in lines)
            found.append((fields.get("event"), fields["data"]))
    return found


def comments(response):
    return [line for line in response.body.decode().split("\n") if line.startswith(":")]


class Responses(unittest.TestCase):
    def post(self, gateway, path="/v1/responses", **fields):
        return gateway.post({"model": "m", "input": "hi", **fields}, path=path)

    def test_whole(self):
        with Provider(Reply(body=response_object())) as provider:
            with Gateway(config(provider.base, params="max_tokens: 50\n      temperature: 0.5")) as gateway:
                for path in ("/v1/responses", "/responses"):
                    response = self.post(gateway, path, priority=4, metadata={"a": "b"}, timeout=9)
                    self.assertEqual((response.status, response.json["model"]), (200, "m"))
                    self.assertEqual(response.json, {**response_object(), "model": "m"})
                    self.assertEqual(response.header("x-vorrang-priority"), "4")
                    call = provider.calls[-1]
                    self.assertEqual(call.target, "/v1/responses")
                    # A limit of tokens has the name that this API gives it.
                    expected = {"model": "up", "input": "hi", "max_output_tokens": 50, "temperature": 0.5}
                    self.assertEqual(call.json, expected)
                self.post(gateway, metadata={"a": "b"}, store=True, max_output_tokens=7)
                self.assertEqual(provider.calls[-1].json["metadata"], {"a": "b"})
                self.assertEqual(provider.calls[-1].json["max_output_tokens"], 7)

    def test_streamed(self):
        with Provider(responses_stream()) as provider:
            with Gateway(config(provider.base, params="tpm: 100000")) as gateway:
                response = self.post(gateway, stream=True)
                self.assertEqual(response.status, 200)
                self.assertNotIn(b"[DONE]", response.body)
                heard = [(kind, json.loads(data)) for kind, data in named_events(response)]
                self.assertEqual(
                    [kind for kind, _ in heard],
                    ["response.created", "response.output_text.delta", "response.completed"],
                )
                self.assertEqual({data["response"]["model"] for _, data in heard if "response" in data}, {"m"})
                self.assertEqual(provider.calls[0].json, {"model": "up", "input": "hi", "stream": True})
                wait_for_tokens(gateway, 7)

    def test_errors_before_and_after_the_headers(self):
        wrong = Reply(400, error("no such tool", "bad_tool", "invalid_request_error", "tools"))
        with Provider(wrong) as provider:
            text = config(provider.base, params="max_parallel_requests: 1")
            with Gateway(text) as gateway:
                response = self.post(gateway, stream=True)
                self.assertEqual((response.status, response.error["code"]), (400, "bad_tool"))
                provider.answer = Reply(hold=True)
                running = gateway.send_chat()
                call = provider.wait_for_calls(2)
                provider.answer = wrong
                with gateway.connect() as connection:
                    body = {"model": "m", "input": "hi", "stream": True, "keepalive_seconds": 0.1}
                    connection.request("POST", "/v1/responses", body)
                    while b": waiting" not in connection.buffer:
                        connection.receive_more()
                    provider.release(call)
                    response = connection.read_response()
                self.assertEqual(running.read_response().status, 200)
                self.assertEqual(response.status, 200)
                ((kind, data),) = named_events(response)
                data = json.loads(data)
                self.assertEqual((kind, data["type"]), ("error", "error"))
                self.assertEqual((data["code"], data["message"], data["param"]), ("bad_tool", "no such tool", "tools"))
                self.assertEqual(data["error"]["message"], "no such tool")
                self.assertNotIn(b"[DONE]", response.body)

    def test_a_response_is_continued_where_it_was_made(self):
        def answers(name):
            return lambda call: (
                responses_stream(f"resp_{name}_stream") if call.json.get("stream") else Reply(body=response_object(f"resp_{name}"))
            )

        with Provider(answers("a")) as a, Provider(answers("b")) as b:
            with Gateway(config(a.base, more=more(b.base))) as gateway:
                made = {}
                for _ in range(40):  # until both have made one of each kind
                    for stream in (False, True):
                        response = self.post(gateway, stream=stream)
                        id = "resp_a" if response.header("x-litellm-model-id") == "first" else "resp_b"
                        made[id + ("_stream" if stream else "")] = response.header("x-litellm-model-id")
                    if len(made) == 4:
                        break
                self.assertEqual(len(made), 4)
                for id, owner in made.items():
                    for _ in range(5):
                        response = self.post(gateway, previous_response_id=id)
                        self.assertEqual(response.header("x-litellm-model-id"), owner)
                last = max(a.calls + b.calls, key=lambda call: call.arrived_at)
                self.assertIn("previous_response_id", last.json)
                owners = {self.post(gateway, previous_response_id="resp_unknown").header("x-litellm-model-id") for _ in range(40)}
                self.assertEqual(owners, {"first", "second"})

    def test_stored_responses_are_not_kept_here(self):
        with Provider() as provider, Gateway(config(provider.base)) as gateway:
            for method, path in (
                ("GET", "/v1/responses/resp_1"),
                ("DELETE", "/v1/responses/resp_1"),
                ("POST", "/v1/responses/resp_1/cancel"),
                ("GET", "/responses/resp_1/input_items"),
            ):
                with self.subTest(f"{method} {path}"):
                    response = gateway.call(method, path)
                    self.assertEqual((response.status, response.error["type"]), (404, "invalid_request_error"))
                    self.assertIn("Stored responses", response.error["message"])
            self.assertEqual(provider.calls, [])

    def test_only_those_who_speak_it(self):
        with Provider(Reply(body=response_object())) as speaks, Provider() as other:
            text = config(speaks.base, more="".join((
                more(other.base, model="hosted_vllm/up"),
                more(other.base, "silent", "hosted_vllm/up", "third"),
                more(speaks.base, "told", "hosted_vllm/up", "fourth", ", supported_endpoints: [/v1/responses]"),
                more(root(speaks) + "/azure", "azure", "azure/dep", "fifth"),
            )))
            with Gateway(text) as gateway:
                for _ in range(10):
                    self.assertEqual(self.post(gateway).header("x-litellm-model-id"), "first")
                response = gateway.post({"model": "silent", "input": "hi"}, path="/v1/responses")
                self.assertEqual((response.status, response.error["param"]), (400, "model"))
                self.assertIn("No deployment of group silent speaks /v1/responses", response.error["message"])
                self.assertEqual(gateway.post({"model": "told", "input": "hi"}, path="/v1/responses").status, 200)
                self.assertEqual(gateway.post({"model": "azure", "input": "hi"}, path="/v1/responses").status, 200)
                self.assertEqual(
                    speaks.calls[-1].target, "/azure/openai/responses?api-version=2025-02-01-preview"
                )
                self.assertEqual(other.calls, [])
                response = gateway.post({"model": "m"}, path="/v1/responses")
                self.assertEqual((response.status, response.error["param"]), (400, "input"))


class Messages(unittest.TestCase):
    def post(self, gateway, path="/v1/messages", headers=None, **fields):
        body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], **fields}
        return gateway.post(body, headers, path)

    def assert_anthropic(self, response, status, kind):
        self.assertEqual(response.status, status, response)
        document = response.json
        self.assertEqual(set(document), {"type", "error", "request_id"})
        self.assertEqual((document["type"], document["error"]["type"]), ("error", kind))
        self.assertTrue(document["error"]["message"])
        self.assertEqual(document["request_id"], response.header("x-vorrang-request-id"))

    def test_whole(self):
        with Provider(Reply(body=MESSAGE)) as provider:
            with Gateway(config(root(provider), "anthropic/claude-up")) as gateway:
                response = self.post(gateway, priority=2, metadata={"user_id": "u"}, tags=["t"])
                self.assertEqual(response.json, {**MESSAGE, "model": "m"})
                self.assertEqual(response.header("x-vorrang-priority"), "2")
                call = provider.calls[0]
                self.assertEqual(call.target, "/v1/messages")
                self.assertEqual(call.header("x-api-key"), "sk-upstream")
                self.assertIsNone(call.header("authorization"))
                self.assertEqual(call.header("anthropic-version"), "2023-06-01")
                self.assertEqual(set(call.json), {"model", "max_tokens", "messages", "metadata"})
                self.assertEqual(call.json["model"], "claude-up")
                self.post(gateway, headers={"anthropic-version": "2024-01-01", "anthropic-beta": "b1,b2"})
                call = provider.calls[1]
                self.assertEqual(call.header("anthropic-version"), "2024-01-01")
                self.assertEqual(call.header("anthropic-beta"), "b1,b2")

    def test_streamed(self):
        with Provider(MESSAGES_STREAM) as provider:
            with Gateway(config(root(provider), "anthropic/claude-up", "tpm: 100000")) as gateway:
                response = self.post(gateway, stream=True)
                heard = named_events(response)
                self.assertEqual(
                    [kind for kind, _ in heard],
                    ["message_start", "content_block_delta", "message_delta", "message_stop"],
                )
                self.assertEqual(json.loads(heard[0][1])["message"]["model"], "m")
                self.assertNotIn(b"[DONE]", response.body)
                self.assertNotIn("stream_options", provider.calls[0].json)
                wait_for_tokens(gateway, 40)

    def test_our_errors(self):
        rest = "general_settings: {master_key: sk-master, max_request_size_mb: 1}\n"
        with Provider() as provider:
            text = config(root(provider), "anthropic/claude-up", more=more(provider.base, "silent"), rest=rest)
            with Gateway(text) as gateway:
                key = {"x-api-key": "sk-master"}
                for path in ("/v1/messages", "/v1/messages/count_tokens"):
                    self.assert_anthropic(self.post(gateway, path), 401, "authentication_error")
                    self.assert_anthropic(self.post(gateway, path, {"x-api-key": "no"}), 401, "authentication_error")
                    self.assert_anthropic(gateway.post("{", key, path), 400, "invalid_request_error")
                    self.assert_anthropic(gateway.call("GET", path, headers=key), 405, "not_found_error")
                    self.assert_anthropic(
                        gateway.post(b" " * (1 << 20) + b"{}", key, path), 413, "request_too_large"
                    )
                self.assert_anthropic(self.post(gateway, headers=key, model="none"), 400, "invalid_request_error")
                self.assert_anthropic(self.post(gateway, headers=key, model="silent"), 400, "invalid_request_error")
                self.assert_anthropic(self.post(gateway, headers=key, priority="x"), 400, "invalid_request_error")
                for path in ("/v1/messages/nope", "/v1/messages/batches/1"):
                    self.assert_anthropic(self.post(gateway, path, key), 404, "not_found_error")
                self.assertEqual(provider.calls, [])

    def test_errors_of_the_queue(self):
        with Provider(Reply(hold=True, body=MESSAGE)) as provider:
            rest = "vorrang_settings:\n  max_queue_size: 1\n"
            text = config(root(provider), "anthropic/claude-up", "max_parallel_requests: 1", rest=rest)
            with Gateway(text) as gateway:
                running = gateway.send_chat()
                call = provider.wait_for_calls(1)
                self.assert_anthropic(self.post(gateway, timeout=0.3), 408, "api_error")
                waiting = gateway.send_chat(priority=1)
                gateway.wait_until_waiting(1)
                response = self.post(gateway)
                self.assert_anthropic(response, 429, "rate_limit_error")
                self.assertTrue(1 <= int(response.header("retry-after")) <= 60)
                provider.release(call)
                provider.release(provider.wait_for_calls(2))
                client.gather([running, waiting])

    def test_errors_of_the_upstream(self):
        theirs = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "r"}
        with Provider(Reply(529, theirs)) as provider:
            text = config(root(provider), "anthropic/claude-up", rest="  cooldown_time: 0\n")
            with Gateway(text) as gateway:
                response = self.post(gateway)
                self.assertEqual((response.status, response.json), (529, theirs), "their own words")
                # The same for a client of the chat API: in OpenAI's form.
                response = gateway.chat()
                self.assertEqual((response.status, response.error["message"]), (529, "Overloaded"))
                self.assertEqual((response.error["type"], response.error["code"]), ("overloaded_error", "529"))
                self.assertNotIn("type", response.json)
                provider.answer = Reply(500, error("in OpenAI's form"))
                response = self.post(gateway)
                self.assert_anthropic(response, 500, "api_error")
                self.assertEqual(response.error["message"], "in OpenAI's form")
                provider.answer = Reply(401, theirs)
                self.assert_anthropic(self.post(gateway), 401, "authentication_error")
                provider.answer = Reply(then="close")
                self.assert_anthropic(self.post(gateway), 502, "api_error")

    def test_pings_while_it_waits_and_an_error_after_the_headers(self):
        with Provider(Reply(hold=True, body=MESSAGE)) as provider:
            text = config(root(provider), "anthropic/claude-up", "max_parallel_requests: 1")
            with Gateway(text) as gateway:
                for answer, expected in (
                    (MESSAGES_STREAM, ["message_start", "content_block_delta", "message_delta", "message_stop"]),
                    (Reply(500, error("broken")), ["error"]),
                ):
                    provider.answer = Reply(hold=True, body=MESSAGE)
                    count = len(provider.calls)
                    running = gateway.send_chat()
                    call = provider.wait_for_calls(count + 1)
                    provider.answer = answer
                    with gateway.connect() as connection:
                        body = client.chat_body(max_tokens=9, stream=True, keepalive_seconds=0.1)
                        connection.request("POST", "/v1/messages", body)
                        while connection.buffer.count(b"event: ping") < 2:
                            connection.receive_more()
                        provider.release(call)
                        response = connection.read_response()
                    self.assertEqual(running.read_response().status, 200)
                    heard = named_events(response)
                    kinds = [kind for kind, _ in heard if kind != "ping"]
                    self.assertEqual(kinds, expected)
                    self.assertEqual({data for kind, data in heard if kind == "ping"}, {'{"type": "ping"}'})
                    self.assertNotIn(b": waiting", response.body)
                told = json.loads(heard[-1][1])
                self.assertEqual((told["type"], told["error"]["type"]), ("error", "api_error"))
                self.assertEqual(told["error"]["message"], "broken")

    def test_count_tokens_takes_no_ticket_and_no_limit(self):
        with Provider(Reply(body={"input_tokens": 14})) as provider:
            params = "rpm: 0\n      max_tokens: 4096\n      temperature: 0.5"
            with Gateway(config(root(provider), "anthropic/claude-up", params)) as gateway:
                for _ in range(3):
                    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "priority": 1}
                    response = gateway.post(body, path="/v1/messages/count_tokens")
                    self.assertEqual((response.status, response.json), (200, {"input_tokens": 14}))
                call = provider.calls[0]
                self.assertEqual(call.target, "/v1/messages/count_tokens")
                self.assertEqual(call.header("x-api-key"), "sk-upstream")
                # No default of an answer: their API refuses fields it does not count.
                self.assertEqual(set(call.json), {"model", "messages"})
                self.assertEqual(gateway.admin_get("/queue/m").json["deployments"][0]["rpm"]["used"], 0)

    def test_count_tokens_is_estimated_where_nobody_can_count(self):
        with Provider() as provider, Gateway(config(provider.base)) as gateway:
            response = self.post(gateway, "/v1/messages/count_tokens")
            self.assertEqual(response.status, 200)
            self.assertEqual(list(response.json), ["input_tokens"])
            self.assertGreater(response.json["input_tokens"], 0)
            longer = self.post(gateway, "/v1/messages/count_tokens", messages=[{"role": "user", "content": "x" * 4000}])
            self.assertAlmostEqual(longer.json["input_tokens"], 1000, delta=20)
            self.assertEqual(provider.calls, [])

    def test_chat_to_anthropic_goes_to_its_openai_endpoint(self):
        with Provider() as provider:
            with Gateway(config(root(provider), "anthropic/claude-up")) as gateway:
                self.assertEqual(gateway.chat().status, 200)
                call = provider.calls[0]
                self.assertEqual(call.target, "/v1/chat/completions")
                self.assertEqual(call.header("authorization"), "Bearer sk-upstream")
                self.assertIsNone(call.header("x-api-key"))


class PlainApis(unittest.TestCase):
    def test_completions(self):
        answer = {"id": "c", "object": "text_completion", "model": "up", "choices": [{"index": 0, "text": "Ha"}]}
        with Provider(Reply(body=answer)) as provider, Gateway(config(provider.base)) as gateway:
            for path in ("/v1/completions", "/completions", "/engines/m/completions", "/openai/deployments/m/completions"):
                response = gateway.post({"model": "m", "prompt": "x", "priority": 2}, path=path)
                self.assertEqual(response.json, {**answer, "model": "m"})
                self.assertEqual(provider.calls[-1].target, "/v1/completions")
                self.assertEqual(provider.calls[-1].json, {"model": "up", "prompt": "x"})
            chunk = {"id": "c", "model": "up", "choices": [{"index": 0, "text": "Ha"}]}
            usage = {"id": "c", "model": "up", "choices": [], "usage": {"total_tokens": 7}}
            provider.answer = events(chunk, usage, done=True)
            response = gateway.post({"model": "m", "prompt": "x", "stream": True}, path="/v1/completions")
            self.assertEqual([json.loads(e) for e in response.events[:-1]], [{**chunk, "model": "m"}])
            self.assertEqual(provider.calls[-1].json["stream_options"], {"include_usage": True})

    def test_embeddings(self):
        answer = {"object": "list", "model": "up", "data": [], "usage": {"prompt_tokens": 3, "total_tokens": 3}}
        with Provider(Reply(body=answer)) as provider:
            text = config(provider.base, params="max_tokens: 9\n      dimensions: 64\n      tpm: 100000")
            with Gateway(text) as gateway:
                body = {"model": "m", "input": ["x", "y"], "stream": True, "priority": 2, "metadata": {}}
                for path in ("/v1/embeddings", "/embeddings", "/engines/m/embeddings", "/openai/deployments/m/embeddings"):
                    response = gateway.post(body, path=path)
                    self.assertEqual(response.json, {**answer, "model": "m"})
                    self.assertEqual(provider.calls[-1].target, "/v1/embeddings")
                    self.assertEqual(provider.calls[-1].json["dimensions"], 64)
                    self.assertNotIn("max_tokens", provider.calls[-1].json, "embeddings complete nothing")
                wait_for_tokens(gateway, 4 * 3)

    def test_a_mock_refuses_too_many_choices(self):
        text = "model_list:\n  - {model_name: m, litellm_params: {model: openai/x, mock_response: hi}}\n"
        with Gateway(text) as gateway:
            self.assertEqual(len(gateway.chat(n=128).json["choices"]), 128)
            for fields in ({"n": 129}, {"n": 10_000_000, "stream": True}):
                response = gateway.chat(**fields)
                self.assertEqual((response.status, response.error["param"]), (400, "n"))
                self.assertIn("128", response.error["message"])


class Azure(unittest.TestCase):
    def test_upstream_paths(self):
        with Provider() as provider:
            bases = {
                "plain": (f"{root(provider)}/r", "/r/openai/deployments/my%20dep/{api}?api-version={version}"),
                "with /openai": (f"{root(provider)}/r/openai", "/r/openai/deployments/my%20dep/{api}?api-version={version}"),
                "a deployment's": (
                    f"{root(provider)}/r/openai/deployments/other",
                    "/r/openai/deployments/other/{api}?api-version={version}",
                ),
            }
            for name, (base, target) in bases.items():
                with self.subTest(name), Gateway(config(base, "azure/my dep")) as gateway:
                    chat = {"messages": [{"role": "user", "content": "x"}]}
                    for api, body in (("chat/completions", chat), ("completions", {"prompt": "x"}), ("embeddings", {"input": "x"})):
                        response = gateway.post({"model": "m", **body}, path=f"/v1/{api}")
                        self.assertEqual(response.status, 200, response)
                        call = provider.calls[-1]
                        self.assertEqual(call.target, target.format(api=api, version="2025-02-01-preview"))
                        self.assertEqual(call.header("api-key"), "sk-upstream")
                        self.assertIsNone(call.header("authorization"))
                    # The version that the client names, as its own library sends it.
                    path = "/openai/deployments/m/chat/completions?api-version=2024-06-01%26x"
                    self.assertEqual(gateway.post(chat, path=path).status, 200)
                    expected = target.format(api="chat/completions", version="2024-06-01%26x")
                    self.assertEqual(provider.calls[-1].target, expected)

    def test_names_in_paths(self):
        with Provider() as provider:
            text = config(provider.base, more=more(provider.base, "a/b c", id="odd"))
            with Gateway(text) as gateway:
                chat = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
                for path in ("/openai/deployments/a%2Fb%20c/chat/completions", "/engines/a/b%20c/chat/completions"):
                    response = gateway.post(chat, path=path)
                    self.assertEqual(response.header("x-litellm-model-id"), "odd", "the path wins")
                    self.assertEqual(response.json["model"], "a/b c")


class Providers(unittest.TestCase):
    def test_each_by_its_variables(self):
        # name, its base's variable, its key's variable, what the base gets, header of the key
        table = [
            ("openai", "OPENAI_BASE_URL", "OPENAI_API_KEY", "", "authorization"),
            ("hosted_vllm", "HOSTED_VLLM_API_BASE", "HOSTED_VLLM_API_KEY", "", "authorization"),
            ("anthropic", "ANTHROPIC_API_BASE", "ANTHROPIC_API_KEY", "/v1", "authorization"),
            ("mistral", "MISTRAL_API_BASE", "MISTRAL_API_KEY", "/v1", "authorization"),
            ("groq", "GROQ_API_BASE", "GROQ_API_KEY", "", "authorization"),
            ("together_ai", "TOGETHER_AI_API_BASE", "TOGETHERAI_API_KEY", "", "authorization"),
            ("deepseek", "DEEPSEEK_API_BASE", "DEEPSEEK_API_KEY", "", "authorization"),
            ("openrouter", "OPENROUTER_API_BASE", "OPENROUTER_API_KEY", "", "authorization"),
            ("gemini", "GEMINI_API_BASE", "GEMINI_API_KEY", "", "authorization"),
            ("ollama", "OLLAMA_API_BASE", None, "/v1", None),
            ("ollama_chat", "OLLAMA_API_BASE", None, "/v1", None),
            ("xai", "XAI_API_BASE", "XAI_API_KEY", "", "authorization"),
            ("fireworks_ai", "FIREWORKS_API_BASE", "FIREWORKS_API_KEY", "", "authorization"),
            ("perplexity", "PERPLEXITY_API_BASE", "PERPLEXITYAI_API_KEY", "", "authorization"),
            ("nvidia_nim", "NVIDIA_NIM_API_BASE", "NVIDIA_NIM_API_KEY", "", "authorization"),
            ("cerebras", "CEREBRAS_API_BASE", "CEREBRAS_API_KEY", "", "authorization"),
            ("deepinfra", "DEEPINFRA_API_BASE", "DEEPINFRA_API_KEY", "", "authorization"),
            ("lm_studio", "LM_STUDIO_API_BASE", None, "", None),
            ("litellm_proxy", "LITELLM_PROXY_API_BASE", "LITELLM_PROXY_API_KEY", "", "authorization"),
            ("custom_openai", "CUSTOM_OPENAI_API_BASE", "CUSTOM_OPENAI_API_KEY", "", "authorization"),
        ]
        text = "model_list:\n" + "".join(
            f"  - {{model_name: {name}, litellm_params: {{model: {name}/vendor/x}}}}\n" for name, *_ in table
        )
        text += "  - {model_name: azure, litellm_params: {model: azure/x}}\n"
        for bare in ("gpt-9", "chatgpt-x", "o7-mini", "text-embedding-x", "claude-x"):
            text += f"  - {{model_name: {bare}, litellm_params: {{model: {bare}}}}}\n"
        with Provider() as provider:
            text += f"  - {{model_name: any, litellm_params: {{model: my-own, api_base: {root(provider)}/own, api_key: k}}}}\n"
            environment = {"AZURE_API_BASE": f"{root(provider)}/azure", "AZURE_API_KEY": "sk-azure"}
            for name, base, key, _, _ in table:
                environment[base] = f"{root(provider)}/{name.removesuffix('_chat')}"
                if key:
                    environment[key] = f"sk-{name}"
            with Gateway(text, environment=environment) as gateway:
                for name, _, key, path, header in table:
                    with self.subTest(name):
                        self.assertEqual(gateway.chat(model=name).status, 200)
                        call = provider.calls[-1]
                        self.assertEqual(call.target, f"/{name.removesuffix('_chat')}{path}/chat/completions")
                        self.assertEqual(call.json["model"], "vendor/x")
                        self.assertEqual(call.header("authorization"), f"Bearer sk-{name}" if header else None)
                for name, target in (
                    ("azure", "/azure/openai/deployments/x/chat/completions?api-version=2025-02-01-preview"),
                    ("gpt-9", "/openai/chat/completions"),
                    ("chatgpt-x", "/openai/chat/completions"),
                    ("o7-mini", "/openai/chat/completions"),
                    ("text-embedding-x", "/openai/chat/completions"),
                    ("claude-x", "/anthropic/v1/chat/completions"),
                    ("any", "/own/chat/completions"),
                ):
                    with self.subTest(name):
                        self.assertEqual(gateway.chat(model=name).status, 200)
                        self.assertEqual(provider.calls[-1].target, target)


if __name__ == "__main__":
    unittest.main()
