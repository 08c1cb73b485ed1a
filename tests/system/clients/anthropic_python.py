"""Anthropic's library for Python: /v1/messages, whole and streamed."""

import anthropic
from driver import failure, serve


def options(request):
    return {"api_key": request["key"], "base_url": request["base"], "timeout": request["timeout_s"]}


def arguments(request):
    return {
        "model": request["model"],
        "max_tokens": 100,
        "messages": [{"role": "user", "content": request["prompt"]}],
        "extra_body": {"priority": request["priority"]},
    }


def usage_of(message):
    return message.usage.input_tokens + message.usage.output_tokens


def ask_sync(request):
    with anthropic.Anthropic(**options(request)) as client:
        try:
            if not request["stream"]:
                answer = client.messages.create(**arguments(request))
                return {"text": answer.content[0].text, "model": answer.model, "usage": usage_of(answer)}
            with client.messages.stream(**arguments(request)) as stream:
                pieces = list(stream.text_stream)
                answer = stream.get_final_message()
            return {"text": "".join(pieces), "pieces": pieces, "model": answer.model, "usage": usage_of(answer)}
        except anthropic.AnthropicError as error:
            return failure(error)


async def ask_async(request):
    async with anthropic.AsyncAnthropic(**options(request)) as client:
        try:
            if not request["stream"]:
                answer = await client.messages.create(**arguments(request))
                return {"text": answer.content[0].text, "model": answer.model, "usage": usage_of(answer)}
            async with client.messages.stream(**arguments(request)) as stream:
                pieces = [piece async for piece in stream.text_stream]
                answer = await stream.get_final_message()
            return {"text": "".join(pieces), "pieces": pieces, "model": answer.model, "usage": usage_of(answer)}
        except anthropic.AnthropicError as error:
            return failure(error)


def count(request):
    client = anthropic.Anthropic(**options(request))
    messages = arguments(request)["messages"]
    return {"tokens": client.messages.count_tokens(model=request["model"], messages=messages).input_tokens}


WAYS = {"sync": ask_sync, "async": ask_async, "count": count}

if __name__ == "__main__":
    serve(lambda request: WAYS[request["way"]](request))
