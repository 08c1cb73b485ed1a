"""What can be seen of a request from outside, as flat names and values that can be compared.

    status, content-type            of the answer
    seconds                         that it took, whole ones, if the request is timed
    body.<path>                     each value in a JSON body; list positions are all called `#`
    error.<field>                   of an error; `error.tells-upstream`: the provider's words are in it
    stream.<what>                   of server-sent events
    header.<name>                   its value where that is fixed (VALUE_HEADERS), else `present`
    upstream.attempts, upstream.<n>.path, .header.<name>, .body.<field>   what the provider received
"""

import json

# Of the transport: they say nothing about the gateway.
TRANSPORT_HEADERS = {"date", "content-length", "transfer-encoding", "connection", "server", "content-type", "keep-alive"}
VALUE_HEADERS = {
    "retry-after",
    "x-litellm-attempted-retries",
    "x-litellm-attempted-fallbacks",
    "x-litellm-model-group",
    "x-litellm-request-prioritization-used",
    "x-litellm-priority",
    "x-should-retry",
    "x-vorrang-priority",
    "x-vorrang-attempts",
    "allow",
}
UPSTREAM_TRANSPORT_HEADERS = {"host", "content-length", "connection"}
UPSTREAM_VALUE_HEADERS = {
    "authorization",
    "api-key",
    "x-api-key",
    "anthropic-version",
    "anthropic-beta",
    "openai-organization",
    "content-type",
}
VOLATILE = {"id", "created", "request_id", "system_fingerprint", "created_at"}
UPSTREAM_WORDS = "upstream says"  # every scripted error begins so


def answer(response):
    fields = {"status": response.status}
    content_type = (response.header("content-type") or "").partition(";")[0]
    fields["content-type"] = content_type
    for name, value in response.headers:
        name = name.lower()
        if name in TRANSPORT_HEADERS:
            continue
        is_fixed = name in VALUE_HEADERS or name.startswith(("x-ratelimit-", "llm_provider-x-"))
        fields[f"header.{name}"] = value if is_fixed else "present"
    if content_type == "text/event-stream":
        fields.update(_stream(response.body))
    else:
        fields.update(_document(response.body))
    return fields


def _document(body):
    try:
        document = json.loads(body)
    except ValueError:
        return {"body": "empty" if not body else "no JSON"}
    error = document.get("error") if isinstance(document, dict) else None
    if error:
        return _error(document, error)
    return _leaves("body", document)


def _error(document, error):
    fields = {f"error.beside.{name}": _plain(document[name], name) for name in document if name != "error"}
    if not isinstance(error, dict):
        return {**fields, "error": "no object"}
    for name in error:
        if name == "message":
            fields["error.tells-upstream"] = UPSTREAM_WORDS in str(error[name])
        else:
            fields[f"error.{name}"] = _plain(error[name], name)
    return fields


def _leaves(prefix, document):
    found = {}

    def visit(path, name, value):
        if isinstance(value, dict) and value:
            for key, each in value.items():
                visit(f"{path}.{key}", key, each)
        elif isinstance(value, list) and value:
            for each in value:
                visit(f"{path}.#", name, each)
        else:
            values = found.setdefault(path, [])
            value = value if path == "body.data.#.id" else _plain(value, name)  # names of models
            if value not in values:
                values.append(value)

    visit(prefix, "", document)
    return {path: values[0] if len(values) == 1 else values for path, values in found.items()}


def _plain(value, name):
    """Made-up ids and times are only there or not."""
    return "…" if name in VOLATILE and value is not None else value


def _stream(body):
    fields = {"stream.events": 0, "stream.done": False}
    text, names, documents = "", [], []
    for block in body.decode("utf-8", "replace").replace("\r\n", "\n").split("\n\n"):
        data = None
        for line in block.split("\n"):
            if line.startswith("event:"):
                names.append(line[6:].strip())
            elif line.startswith("data:"):
                data = line[5:].strip()
        if data is None:
            continue
        if data == "[DONE]":
            fields["stream.done"] = True
            continue
        fields["stream.events"] += 1
        documents.append(json.loads(data))
    for document in documents:
        if isinstance(document.get("error"), dict):
            fields.update({f"stream.{name}": value for name, value in _error({}, document["error"]).items()})
        text += _text_of(document)
    if names:
        fields["stream.names"] = sorted(set(names))
    fields["stream.text"] = text
    for path, value in _leaves("stream.body", [document for document in documents if not document.get("error")]).items():
        if not path.endswith((".content", ".text", ".delta", ".index", ".sequence_number")):
            fields[path.replace("stream.body.#", "stream.body", 1)] = value
    return fields


def _text_of(document):
    pieces = [
        (choice.get("delta") or {}).get("content") or choice.get("text") or "" for choice in document.get("choices") or []
    ]
    delta = document.get("delta")
    if isinstance(delta, str):
        pieces.append(delta)
    elif isinstance(delta, dict):
        pieces.append(delta.get("text") or "")
    return "".join(pieces)


def upstream(calls):
    fields = {"upstream.attempts": len(calls)}
    for number, call in enumerate(calls):
        prefix = f"upstream.{number}"
        fields[f"{prefix}.path"] = call.target
        body = call.fields
        if number > 0:  # that the rest is the same in each attempt is no question of this comparison
            fields[f"{prefix}.model"] = body.get("model")
            continue
        for name, value in call.headers:
            name = name.lower()
            if name not in UPSTREAM_TRANSPORT_HEADERS:
                fields[f"{prefix}.header.{name}"] = value if name in UPSTREAM_VALUE_HEADERS else "present"
        for name, value in body.items():
            fields[f"{prefix}.body.{name}"] = value
    return fields


def together(observations):
    """What several requests showed: each field with the set of its values."""
    kept = {}
    for fields in observations:
        for name in ("status", "upstream.attempts", "header.x-litellm-attempted-retries"):
            kept.setdefault(name, set()).add(fields.get(name))
        for name, value in fields.items():
            if name.startswith("upstream.") and name.endswith((".model", "0.body.model", ".header.authorization")):
                kept.setdefault("upstream." + name.split(".", 2)[2], set()).add(value)
    return {f"all.{name}": sorted(values, key=str) for name, values in kept.items()}
