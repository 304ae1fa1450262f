#!/usr/bin/env python3
"""What a server with a model must answer to requests that are wrong, odd or hostile.

    abuse_cases.py MODEL       speaks TAP; the numbers J, Q, S and P are those of the catalogue

Each group makes bodies out of an endpoint's good one and says what comes: a status, an error in
the shape of the endpoint's dialect, and the field that it names. After each group the endpoint
must still answer its good request with the same seeded text as at the start."""
import copy
import json
import os
import re
import sys
import time

import abuse_faults
from abuse_faults import until
from abuse_server import Server, finish, ok

server = Server(sys.argv[1])
TEXT = "Once upon a time, there was a little"


# -- endpoints --------------------------------------------------------------------------------
class End:
    """An endpoint: its dialect, a good body, where its things are, and its fields by type."""

    def __init__(self, path, dialect, good, opt="", n=None, chat=None, text=None, say=None, **fields):
        self.path, self.dialect, self.good = path, dialect, good
        self.opt = opt            # in front of the names of sampling fields
        self.n = n                # the field that bounds the answer
        self.chat = chat          # where messages are
        self.text = text          # where the text to be gone on with is
        self.say = say            # what the answer says: a function of its JSON
        self.fields = fields      # type: names; of FIELDS below

    def body(self, **patch):
        body = copy.deepcopy(self.good)
        for name, value in patch.items():
            at = body
            *way, last = name.split("__")
            for step in way:
                at = at.setdefault(step, {})
            at[last] = value
        return body

    def ask(self, body, **kw):
        return server.ask(self.path, body, **kw)


def said(end, answer):
    try:
        return end.say(answer.json())
    except (KeyError, TypeError, IndexError):
        return None


def flat(names):
    return names.split()


SAMPLING_F = "temperature top_p min_p typical_p presence_penalty frequency_penalty repeat_penalty"
MORE_F = " dynatemp_range dynatemp_exponent xtc_probability xtc_threshold dry_multiplier dry_base top_n_sigma"
OPENAI = dict(f=SAMPLING_F + MORE_F, i="top_k seed repeat_last_n dry_allowed_length dry_penalty_last_n min_keep num_ctx",
              b="stream ignore_eos cache_prompt", s="model grammar guided_grammar guided_regex")


def openai(**more):
    return {k: (OPENAI.get(k, "") + " " + more.get(k, "")).strip() for k in "fibsoax"}


USER = [{"role": "user", "content": TEXT}]
chat = End("/v1/chat/completions", "openai", {"model": "tiny", "messages": USER, "max_tokens": 12, "seed": 7},
           n="max_tokens", chat="messages", say=lambda j: j["choices"][0]["message"]["content"],
           **openai(i="max_tokens max_completion_tokens n_predict n top_logprobs",
                    b="logprobs parallel_tool_calls continue_final_message store",
                    s="reasoning_effort service_tier verbosity", a="messages tools guided_choice",
                    o="stream_options chat_template_kwargs reasoning structured_outputs",
                    x="stop logit_bias response_format tool_choice json_schema guided_json keep_alive"))
completions = End("/v1/completions", "openai", {"model": "tiny", "prompt": TEXT, "max_tokens": 12, "seed": 7},
                  n="max_tokens", text="prompt", say=lambda j: j["choices"][0]["text"],
                  **openai(i="max_tokens n_predict n best_of logprobs", b="echo", s="suffix", a="guided_choice",
                           o="stream_options", x="stop logit_bias response_format keep_alive"))
responses = End("/v1/responses", "openai", {"model": "tiny", "input": TEXT, "max_output_tokens": 12, "seed": 7},
                n="max_output_tokens", chat="input", say=lambda j: j["output"][0]["content"][0]["text"],
                **openai(i="max_output_tokens top_logprobs", b="store parallel_tool_calls",
                         s="instructions previous_response_id truncation service_tier", a="tools include guided_choice",
                         o="stream_options text reasoning metadata chat_template_kwargs",
                         x="stop logit_bias tool_choice keep_alive"))
embeddings = End("/v1/embeddings", "openai", {"model": "tiny", "input": TEXT}, text="input",
                 say=lambda j: j["data"][0]["embedding"], s="model", i="dimensions", x="encoding_format keep_alive input")
messages = End("/v1/messages", "anthropic", {"model": "tiny", "messages": USER, "max_tokens": 12, "temperature": 0},
               n="max_tokens", chat="messages", say=lambda j: j["content"][0]["text"], s="model",
               f="temperature top_p", i="top_k max_tokens", b="stream", a="messages tools stop_sequences",
               o="tool_choice thinking output_config output_format", x="system")
OLLAMA_OPTIONS = dict(f=SAMPLING_F, i="top_k repeat_last_n seed num_predict num_ctx", x="stop")


def ollama(**more):
    fields = {k: " ".join("options__" + n for n in v.split()) for k, v in OLLAMA_OPTIONS.items()}
    more = dict(s="model " + more.pop("s", ""), b="stream truncate shift logprobs", o="options", x="think keep_alive format top_logprobs", **more)
    return {k: (fields.get(k, "") + " " + more.get(k, "")).strip() for k in "fibsoax"}


OPT = {"num_predict": 12, "seed": 7}
ochat = End("/api/chat", "ollama", {"model": "tiny", "messages": USER, "options": OPT, "stream": False}, opt="options__",
            n="options__num_predict", chat="messages", say=lambda j: j["message"]["content"], **ollama(a="messages tools"))
generate = End("/api/generate", "ollama", {"model": "tiny", "prompt": TEXT, "options": OPT, "stream": False, "raw": True},
               opt="options__", n="options__num_predict", text="prompt", say=lambda j: j["response"],
               **ollama(s="prompt suffix system template", a="context images"))
oembed = End("/api/embed", "ollama", {"model": "tiny", "input": TEXT}, text="input", say=lambda j: j["embeddings"][0],
             s="model", i="dimensions", b="truncate", o="options", x="keep_alive input")
completion = End("/completion", "llama", {"prompt": TEXT, "n_predict": 12, "seed": 7}, n="n_predict", text="prompt",
                 say=lambda j: j["content"], s="model grammar", f=SAMPLING_F + MORE_F,
                 i="top_k repeat_last_n dry_allowed_length dry_penalty_last_n min_keep seed n_predict n_cmpl n id_slot n_probs",
                 b="ignore_eos cache_prompt stream return_tokens timings_per_token return_progress",
                 a="response_fields", x="logit_bias stop json_schema prompt")
tokenize = End("/tokenize", "llama", {"content": TEXT}, text="content", say=lambda j: j["tokens"], s="model",
               b="add_special parse_special with_pieces", x="content")
infill = End("/infill", "llama", {"input_prefix": TEXT, "input_suffix": "!", "n_predict": 4}, n="n_predict",
             s="model input_prefix input_suffix grammar", f=SAMPLING_F, i="top_k seed n_predict", b="stream",
             a="input_extra", x="stop prompt")
rerank = End("/rerank", "llama", {"query": TEXT, "documents": ["a", "b"]}, s="model query", a="documents", i="top_n",
             b="return_documents")
ENDS = [chat, completions, responses, embeddings, messages, ochat, generate, oembed, completion, tokenize, infill, rerank]
WRITING = [e for e in ENDS if e.n and e.say]
CHATS = [e for e in ENDS if e.chat]
TEXTS = [completions, generate, completion]
# A tiny model fills no middle and ranks nothing: the good request is refused, and by that name.
REFUSED = {infill: "insert", rerank: "no reranker"}


# -- what an answer must be --------------------------------------------------------------------
def words(end, answer):
    """The message of an error in the endpoint's shape, with the field that it names; or None."""
    j = answer.json()
    try:
        if end.dialect == "ollama":
            return j["error"] if set(j) == {"error"} and isinstance(j["error"], str) and j["error"] else None
        error = j["error"]
        if not error["message"] or not isinstance(error["type"], str):
            return None
        if end.dialect == "llama":
            return error["message"] if error["code"] == answer.status else None
        if end.dialect == "anthropic":
            return error["message"] if j["type"] == "error" and j["request_id"].startswith("req_") else None
        return error["message"] + f" ({error['param']})" if {"param", "code"} <= set(error) else None
    except (KeyError, TypeError):
        return None


def wrong(end, answer, want=400, field=None):
    """None, or what is wrong about a refusal."""
    want = want if isinstance(want, tuple) else (want,)
    if answer.status not in want:
        return f"want {want[0]}: {answer}"
    text = words(end, answer)
    if text is None:
        return f"no error of {end.dialect}: {answer}"
    aloud = field and field.startswith("~")     # in the message only: it is the provider that finds it
    last = field.strip("~").split("__")[-1] if field else ""
    if last.lower() not in text.lower():
        return f"does not name {last}: {answer}"
    if end.dialect == "openai" and field and not aloud and answer.json()["error"]["param"] in (None, ""):
        return f"param is not given: {answer}"
    return None


normal = {}


def lives():
    """None, or which endpoint answers its good request otherwise than at the start."""
    for end in ENDS:
        a = end.ask(end.good)
        if end in REFUSED:
            if REFUSED[end] not in str(words(end, a)):
                return f"{end.path}: {a}"
        elif a.status != 200 or said(end, a) != normal[end]:
            return f"{end.path} says otherwise: {a}, before {normal[end]!r}"
    return None


def trace(name):
    """With ABUSE_TRACE: how long things took, and what the server holds."""
    global traced
    now = time.monotonic()
    if "ABUSE_TRACE" in os.environ:
        fds, threads, rss = server.held()
        print(f"# {now - traced:.2f} s, {fds} fds, {threads} threads, {rss >> 20} MiB: {name}")
    traced = now


traced = time.monotonic()


def group(name, rows):
    """rows: (endpoint, label, body, status, field named); status 200: it must be answered."""
    faults = []
    for end, label, body, want, *field in rows:
        a = end.ask(body)
        why = (None if a.status == 200 else str(a)) if want == 200 else wrong(end, a, want, *field)
        if why:
            faults.append(f"{end.path} {label}: {why}")
    dead = lives()
    trace(name)
    return ok(f"{name}: {len(rows)} requests", not faults and not dead, faults[:40] + ([dead] if dead else []))


for end in ENDS:
    normal[end] = said(end, end.ask(end.good)) if end.say else None
    if end in REFUSED:
        end.say = None
ok("each endpoint answers", all(normal[e] for e in ENDS if e.say), [f"{e.path}: {normal[e]!r}" for e in ENDS])
at_start = (server.held(), server.gauge("hearth_kv_pages_used"))
ok("and again", not lives(), lives())


# -- J: JSON -----------------------------------------------------------------------------------
def dump(end, **patch):
    return json.dumps(end.body(**patch)).encode()


def bad_text(raw):
    """Bodies whose text has these bytes."""
    return [(e, repr(raw)[:40], dump(e).replace(TEXT.encode(), raw), 400) for e in ENDS]


def raw_number(name, text):
    return [(e, text.decode(), dump(e, **{name_of(e, name): 123456789}).replace(b"123456789", text), 400)
            for e in ENDS]


def name_of(e, name):
    return (e.n or "x") if name == "n" else name


group("J1 an empty body", [(e, "", b"", 400) for e in ENDS] + [(e, "blank", b" \n", 400) for e in ENDS])
group("J2 a truncated body", [(e, str(cut), dump(e)[:cut], 400, "~byte") for e in ENDS for cut in
                              (1, 2, 9, len(dump(e)) // 2, len(dump(e)) - 1)])
group("J3 bytes behind it", [(e, repr(t), dump(e) + t, 400) for e in ENDS for t in (b"x", b"{}", b"]", b"\0", b"//", b"\x1a")])
group("J4 a byte order mark is skipped", [(e, "", b"\xef\xbb\xbf" + dump(e), 200) for e in ENDS if e.say] +
      [(e, "UTF-16", dump(e).decode().encode("utf-16"), 400) for e in ENDS])
group("J5 P14 no UTF-8", sum((bad_text(t) for t in (
    b"\xff", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\xe2\x82", b"\\ud800", b"\\udc00x",
    b"\\ud800\\ud800", b"\\ud83d\\u0041")), []))
group("J6 a NUL in a text", [(e, "", dump(e).replace(TEXT.encode(), b"a\\u0000b"), 200) for e in ENDS if e.say])
group("J6 control characters that are not escaped", sum((bad_text(t) for t in (b"\0", b"\n", b"\x1f")), []))
group("J7 P14 no numbers", sum((raw_number("n", t) for t in (
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"01", b"-01", b"0x1", b"1.", b".5", b"+1", b"1e", b"1_0", b"'1'",
    b"undefined", b"True", b"--1", b"1 2", b"9" * 400)), []))
group("J7 -0 is a number", [(e, "", dump(e, **{e.opt + "temperature": 555}).replace(b"555", b"-0"), 200) for e in WRITING])
deep = lambda n, a=b"[", z=b"]": a * n + z * n
group("J8 nested too deeply", [(e, label, dump(e, x=555).replace(b"555", t), want) for e in ENDS if e.say for label, t, want in (
    ("127", deep(127), 200), ("128", deep(128), 400), ("objects", deep(128, b'{"a":', b"}").replace(b":}", b":1}"), 400),
    ("100,000", deep(100000), 400), ("open", b"[" * 1000000, 400), ("open objects", b'{"":' * 300000, 400),
    ("in a string", b'"' + b"[" * 1000 + b'"', 200), ("behind a quote", b'"\\"' + b"[" * 1000 + b'"', 200))])
group("J9 a key twice", [(e, k, dump(e)[:-1] + b"," + json.dumps(k).encode() + b":" + json.dumps(e.good[k]).encode() + b"}", 400)
                         for e in ENDS for k in e.good] +
      [(e, "within", dump(e, x={"a": 1}).replace(b'"a": 1', b'"a": 1, "\\u0061": 1'), 400) for e in ENDS])
group("J11 no object", [(e, t.decode(), t, 400) for e in ENDS for t in (b"[]", b"null", b'"x"', b"5", b"true", b"[{}]", dump(e)[:0] + b"[" + dump(e) + b"]")])
many = b"{" + b",".join(b'"k%d":1' % i for i in range(200000)) + b","
group("J12 200,000 keys", [(e, "", many + dump(e)[1:], 200) for e in (chat, messages, completion, ochat)])
a = server.ask("/tokenize", b"{" + b",".join(b'"k%d":1' % i for i in range(500000)) + b"," + dump(tokenize)[1:])
ok("J12 half a million", a.status == 200, a)
a = server.ask("/completion", many + dump(completion)[1:])
ok("J12 and the warnings are no more than clients read", a.status == 200 and 1 < len(a.warnings) < 40 and any("more at least" in w for w in a.warnings), (a, a.warnings))
group("J13 P15 integers that are none, or too large", [
    (e, f"{n}={v}", dump(e, **{n: 555}).replace(b"555", v), 400) for e in ENDS for n in e.fields.get("i", "").split()
    for v in (b"1.5", b"9223372036854775808", b"18446744073709551616", b"-9223372036854775809")])
group("J13 whole numbers with a point", [
    (e, v.decode(), dump(e, **{e.opt + "top_k": 555}).replace(b"555", v), 200) for e in WRITING if e.opt + "top_k" in e.fields["i"].split()
    for v in (b"40.0", b"4e1")])
group("J13 2^53 + 1 stays what it is, or is refused", [
    (e, "seed", e.body(**{e.opt + "seed": 2 ** 53 + 1}), 200) for e in (chat, completions, responses)] + [
    (e, "seed", e.body(**{e.opt + "seed": 2 ** 53 + 1}), 400, "seed") for e in (ochat, generate)])
a = completion.ask(completion.body(seed=2 ** 53 + 1))
ok("J13 and is said so", a.json()["generation_settings"]["seed"] == 2 ** 53 + 1, a)

WRONG = {"b": (1, "yes", "", [], {}, 0.5), "i": ("1", True, [], {}, "x"), "f": ("1", True, [], {}), "s": (1, True, [], {}, 0.5),
         "o": (1, "x", True, [1], [[]]), "a": (1, "x", True, {"a": 1})}
OWN = {"stop": (1, True, {}, [1], [None], [["a"]]), "logit_bias": (1, "x", True, [1], [[1]], {"1": "x"}, {"": 1}),
       "response_format": (1, "x", [], {}, {"type": 1}, {"type": "x"}, {"type": "json_schema"}, {"type": "json_schema", "json_schema": 5}),
       "tool_choice": (1, True, [], {}, "x", {"type": 1}, {"type": "function"}), "json_schema": (1, "x", []), "guided_json": (1, "x", []),
       "keep_alive": ("banana", True, [], {}, "5 m", "m", "1e400h"), "encoding_format": (1, "x", True, []), "input": (1, True, {}, [True], [[True]]),
       "think": (1, "x", [], {}), "format": (1, "x", True, []), "top_logprobs": ("x", True, [], -1, 1.5, 21),
       "prompt": (1, True, [True], [[True]]), "content": (1.5, True, {}, [True], [[1.5]]), "system": (1, True, {}, [1], [{}], [{"type": "x"}])}
for e in ENDS:
    rows = [(e, f"{n}={v!r}", e.body(**{n: v}), 400, n) for t, names in e.fields.items() for n in names.split()
            for v in (OWN[n.split("__")[-1]] if t == "x" else WRONG[t])]
    group(f"J14 P16 wrong types, {e.path}", rows)
group("J14 null is as if absent", [(e, n, e.body(**{n: None}), 200) for e in ENDS if e.say for t, names in e.fields.items()
                                   for n in names.split() if n.split("__")[0] not in ("model", "messages", "prompt", "input", "content") and
                                   (e, n) != (messages, "max_tokens")])


# -- Q: what requests mean ----------------------------------------------------------------------
def talk(e, *turns, **more):
    return e.body(**{e.chat: list(turns)}, **more)


def user(content=TEXT, **more):
    return {"role": "user", "content": content, **more}


rows = []
for e in CHATS:
    field = e.chat if e is not responses else ""
    missing = e.body()
    del missing[e.chat]
    if e is not ochat:     # there it loads the model, as Ollama has it
        rows += [(e, "missing", missing, 400, e.chat), (e, "[]", e.body(**{e.chat: []}), 400, e.chat)]
    for v in ({}, [1], ["x"], [None], [[]], [{}], 5, True):
        rows.append((e, repr(v), e.body(**{e.chat: v}), 400, field if v != {} else ""))
group("Q1 P15 P16 messages that are none", rows)
group("Q2 P15 P16 roles that are none", [(e, repr(r), talk(e, {"role": r, "content": "x"}), 400, "role") for e in CHATS
                                 for r in (5, "alien", "", [], "User", "user\0") if (e, r) != (ochat, "User")] +
      [(e, "none", talk(e, {"content": "x"}), 400, "" if e is responses else "role") for e in CHATS] +
      [(messages, r, talk(messages, {"role": r, "content": "x"}), 400, "role") for r in ("tool", "developer")])
group("Q3 P15 contents that are none", [(e, repr(c), talk(e, {"role": "user", "content": c}), 400, "content") for e in CHATS
                                    for c in (5, True, [5], [None], {}, [[]], {"type": "text", "text": "x"})] +
      [(e, "none", talk(e, {"role": "user"}), 400, "content") for e in CHATS if e is not ochat] +
      [(e, "null", talk(e, {"role": "user", "content": None}), 400, "content") for e in CHATS if e is not ochat])
group("Q4 unknown parts", [(e, repr(p)[:40], talk(e, user([p])), 400, "content") for e in (chat, responses, messages) for p in (
    {}, {"type": "alien"}, {"type": 5}, {"text": "x"}, {"type": "text"}, {"type": "text", "text": 5}, {"type": "input_audio", "input_audio": {}},
    {"type": "file", "file": {}}, {"type": "input_text"})])


def picture(e, url):
    """A message with a picture in the dialect's way."""
    if e is ochat:
        return user(images=[url.partition("base64,")[2] or url])
    if e is responses:
        return user([{"type": "input_image", "image_url": url}])
    if e is messages:
        kind, _, data = url.partition(";base64,")
        return user([{"type": "image", "source": {"type": "base64", "media_type": kind[5:], "data": data} if data else
                      {"type": "url", "url": url}}])
    return user([{"type": "image_url", "image_url": {"url": url}}])


PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
group("Q5 pictures", [(e, url[:40], talk(e, picture(e, url)), 400) for e in CHATS for url in (
    "data:image/png;base64," + PNG, "data:image/png;base64,%%%", "data:image/svg+xml;base64,PHN2Zy8+", "http://127.0.0.1:1/x.png",
    "https://example.com/x.png", "file:///etc/passwd", "data:,", "data:image/png;base64,", "javascript:1", "", "/etc/passwd",
    "data:image/png;base64," + "A" * 1000000)] +
      [(generate, "images", generate.body(images=[PNG], raw=False), 400), (generate, "bad", generate.body(images=["%"], raw=False), 400)])
group("Q6 P15 models that are not there", [(e, m, e.body(model=m), (404, 400) if m in ("", "a:b:c", "../x", "x" * 300, "/etc/passwd", "a\0b", "tiny\n", "//", "x" * 3000) else 404)
                                       for e in ENDS for m in ("nix", "tiny:other", "../x", "a:b:c", "x" * 300, "x" * 3000, "/etc/passwd", "a\0b", "tiny\n", "//", "TINY2")])
rows = []
for e in WRITING:
    rows += [(e, str(v), e.body(**{e.n: v}), 400, e.n) for v in ((-5, 0) if e in (chat, responses, messages) else (-5,))]
    rows += [(e, "10^12", e.body(**{e.n: 10 ** 12}), 200), (e, "2^31-1", e.body(**{e.n: 2 ** 31 - 1}), 200)]
rows += [(e, "0", e.body(**{e.n: 0}), 200) for e in (ochat, generate, completion, completions)]
group("Q7 P15 lengths", rows)
for e in (chat, completion):
    a = e.ask(e.body(**{e.n: 10 ** 12}))
    ok(f"Q7 {e.path}: a length of 10^12 ends at the context and says so", a.status == 200 and ('"length"' in a.body.decode() or '"limit"' in a.body.decode() or '"stop"' in a.body.decode())
       and any("12" in w or "1000000000000" in w for w in a.warnings), a)
RANGE = {"temperature": (-1, -0.001), "top_p": (0, -0.1, 1.1, 7), "min_p": (-0.1, 1.1), "typical_p": (-0.1, 1.1), "repeat_penalty": (0, -1)}
RANGE_PENALTY = {"presence_penalty": (-2.1, 2.1, 1e9), "frequency_penalty": (-2.1, 2.1)}
rows = [(e, f"{n}={v}", e.body(**{e.opt + n: v}), 400, n) for e in WRITING for n, vs in
        {**RANGE, **(RANGE_PENALTY if e in (chat, completions, responses) else {"presence_penalty": (-1e31, 1e31)})}.items() for v in vs
        if e.opt + n in e.fields["f"].split()]
rows += [(e, "temperature=2.1", e.body(temperature=2.1), 400, "temperature") for e in (chat, completions, responses, messages)]
rows += [(e, "temperature=1e39", e.body(**{e.opt + "temperature": 1e39}), 400, "temperature") for e in WRITING]
rows += [(e, f"top_k={k}", e.body(**{e.opt + "top_k": k}), 400, "top_k") for e in WRITING for k in (-9, -2)]
rows += [(e, f"temperature={t}", e.body(**{e.opt + "temperature": t}), 200) for e in WRITING for t in (0, 1e-38, 1e-45, 1)]
group("Q8 P15 sampling out of range", rows)
group("Q9 how many", [(e, f"{f}={n}", e.body(**{f: n}), 400, f) for e, f in ((chat, "n"), (completions, "n"), (completions, "best_of"), (completion, "n_cmpl"))
                      for n in (0, -1, 129, 1000000)] + [(completions, "best_of<n", completions.body(n=3, best_of=2), 400, "best_of")])
group("Q10 P15 seeds out of range", [(e, str(s), dump(e, **{e.opt + "seed": 555}).replace(b"555", s), 400) for e in WRITING if e is not messages
                                 for s in (b"1180591620717411303424", b"9223372036854775808", b"-9223372036854775809", b"1.5", b'"7"')] +
      [(e, str(s), e.body(seed=s), 200) for e in (chat, completions) for s in (0, 2 ** 63 - 1, -2 ** 63, -1)])
rows = []
for e in WRITING:
    f = "stop_sequences" if e is messages else e.opt + "stop"
    rows.append((e, "NUL", e.body(**{f: ["a\0b"]}), 400, "~stop"))
    rows += [(e, label, e.body(**{f: v}), 400, "stop") for label, v in ((
        ('""', ""), ('[""]', [""]), ('["a",""]', ["a", ""]), ("17", [str(i) * 3 for i in range(300)]), ("10 kB", ["x" * 10240]),
        ("null", [None])) if e is not messages else (("empty", [""]), ("10 kB", ["x" * 10240]), ("string", "x")))]
group("Q11 P15 stop strings", rows)
rows = []
for e in (chat, completions, responses, completion):
    for label, v in (("id", {"99999999": 1}), ("id 512", {"512": 1}), ("id 2^31", {"2147483648": 1}), ("2^64", {"18446744073709551616": 1}),
                     ("empty", {"": 1}), ("no text", [["", 1]]),
                     ("pair id", [[99999999, 1]]), ("pair -1", [[-1, 1]]), ("pair of three", [[1, 1, 1]])):
        rows.append((e, label, e.body(logit_bias=v), 400, "~logit_bias"))
    if e is not completion:    # where keys that are no numbers are texts, and a bias may be anything
        rows += [(e, k, e.body(logit_bias={k: 1}), 400, "logit_bias") for k in ("x", "-1", "0x1", " 1", "1.0")]
        rows += [(e, str(v), e.body(logit_bias={"1": v}), 400, "logit_bias") for v in (101, -101, 1e300)]
    rows.append((e, "ban", e.body(logit_bias={"5": -100}), 200))
    never = -100 if e is not completion else False
    rows.append((e, "all of them", e.body(logit_bias={str(i): never for i in range(512)}), 400, "~logit_bias"))
group("Q12 P15 biases", rows)
group("Q13 P16 logprobs", [(chat, str(v), chat.body(logprobs=True, top_logprobs=v), 400, "top_logprobs") for v in (21, 10 ** 9, -1)] +
      [(chat, "without", chat.body(top_logprobs=2), 400, "logprobs"), (chat, "off", chat.body(logprobs=False, top_logprobs=2), 400, "logprobs"),
       (completions, "21", completions.body(logprobs=21), 400, "logprobs"), (responses, "21", responses.body(top_logprobs=21), 400, "top_logprobs"),
       (completion, "101", completion.body(n_probs=101), 400, "n_probs"), (completion, "10^9", completion.body(n_probs=10 ** 9), 400, "n_probs"),
       (ochat, "21", ochat.body(logprobs=True, top_logprobs=21), 400, "top_logprobs")])
rows = [(e, repr(ids), e.body(**{e.text: ids}), 400, "~" + e.text) for e in (completions, completion, embeddings) for ids in (
    [1, -1], [512], [1, 99999999], [2 ** 31], [1, 2 ** 40], [1, 1.5], [1, None], [[1, 512]], [[1, -1], [2]], [1, True])]
rows += [(completions, "mixed", completions.body(prompt=[1, "a"]), 400, "prompt"), (embeddings, "mixed", embeddings.body(input=["a", 1]), 400, "input"),
         (completions, "lists mixed", completions.body(prompt=[[1], "a"]), 200), (completions, "[[]]", completions.body(prompt=[[]]), 400, "prompt"),
         (completions, "[]", completions.body(prompt=[]), 400, "prompt"), (completion, "[]", completion.body(prompt=[]), 400, "prompt"),
         (completion, "strings and ids", completion.body(prompt=[1, "a", 2]), 200),
         (generate, "context -1", generate.body(context=[-1], raw=False), 400, "context"), (generate, "context 512", generate.body(context=[512], raw=False), 400, "context")]
group("Q14 token ids that are none", rows)
long = "Once upon a time there was a little girl. " * 1000
rows = [(e, "", talk(e, user(long)) if e.chat else e.body(**{e.text: long}), 400) for e in (chat, responses, messages, completions, completion, embeddings)]
rows += [(e, "truncate false", e.body(truncate=False, **({e.chat: [user(long)]} if e.chat else {e.text: long})), 400) for e in (ochat, generate, oembed)]
group("Q15 too long", rows)
for e in (chat, messages, completion):
    t0 = time.monotonic()
    a = e.ask(talk(e, user(long * 25)) if e.chat else e.body(prompt=long * 25))
    took = time.monotonic() - t0
    ok(f"Q15 {e.path}: 1 MB of text is refused with both numbers", a.status == 400 and re.search(r"\d{5,}\D+512\b", a.body.decode()), a)
    ok(f"Q15 {e.path}: soon", took < 30, took)
a = chat.ask(talk(chat, user(long)))
ok("Q15 by the name that clients know", a.json()["error"]["code"] == "context_length_exceeded", a)
before = server.held()[2]
group("Q16 P8 repeat_last_n of 2^31 - 1", [(e, "", e.body(**{e.opt + "repeat_last_n": 2 ** 31 - 1, e.opt + "repeat_penalty": 1.1}), 200)
                                      for e in (chat, completions, responses, ochat, generate, completion)] +
      [(e, "dry", e.body(dry_penalty_last_n=2 ** 31 - 1, dry_multiplier=0.5), 200) for e in (chat, completion)])
ok("P8 and it takes no memory", server.held()[2] - before < 64 << 20, (before, server.held()))


def tool(e, name="f", parameters=None, **more):
    schema = {"type": "object", "properties": {}} if parameters is None else parameters
    if e is messages:
        return {"name": name, "input_schema": schema, **more}
    if e is responses:
        return {"type": "function", "name": name, "parameters": schema, **more}
    return {"type": "function", "function": {"name": name, "parameters": schema, **more}}


rows = []
for e in CHATS:
    rows += [(e, label, e.body(tools=v), 400, "~tool" if label == "schema" else "tool") for label, v in (
        ("5", [5]), ("{}", [{}]), ("null", [None]), ("no name", [{"type": "function", "function": {}}]), ("a b", [tool(e, "a b")]),
        ("empty", [tool(e, "")]), ("NUL", [tool(e, "a\0b")]), ("name 5", [tool(e, 5)]), ("long", [tool(e, "x" * 500)]), ("twice", [tool(e), tool(e)]),
        ("10,000", [tool(e, f"f{i}") for i in range(10000)]), ("parameters 5", [tool(e, parameters=5)]), ("parameters []", [tool(e, parameters=[])]),
        ("parameters string", [tool(e, parameters={"type": "string"})]), ("quote", [tool(e, 'a"b')]), ("brace", [tool(e, "{%")]),
        ("schema", [tool(e, parameters={"type": "object", "properties": 5})]))]
group("Q17 P16 tools that are none", rows)
group("Q18 P15 a tool that is not there", [(e, "", e.body(tools=[tool(e)], tool_choice=c), 400, "tool") for e, c in (
    (chat, {"type": "function", "function": {"name": "g"}}), (responses, {"type": "function", "name": "g"}), (messages, {"type": "tool", "name": "g"}))] +
      [(e, "no tools", e.body(tool_choice=c), 400, "tool") for e, c in (
          (chat, "required"), (chat, {"type": "function", "function": {"name": "g"}}), (responses, "required"), (messages, {"type": "any"}), (messages, {"type": "tool", "name": "g"}))])
call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
group("Q19 results of no call", [
    (chat, "none", talk(chat, user(), {"role": "tool", "content": "x", "tool_call_id": "c9"}), 400, "tool_call_id"),
    (chat, "another", talk(chat, user(), {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "content": "x", "tool_call_id": "c9"}), 400, "tool_call_id"),
    (chat, "without", talk(chat, user(), {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "content": "x"}), 400, "tool_call_id"),
    (messages, "none", talk(messages, user(), {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c9", "content": "x"}]}), 400, "tool_use_id"),
    (responses, "none", talk(responses, user(), {"type": "function_call_output", "call_id": "c9", "output": "x"}), 400, "call_id")])


def calls(arguments):
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}}]}


rows = []
for a in ("{", "nope", "", "[]", "5", "{}" * 3, '{"a":1,"a":2}', "\0", "[" * 100000, '{"a":"\\ud800"}'):
    rows.append((chat, a[:20], talk(chat, user(), calls(a), {"role": "tool", "tool_call_id": "c1", "content": "x"}), (200, 400)))
    rows.append((ochat, a[:20], talk(ochat, user(), {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": a}}]}), 400))
for a in (5, [], None, True):
    rows.append((chat, repr(a), talk(chat, user(), calls(a)), 400, "arguments"))
faults = [f"{e.path} {label}: {x}" for e, label, body, want, *f in rows for x in [e.ask(body)] if x.status not in (200, 400) or
          (x.status == 400 and words(e, x) is None)]
ok(f"Q20 arguments that are no JSON: {len(rows)} requests are answered or refused", not faults and not lives(), faults)
group("Q21 streams", [(e, "yes", e.body(stream="yes"), 400, "stream") for e in WRITING] +
      [(e, "options without", e.body(stream_options={"include_usage": True}), 400, "stream_options") for e in (chat, completions, responses)] +
      [(e, "options", e.body(stream=True, stream_options={"include_usage": 5}), 400, "include_usage") for e in (chat, completions)])
group("Q22 forms that are none", [(e, repr(v), e.body(**{"response_format": v}), 400, "response_format") for e in (chat, completions) for v in (
    {"type": "xml"}, {"type": ""}, {"type": "json_schema", "json_schema": {}}, {"type": "json_schema", "json_schema": {"name": "x", "schema": "x"}},
    {"type": "json_schema", "json_schema": {"name": "x", "schema": 5}})] +
      [(responses, "xml", responses.body(text={"format": {"type": "xml"}}), 400, "format"), (responses, "no schema", responses.body(text={"format": {"type": "json_schema", "name": "x"}}), 400, "schema"),
       (messages, "xml", messages.body(output_config={"format": {"type": "xml"}}), 400, "format"), (ochat, "xml", ochat.body(format="xml"), 400, "format")])
faults = []
for e in ENDS:
    body = e.body(frobnicate=1)
    a = e.ask(body)
    if e.say and (a.status != 200 or "frobnicate" not in " ".join(a.warnings)):
        faults.append(f"{e.path}: {a} {a.warnings}")
    for kw in ({"path": e.path + "?strict=1"}, {"x_hearth_strict": "1"}):
        a = server.ask(kw.pop("path", e.path), body, **kw)
        why = wrong(e, a, 400, "frobnicate")
        if why:
            faults.append(f"{e.path} strict: {why}")
ok("Q23 P15 unknown fields: a warning, or 400 under strict", not faults, faults)
a = chat.ask(chat.body(**{"x\r\nSet-Cookie: a": 1, "y" * 5000: 1, "z\u2028\u00e9": 1}))
ok("Q23 their names break no header", a.status == 200 and "set-cookie" not in a.headers and len(a.warnings) >= 3, (a, a.headers))
rows = [(embeddings, label, embeddings.body(input=v), 400, "input") for label, v in (
    ("[]", []), ('""', ""), ('[""]', [""]), ('["a",""]', ["a", ""]), ("10^6", ["a"] * 1000000), ("[[]]", [[]]), ("2049", ["a"] * 2049))]
rows += [(embeddings, "dimensions 0", embeddings.body(dimensions=0), 400, "dimensions"), (embeddings, "10^6", embeddings.body(dimensions=10 ** 6), 400, "~dimensions"),
         (oembed, "10^6 strings", oembed.body(input=["a"] * 1000000), 400, "input"), (oembed, "[5]", oembed.body(input=[5]), 400, "input")]
group("Q24 embeddings", rows)
group("Q25 times and sizes", [(e, f"{n}={v}", e.body(**{n: v}), 400, n) for e in (chat, completions, ochat, generate, oembed) for n in ("keep_alive",) for v in ("banana", "5 bananas", "", [])] +
      [(e, str(v), e.body(options__num_ctx=v), 400, "num_ctx") for e in (ochat, generate) for v in (2 ** 40, 2 ** 62, 10 ** 9, -1, 0)] +
      [(chat, str(v), chat.body(num_ctx=v), 400, "num_ctx") for v in (2 ** 40, 10 ** 9, 0, -1)] +
      [(e, "2^27", e.body(options__num_ctx=2 ** 27), 200) for e in (ochat,)])
faults = []
for name in ("../x", "a:b:c", "x" * 300, "a\0b", "..", "/", "a/b/c/d/e/f", "%2e%2e", "a b", "sha256:" + "0" * 99, "-rf", ""):
    for path, body, method in (("/api/show", {"model": name}, "POST"), ("/api/delete", {"model": name}, "DELETE"), ("/api/copy", {"source": name, "destination": "x"}, "POST"),
                               ("/api/copy", {"source": "tiny", "destination": name}, "POST"), ("/api/create", {"model": name, "from": "tiny", "stream": False}, "POST"),
                               ("/api/create", {"model": "x", "from": name, "stream": False}, "POST")):
        a = server.ask(path, body, method=method)
        if a.status not in (400, 404) or words(ochat, a) is None:
            faults.append(f"{path} {body!r:.90}: {a}")
        if "/tmp" in a.body.decode() or "No such file" in a.body.decode():
            faults.append(f"{path} {body!r:.90} tells about files: {a}")
for digest in ("sha256:../../x", "../x", "sha256:" + "0" * 63, "sha256:" + "G" * 64, "md5:0", "%2e%2e", "sha256-" + "0" * 64):
    a = server.ask("/api/blobs/" + digest, method="HEAD")
    if a.status not in (400, 404, 501):
        faults.append(f"HEAD {digest}: {a}")
ok("Q26 names and digests", not faults and not lives(), faults or lives())
group("P15 others", [(completion, "id_slot", completion.body(id_slot=99), 400, "id_slot"), (completion, "-2", completion.body(id_slot=-2), 400, "id_slot")])


# -- S: schemas, patterns, grammars ---------------------------------------------------------------
def formed(e, schema):
    """A request held to a schema, in the endpoint's way."""
    if e in (chat, completions):
        return e.body(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    if e is responses:
        return e.body(text={"format": {"type": "json_schema", "name": "x", "schema": schema}})
    if e is messages:
        return e.body(output_config={"format": {"type": "json_schema", "schema": schema}})
    return e.body(**({"json_schema": schema} if e is completion else {"format": schema}))


def schemas(name, bad, field=None, want=400, ends=WRITING):
    return group(name, [(e, json.dumps(s)[:60], formed(e, s), want) + ((field,) if field else ()) for e in ends for s in bad])


schemas("S1 P15 no schemas", ["x", 5, [], True][:3])
schemas("S2 P15 a schema that nothing meets", [False], ends=[completion])
schemas("S2 schemas that nothing meets", [{"not": {}}, {"enum": []}, {"allOf": [{"type": "string"}, {"type": "number"}]}, {"type": "integer", "minimum": 3, "maximum": 2}])
schemas("S3 types that are none", [{"type": 5}, {"type": "alien"}, {"type": ["alien"]}, {"type": []}, {"type": {}}, {"type": "object", "properties": {"a": {"type": 5}}}])
schemas("S4 references that go in a circle", [{"$ref": "#"}, {"allOf": [{"$ref": "#"}]}, {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}])
schemas("S4 but through a property they may", [{"type": "object", "properties": {"a": {"$ref": "#"}}, "additionalProperties": False}], want=200)
schemas("S5 references to nothing", [{"$ref": r} for r in ("#/none", "http://127.0.0.1:1/x", "file:///etc/passwd", "x.json", "#/$defs/", "#x", "")] + [{"$ref": 5}])
PATTERNS = ["^+a", "^+[a-z]$", "^{2}x", "(", "a)", "[z-a]", "\\", "[", "(?=a)b", "(?<!a)b", "(a)\\1", "*", "a{2,1}", "(?P<n>a", "\\p{Alien}", "a{99999999999}", "[[:alien:]]"]
group("S7 P6 patterns that are none", [(e, p, formed(e, {"type": "string", "pattern": p}), 400, "~pattern") for e in (chat, messages, ochat, completion) for p in PATTERNS])
big = [("20,000 parentheses", "(" * 20000 + "a" + ")" * 20000), ("20,000 groups", "(?:" * 20000 + "a" + ")" * 20000), ("300,000", "(" * 300000)]
group("S8 P7 patterns nested deeply", [(e, n, formed(e, {"type": "string", "pattern": p}), 400) for e in (chat, messages, ochat, completion) for n, p in big])


def ends_soon(name, rows, limit=30.0):
    """Answered or refused, whatever is right, but soon and without much memory."""
    faults, at = [], server.held()[2]
    for e, label, body in rows:
        t0 = time.monotonic()
        a = e.ask(body)
        took = time.monotonic() - t0
        if a.status not in (200, 400) or (a.status == 400 and words(e, a) is None) or took > limit:
            faults.append(f"{e.path} {label}: {took:.2f} s: {a}")
    grown = server.held()[2] - at
    trace(name)
    dead = lives()
    ok(f"{name}: {len(rows)} requests end soon", not faults and not dead and grown < 256 << 20, faults + [f"{grown >> 20} MiB more", dead])


ends_soon("S9 counts", [(e, json.dumps(s)[:50], formed(e, s)) for e in (chat, completion) for s in (
    {"type": "string", "pattern": "^(a{1,2000}){1,2000}$"}, {"type": "string", "minLength": 10 ** 9}, {"type": "array", "minItems": 10 ** 7},
    {"type": "string", "pattern": "^a{0,1000000000}$"}, {"type": "string", "pattern": "^((a{9}){9}){9}{9}{9}$"}, {"type": "string", "maxLength": 2 ** 62},
    {"type": "object", "minProperties": 10 ** 9}, {"type": "string", "pattern": "^(a|aa)+$"}, {"type": "string", "pattern": "^(a*)*b$"})])
schemas("S10 bounds that are none", [{"type": "string", "minLength": -1}, {"type": "string", "minLength": 5, "maxLength": 2}, {"type": "array", "minItems": 3, "maxItems": 1},
                                    {"type": "string", "minLength": 1.5}, {"type": "string", "maxLength": "5"}, {"type": "number", "minimum": "x"}])
wide = {"type": "object", "properties": {f"property{i}": {"type": "string"} for i in range(5000)}, "additionalProperties": False}
group("S11 50,000 texts", [(e, "", formed(e, {"enum": [f"text {i}" for i in range(50000)]}), 200) for e in (chat, completion)])
at = server.held()[2]
t0 = time.monotonic()
group("S12 P9 5,000 properties", [(e, "", formed(e, wide), 200) for e in (chat, completion, ochat)])
ok("P9 soon, and without much memory", time.monotonic() - t0 < 60 and server.held()[2] - at < 256 << 20, (time.monotonic() - t0, at, server.held()))
nest = {"type": "string"}
for _ in range(900):
    nest = {"type": "array", "items": nest}
schemas("S13 900 deep", [nest])
ends_soon("S14 odd numbers", [(e, t.decode(), json.dumps(formed(e, {"type": "number", "minimum": 555})).encode().replace(b"555", t)) for e in (chat, completion)
                              for t in (b"1" + b"0" * 400, b"1e-400", b"1e300", b"-0")] + [(completion, "multipleOf", formed(completion, {"type": "integer", "multipleOf": 0}))])
schemas("S14 a multiple of nothing", [{"type": "integer", "multipleOf": 0}, {"type": "integer", "multipleOf": -1}], ends=[chat, completion])
group("S15 a lone surrogate", [(e, "", json.dumps(formed(e, {"const": "SURROGATE"})).encode().replace(b"SURROGATE", b"\\ud800"), 400) for e in WRITING])
GRAMMARS = ["root ::= \"a", "root ::= [a", "root = \"a\"", "x ::= \"a\"", "root ::= none", "root ::= root \"a\" | \"b\"", "root ::= a\na ::= b\nb ::= a \"x\"",
            "\0", "root ::= \"a\"{5,2}", "root ::= (", "root ::= \"a\" root ::= \"b\")", "::=", "root ::= \"\\x\"", "root ::= \"a\"{999999999999}"]
group("S18 grammars that are none", [(e, repr(g), e.body(grammar=g), 400, "~grammar") for e in (chat, completions, responses, completion) for g in GRAMMARS])
for text in ("", "yes", " yes", "a\n"):
    faults = []
    for e in (chat, completions, responses, completion):
        a = e.ask(e.body(grammar=f"root ::= {json.dumps(text)}"))
        try:
            got = e.say(a.json())
        except (KeyError, IndexError, TypeError):
            got = ""
        if a.status != 200 or got != text:
            faults.append(f"{e.path}: {a}")
    ok(f"S18 a grammar of {text!r} gives that", not faults, faults)
a = chat.ask(chat.body(guided_choice=["yes", "no"]))
ok("S18 so does a choice", a.json()["choices"][0]["message"]["content"] in ("yes", "no"), a)
ends_soon("S19 S21 nothing, many times", [(e, g, e.body(grammar=g)) for e in (chat, completion) for g in (
    "root ::= ([x]*)*", "root ::= (\"\")*", "root ::= ((\"a\"?)*)+", "root ::= a*\na ::= b?\nb ::= \"\"", "root ::= a\na ::= \"a\" a? a? a? a? | \"a\"",
    "root ::= (\"a\" | \"a\" \"a\")* \"b\"", "root ::= (a a a a a a a a)+\na ::= [a-z]?", "root ::= [^\\x00-\\U0010FFFF]")])
ends_soon("S20 P5 60,000 groups", [(e, str(n), e.body(grammar="root ::= " + "(" * n + '"a"' + ")" * n)) for e in (chat, completions, responses, completion) for n in (900, 5000, 60000)])
group("S20 P5 are refused", [(e, "", e.body(grammar="root ::= " + "(" * 60000 + '"a"' + ")" * 60000), 400, "~grammar") for e in (chat, completion)])
a = chat.ask(formed(chat, {"type": "string", "minLength": 100}))
ok("S22 cut within JSON: the reason is the length", a.status == 200 and a.json()["choices"][0]["finish_reason"] == "length", a)

# -- J10, S17: bodies that are too large, by their length alone
for e in ENDS:
    a = server.ask(e.path, b"", Content_Length=str(100 << 20), Connection="close")
    if a.status != 413 or words(e, a) is None:
        ok(f"J10 {e.path}: 100 MB are refused before they come", False, a)
        break
else:
    ok("J10 S17 100 MB are refused before they come, in each dialect", not lives(), lives())

# -- what is left of it all
until(lambda: server.held()[0] <= at_start[0][0] + 1)
(fds, threads, rss), pages = at_start
now = server.held()
ok("fds and threads are as before", now[0] <= fds + 4 and now[1] <= threads + 8, (at_start, now))
ok("memory is near what it was", now[2] < rss + (200 << 20), (at_start, now))
ok("no pages are held", server.gauge("hearth_kv_pages_used") <= pages and not server.gauge("hearth_requests_running") and
   not server.gauge("hearth_requests_waiting"), [f"{k} {v}" for k, v in server.metrics().items() if "kv_pages" in k or "running" in k or "waiting" in k])
errors = [line for line in server.said().splitlines() if "internal" in line.lower() or "runtime error" in line or "Sanitizer" in line]
ok("nothing internal in the log", not errors, errors[:5])
ok("SIGTERM ends it well", server.stop() == 0)

if len(sys.argv) < 3:
    abuse_faults.run(sys.argv[1])
finish()
