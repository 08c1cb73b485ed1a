// Vercel's AI SDK: OpenAI's chat and responses, and the provider for whatever is compatible.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, RetryError, streamText } from "ai";
import { serve } from "./driver.mjs";

function modelOf(request) {
  const baseURL = request.base + "/v1";
  if (request.way === "compatible") {
    return createOpenAICompatible({ name: "gateway", baseURL, apiKey: request.key, includeUsage: true })(request.model);
  }
  const provider = createOpenAI({ baseURL, apiKey: request.key });
  return request.way === "responses" ? provider.responses(request.model) : provider.chat(request.model);
}

function failure(error) {
  // After the last try it wraps what that one said.
  const last = RetryError.isInstance(error) ? error.lastError : error;
  return {
    error: last?.constructor?.name ?? typeof last,
    status: APICallError.isInstance(last) ? (last.statusCode ?? null) : null,
    message: String(last?.message ?? JSON.stringify(last)),
    code: null,
  };
}

async function ask(request, signal) {
  const call = { model: modelOf(request), prompt: request.prompt, abortSignal: signal, maxRetries: 1 };
  if (request.way === "compatible") {
    call.providerOptions = { gateway: { priority: request.priority } };
  } else {
    call.headers = { "x-vorrang-priority": String(request.priority) }; // it lets no field of ours through
  }
  try {
    if (!request.stream) {
      const answer = await generateText(call);
      return { text: answer.text, model: answer.response.modelId, usage: answer.usage.totalTokens };
    }
    let seen = null;
    const stream = streamText({ ...call, onError: ({ error }) => (seen = error) });
    const pieces = [];
    for await (const piece of stream.textStream) {
      pieces.push(piece);
    }
    if (seen) {
      return { ...failure(seen), pieces };
    }
    const [usage, response] = await Promise.all([stream.usage, stream.response]);
    return { text: pieces.join(""), pieces, model: response.modelId, usage: usage.totalTokens };
  } catch (error) {
    return failure(error);
  }
}

await serve(ask);
