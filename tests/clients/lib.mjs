// What the clients' tests share: TAP, the server's address, and a few texts.
import assert from "node:assert/strict";

export { assert };
export const base = process.env.HEARTH_URL; // of the server, no slash at its end
export const model = "tiny";
export const slow = Number(process.env.TEST_SLOW || 1); // a sanitizer's factor

export const weather = {
  type: "object",
  properties: { city: { enum: ["Paris", "Oslo"] }, days: { type: "integer", minimum: 1, maximum: 9 } },
  required: ["city", "days"],
  additionalProperties: false,
};
export const tool = {
  type: "function",
  function: { name: "weather", description: "The weather of a city", parameters: weather },
};

// Arguments are what the schema allows, whatever the model would rather have written.
export function checkWeather(args) {
  assert.deepEqual(Object.keys(args).sort(), ["city", "days"]);
  assert.ok(["Paris", "Oslo"].includes(args.city), JSON.stringify(args));
  assert.ok(Number.isInteger(args.days) && args.days >= 1 && args.days <= 9, JSON.stringify(args));
}

let bad = 0;
export async function test(name, fn) {
  let timer;
  const late = new Promise((_, no) => {
    timer = setTimeout(() => no(new Error("took too long")), 20000 * slow);
  });
  try {
    await Promise.race([fn(), late]);
    console.log(`ok - ${name}`);
  } catch (e) {
    bad++;
    console.log(`not ok - ${name}`);
    console.log(`# ${e?.stack ?? e}`.replaceAll("\n", "\n# "));
  }
  clearTimeout(timer);
}

export function finish() {
  process.exit(bad ? 1 : 0); // sockets that clients keep would hold the process
}

export async function rejects(promise, check) {
  try {
    await promise;
  } catch (e) {
    check(e);
    return;
  }
  assert.fail("it should have failed");
}
