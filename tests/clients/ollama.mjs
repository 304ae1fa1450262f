// npm: ollama
import { Ollama } from "ollama";
import { assert, base, model, test, finish, rejects, tool, weather, checkWeather } from "./lib.mjs";

const client = new Ollama({ host: base });
const options = { seed: 7, temperature: 0.8, num_predict: 24 };
const messages = [{ role: "user", content: "Once upon a time" }];

await test("ollama: chat", async () => {
  const r = await client.chat({ model, messages, options });
  assert.equal(r.message.role, "assistant");
  assert.ok(r.message.content.length > 0);
  assert.equal(r.done, true);
  assert.equal(r.done_reason, "length");
  assert.equal(r.eval_count, 24);
  assert.ok(r.prompt_eval_count > 0 && r.total_duration > 0 && r.eval_duration > 0);
});
await test("ollama: a stream says what the whole answer says", async () => {
  const whole = await client.chat({ model, messages, options });
  let text = "", last, n = 0;
  for await (const part of await client.chat({ model, messages, options, stream: true })) {
    text += part.message.content;
    last = part;
    n++;
  }
  assert.equal(text, whole.message.content);
  assert.equal(last.eval_count, 24);
  assert.ok(n > 5, `${n} parts`);
});
await test("ollama: generate", async () => {
  const r = await client.generate({ model, prompt: "Once upon a time", options });
  assert.ok(r.response.length > 0 && r.done);
  let text = "";
  for await (const part of await client.generate({ model, prompt: "Once upon a time", options, stream: true })) text += part.response;
  assert.equal(text, r.response);
});
await test("ollama: tools", async () => {
  const r = await client.chat({ model, messages, tools: [tool], options });
  for (const call of r.message.tool_calls ?? []) assert.equal(call.function.name, "weather");
});
await test("ollama: an answer in a form", async () => {
  const r = await client.chat({ model, messages, format: weather, options: { ...options, num_predict: 200 } });
  checkWeather(JSON.parse(r.message.content));
});
await test("ollama: embeddings", async () => {
  const r = await client.embed({ model, input: ["a cat", "a dog"] });
  assert.equal(r.embeddings.length, 2);
  assert.ok(Math.abs(Math.hypot(...r.embeddings[0]) - 1) < 1e-3);
  assert.ok((await client.embeddings({ model, prompt: "a cat" })).embedding.length === r.embeddings[0].length);
});
await test("ollama: list, show, ps, version, copy, delete", async () => {
  assert.ok((await client.list()).models.some((m) => m.name.startsWith(model)));
  const s = await client.show({ model });
  assert.ok(s.details.family && s.model_info);
  assert.ok((await client.ps()).models.some((m) => m.name.startsWith(model)));
  assert.match((await client.version()).version, /^\d/);
  await client.copy({ source: model, destination: "tiny-copy" });
  assert.ok((await client.list()).models.some((m) => m.name.startsWith("tiny-copy")));
  await client.delete({ model: "tiny-copy" });
  assert.ok(!(await client.list()).models.some((m) => m.name.startsWith("tiny-copy")));
});
await test("ollama: errors have their status", async () => {
  await rejects(client.chat({ model: "no-such-model", messages }), (e) => {
    assert.equal(e.status_code, 404);
    assert.match(e.message, /no-such-model/);
  });
  await rejects(client.chat({ model, messages, options: { temperature: "hot" } }), (e) => {
    assert.equal(e.status_code, 400);
    assert.match(e.message, /temperature/);
  });
});
await test("ollama: a stream that is left", async () => {
  const stream = await client.chat({ model, messages, options: { num_predict: 1500 }, stream: true });
  await rejects((async () => {
    for await (const _ of stream) stream.abort();
  })(), (e) => assert.equal(e.name, "AbortError"));
  assert.ok((await client.chat({ model, messages, options })).done);
});
finish();
