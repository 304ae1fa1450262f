"""PyPI: openai, ollama, anthropic."""
import json
import math
import os
import sys
import traceback

import anthropic
import ollama
import openai

BASE = os.environ["HEARTH_URL"]
MODEL = "tiny"
WEATHER = {
    "type": "object",
    "properties": {"city": {"enum": ["Paris", "Oslo"]}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather of a city", "parameters": WEATHER}}
MESSAGES = [{"role": "user", "content": "Once upon a time"}]
bad = 0


def test(name):
    def run(fn):
        global bad
        try:
            fn()
            print("ok - " + name, flush=True)
        except Exception:
            bad += 1
            print("not ok - " + name)
            print("# " + traceback.format_exc().replace("\n", "\n# "), flush=True)

    return run


def check_weather(args):
    assert sorted(args) == ["city", "days"], args
    assert args["city"] in ("Paris", "Oslo") and 1 <= args["days"] <= 9, args


def fails(kind, word, fn):
    try:
        fn()
    except kind as e:
        assert word in str(e), e
        return e
    raise AssertionError("it should have failed")


oa = openai.OpenAI(base_url=BASE + "/v1", api_key="none", max_retries=0)
OA = dict(model=MODEL, messages=MESSAGES, max_tokens=24, seed=7, temperature=0.8)


@test("python openai: chat, and the same as a stream")
def _():
    r = oa.chat.completions.create(**OA)
    assert r.choices[0].finish_reason == "length" and r.usage.completion_tokens == 24
    parts = list(oa.chat.completions.create(**OA, stream=True, stream_options={"include_usage": True}))
    text = "".join(p.choices[0].delta.content or "" for p in parts if p.choices)
    assert text == r.choices[0].message.content and parts[-1].usage.completion_tokens == 24


@test("python openai: a tool that must be called")
def _():
    r = oa.chat.completions.create(**{**OA, "max_tokens": 200}, tools=[TOOL], tool_choice="required", parallel_tool_calls=False)
    call = r.choices[0].message.tool_calls[0]
    assert r.choices[0].finish_reason == "tool_calls" and call.function.name == "weather"
    check_weather(json.loads(call.function.arguments))


@test("python openai: an answer in a form")
def _():
    form = {"type": "json_schema", "json_schema": {"name": "weather", "strict": True, "schema": WEATHER}}
    r = oa.chat.completions.create(**{**OA, "max_tokens": 200}, response_format=form)
    check_weather(json.loads(r.choices[0].message.content))


@test("python openai: embeddings")
def _():
    r = oa.embeddings.create(model=MODEL, input=["a cat", "a dog"])
    assert len(r.data) == 2 and abs(math.hypot(*r.data[1].embedding) - 1) < 1e-3


@test("python openai: responses")
def _():
    r = oa.responses.create(model=MODEL, input="Once upon a time", max_output_tokens=16)
    assert r.output_text
    with oa.responses.stream(model=MODEL, input="Once upon a time", max_output_tokens=16) as s:
        text = "".join(ev.delta for ev in s if ev.type == "response.output_text.delta")
    assert text


@test("python openai: errors have their classes")
def _():
    fails(openai.NotFoundError, "no-such-model", lambda: oa.chat.completions.create(**{**OA, "model": "no-such-model"}))
    fails(openai.BadRequestError, "temperature", lambda: oa.chat.completions.create(**{**OA, "temperature": 99}))


@test("python openai: a stream that is left")
def _():
    with oa.chat.completions.create(**{**OA, "max_tokens": 1500}, stream=True) as s:
        next(iter(s))
    assert oa.chat.completions.create(**OA).choices[0].message.content


ol = ollama.Client(host=BASE)
OL = dict(model=MODEL, messages=MESSAGES, options={"seed": 7, "temperature": 0.8, "num_predict": 24})


@test("python ollama: chat, and the same as a stream")
def _():
    r = ol.chat(**OL)
    assert r.done_reason == "length" and r.eval_count == 24
    assert "".join(p.message.content for p in ol.chat(**OL, stream=True)) == r.message.content


@test("python ollama: generate, embed, list, show")
def _():
    assert ol.generate(MODEL, "Once upon a time", options={"num_predict": 8}).response
    assert len(ol.embed(MODEL, ["a cat", "a dog"]).embeddings) == 2
    assert any(m.model.startswith(MODEL) for m in ol.list().models)
    assert ol.show(MODEL).details.family


@test("python ollama: an answer in a form")
def _():
    r = ol.chat(**{**OL, "options": {"num_predict": 200}}, format=WEATHER)
    check_weather(json.loads(r.message.content))


@test("python ollama: errors have their status")
def _():
    e = fails(ollama.ResponseError, "no-such-model", lambda: ol.chat("no-such-model", MESSAGES))
    assert e.status_code == 404


@test("python ollama: a stream that is left")
def _():
    s = ol.chat(**{**OL, "options": {"num_predict": 1500}}, stream=True)
    next(s)
    s.close()
    assert ol.chat(**OL).message.content


an = anthropic.Anthropic(base_url=BASE, api_key="none", max_retries=0)
AN = dict(model=MODEL, messages=MESSAGES, max_tokens=24, temperature=0)
TOOLS = [{"name": "weather", "description": "The weather of a city", "input_schema": WEATHER}]


@test("python anthropic: a message, and the same as a stream")
def _():
    r = an.messages.create(**AN)
    assert r.stop_reason == "max_tokens" and r.usage.output_tokens == 24
    with an.messages.stream(**AN) as s:
        assert "".join(s.text_stream) == r.content[0].text
        assert s.get_final_message().usage.output_tokens == 24


@test("python anthropic: a tool that must be used")
def _():
    r = an.messages.create(**{**AN, "max_tokens": 200}, tools=TOOLS, tool_choice={"type": "any", "disable_parallel_tool_use": True})
    use = [c for c in r.content if c.type == "tool_use"][0]
    assert r.stop_reason == "tool_use" and use.name == "weather"
    check_weather(use.input)


@test("python anthropic: tokens are counted")
def _():
    assert an.messages.count_tokens(model=MODEL, messages=MESSAGES).input_tokens > 3


@test("python anthropic: errors have their classes")
def _():
    fails(anthropic.NotFoundError, "no-such-model", lambda: an.messages.create(**{**AN, "model": "no-such-model"}))


@test("python anthropic: a stream that is left")
def _():
    with an.messages.stream(**{**AN, "max_tokens": 1500}) as s:
        next(iter(s.text_stream))
    assert an.messages.create(**AN).content[0].text


sys.exit(1 if bad else 0)
