"""LangChain's ChatOpenAI: invoke and stream, sync and async."""

from driver import failure, serve
from langchain_openai import ChatOpenAI


def model_of(request):
    return ChatOpenAI(
        model=request["model"],
        api_key=request["key"],
        timeout=request["timeout_s"],
        base_url=request["base"] + "/v1",
        extra_body={"priority": request["priority"]},
        stream_usage=True,
    )


def of_chunks(chunks):
    texts = [chunk.text for chunk in chunks if chunk.text]
    usages = [chunk.usage_metadata["total_tokens"] for chunk in chunks if chunk.usage_metadata]
    models = [chunk.response_metadata.get("model_name") for chunk in chunks]
    return {
        "text": "".join(texts),
        "pieces": texts,
        "model": next((model for model in models if model), None),
        "usage": sum(usages) or None,
    }


def of_whole(answer):
    return {
        "text": answer.text,
        "model": answer.response_metadata["model_name"],
        "usage": answer.usage_metadata["total_tokens"],
    }


def ask_sync(request):
    try:
        if request["stream"]:
            return of_chunks(list(model_of(request).stream(request["prompt"])))
        return of_whole(model_of(request).invoke(request["prompt"]))
    except Exception as error:  # of whatever library is below it
        return failure(error)


async def ask_async(request):
    try:
        if request["stream"]:
            return of_chunks([chunk async for chunk in model_of(request).astream(request["prompt"])])
        return of_whole(await model_of(request).ainvoke(request["prompt"]))
    except Exception as error:
        return failure(error)


WAYS = {"sync": ask_sync, "async": ask_async}

if __name__ == "__main__":
    serve(lambda request: WAYS[request["way"]](request))
