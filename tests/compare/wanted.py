"""What differs between Vorrang and LiteLLM's proxy and is meant to, and what is known to be wrong.

The first entry that covers a difference has it, so what is special stands before what is general. An
entry that covers nothing is an error. docs/litellm.md is made from this list: `run.py --write-docs`.
"""

from verdict import ABSENT, Wanted

HEADERS = "api §4, headers of answers"
UPSTREAM = "api §4, headers upstream"
BODY = "api §4, the body"
ERRORS = "api §4, errors"
PROVIDERS = "api §4, providers"
ATTEMPTS = "spec §3"
ORDER = "spec §2"
DECIDED = "decisions.md"
LITELLM = "LiteLLM's defect"


def only_ours(field, why, source, **more):
    return Wanted(field, why, source, theirs=ABSENT, **more)


def only_theirs(field, why, source, **more):
    return Wanted(field, why, source, ours=ABSENT, **more)


def defect(field, why, source, **more):
    return Wanted(field, why, source, defect=True, **more)


def topic(name, *entries):
    return name, entries


TOPICS = [
    topic(
        "Keys and the door",
        Wanted(("status", "error.code"), "A wrong key gets 401; LiteLLM without a database answers 400 `No connected db.`",
               ERRORS, request=("*wrong key", "key without sk-"), ours="401", theirs="400"),
        Wanted("error.type", "The same.", ERRORS, request=("*wrong key", "key without sk-"), ours="authentication_error",
               theirs="no_db_connection"),
        Wanted("error.type", "One type for every refused key, as OpenAI names it.", ERRORS, 
               request=("no key", "health, no key", "key without Bearer", "empty key"),
               ours="authentication_error", theirs="auth_error"),
        only_ours("header.www-authenticate", "A 401 says which scheme it wants, as HTTP demands.", "RFC 9110"),
        Wanted(("status", "error.code"), "A key or a base in the body is refused, whatever it is: a client must send "
               "neither requests nor keys elsewhere. LiteLLM refuses a base with 401 and uses a key.", BODY, config="simple",
               request=("base in the request", "key in the request"), ours="400", theirs=("401", "200")),
        Wanted("error.type", "The same.", BODY, config="simple", request="base in the request", ours="invalid_request_error",
               theirs="auth_error"),
        Wanted("error.param", "The same: it names the field.", BODY, config="simple", request="base in the request",
               ours="api_base", theirs="None"),
        Wanted("upstream.attempts", "The same.", BODY, config="simple", request="key in the request", ours="0", theirs="1"),
        Wanted(("status", "upstream.attempts"), "Without a master key a web page must not spend the operator's money.",
               "api §4, keys", config="vllm", request="from a page", ours=("403", "0"), theirs=("200", "1")),
        Wanted(("status", "upstream.attempts"), "Without a master key only JSON that says so is read: a web page can send "
               "text to any port.", "api §4, the door", config="vllm", request="no JSON by its type", ours=("415", "0"),
               theirs=("200", "1")),
        Wanted(("status", "content-type", "body"), "A preflight is answered without a body.", "api §4, browsers",
               request="preflight", ours=("204", "", "empty"), theirs=("200", "text/plain", "no JSON")),
        Wanted("header.access-control-*", "Every answer tells browsers what they may read, with or without `Origin`, once a "
               "key protects the gateway.", "api §4, browsers", ours=("present", ABSENT), theirs=("present", ABSENT)),
        Wanted("header.allow", "OPTIONS is answered too.", "api §4", request="wrong method", ours="POST, OPTIONS",
               theirs="POST"),
    ),
    topic(
        "What is wrong with a request",
        Wanted(("status", "upstream.attempts"), "A priority that is no 32-bit integer is refused; LiteLLM lets it through, "
               "unqueued, and sends it to the provider.", BODY, request=("priority as text", "priority broken", "priority true",
               "completion with priority as text"), ours=("400", "0"), theirs=("200", "1")),
        Wanted(("status", "upstream.attempts"), "Names are those of the file: `openai/gpt-4o` is none because a group's model is "
               "called so upstream.", "api §5, names", config="simple", request="model with its provider",
               ours=("400", "0"), theirs=("200", "1")),
        Wanted(("status", "upstream.attempts"), "One slash too many is tolerated; LiteLLM redirects, which few clients follow "
               "with a body.", "api §4", config="simple", request="slash at the end", ours=("200", "1"), theirs=("307", "0")),
        Wanted(("status", "error.code", "error.type"), "The mistake is the client's.", ERRORS, request="JSON that is no object",
               ours=("400", "invalid_request_error"), theirs=("500", "internal_server_error", ABSENT)),
        Wanted("error.param", "The error names the field that is wrong.", ERRORS,
               request=("unknown model", "model in capitals", "no model", "empty body"), ours="model"),
        Wanted("error.param", "There is no field to name.", ERRORS, request="broken JSON", ours="null", theirs="request_body"),
        Wanted("error.param", "LiteLLM has the text `None` here.", ERRORS, ours="null", theirs=("None", ABSENT)),
        only_theirs("error.provider_specific_fields", "The message is told once.", ERRORS),
        only_theirs("body.detail", "Every error is an error object of OpenAI's.", ERRORS),
        only_ours("error.*", "Every error is an error object of OpenAI's.", ERRORS, config="simple",
                  request=("one model that is not there", "unknown path", "wrong method")),
        only_ours("error.beside.*", "On `/v1/messages` an error has Anthropic's form, which its libraries read.", ERRORS,
                  config="anthropic", request="message*"),
        only_theirs(("error.code", "error.param"), "The same: Anthropic's form has neither.", ERRORS, config="anthropic",
                    request="message*"),
    ),
    topic(
        "Errors of providers",
        Wanted(("error.code", "error.param", "error.type"), "A provider's error keeps its own `code`, `param` and `type`; "
               "LiteLLM replaces them by the status and by types of its own.", ERRORS,
               config=("errors", "fallbacks", "retries", "cooldown", "anthropic", "priority"),
               ours=("null", "*_exceeded", "invalid_value", "model_not_found", "insufficient_quota", "input", "messages", "model",
                     "temperature", "server_error", "conflict_error", "overloaded_error", "rate_limit_error", "timeout_error",
                     "invalid_request_error"),
               theirs=("4??", "5??", "null", "invalid_request_error", "internal_server_error", "throttling_error", "api_error")),
        Wanted(("error.tells-upstream", "error.type"), "Words about the gateway's own key are not passed on: a provider quotes "
               "part of it.", ERRORS, config=("errors", "azure", "retries", "cooldown"), ours=("false", "authentication_error",
               "permission_error"), theirs=("true", "invalid_request_error", "permission_error")),
        Wanted(("status", "error.code", "error.type"), "No usable answer of the provider is a 502, not an error of the gateway.",
               ERRORS, config="errors", ours=("502", "server_error"), theirs=("500", "internal_server_error")),
        Wanted("status", "The provider's status stays.", ATTEMPTS, config="anthropic", request="message 529", ours="529",
               theirs="500"),
        Wanted("upstream.attempts", "A kept connection that ends at once, before any byte of an answer, was stale: the "
               "request goes out once more on a fresh one.", DECIDED, config="errors",
               request=("connection reset", "connection closed"), ours="2", theirs="1"),
        Wanted("stream.error.*", "A stream that breaks off tells a status and a type that fit.", ERRORS,
               ours=("502", "504", "server_error", "null"), theirs=("500", "null")),
        Wanted("stream.done", "What the provider streams passes as it comes.", "api §4, streaming", config="errors",
               request="stream with an error event", ours="true", theirs="false"),
        only_ours("header.retry-after", "The provider's `Retry-After` reaches the client under its own name, so client "
                  "libraries obey it.", HEADERS, ours="60"),
    ),
    topic(
        "Waiting, retries, cooldowns",
        Wanted(("status", "error.code", "error.type", "upstream.attempts"), "A 429 sends a request back into the queue until its "
               "deadline, and is no retry; LiteLLM gives up at once.", ATTEMPTS, config="errors", request="429*",
               ours=("408", "timeout_error", "?"), theirs=("429", "throttling_error", "1")),
        Wanted(("status", "upstream.attempts"), "The same: the fifth attempt is answered.", ATTEMPTS, config="retries",
               request="429 four times", ours=("200", "5"), theirs=("429", "3")),
        Wanted(("status", "error.code", "error.type"), "The same, where a mock is busy.", ATTEMPTS, config="priority",
               request="mocked 429", ours=("408", "timeout_error"), theirs=("429", "throttling_error")),
        Wanted("all.header.x-litellm-attempted-retries", "Told on errors too.", HEADERS, config="cooldown",
               request="the only one fails twice", ours="[\"0\"]", theirs="[null]"),
        Wanted(("status", "error.code", "error.type"), "Full is not failed: the request waits for room to its deadline.", ORDER,
               config="usage-based", ours=("408", "timeout_error"), theirs=("429", "throttling_error")),
        Wanted("seconds", "The same.", ORDER, config="usage-based", ours="3"),
        Wanted("all.*", "A limit can be used up: all six are answered. LiteLLM stops one short of `rpm`.", LITELLM + " (#33032)",
               config="usage-based", request="six within the limits", ours=("[200]", "[1]", "[\"0\"]")),
        Wanted("burst.*", "One slot and six requests: all are answered, in the order of their priorities. LiteLLM answers one "
               "and refuses the rest at once.", ORDER, config="least-busy", request="six at once for one slot",
               ours=("[200, 200, 200, 200, 200, 200]", "[\"llama\", *\"llama\"]", "6", "1", "true")),
        Wanted("all.*", "A group that cools waits; LiteLLM answers 429 once the last deployment cools.", ATTEMPTS,
               config="load-balanced", request="one is busy, another answers", ours=("[200]", "[2]")),
        Wanted("upstream.attempts", "401 is not tried again at the same deployment.", ATTEMPTS, config="retries", request="401",
               ours="1", theirs="3"),
        Wanted("upstream.attempts", "`TimeoutErrorRetries` counts a provider's 408 too; LiteLLM does not try it again.",
               ATTEMPTS, config="retries", request="policy: 408 twice", ours="2", theirs="1"),
        Wanted("header.x-litellm-attempted-retries", "A 429 counts as no retry, nor does a stale connection.", ATTEMPTS,
               config="retries", request=("429 once, Retry-After 1", "reset once"), ours="0", theirs="1"),
        Wanted(("status", "upstream.attempts"), "The only deployment of a group cools too: the request waits, or probes it.",
               ATTEMPTS, config="cooldown", request=("the only one is busy", "while the only one cools"),
               ours=("200", "1", "2"), theirs=("429", "0", "1")),
        Wanted(("status", "upstream.attempts"), "A `Retry-After` beyond the deadline is a 429 at once; LiteLLM asks the "
               "provider again.", ATTEMPTS, config="cooldown", request="while that one lasts", ours=("429", "0"),
               theirs=("200", "1")),
        Wanted("all.upstream.*", "A deployment is left alone after one 429; LiteLLM counts it as the first of `allowed_fails`.",
               ATTEMPTS, config="cooldown", request="first cools", ours=("[\"pair-b\"]", "[\"Bearer sk-b\"]")),
        Wanted("header.x-litellm-attempted-fallbacks", "Another deployment of the same group is no fallback.", ATTEMPTS,
               config="cooldown", request="first is busy", ours="0", theirs="1"),
        Wanted("header.x-litellm-attempted-fallbacks", "All that were tried are counted.", ATTEMPTS, config="fallbacks",
               request="two fail", ours="2", theirs="1"),
        Wanted(("status", "error.code", "error.type"), "An attempt that the deployment's `timeout`, or the request's "
               "`stream_timeout`, ends is the provider's slowness, 504; 408 is the client's deadline.", ATTEMPTS, config="timeouts",
               request=("deployment's timeout", "stream without first chunk", "stream_timeout of *"),
               ours=("504", "server_error"),
               theirs=("408", "invalid_request_error")),
        Wanted("error.type", "The client's deadline has a type of its own.", ERRORS, config=("timeouts", "priority"),
               ours="timeout_error", theirs="invalid_request_error"),
        Wanted("status", "A request may shorten its deadline, never lengthen it.", ATTEMPTS, config="timeouts",
               request="longer timeout of the request", ours="408", theirs="200"),
        only_ours("header.x-should-retry", "Client libraries would wait for the same deadline two times more.",
                  "api §4, client retries", ours="false"),
        Wanted("header.retry-after", "It got its answer.", ATTEMPTS, config="cooldown", request="while the only one cools",
               ours=ABSENT, theirs="2"),
    ),
    topic(
        "Priority",
        Wanted("upstream.0.body.priority", "`priority` never reaches the provider, 0 neither.", LITELLM + " (#7144)",
               request=("priority 0", "real with priority 0"), ours=ABSENT, theirs="0"),
        Wanted("upstream.0.body.priority", "`priority` within a literal `extra_body` is no way past the queue either.", DECIDED,
               config="vllm", request="priority for vLLM", ours=ABSENT, theirs="3"),
        only_ours("header.x-litellm-request-prioritization-used", "Told wherever a priority was set: for 0 and on "
                  "`/queue/chat/completions` too.", HEADERS, ours="True"),
        Wanted("status", "Without `priority` the queue's path takes the default one.", "api §4", config="priority",
               request="queue path without priority", ours="200", theirs="400"),
        only_theirs("upstream.0.body.user", "A made-up user is not the client's.", BODY, config="simple", request="queue path"),
    ),
    topic(
        "Bodies of answers",
        Wanted(("body.model", "stream.body.model", "stream.body.response.model"), "`model` is the name that the client asked "
               "for, after a fallback and on the queue's path too.", BODY, theirs=("upstream-model", "ignored", "gpt-3.5-turbo"),
               ours=("gpt-*", "lonely", "pair", "zephyr-beta"), config=("simple", "fallbacks", "cooldown", "priority")),
        Wanted(("stream.names", "stream.done", "stream.body.model"), "Events of `/v1/responses` keep their names, and no "
               "`[DONE]` or `model` is put among them.", "api §4", config="simple", request="response streamed"),
        only_theirs(("body.choices.#.*provider_specific_fields*", "body.choices.#.message.function_call",
                     "body.choices.#.message.tool_calls"),
                    "Nothing is added to an answer.", BODY),
        only_theirs(("body.usage.*", "stream.body.usage.*", "stream.body.response.usage.cost"),
                    "Usage is what the provider reports; prices are not known.", BODY),
        only_theirs(("body.moderation", "body.service_tier", "body.system_fingerprint", "body.previous_response_id",
                     "body.max_output_tokens", "body.reasoning*", "body.text*", "body.truncation", "body.user", "body.store",
                     "body.output.#.phase", "body.output.#.content.#.logprobs"),
                    "The same: no fields with null, or defaults, are put in.", BODY),
        only_ours(("stream.body.*",), "A chunk that passes keeps its nulls and its empty list; LiteLLM leaves them out.", BODY,
                  ours=("null", "[]")),
        Wanted("stream.body.choices.#.finish_reason", "The same.", BODY, ours="[null, \"stop\"]", theirs="stop"),
        Wanted("stream.events", "LiteLLM adds a chunk of usage that nobody asked for.", BODY, config="simple",
               request="completion streamed", ours="2", theirs="3"),
        Wanted("stream.events", "LiteLLM joins the chunk of the role with the first text.", BODY, config="anthropic",
               request="chat streamed", ours="3", theirs="2"),
        only_theirs("body.litellm_count_source", "Nothing is added to an answer.", BODY),
        Wanted("body.*", "Usage of a mock is always 10, 20 and 30; other fields are those that its API's documentation shows.",
               "api §4, mocks", config="priority", request=("mock response", "mock message")),
        Wanted("stream.body.usage.*", "The same in a stream.", "api §4, mocks", config="priority",
               request="mock streamed with usage"),
        Wanted(("body.data.#.embedding*", "body.usage.total_tokens"), "A mocked embedding is a vector; LiteLLM's is the text, "
               "which no client can read.", "api §4, mocks", config="priority", request="mock embedding"),
    ),
    topic(
        "Lists and health",
        Wanted(("body.data.#.owned_by", "body.owned_by"), "Who answers for the model is not told to be OpenAI.", "api §4",
               ours="vorrang", theirs="openai"),
        Wanted("body.data.#.id", "The order is the file's, then the aliases.", "api §4", config="alias", request="models",
               ours="[\"gpt-4o\", \"gpt-4\"]", theirs="[\"gpt-4\", \"gpt-4o\"]"),
        Wanted("status", "A name with `/` is found.", "api §4", config="wildcard", request="one model", ours="200",
               theirs="404"),
        Wanted("body.data.#.id", "Patterns are listed as written; LiteLLM lists what it knows of the provider's models.",
               "api §4", config="wildcard", request="models", ours="[\"openai/*\", \"team-*\", \"openai/gpt-4o\", \"*\"]"),
        Wanted(("body.data.#.litellm_params.model", "body.data.#.model_info.max_input_tokens"),
               "Query strings are ignored: `?litellm_model_id=` does not select.",
               "api §4", config="alias", request="model info of one"),
        Wanted("body.data.#.model_name", "The same: both names of it are shown.", "api §4", config="alias",
               request="model info of one", ours="[\"gpt-4o\", \"gpt-4\"]"),
        Wanted("body.data.#.model_group", "The order is the file's, then the aliases.", "api §4", config="alias",
               request="model group info", ours="[\"gpt-4o\", \"gpt-4\"]", theirs="[\"gpt-4\", \"gpt-4o\"]"),
        Wanted(("body.data.#.model_info.mode", "body.data.#.mode"), "What the file says, else `chat`; LiteLLM guesses from the "
               "name.", "api §4", config=("load-balanced", "usage-based", "production"), ours="chat"),
        Wanted(("body.data.#.model_info.max_input_tokens", "body.data.#.model_info.*_cost_per_token"), "What the file says of "
               "one deployment; LiteLLM fills in the others from its catalogue.", "api §4", config=("alias", "production"),
               request="model info"),
        only_theirs(("body.data.#.*", "body.max_input_tokens", "body.max_output_tokens", "body.mode"),
                    "No catalogue of prices, sizes and abilities is kept: what the file says is shown.", "api §4",
                    request=("models*", "one model", "model info*", "model group info")),
        Wanted(("body.healthy_endpoints.*",), "`/health` tells of each deployment what traffic has shown, without its address.",
               "api §4", request="health"),
        Wanted("upstream.attempts", "`/health` spends no request unless `?probe=true`.", "api §4", request="health",
               ours="0", theirs="1"),
        Wanted("body.*", "`/health/backlog` counts what runs upstream; LiteLLM counts this request too, and queues of its own.",
               "api §4", request="backlog"),
        only_ours(("body.cache", "body.queue", "body.vorrang_version"), "Readiness tells of the queue.", "api §4",
                  request="readiness"),
    ),
    topic(
        "What the provider receives",
        only_ours("upstream.0.body.metadata", "What the provider is asked to store, it stores with its `metadata`.", BODY,
                  config="simple", request="metadata stored"),
        only_theirs(("upstream.0.header.x-stainless-*", "upstream.0.header.user-agent", "upstream.0.header.accept"),
                    "Only the client's `accept` goes on; LiteLLM sends what its own client library says of itself.", UPSTREAM),
        Wanted(("upstream.0.path", "upstream.0.body.prompt", "upstream.0.body.messages"), "`/v1/completions` stays what it is; "
               "LiteLLM makes it a chat.", PROVIDERS, request="completion*", config=("simple", "errors", "azure"),
               ours=("/v1/completions", "*/my-gpt-4o-deployment/completions?api-version=2024-10-21", "hello", ABSENT)),
        only_ours("upstream.0.body.stream_options", "Usage of a stream is asked for, to count tokens, and withheld from who did "
                  "not ask.", "api §4, streaming", request="completion streamed"),
        Wanted(("upstream.0.path", "upstream.0.body.messages", "upstream.0.header.*"), "Chat with Claude goes to Anthropic's "
               "OpenAI-compatible endpoint; LiteLLM translates.", PROVIDERS, config="anthropic", request="chat*",
               ours=("/v1/chat/completions", "[{\"role\": \"user\", \"content\": \"hello\"}]", "Bearer sk-ant-*", ABSENT)),
        only_theirs("upstream.0.header.anthropic-beta", "Counting tokens is no beta any more.", PROVIDERS, config="anthropic",
                    request="count tokens"),
        Wanted(("status", "upstream.attempts"), "A group answers `/v1/messages` and `/v1/responses` only if its deployments "
               "speak them: nothing is translated.", PROVIDERS, config="anthropic", request=("message to OpenAI", "response"),
               ours=("400", "0"), theirs=("200", "1")),
        only_theirs("upstream.0.body.stream", "`stream: false` is what a missing one means.", BODY, theirs="false"),
        only_theirs("upstream.0.body.encoding_format", "Nothing is added that the client did not say.", BODY, config="azure",
                    theirs="base64"),
        Wanted("upstream.0.body.input", "The same: a text stays a text.", BODY, config="vllm", ours="hello",
               theirs="[\"hello\"]"),
        only_theirs("upstream.0.header.authorization", "Where there is no key, none is sent.", PROVIDERS, config="vllm",
                    theirs="Bearer fake-api-key"),
        Wanted("upstream.0.header.authorization", "`environment_variables` of the file count for its `os.environ/…`; LiteLLM "
               "reads the models first, and sends the provider's own key to this address.", LITELLM, config="production",
               ours="Bearer sk-of-the-file", theirs="Bearer sk-from-the-environment"),
        Wanted(("status", "upstream.attempts"), "`drop_params` learns from the provider's 400 and sends again without the "
               "field.", BODY, config="params", request="unsupported by the upstream", ours=("200", "2"), theirs=("400", "1")),
        Wanted(("upstream.0.body.max_tokens", "upstream.0.body.max_completion_tokens", "upstream.0.body.temperature"), "The same: "
               "no list of what each model takes is kept.", BODY, config="params", request="reasoning",
               ours=("20", "0.3", ABSENT)),
        only_ours(("upstream.0.header.traceparent", "upstream.0.header.openai-beta"), "Traces and betas go on.", UPSTREAM,
                  config="forwarded"),
        only_theirs("upstream.0.header.x-litellm-timeout", "What is said to the gateway does not go on.", UPSTREAM,
                    config="forwarded"),
        Wanted(("status", "error.code", "error.type"), "No deployment with that tag is a mistake of the request, not of its key.",
               DECIDED, config="tags", request="tag, untagged group", ours=("400", "invalid_request_error"),
               theirs=("401", "internal_server_error")),
    ),
    topic(
        "Headers of answers",
        only_ours("header.x-vorrang-*", "Vorrang's own.", HEADERS),
        only_ours(("header.x-litellm-call-id", "header.x-litellm-model-id", "header.x-litellm-model-group",
                   "header.x-litellm-attempted-*"), "Told on errors, and on the queue's path, too.", HEADERS),
        only_theirs(("header.x-litellm-response-*", "header.x-litellm-key-spend", "header.x-litellm-overhead-duration-ms",
                     "header.x-litellm-callback-duration-ms", "header.x-litellm-version", "header.x-litellm-model-name",
                     "header.x-litellm-model-api-base", "header.x-litellm-timeout", "header.x-litellm-max-retries"),
                    "Neither prices nor the provider's address are told.", HEADERS),
        only_theirs(("header.llm_provider-content-*", "header.llm_provider-transfer-encoding", "header.llm_provider-retry-after",
                     "header.llm_provider-request-id", "header.llm_provider-x-*", "header.llm_provider-openai-*",
                     "header.request-id"),
                    "What speaks of length and coding is left out; what clients read has its own name.", HEADERS),
        only_ours(("header.x-request-id", "header.openai-processing-ms"), "The same.", HEADERS, config="errors"),
        only_theirs("header.x-ratelimit-*", "Those of the provider pass; the deployment's own limits are none of the client's.",
                    HEADERS, config=("usage-based", "production")),
        Wanted("header.x-litellm-model-group", "The group is the one whose queue it was: an alias and a pattern have none of "
               "their own.", "api §5, names", config=("alias", "wildcard")),
        only_theirs(("header.vary", "header.x-frame-options", "header.content-security-policy",
                     "header.x-content-type-options"), "For pages; the data port has none.", HEADERS),
    ),
    topic(
        "Words at the start",
        only_ours("warning.*", "A key without effect gives a warning at its line.", "api §5",
                  config=("production", "latency"), ours="LiteLLM's `*` is not supported by Vorrang and has no effect*"),
        only_ours("warning.litellm_settings.ssl_verify", "What is dangerous too.", "api §5", config="production"),
    ),
]

WANTED = [entry for _, entries in TOPICS for entry in entries]
