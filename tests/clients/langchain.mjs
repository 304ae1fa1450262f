// npm: @langchain/ollama, @langchain/openai
import { ChatOllama, OllamaEmbeddings } from "@langchain/ollama";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { assert, base, model, test, finish, rejects, tool, weather, checkWeather } from "./lib.mjs";

const one = { model, temperature: 0, maxRetries: 0 };
const clients = {
  ollama: (more) => new ChatOllama({ ...one, baseUrl: base, seed: 7, numPredict: 24, ...more }),
  openai: (more) => new ChatOpenAI({ ...one, apiKey: "none", configuration: { baseURL: `${base}/v1` }, maxTokens: 24, ...more }),
};

for (const [name, make] of Object.entries(clients)) {
  await test(`langchain/${name}: a message, and the same as a stream`, async () => {
    const r = await make().invoke("Once upon a time");
    assert.ok(r.content.length > 0);
    assert.equal(r.usage_metadata.output_tokens, 24);
    let text = "", n = 0;
    for await (const part of await make().stream("Once upon a time")) {
      text += part.content;
      n++;
    }
    assert.equal(text, r.content);
    assert.ok(n > 5, `${n} parts`);
  });
  await test(`langchain/${name}: an answer in a form`, async () => {
    if (name === "ollama") { // its withStructuredOutput asks for any JSON
      const r = await make({ numPredict: 200, format: weather }).invoke("Weather?");
      checkWeather(JSON.parse(r.content));
    } else {
      checkWeather(await make({ maxTokens: 200 }).withStructuredOutput(weather, { method: "jsonSchema", name: "weather" }).invoke("Weather?"));
    }
  });
  await test(`langchain/${name}: errors`, async () => {
    await rejects(make({ model: "no-such-model" }).invoke("Hello"), (e) => assert.match(String(e), /no-such-model/));
  });
  await test(`langchain/${name}: a stream that is left`, async () => {
    const stop = new AbortController();
    let n = 0;
    try {
      const stream = await make({ numPredict: 1500, maxTokens: 1500, temperature: 1 }).stream("Once upon a time", { signal: stop.signal });
      for await (const _ of stream) if (++n === 2) stop.abort();
    } catch (e) {
      assert.match(`${e.name} ${e.message}`, /[Aa]bort/);
    }
    assert.ok(n >= 1 && n < 1500);
    assert.ok((await make().invoke("Once upon a time")).content);
  });
}
await test("langchain/openai: a tool that must be called", async () => {
  const r = await clients.openai({ maxTokens: 200 }).bindTools([tool], { tool_choice: "required" }).invoke("Weather?");
  assert.equal(r.tool_calls[0].name, "weather");
  checkWeather(r.tool_calls[0].args);
});
await test("langchain/ollama: tools", async () => {
  const r = await clients.ollama().bindTools([tool]).invoke("Weather?");
  for (const call of r.tool_calls) assert.equal(call.name, "weather");
});
await test("langchain: embeddings", async () => {
  const a = await new OllamaEmbeddings({ model, baseUrl: base }).embedDocuments(["a cat", "a dog"]);
  const b = await new OpenAIEmbeddings({ model, apiKey: "none", configuration: { baseURL: `${base}/v1` } }).embedDocuments(["a cat", "a dog"]);
  assert.equal(a.length, 2);
  assert.ok(a[1].every((x, i) => Math.abs(x - b[1][i]) < 1e-4));
});
finish();
