"""LiteLLM's own `completion` and `acompletion`, pointed at the gateway as at any OpenAI."""

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the network for prices

import litellm  # noqa: E402
from driver import failure, serve  # noqa: E402

litellm.suppress_debug_info = True
litellm.telemetry = False


def arguments(request):
    arguments = {
        "model": "openai/" + request["model"],
        "messages": [{"role": "user", "content": request["prompt"]}],
        "api_base": request["base"] + "/v1",
        "api_key": request["key"],
        "timeout": request["timeout_s"],
        "priority": request["priority"],
        "stream": request["stream"],
    }
    if request["stream"]:
        arguments["stream_options"] = {"include_usage": True}
    return arguments


def of_chunks(chunks):
    texts = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    usages = [c.usage.total_tokens for c in chunks if getattr(c, "usage", None)]
    return {
        "text": "".join(texts),
        "pieces": texts,
        "model": chunks[-1].model if chunks else None,
        "usage": usages[-1] if usages else None,
    }


def of_whole(answer):
    return {
        "text": answer.choices[0].message.content,
        "model": answer.model,
        "usage": answer.usage.total_tokens,
    }


def ask_sync(request):
    try:
        answer = litellm.completion(**arguments(request))
        return of_chunks(list(answer)) if request["stream"] else of_whole(answer)
    except Exception as error:  # its errors have no base of their own
        return failure(error)


async def ask_async(request):
    try:
        answer = await litellm.acompletion(**arguments(request))
        if not request["stream"]:
            return of_whole(answer)
        return of_chunks([chunk async for chunk in answer])
    except Exception as error:
        return failure(error)


WAYS = {"sync": ask_sync, "async": ask_async}

if __name__ == "__main__":
    serve(lambda request: WAYS[request["way"]](request))
