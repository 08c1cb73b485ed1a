"""Answers in the shapes of the APIs: whole, and as the events of a stream.

Every one of them reports the same usage: 3 tokens of the prompt, 4 of the answer.
"""

import json
import re

PROMPT_TOKENS = 3
ANSWER_TOKENS = 4
MODEL = "upstream-model"
CREATED = 1700000000
TEXT = "hello"


def usage():
    return {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": ANSWER_TOKENS,
        "total_tokens": PROMPT_TOKENS + ANSWER_TOKENS,
    }


def pieces_of(text):
    """Words with the blanks behind them: what models stream, roughly."""
    return re.findall(r"\S*\s+|\S+", text) or [text]


def error(message="upstream says no", code=None, kind="server_error", param=None):
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def anthropic_error(message="upstream says no", kind="api_error"):
    return {"type": "error", "error": {"type": kind, "message": message}}


# Chat -----------------------------------------------------------------------------------------


def completion(text=TEXT, model=MODEL):
    return {
        "id": "chatcmpl-upstream",
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
        ],
        "usage": usage(),
    }


def chat_events(text=TEXT, model=MODEL, with_usage=False):
    """Role, pieces, finish; the usage chunk if asked for; [DONE]."""

    def chunk(choices, **more):
        return {
            "id": "chatcmpl-upstream",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": model,
            "choices": choices,
            **more,
        }

    def delta(content, finish=None):
        return chunk([{"index": 0, "delta": content, "finish_reason": finish}])

    events = [delta({"role": "assistant", "content": ""})]
    events += [delta({"content": piece}) for piece in pieces_of(text)]
    events.append(delta({}, "stop"))
    if with_usage:
        events.append(chunk([], usage=usage()))
    return [*events, "[DONE]"]


# Completions, embeddings ----------------------------------------------------------------------


def text_completion(text=TEXT, model=MODEL):
    return {
        "id": "cmpl-upstream",
        "object": "text_completion",
        "created": CREATED,
        "model": model,
        "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": "stop"}],
        "usage": usage(),
    }


def text_events(text=TEXT, model=MODEL, with_usage=False):
    def chunk(choices, **more):
        return {
            "id": "cmpl-upstream",
            "object": "text_completion",
            "created": CREATED,
            "model": model,
            "choices": choices,
            **more,
        }

    def piece_of(piece, finish=None):
        return chunk([{"index": 0, "text": piece, "logprobs": None, "finish_reason": finish}])

    events = [piece_of(piece) for piece in pieces_of(text)] + [piece_of("", "stop")]
    if with_usage:
        events.append(chunk([], usage=usage()))
    return [*events, "[DONE]"]


def embedding(model=MODEL):
    return {
        "object": "list",
        "model": model,
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25, 0.125]}],
        "usage": {"prompt_tokens": PROMPT_TOKENS, "total_tokens": PROMPT_TOKENS},
    }


# Anthropic's messages -------------------------------------------------------------------------


def message(text=TEXT, model=MODEL):
    return {
        "id": "msg_upstream",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": PROMPT_TOKENS, "output_tokens": ANSWER_TOKENS},
    }


def message_events(text=TEXT, model=MODEL):
    """Pairs of an event's name and data."""
    begun = message("", model)
    begun.update(content=[], stop_reason=None)
    begun["usage"] = {"input_tokens": PROMPT_TOKENS, "output_tokens": 1}
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
        for piece in pieces_of(text)
    ]
    events = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *deltas,
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": ANSWER_TOKENS},
        },
        {"type": "message_stop"},
    ]
    return [(event["type"], event) for event in events]


# Responses ------------------------------------------------------------------------------------


def response(text=TEXT, model=MODEL, status="completed"):
    is_done = status == "completed"
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    item = {
        "type": "message",
        "id": "msg_upstream",
        "status": status,
        "role": "assistant",
        "content": [part],
    }
    tokens = {
        "input_tokens": PROMPT_TOKENS,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": ANSWER_TOKENS,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": PROMPT_TOKENS + ANSWER_TOKENS,
    }
    return {
        "id": "resp_upstream",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": model,
        "output": [item] if is_done else [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": False,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": tokens if is_done else None,
    }


def response_events(text=TEXT, model=MODEL):
    """Pairs of an event's name and data."""
    whole = response(text, model)
    item = whole["output"][0]
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    empty = {**item["content"][0], "text": ""}
    events = [
        ("response.created", {"response": response(text, model, "in_progress")}),
        ("response.in_progress", {"response": response(text, model, "in_progress")}),
        (
            "response.output_item.added",
            {"output_index": 0, "item": {**item, "status": "in_progress", "content": []}},
        ),
        ("response.content_part.added", {**place, "part": empty}),
    ]
    for piece in pieces_of(text):
        events.append(("response.output_text.delta", {**place, "delta": piece, "logprobs": []}))
    events += [
        ("response.output_text.done", {**place, "text": text, "logprobs": []}),
        ("response.content_part.done", {**place, "part": item["content"][0]}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": whole}),
    ]
    return [
        (name, {"type": name, "sequence_number": number, **data})
        for number, (name, data) in enumerate(events)
    ]


# As bytes -------------------------------------------------------------------------------------


def body_bytes(body):
    if isinstance(body, bytes):
        return body
    return (body if isinstance(body, str) else json.dumps(body)).encode()


def event_bytes(event):
    if isinstance(event, bytes):
        return event
    name, data = event if isinstance(event, tuple | list) else (None, event)
    data = data if isinstance(data, str) else json.dumps(data)
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {data}\n\n".encode()


# What a call asks for -------------------------------------------------------------------------


def answer_to(call, text=TEXT):
    """(body, None) or (None, events), in the shape of the API that was called."""
    fields = call.fields
    is_streamed = fields.get("stream") is True
    options = fields.get("stream_options")
    with_usage = isinstance(options, dict) and options.get("include_usage") is True
    if call.path.endswith("/messages"):
        return (None, message_events(text)) if is_streamed else (message(text), None)
    if call.path.endswith("/responses"):
        return (None, response_events(text)) if is_streamed else (response(text), None)
    if call.path.endswith("/embeddings"):
        return embedding(), None
    if call.path.endswith("/completions") and not call.path.endswith("/chat/completions"):
        events = text_events(text, with_usage=with_usage)
        return (None, events) if is_streamed else (text_completion(text), None)
    events = chat_events(text, with_usage=with_usage)
    return (None, events) if is_streamed else (completion(text), None)
