"""The requests of each configuration, in their order: a cooldown that one leaves is there for the next."""

from provider import Reply, faults, shapes
from request import Request, chat, get

MESSAGES = [{"role": "user", "content": "hello"}]
FUNCTION = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


def error(status, code=None, kind="invalid_request_error", param=None, **headers):
    body = shapes.error("upstream says no", code, kind, param)
    return Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


BUSY = error(429, "rate_limit_exceeded", "rate_limit_error")
BROKEN = error(500, None, "server_error")
TOO_LONG = Reply(
    400,
    shapes.error(
        "upstream says: This model's maximum context length is 4097 tokens. However, your messages resulted in 9000 tokens.",
        "context_length_exceeded",
        "invalid_request_error",
        "messages",
    ),
)


def scripted(*script, **more):
    """Fields of Request: what the provider answers."""
    return {"script": script, **more}


def always(reply, **more):
    return {"answer": reply, **more}


def completion(name, model, **fields):
    more = fields.pop("of_request", {})
    return Request(name, {"model": model, "prompt": "hello", **fields}, "/v1/completions", **more)


def embedding(name, model, text="hello", **fields):
    return Request(name, {"model": model, "input": text, **fields}, "/v1/embeddings")


def response(name, model, **fields):
    return Request(name, {"model": model, "input": "hello", **fields}, "/v1/responses")


def message(name, model, of_request=(), **fields):
    body = {"model": model, "max_tokens": 50, "messages": MESSAGES, **fields}
    return Request(name, body, "/v1/messages", **dict(of_request))


def with_headers(**headers):
    return {"headers": {name.replace("_", "-"): value for name, value in headers.items()}}


def _simple():
    model = "gpt-4o"
    no_key = {"headers": {"Authorization": None}}
    return [
        chat("chat", model),
        chat("chat, short path", model, path="/chat/completions"),
        chat("chat, path with engine", "ignored", path=f"/engines/{model}/chat/completions"),
        chat("chat, azure's path", "ignored", path=f"/openai/deployments/{model}/chat/completions"),
        chat("stream", model, stream=True),
        chat("stream with usage", model, stream=True, stream_options={"include_usage": True}),
        chat("usual fields", model, temperature=0.5, top_p=0.9, n=1, seed=7, stop=["x"], max_tokens=9, user="u-1"),
        chat("tools", model, tools=[FUNCTION], tool_choice="auto", parallel_tool_calls=False),
        chat("json format", model, response_format={"type": "json_object"}),
        chat("unknown field", model, foo={"bar": 1}),
        chat("metadata", model, metadata={"trace": "1"}),
        chat("metadata stored", model, store=True, metadata={"trace": "1"}),
        chat("words and numbers of any size", model, words="Grüße \U0001f600 \\n", seed=2**60, temperature=1.0),
        chat("fields of LiteLLM's", model, stream_timeout=20, num_retries=1, timeout=20, tags=["a"], cache={"no-cache": True},
             max_retries=1, guardrails=[], litellm_session_id="s", litellm_trace_id="t", ttl=5, **{"no-log": True}),
        chat("extra_body literal", model, extra_body={"top_k": 5}),
        chat("priority", model, priority=1),
        chat("priority 0", model, priority=0),
        chat("priority null", model, priority=None),
        chat("priority as text", model, priority="5"),
        chat("priority broken", model, priority=1.5),
        chat("queue path", model, path="/queue/chat/completions", priority=1),
        chat("mock in the request", model, mock_response="mocked"),
        chat("call id", model, of_request=with_headers(x_litellm_call_id="11111111-2222-4333-8444-555555555555")),
        completion("completion", model),
        completion("completion streamed", model, stream=True),
        embedding("embedding", model),
        response("response", model),
        response("response streamed", model, stream=True),
        get("models", "/v1/models"),
        get("models, short path", "/models"),
        get("one model", f"/v1/models/{model}"),
        get("one model that is not there", "/v1/models/nothing"),
        get("model info", "/v1/model/info"),
        get("model group info", "/model_group/info"),
        get("liveliness", "/health/liveliness", **no_key),
        get("readiness", "/health/readiness", **no_key),
        get("health", "/health"),
        get("backlog", "/health/backlog"),
        get("health, no key", "/health", **no_key),
        get("unknown path", "/v1/nothing"),
        Request("wrong method", None, "/v1/chat/completions", "GET"),
        Request("preflight", None, "/v1/chat/completions", "OPTIONS", headers={
            "Authorization": None, "Origin": "http://app.example", "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        }),
        chat("from a page", model, of_request=with_headers(Origin="http://app.example")),
        chat("no key", model, of_request=no_key),
        chat("key in small letters", model, of_request={"headers": {"Authorization": "bearer {key}"}}),
        chat("key without Bearer", model, of_request={"headers": {"Authorization": "{key}"}}),
        chat("empty key", model, of_request={"headers": {"Authorization": "Bearer "}}),
        chat("wrong key", model, of_request=with_headers(Authorization="Bearer sk-wrong")),
        chat("key without sk-", model, of_request=with_headers(Authorization="Bearer wrong")),
        get("models, wrong key", "/v1/models", **with_headers(Authorization="Bearer sk-wrong")),
        chat("key as api-key", model, of_request={"headers": {"Authorization": None, "api-key": "{key}"}}),
        chat("key as x-api-key", model, of_request={"headers": {"Authorization": None, "x-api-key": "{key}"}}),
        chat("key as x-litellm-api-key", model,
             of_request={"headers": {"Authorization": None, "x-litellm-api-key": "Bearer {key}"}}),
        chat("unknown model", "nothing"),
        chat("model in capitals", "GPT-4O"),
        chat("model with its provider", "openai/gpt-4o"),
        chat("slash at the end", model, path="/v1/chat/completions/"),
        Request("no model", {"messages": MESSAGES}),
        Request("no messages", {"model": model}),
        Request("broken JSON", b'{"model": "gpt-4o", "messages": ['),
        Request("empty body", b""),
        Request("JSON that is no object", b'["gpt-4o"]'),
        chat("base in the request", model, api_base="http://127.0.0.1:9/v1"),
        chat("key in the request", model, api_key="sk-of-the-client"),
    ]


def _errors():
    model = "gpt-4o"

    def kind(name, reply):
        return chat(name, model, of_request=always(reply))

    return [
        kind("400", error(400, "invalid_value", param="temperature")),
        kind("400 too long", TOO_LONG),
        kind("401", error(401, "invalid_api_key")),
        kind("403", error(403, None, "permission_error")),
        kind("404", error(404, "model_not_found", param="model")),
        kind("408", error(408, None, "timeout_error")),
        kind("409", error(409, None, "conflict_error")),
        kind("413", error(413, None)),
        kind("422", error(422, None)),
        kind("429", BUSY),
        kind("429, Retry-After", error(429, "rate_limit_exceeded", "rate_limit_error", Retry_After="60")),
        kind("429, no money", error(429, "insufficient_quota", "insufficient_quota")),
        kind("500", BROKEN),
        kind("500 page", faults.named("500-page")),
        kind("502", faults.named("502")),
        kind("503", error(503, None, "server_error")),
        kind("503, Retry-After", error(503, None, "server_error", Retry_After="60")),
        kind("529", Reply(529, shapes.anthropic_error("upstream says: overloaded", "overloaded_error"))),
        kind("connection reset", Reply(then="reset")),
        kind("connection closed", Reply(then="close")),
        kind("no JSON", faults.named("broken-json")),
        kind("empty answer", faults.named("empty-body")),
        kind("page", faults.named("html-page")),
        kind("error inside of a 200", Reply(200, shapes.error("upstream says no"))),
        chat("400 to a stream", model, stream=True, of_request=always(error(400, "invalid_value"))),
        chat("429 to a stream", model, stream=True, of_request=always(BUSY)),
        chat("500 to a stream", model, stream=True, of_request=always(BROKEN)),
        chat("stream that breaks", model, stream=True, of_request=always(Reply(text="one two three four", then="cut"))),
        chat("stream with an error event", model, stream=True, of_request=always(
            Reply(events=[*shapes.chat_events("one two")[:2], shapes.error("upstream says no"), "[DONE]"]))),
        chat("limits of the provider", model, of_request=always(Reply(headers={
            "x-ratelimit-remaining-requests": "99", "x-request-id": "req-1", "openai-processing-ms": "7", "x-other": "1"}))),
        completion("completion 400", model, of_request=always(error(400, "invalid_value"))),
        Request("embedding 400", {"model": model, "input": "x"}, "/v1/embeddings",
                answer=error(400, "invalid_value", param="input")),
        Request("response 400", {"model": model, "input": "x"}, "/v1/responses",
                answer=error(400, "invalid_value", param="input")),
    ]


def _load_balanced():
    statuses = {"only": ("all.status", "all.upstream.attempts")}
    return [
        chat("many", "gpt-3.5-turbo", of_request={"repeat": 60}),
        chat("by weight", "weighted", of_request={"repeat": 12}),
        chat("one fails, another answers", "gpt-3.5-turbo", of_request={"repeat": 4, **statuses, **scripted(BROKEN)}),
        chat("one is busy, another answers", "gpt-3.5-turbo", of_request={"repeat": 3, **statuses, **scripted(BUSY)}),
        get("models", "/v1/models"),
        get("model group info", "/model_group/info"),
    ]


def _azure():
    return [
        chat("chat", "gpt-4o"),
        chat("stream", "gpt-4o", stream=True),
        chat("default version", "gpt-4o-mini"),
        chat("version of the client", "gpt-4o", path="/openai/deployments/gpt-4o/chat/completions?api-version=2023-05-15"),
        embedding("embedding", "text-embedding-3-small"),
        response("response", "gpt-4o"),
        completion("completion", "gpt-4o"),
        chat("401", "gpt-4o", of_request={"pause_s": 0.1, **always(error(401, "401", "invalid_request_error"))}),
    ]


def _anthropic():
    model = "claude-sonnet"
    own = {"headers": {"Authorization": None, "x-api-key": "{key}", "anthropic-version": "2023-06-01"}}
    return [
        chat("chat", model, max_tokens=50),
        chat("chat streamed", model, max_tokens=50, stream=True),
        message("message", model),
        message("message, key as x-api-key", model, own),
        message("message streamed", model, stream=True),
        message("message with a beta", model, with_headers(anthropic_beta="prompt-caching-2024-07-31")),
        message("message with metadata", model, metadata={"user_id": "u-1"}),
        Request("count tokens", {"model": model, "messages": MESSAGES}, "/v1/messages/count_tokens",
                answer=Reply(200, {"input_tokens": 11})),
        message("message, unknown model", "nothing"),
        message("message, wrong key", model, with_headers(Authorization="Bearer sk-wrong")),
        Request("message, broken JSON", b'{"model": ', "/v1/messages"),
        message("message 400", model, always(Reply(400, shapes.anthropic_error("upstream says no", "invalid_request_error")))),
        message("message 529", model, always(Reply(529, shapes.anthropic_error("upstream says: overloaded", "overloaded_error")))),
        message("message to OpenAI", "gpt-4o"),
        get("models in Anthropic's shape", "/v1/models", **own),
        response("response", model),
    ]


def _wildcard():
    return [
        chat("a provider's", "openai/gpt-4o-mini"),
        chat("exact name wins", "openai/gpt-4o"),
        chat("pattern within", "team-search"),
        chat("everything else", "llama-3"),
        chat("everything else with a prefix", "mistral/large"),
        chat("stream", "openai/gpt-4o-mini", stream=True),
        embedding("embedding", "openai/text-embedding-3-small"),
        get("models", "/v1/models"),
        get("one model", "/v1/models/openai/gpt-4o"),
    ]


def _alias():
    return [
        chat("alias", "gpt-4", of_request={"repeat": 20}),
        chat("alias by its header", "gpt-4", of_request={"only": ("status", "header.*", "body.model")}),
        chat("hidden alias", "gpt-4-old", of_request={"repeat": 20}),
        chat("by id", "gpt-4o-in-sweden", of_request={"repeat": 6}),
        chat("group", "gpt-4o", of_request={"repeat": 20}),
        get("models", "/v1/models"),
        get("model info", "/model/info"),
        get("model info of one", "/model/info?litellm_model_id=gpt-4o-in-france"),
        get("model group info", "/model_group/info"),
    ]


def _fallbacks():
    return [
        chat("first works", "zephyr-beta"),
        chat("500", "zephyr-beta", of_request=scripted(BROKEN)),
        chat("400", "zephyr-beta", of_request=scripted(error(400, "invalid_value"))),
        chat("401", "zephyr-beta", of_request=scripted(error(401, "invalid_api_key"))),
        chat("two fail", "zephyr-beta", of_request=scripted(BROKEN, BROKEN)),
        chat("all fail", "zephyr-beta", of_request=always(BROKEN)),
        chat("fails while streamed", "zephyr-beta", stream=True, of_request=scripted(BROKEN)),
        chat("too long", "gpt-3.5-turbo", of_request=scripted(TOO_LONG)),
        chat("too long, and then too", "gpt-3.5-turbo", of_request=always(TOO_LONG)),
        chat("default fallback", "lonely", of_request=scripted(BROKEN)),
        chat("default fallback fails", "lonely", of_request=always(BROKEN)),
        chat("fallbacks off", "zephyr-beta", disable_fallbacks=True, of_request=scripted(BROKEN)),
        chat("fallbacks in the request", "lonely", fallbacks=["zephyr-beta"], of_request=scripted(BROKEN)),
        chat("unknown model", "nothing"),
        embedding("embedding", "zephyr-beta"),
    ]


def _retries():
    model, policy = "gpt-4o", "policy"
    return [
        chat("500 once", model, of_request=scripted(BROKEN)),
        chat("500 twice", model, of_request=scripted(BROKEN, BROKEN)),
        chat("500 always", model, of_request=always(BROKEN)),
        chat("503 once", model, of_request=scripted(error(503))),
        chat("408 once", model, of_request=scripted(error(408))),
        chat("reset once", model, of_request=scripted(Reply(then="reset"))),
        chat("429 once, Retry-After 1", model, of_request=scripted(
            error(429, "rate_limit_exceeded", "rate_limit_error", Retry_After="1"))),
        chat("429 four times", model, of_request=scripted(*[BUSY] * 4)),
        chat("400", model, of_request=scripted(error(400))),
        chat("401", model, of_request=always(error(401))),
        chat("404", model, of_request=always(error(404))),
        chat("num_retries of the request", model, num_retries=0, of_request=scripted(BROKEN)),
        chat("num_retries of a header", model, of_request={**with_headers(x_litellm_num_retries="0"), **scripted(BROKEN)}),
        chat("policy: 400", policy, of_request=always(error(400))),
        chat("policy: 401", policy, of_request=always(error(401))),
        chat("policy: 429 always", policy, of_request=always(BUSY)),
        chat("policy: 500 three times", policy, of_request=scripted(*[BROKEN] * 3)),
        chat("policy: 408 twice", policy, of_request=scripted(*[error(408)] * 2)),
    ]


def _cooldown():
    soon = error(429, "rate_limit_exceeded", "rate_limit_error", Retry_After="2")
    return [
        chat("lowest order", "pair", of_request={"repeat": 8}),
        chat("first is busy", "pair", of_request=scripted(soon)),
        chat("first cools", "pair", of_request={"repeat": 3}),
        chat("first is back", "pair", of_request={"pause_s": 2.5}),
        chat("the only one is busy", "alone", of_request=scripted(soon)),
        chat("the only one is back", "alone", of_request={"pause_s": 2.5}),
        chat("the only one fails twice", "alone", of_request={"repeat": 2, **always(BROKEN)}),
        chat("while the only one cools", "alone"),
        chat("401", "locked", of_request=always(error(401))),
        chat("while that cools", "locked"),
        chat("Retry-After beyond the deadline", "locked", of_request={
            "pause_s": 2.5, **always(error(429, "rate_limit_exceeded", "rate_limit_error", Retry_After="60"))}),
        chat("while that one lasts", "locked"),
    ]


def _least_busy():
    bodies = tuple(
        {"model": "llama", "messages": MESSAGES, "priority": priority} for priority in (9, 5, 1, 7, 3, 2)
    )
    shared = tuple({"model": "shared", "messages": MESSAGES} for _ in range(6))
    slow = Reply(delay_s=0.25)
    return [
        chat("one", "llama"),
        Request("six at once for one slot", burst=bodies, answer=slow),
        Request("six at once for two", burst=shared, answer=slow),
    ]


def _usage_based():
    return [
        chat("six within the limits", "gpt-4o", of_request={"repeat": 6}),
        chat("seventh", "gpt-4o"),
        chat("first of the minute", "one-a-minute"),
        chat("second of the minute", "one-a-minute", of_request={"timed": True}),
        get("model group info", "/model_group/info"),
    ]


def _latency():
    def by_speed(call):
        return Reply(delay_s=0.4 if call.fields.get("model") == "slow" else 0.0)

    return [
        chat("first of all", "other"),  # LiteLLM's first takes a second longer, whatever it is
        chat("to learn", "gpt-4o", of_request={"repeat": 12, "answer": by_speed}),
        chat("the fast one", "gpt-4o", of_request={"repeat": 8, "answer": by_speed}),
    ]


def _tags():
    return [
        chat("free in the body", "gpt-4", tags=["free"]),
        chat("paid in the metadata", "gpt-4", metadata={"tags": ["paid"]}),
        chat("paid in a header", "gpt-4", of_request=with_headers(x_litellm_tags="paid")),
        chat("no tags", "gpt-4"),
        chat("unknown tag", "gpt-4", tags=["nothing"]),
        chat("two tags", "gpt-4", tags=["nothing", "paid"]),
        chat("no tags, untagged group", "untagged"),
        chat("tag, untagged group", "untagged", tags=["free"]),
    ]


def _params():
    return [
        chat("defaults", "gpt-4o"),
        chat("defaults that the request has", "gpt-4o", temperature=1, max_tokens=5),
        chat("defaults streamed", "gpt-4o", stream=True),
        chat("dropped", "picky", seed=1, response_format={"type": "json_object"}, temperature=0.1),
        chat("unknown field", "picky", foo=1),
        chat("unsupported by the upstream", "picky", max_tokens=7, of_request=scripted(
            error(400, "unsupported_parameter", param="max_tokens"))),
        chat("reasoning", "o3-mini", temperature=0.3, max_tokens=20),
        chat("reasoning of the request", "o3-mini", reasoning_effort="high"),
    ]


def _forwarded():
    return [
        chat("headers", "gpt-4o", of_request={"headers": {
            "X-Custom": "1", "X-Stainless-Lang": "js", "x-litellm-timeout": "20", "traceparent": "00-1-2-01",
            "anthropic-beta": "b", "openai-beta": "c", "Cookie": "secret=1", "User-Agent": "app/1.0", "Accept-Language": "de",
        }}),
        chat("key in x-api-key", "gpt-4o", of_request={"headers": {
            "Authorization": None, "x-api-key": "{key}", "X-Custom": "1"}}),
    ]


def _production():
    return [
        chat("chat", "gpt-4o"),
        chat("key of a variable", "from-variable"),
        embedding("key of the file's variables", "text-embedding-3-small"),
        embedding("several texts", "text-embedding-3-small", ["a", "b"], encoding_format="float", dimensions=3),
        get("models", "/v1/models"),
        get("model info", "/model/info"),
    ]


def _timeouts():
    hangs = {"answer": Reply(then="hang"), "timed": True}
    stops = {"answer": Reply(text="one two three four", then="half-hang"), "timed": True}
    long = {"answer": Reply(text="one two three four five six", interval_s=0.3)}
    return [
        chat("in time", "patient"),
        chat("deployment's timeout", "slow", of_request=hangs),
        chat("router's timeout", "patient", of_request=hangs),
        chat("timeout of the request", "patient", timeout=1, of_request=hangs),
        chat("timeout of a header", "patient", of_request={**with_headers(x_litellm_timeout="1"), **hangs}),
        chat("longer timeout of the request", "patient", timeout=6, of_request=always(Reply(delay_s=5))),
        chat("slow but in time", "patient", of_request={"answer": Reply(delay_s=1.5), "timed": True}),
        chat("stream without first chunk", "slow", stream=True, of_request=hangs),
        chat("stream_timeout of the request", "patient", stream=True, stream_timeout=1, of_request=hangs),
        chat("stream_timeout of a header", "patient", stream=True,
             of_request={**with_headers(x_litellm_stream_timeout="1"), **hangs}),
        chat("stream that stops", "slow", stream=True, of_request=stops),
        chat("long stream", "slow", stream=True, of_request=long),
    ]


def _vllm():
    no_key = {"headers": {"Authorization": None}}
    model = "llama-3"
    return [
        chat("chat", model, of_request=no_key),
        chat("chat with any key", model),
        chat("stream", model, stream=True, of_request=no_key),
        chat("fields of vLLM", model, top_k=5, guided_choice=["a", "b"], of_request=no_key),
        chat("priority for vLLM", model, extra_body={"priority": 3}, of_request=no_key),
        completion("completion", "legacy", of_request=no_key),
        completion("completion streamed", "legacy", stream=True, of_request=no_key),
        completion("completion of vLLM", model, of_request=no_key),
        embedding("embedding", "bge-small"),
        chat("openai-like", "any-openai-like", of_request=no_key),
        get("models", "/v1/models", **no_key),
        chat("from a page", model, of_request={"headers": {"Authorization": None, "Origin": "http://evil.example"}}),
        chat("no JSON by its type", model, of_request={"headers": {"Authorization": None, "Content-Type": "text/plain"}}),
    ]


def _priority():
    model = "gpt-3.5-turbo-fake-model"
    return [
        chat("mock", model),
        chat("mock with priority", model, priority=0),
        chat("mock with priority 5", model, priority=5),
        chat("mock streamed", model, stream=True, priority=1),
        chat("mock streamed with usage", model, stream=True, stream_options={"include_usage": True}),
        chat("mock twice", model, n=2),
        completion("mock completion", model, priority=1),
        completion("mock completion streamed", model, stream=True),
        embedding("mock embedding", model),
        response("mock response", model),
        message("mock message", model),
        chat("queue path", model, path="/queue/chat/completions", priority=3),
        chat("queue path without priority", model, path="/queue/chat/completions"),
        chat("real with priority 0", "real", priority=0),
        chat("real with priority -1", "real", priority=-1),
        chat("real with priority 2000", "real", priority=2000),
        chat("priority true", "real", priority=True),
        completion("completion with priority as text", "real", priority="5"),
        chat("mocked 429", "busy"),
        chat("mocked 500", "broken"),
        chat("mocked 400", "too-long"),
        chat("hang with priority", "real", priority=1, of_request=always(Reply(then="hang"), timed=True)),
    ]


CASES = {
    "simple": _simple,
    "errors": _errors,
    "load-balanced": _load_balanced,
    "azure": _azure,
    "anthropic": _anthropic,
    "wildcard": _wildcard,
    "alias": _alias,
    "fallbacks": _fallbacks,
    "retries": _retries,
    "cooldown": _cooldown,
    "least-busy": _least_busy,
    "usage-based": _usage_based,
    "latency": _latency,
    "tags": _tags,
    "params": _params,
    "forwarded": _forwarded,
    "production": _production,
    "timeouts": _timeouts,
    "vllm": _vllm,
    "priority": _priority,
}
