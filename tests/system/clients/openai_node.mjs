// OpenAI's library for Node: chat, whole and streamed.
import OpenAI from "openai";
import { serve } from "./driver.mjs";

async function ask(request, signal) {
  const client = new OpenAI({ apiKey: request.key, baseURL: request.base + "/v1" });
  // Only a timeout that stands here, not the client's own, is told to the server.
  const options = { signal, timeout: request.timeout_s * 1000 };
  const body = {
    model: request.model,
    messages: [{ role: "user", content: request.prompt }],
    priority: request.priority,
  };
  try {
    if (!request.stream) {
      const answer = await client.chat.completions.create(body, options);
      return { text: answer.choices[0].message.content, model: answer.model, usage: answer.usage.total_tokens };
    }
    const streamed = { ...body, stream: true, stream_options: { include_usage: true } };
    const pieces = [];
    let model = null;
    let usage = null;
    for await (const chunk of await client.chat.completions.create(streamed, options)) {
      model = chunk.model;
      usage = chunk.usage?.total_tokens ?? usage;
      pieces.push(...chunk.choices.map((choice) => choice.delta.content).filter(Boolean));
    }
    return { text: pieces.join(""), pieces, model, usage };
  } catch (error) {
    return { error: error.constructor.name, status: error.status ?? null, message: error.message, code: error.code };
  }
}

await serve(ask);
