// npm: openai
import OpenAI from "openai";
import { assert, base, model, test, finish, rejects, tool, weather, checkWeather } from "./lib.mjs";

const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: "none", maxRetries: 0 });
const ask = { model, messages: [{ role: "user", content: "Once upon a time" }], max_tokens: 24, seed: 7, temperature: 0.8 };

async function gather(stream) {
  let text = "", finish = null, usage = null, n = 0;
  for await (const chunk of stream) {
    n++;
    text += chunk.choices[0]?.delta?.content ?? "";
    finish = chunk.choices[0]?.finish_reason ?? finish;
    usage = chunk.usage ?? usage;
  }
  return { text, finish, usage, n };
}

await test("openai: chat", async () => {
  const r = await client.chat.completions.create(ask);
  assert.equal(r.object, "chat.completion");
  assert.equal(r.choices[0].message.role, "assistant");
  assert.ok(r.choices[0].message.content.length > 0);
  assert.equal(r.choices[0].finish_reason, "length");
  assert.equal(r.usage.completion_tokens, 24);
  assert.equal(r.usage.total_tokens, r.usage.prompt_tokens + 24);
});
await test("openai: a stream says what the whole answer says", async () => {
  const whole = await client.chat.completions.create(ask);
  const s = await gather(await client.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } }));
  assert.equal(s.text, whole.choices[0].message.content);
  assert.equal(s.finish, "length");
  assert.deepEqual([s.usage.completion_tokens, s.usage.prompt_tokens], [24, whole.usage.prompt_tokens]);
  assert.ok(s.n > 5, `${s.n} chunks`);
});
await test("openai: n answers, stop, logprobs", async () => {
  const r = await client.chat.completions.create({ ...ask, n: 2, logprobs: true, top_logprobs: 3 });
  assert.deepEqual(r.choices.map((c) => c.index), [0, 1]);
  for (const c of r.choices) {
    assert.ok(c.logprobs.content.length > 0);
    assert.equal(c.logprobs.content[0].top_logprobs.length, 3);
    assert.ok(c.logprobs.content[0].logprob <= 0);
  }
  const text = r.choices[0].message.content;
  const stop = text.slice(4, 7);
  const cut = await client.chat.completions.create({ ...ask, stop });
  assert.equal(cut.choices[0].finish_reason, "stop");
  assert.ok(text.startsWith(cut.choices[0].message.content) && !cut.choices[0].message.content.includes(stop));
});
await test("openai: a tool that must be called", async () => {
  const r = await client.chat.completions.create({ ...ask, max_tokens: 200, tools: [tool], tool_choice: "required", parallel_tool_calls: false });
  const [call] = r.choices[0].message.tool_calls;
  assert.equal(r.choices[0].finish_reason, "tool_calls");
  assert.equal(call.function.name, "weather");
  assert.ok(call.id);
  checkWeather(JSON.parse(call.function.arguments));
  const next = await client.chat.completions.create({
    ...ask, tools: [tool],
    messages: [...ask.messages, r.choices[0].message, { role: "tool", tool_call_id: call.id, content: "21 degrees" }],
  });
  assert.ok(next.choices[0].message.content !== undefined);
});
await test("openai: a call in a stream", async () => {
  const runner = client.chat.completions.stream({ ...ask, max_tokens: 200, tools: [tool], tool_choice: { type: "function", function: { name: "weather" } } });
  const r = await runner.finalChatCompletion();
  assert.equal(r.choices[0].message.tool_calls[0].function.name, "weather");
  checkWeather(JSON.parse(r.choices[0].message.tool_calls[0].function.arguments));
});
await test("openai: an answer in a form", async () => {
  const r = await client.chat.completions.create({
    ...ask, max_tokens: 200, response_format: { type: "json_schema", json_schema: { name: "weather", strict: true, schema: weather } },
  });
  checkWeather(JSON.parse(r.choices[0].message.content));
});
await test("openai: completions", async () => {
  const r = await client.completions.create({ model, prompt: "Once upon a time", max_tokens: 8, seed: 1 });
  assert.equal(r.object, "text_completion");
  assert.ok(r.choices[0].text.length > 0);
});
await test("openai: responses, and one that goes on", async () => {
  const r = await client.responses.create({ model, input: "Once upon a time", max_output_tokens: 16 });
  assert.ok(r.output_text.length > 0);
  const next = await client.responses.create({ model, input: "And then?", previous_response_id: r.id, max_output_tokens: 16 });
  assert.ok(next.usage.input_tokens > r.usage.input_tokens);
  let text = "", done = null;
  for await (const ev of await client.responses.create({ model, input: "Once upon a time", max_output_tokens: 16, stream: true })) {
    if (ev.type === "response.output_text.delta") text += ev.delta;
    if (ev.type === "response.completed" || ev.type === "response.incomplete") done = ev.response;
  }
  assert.ok(done && text.length > 0);
  assert.equal(done.output_text ?? done.output.at(-1).content[0].text, text);
});
await test("openai: embeddings", async () => {
  const r = await client.embeddings.create({ model, input: ["a cat", "a dog"] });
  assert.equal(r.data.length, 2);
  assert.deepEqual(r.data.map((d) => d.index), [0, 1]);
  assert.ok(r.data[0].embedding.length > 16 && Math.abs(Math.hypot(...r.data[0].embedding) - 1) < 1e-3);
  assert.ok(r.usage.prompt_tokens > 0);
});
await test("openai: models", async () => {
  const ids = [];
  for await (const m of client.models.list()) ids.push(m.id);
  assert.ok(ids.some((id) => id.startsWith(model)), ids.join());
  assert.ok((await client.models.retrieve(model)).id.startsWith(model));
});
await test("openai: errors have their classes", async () => {
  await rejects(client.chat.completions.create({ ...ask, model: "no-such-model" }), (e) => {
    assert.ok(e instanceof OpenAI.NotFoundError, String(e));
    assert.match(e.message, /no-such-model/);
  });
  await rejects(client.chat.completions.create({ ...ask, temperature: "hot" }), (e) => {
    assert.ok(e instanceof OpenAI.BadRequestError, String(e));
    assert.match(e.message, /temperature/);
  });
});
await test("openai: a stream that is left", async () => {
  const stream = await client.chat.completions.create({ ...ask, max_tokens: 1500, stream: true });
  for await (const _ of stream) {
    stream.controller.abort();
    break;
  }
  const stop = new AbortController();
  const late = client.chat.completions.create({ ...ask, max_tokens: 1500 }, { signal: stop.signal });
  setTimeout(() => stop.abort(), 5);
  await rejects(late, (e) => assert.ok(e instanceof OpenAI.APIUserAbortError, String(e)));
  assert.ok((await client.chat.completions.create(ask)).choices[0].message.content);
});
finish();
