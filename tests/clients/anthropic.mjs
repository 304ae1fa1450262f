// npm: @anthropic-ai/sdk
import Anthropic from "@anthropic-ai/sdk";
import { assert, base, model, test, finish, rejects, weather, checkWeather } from "./lib.mjs";

const client = new Anthropic({ baseURL: base, apiKey: "none", maxRetries: 0 });
const ask = { model, max_tokens: 24, temperature: 0, messages: [{ role: "user", content: "Once upon a time" }] };
const tools = [{ name: "weather", description: "The weather of a city", input_schema: weather }];

await test("anthropic: a message", async () => {
  const r = await client.messages.create(ask);
  assert.equal(r.type, "message");
  assert.equal(r.role, "assistant");
  assert.equal(r.content[0].type, "text");
  assert.ok(r.content[0].text.length > 0);
  assert.equal(r.stop_reason, "max_tokens");
  assert.equal(r.usage.output_tokens, 24);
  assert.ok(r.usage.input_tokens + (r.usage.cache_read_input_tokens ?? 0) > 0);
});
await test("anthropic: a stream says what the whole answer says", async () => {
  const whole = await client.messages.create(ask);
  const stream = client.messages.stream(ask);
  let text = "", n = 0;
  stream.on("text", (t) => { text += t; n++; });
  const last = await stream.finalMessage();
  assert.equal(text, whole.content[0].text);
  assert.equal(last.content[0].text, text);
  assert.equal(last.stop_reason, "max_tokens");
  assert.equal(last.usage.output_tokens, 24);
  assert.ok(n > 5, `${n} pieces`);
});
await test("anthropic: a tool that must be used", async () => {
  const r = await client.messages.create({ ...ask, max_tokens: 200, tools, tool_choice: { type: "any", disable_parallel_tool_use: true } });
  const use = r.content.find((c) => c.type === "tool_use");
  assert.equal(r.stop_reason, "tool_use");
  assert.equal(use.name, "weather");
  checkWeather(use.input);
  const next = await client.messages.create({
    ...ask, tools,
    messages: [...ask.messages, { role: "assistant", content: r.content }, { role: "user", content: [{ type: "tool_result", tool_use_id: use.id, content: "21 degrees" }] }],
  });
  assert.equal(next.type, "message");
});
await test("anthropic: a tool in a stream", async () => {
  const r = await client.messages.stream({ ...ask, max_tokens: 200, tools, tool_choice: { type: "tool", name: "weather" } }).finalMessage();
  checkWeather(r.content.find((c) => c.type === "tool_use").input);
});
await test("anthropic: tokens are counted", async () => {
  const r = await client.messages.countTokens({ model, messages: ask.messages });
  assert.ok(r.input_tokens > 3);
});
await test("anthropic: errors have their classes", async () => {
  await rejects(client.messages.create({ ...ask, model: "no-such-model" }), (e) => {
    assert.ok(e instanceof Anthropic.NotFoundError, String(e));
    assert.match(e.message, /no-such-model/);
  });
  await rejects(client.messages.create({ ...ask, temperature: "hot" }), (e) => {
    assert.ok(e instanceof Anthropic.BadRequestError, String(e));
    assert.match(e.message, /temperature/);
  });
});
await test("anthropic: a stream that is left", async () => {
  const stream = client.messages.stream({ ...ask, max_tokens: 1500, temperature: 1 });
  await rejects((async () => {
    for await (const ev of stream) if (ev.type === "content_block_delta") stream.abort();
    await stream.finalMessage();
  })(), (e) => assert.ok(e instanceof Anthropic.APIUserAbortError, String(e)));
  assert.ok((await client.messages.create(ask)).content[0].text);
});
finish();
