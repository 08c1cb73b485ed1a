"""OpenAI's library for Python: chat and responses, sync and async, whole and streamed."""

import asyncio

import openai
from driver import failure, serve


def options(request):
    return {"api_key": request["key"], "base_url": request["base"] + "/v1", "timeout": request["timeout_s"]}


def chat_arguments(request):
    arguments = {
        "model": request["model"],
        "messages": [{"role": "user", "content": request["prompt"]}],
        "extra_body": {"priority": request["priority"]},
    }
    if request["stream"]:
        arguments.update(stream=True, stream_options={"include_usage": True})
    return arguments


class Chunks:
    """What is left of a stream's chunks."""

    def __init__(self):
        self.texts, self.model, self.usage = [], None, None

    def add(self, chunk):
        self.model = chunk.model
        if chunk.usage:
            self.usage = chunk.usage.total_tokens
        self.texts += [choice.delta.content for choice in chunk.choices if choice.delta.content]

    def result(self):
        return {"text": "".join(self.texts), "pieces": self.texts, "model": self.model, "usage": self.usage}


def of_whole(raw):
    answer = raw.parse()
    return {
        "text": answer.choices[0].message.content,
        "model": answer.model,
        "usage": answer.usage.total_tokens,
        "headers": {name.lower(): value for name, value in raw.headers.items()},
    }


def ask_sync(request):
    with openai.OpenAI(**options(request)) as client:
        try:
            if not request["stream"]:
                return of_whole(client.chat.completions.with_raw_response.create(**chat_arguments(request)))
            chunks = Chunks()
            for chunk in client.chat.completions.create(**chat_arguments(request)):
                chunks.add(chunk)
            return chunks.result()
        except openai.OpenAIError as error:
            return failure(error)


async def ask_async(request):
    async with openai.AsyncOpenAI(**options(request)) as client:
        try:
            if not request["stream"]:
                return of_whole(await client.chat.completions.with_raw_response.create(**chat_arguments(request)))
            chunks = Chunks()
            async for chunk in await client.chat.completions.create(**chat_arguments(request)):
                chunks.add(chunk)
            return chunks.result()
        except openai.OpenAIError as error:
            return failure(error)


async def ask_responses(request):
    async with openai.AsyncOpenAI(**options(request)) as client:
        arguments = {
            "model": request["model"],
            "input": request["prompt"],
            "extra_body": {"priority": request["priority"]},
        }
        try:
            if not request["stream"]:
                answer = await client.responses.create(**arguments)
                return {"text": answer.output_text, "model": answer.model, "usage": answer.usage.total_tokens}
            texts, last = [], None
            async for event in await client.responses.create(stream=True, **arguments):
                if event.type == "response.output_text.delta":
                    texts.append(event.delta)
                elif event.type == "error":
                    return {"error": "event", "status": None, "message": event.message, "code": event.code}
                elif event.type == "response.completed":
                    last = event.response
            usage = last.usage.total_tokens if last else None
            return {"text": "".join(texts), "model": last and last.model, "usage": usage}
        except openai.OpenAIError as error:
            return failure(error)


async def ask_at_once(request):
    """As many as the prompt has priorities."""
    async with openai.AsyncOpenAI(**options(request)) as client:
        calls = [
            client.chat.completions.create(**chat_arguments({**request, "prompt": each, "priority": int(each)}))
            for each in request["prompt"].split()
        ]
        return {"texts": [answer.choices[0].message.content for answer in await asyncio.gather(*calls)]}


def other_calls(request):
    """Everything else that the gateway answers."""
    client = openai.OpenAI(**options(request))
    model = request["model"]
    return {
        "models": sorted(each.id for each in client.models.list()),
        "text": client.completions.create(model=model, prompt="x", extra_body={"priority": 1}).choices[0].text,
        "vector": client.embeddings.create(model=model, input="x").data[0].embedding,
    }


WAYS = {"sync": ask_sync, "async": ask_async, "responses": ask_responses, "other": other_calls, "at-once": ask_at_once}

if __name__ == "__main__":
    serve(lambda request: WAYS[request["way"]](request))
