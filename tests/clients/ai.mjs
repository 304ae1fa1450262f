// npm: ai, @ai-sdk/openai-compatible
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, embedMany, generateObject, generateText, streamText, tool as aiTool } from "ai";
import { z } from "zod";
import { assert, base, model, test, finish, rejects, checkWeather } from "./lib.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;
const hearth = createOpenAICompatible({ name: "hearth", baseURL: `${base}/v1`, includeUsage: true, supportsStructuredOutputs: true });
const ask = { model: hearth(model), prompt: "Once upon a time", maxOutputTokens: 24, seed: 7, temperature: 0.8, maxRetries: 0 };
const shape = z.object({ city: z.enum(["Paris", "Oslo"]), days: z.number().int().min(1).max(9) });
const tools = { weather: aiTool({ description: "The weather of a city", inputSchema: shape, execute: async ({ city }) => `21 degrees in ${city}` }) };

await test("ai: a text, and the same as a stream", async () => {
  const r = await generateText(ask);
  assert.ok(r.text.length > 0);
  assert.equal(r.finishReason, "length");
  assert.equal(r.usage.outputTokens, 24);
  const s = streamText(ask);
  let text = "";
  for await (const t of s.textStream) text += t;
  assert.equal(text, r.text);
  assert.equal((await s.usage).outputTokens, 24);
});
await test("ai: a tool is called and run", async () => {
  const r = await generateText({ ...ask, maxOutputTokens: 200, tools, toolChoice: "required", providerOptions: { hearth: { parallel_tool_calls: false } } });
  assert.equal(r.toolCalls[0].toolName, "weather");
  checkWeather(r.toolCalls[0].input);
  assert.match(r.toolResults[0].output, /^21 degrees in/);
});
await test("ai: an object", async () => {
  const r = await generateObject({ ...ask, maxOutputTokens: 200, schema: shape });
  checkWeather(r.object);
});
await test("ai: embeddings", async () => {
  const r = await embedMany({ model: hearth.textEmbeddingModel(model), values: ["a cat", "a dog"], maxRetries: 0 });
  assert.equal(r.embeddings.length, 2);
});
await test("ai: errors", async () => {
  await rejects(generateText({ ...ask, model: hearth("no-such-model") }), (e) => {
    assert.ok(APICallError.isInstance(e), String(e));
    assert.equal(e.statusCode, 404);
    assert.match(e.message, /no-such-model/);
  });
});
await test("ai: a stream that is left", async () => {
  const stop = new AbortController();
  const s = streamText({ ...ask, maxOutputTokens: 1500, abortSignal: stop.signal, onError: () => {} });
  let n = 0;
  try {
    for await (const _ of s.textStream) if (++n === 2) stop.abort();
  } catch (e) {
    assert.equal(e.name, "AbortError");
  }
  assert.ok(n >= 2 && n < 1500);
  assert.ok((await generateText(ask)).text);
});
finish();
