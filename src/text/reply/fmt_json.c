/* Calls as JSON objects: {"name": ..., "arguments": {...}}, alone or in an array. */
#include "text/reply/reply_priv.h"

/* Behind an opening marker, in place 1: an array of calls, or one without brackets. */
#define CALLS(close)                                                                           \
    {1, "[", REPLY_PASS, NULL, 2}, {1, "{", REPLY_OBJECT, NULL, 4},                            \
        {2, "{", REPLY_OBJECT, NULL, 3}, {2, "]", REPLY_PASS, NULL, 4},                        \
        {3, ",", REPLY_PASS, NULL, 2}, {3, "]", REPLY_PASS, NULL, 4},                          \
        {4, close, REPLY_PASS, NULL, 0},                                                       \
    {                                                                                          \
        3, close, REPLY_PASS, NULL, 0                                                          \
    }
#define CALLS_SOFT (1u << 3 | 1u << 4)

static const struct reply_step hermes_steps[] = {
    {0, "<tool_call>", REPLY_PASS, NULL, 1},
    CALLS("</tool_call>"),
};
static const struct reply_writing hermes_writing = {
    .before_name = "<tool_call>\n{\"name\": \"",
    .after_name = "\", \"arguments\": ",
    .after_args = "}\n</tool_call>",
    .sep = "\n",
    .args = REPLY_ARGS,

};
const struct reply_format reply_hermes = {
    .name = "hermes",
    .about = "Hermes, Qwen 2.5 and 3, Granite 4, MiMo, Reka, Bielik, SmolLM 3",
    REPLY_STEPS(hermes_steps),
    .soft = CALLS_SOFT,
    .writing = &hermes_writing,
};

static const struct reply_step nemotron2_steps[] = {
    {0, "<TOOLCALL>", REPLY_PASS, NULL, 1},
    CALLS("</TOOLCALL>"),
};
static const struct reply_writing nemotron2_writing = {
    .begin = "<TOOLCALL>[",
    .end = "]</TOOLCALL>",
    .sep = ", ",
    .before_name = "{\"name\": \"",
    .after_name = "\", \"arguments\": ",
    .after_args = "}",
    .args = REPLY_ARGS,

};
const struct reply_format reply_nemotron2 = {
    .name = "nemotron2",
    .about = "Nemotron Nano 2",
    REPLY_STEPS(nemotron2_steps),
    .soft = CALLS_SOFT,
    .writing = &nemotron2_writing,
};

static const struct reply_step apriel_steps[] = {
    {0, "<tool_calls>", REPLY_PASS, NULL, 1},
    CALLS("</tool_calls>"),
};
static const struct reply_writing apriel_writing = {
    .begin = "<tool_calls>[",
    .end = "]</tool_calls>",
    .sep = ", ",
    .before_name = "{\"name\": \"",
    .after_name = "\", \"arguments\": ",
    .after_args = "}",
    .args = REPLY_ARGS,

};
const struct reply_format reply_apriel = {
    .name = "apriel",
    .about = "Apriel",
    REPLY_STEPS(apriel_steps),
    .soft = CALLS_SOFT,
    .end = "[END FINAL RESPONSE]",
    .writing = &apriel_writing,
};

static const struct reply_step granite_steps[] = {
    {0, "<|tool_call|>", REPLY_PASS, NULL, 1}, {0, "<tool_call>", REPLY_PASS, NULL, 1},
    {5, "<response>", REPLY_DROP, NULL, 0},    CALLS("<|/tool_call|>"),
    {4, "</tool_call>", REPLY_PASS, NULL, 0},
};
static const struct reply_writing granite_writing = {
    .begin = "<|tool_call|>[",
    .end = "]",
    .sep = ", ",
    .before_name = "{\"name\": \"",
    .after_name = "\", \"arguments\": ",
    .after_args = "}",
    .args = REPLY_ARGS,

};
const struct reply_format reply_granite = {
    .name = "granite",
    .about = "Granite 3",
    REPLY_STEPS(granite_steps),
    .soft = CALLS_SOFT,
    .start = 5,
    .end = "</response>",
    .writing = &granite_writing,
};

static const struct reply_step phi4_steps[] = {
    {0, "<|tool_call|>", REPLY_PASS, NULL, 1},
    CALLS("<|/tool_call|>"),
};
static const struct reply_writing phi4_writing = {
    .begin = "<|tool_call|>[",
    .end = "]<|/tool_call|>",
    .sep = ", ",
    .before_name = "{\"name\": \"",
    .after_name = "\", \"arguments\": ",
    .after_args = "}",
    .args = REPLY_ARGS,

};
const struct reply_format reply_phi4 = {
    .name = "phi4",
    .about = "Phi-4-mini",
    REPLY_STEPS(phi4_steps),
    .soft = CALLS_SOFT,
    .writing = &phi4_writing,
};

static const struct reply_step firefunction_steps[] = {
    {0, "functools[", REPLY_PASS, NULL, 2},
    {2, "{", REPLY_OBJECT, NULL, 3},
    {3, ",", REPLY_PASS, NULL, 2},
    {3, "]", REPLY_PASS, NULL, 0},
};
static const struct reply_writing firefunction_writing = {
    .begin = "functools[",
    .end = "]",
    .sep = ", ",
    .before_name = "{\"name\": \"",
    .after_name = "\", \"arguments\": ",
    .after_args = "}",
    .args = REPLY_ARGS,

};
const struct reply_format reply_firefunction = {
    .name = "firefunction",
    .about = "Firefunction 2",
    REPLY_STEPS(firefunction_steps),
    .soft = 1u << 3,
    .writing = &firefunction_writing,
};

static const struct reply_step gigachat_steps[] = {
    {0, "<|function_call|>", REPLY_PASS, NULL, 1},
    {1, "{", REPLY_OBJECT, NULL, 2},
    {2, "<|message_sep|>", REPLY_PASS, NULL, 0},
};
static const struct reply_writing gigachat_writing = {
    .before_name = "<|function_call|>{\"name\": \"",
    .after_name = "\", \"arguments\": ",
    .after_args = "}",
    .args = REPLY_ARGS,
    .single = 1,

};
const struct reply_format reply_gigachat = {
    .name = "gigachat3.1",
    .about = "GigaChat 3.1",
    REPLY_STEPS(gigachat_steps),
    .soft = 1u << 2,
    .writing = &gigachat_writing,
};

/* The call is a message of its own. */
static const struct reply_step gigachat3_steps[] = {
    {0, "function call<|role_sep|>", REPLY_PASS, NULL, 1},
    {0, "<|message_sep|>\n\nfunction call<|role_sep|>", REPLY_PASS, NULL, 1},
    {1, "{", REPLY_OBJECT, NULL, 2},
    {2, "<|message_sep|>", REPLY_PASS, NULL, 0},
};
static const struct reply_writing gigachat3_writing = {
    .before_name = "function call<|role_sep|>\n{\"name\": \"",
    .after_name = "\", \"arguments\": ",
    .after_args = "}",
    .args = REPLY_ARGS,
    .single = 1,

};
const struct reply_format reply_gigachat3 = {
    .name = "gigachat3",
    .about = "GigaChat 3",
    REPLY_STEPS(gigachat3_steps),
    .soft = 1u << 2,
    .writing = &gigachat3_writing,
};

static const struct reply_step cohere_steps[] = {
    {0, "<|START_ACTION|>", REPLY_PASS, NULL, 1},
    {0, "<|START_RESPONSE|>", REPLY_DROP, NULL, 0},
    {0, "<|END_RESPONSE|>", REPLY_DROP, NULL, 0},
    {0, "<|START_TEXT|>", REPLY_DROP, NULL, 0},
    {0, "<|END_TEXT|>", REPLY_DROP, NULL, 0},
    CALLS("<|END_ACTION|>"),
};
static const struct reply_writing cohere_writing = {
    .begin = "<|START_ACTION|>[\n",
    .end = "\n]<|END_ACTION|>",
    .sep = ",\n",
    .before_name = "    {\"tool_call_id\": \"\1\", \"tool_name\": \"",
    .after_name = "\", \"parameters\": ",
    .after_args = "}",
    .args = REPLY_ARGS,

};
const struct reply_format reply_cohere = {
    .name = "cohere",
    .about = "Command R7B, Command A",
    REPLY_STEPS(cohere_steps),
    .soft = CALLS_SOFT,
    .heading = {"<|START_RESPONSE|>", "<|START_TEXT|>"},
    .closing = "<|END_RESPONSE|>",
    .writing = &cohere_writing,
};

static const struct reply_step commandr_steps[] = {
    {0, "Action:", REPLY_PASS, NULL, 5},
    {5, "```json", REPLY_PASS, NULL, 1},
    CALLS("```"),
};
static const struct reply_writing commandr_writing = {
    .begin = "Action:\n```json\n[\n",
    .end = "\n]```",
    .sep = ",\n",
    .before_name = "    {\n        \"tool_name\": \"",
    .after_name = "\",\n        \"parameters\": ",
    .after_args = "\n    }",
    .args = REPLY_ARGS,

};
const struct reply_format reply_commandr = {
    .name = "command-r",
    .about = "Command R and R+",
    REPLY_STEPS(commandr_steps),
    .soft = CALLS_SOFT,
    .writing = &commandr_writing,
};

/* Where an answer may begin, an object that has both keys, or a call in brackets. */
static const struct reply_step llama3_steps[] = {
    {0, "<|python_tag|>", REPLY_PASS, NULL, 1},
    {5, "{", REPLY_STRICT, NULL, 2},
    {5, "[", REPLY_PASS, NULL, 6},
    {1, "{", REPLY_STRICT, NULL, 2},
    {1, "", REPLY_NAME, ".call(", 3},
    {2, ";", REPLY_PASS, NULL, 4},
    {2, "{", REPLY_STRICT, NULL, 2},
    {4, "{", REPLY_STRICT, NULL, 2},
    {3, "", REPLY_CALLED, NULL, 2},
    {6, "{", REPLY_STRICT, NULL, 9},
    {6, "", REPLY_NAME, NULL, 7},
    {7, "(", REPLY_CALLED, NULL, 9},
    {9, ",", REPLY_PASS, NULL, 6},
    {9, "]", REPLY_PASS, NULL, 0},
};
static const struct reply_writing llama3_writing = {
    .before_name = "{\"name\": \"",
    .after_name = "\", \"parameters\": ",
    .after_args = "}",
    .args = REPLY_ARGS,
    .single = 1,

};
const struct reply_format reply_llama3 = {
    .name = "llama3",
    .about = "Llama 3.1 to 4: bare JSON, <|python_tag|>f.call(...), [f(a=1)]",
    REPLY_STEPS(llama3_steps),
    .soft = 1u << 2 | 1u << 9,
    .start = 5,
    .writing = &llama3_writing,
};

/* No template of theirs says how; they are asked for such blocks. */
static const struct reply_step gemma_steps[] = {
    {0, "```tool_code", REPLY_PASS, NULL, 1},
    {0, "```json", REPLY_PASS, NULL, 4},
    {0, "```tool_call", REPLY_PASS, NULL, 4},
    {9, "{", REPLY_STRICT, NULL, 10},
    {9, "[", REPLY_PASS, NULL, 6},
    {1, "\n", REPLY_PASS, NULL, 1},
    {1, "print(", REPLY_PASS, NULL, 2},
    {1, "", REPLY_NAME, NULL, 3},
    {2, "", REPLY_NAME, NULL, 11},
    {11, "(", REPLY_CALLED, NULL, 12},
    {12, ")", REPLY_PASS, NULL, 5},
    {3, "(", REPLY_CALLED, NULL, 5},
    {4, "{", REPLY_STRICT, NULL, 8},
    {4, "[", REPLY_PASS, NULL, 7},
    {7, "{", REPLY_STRICT, NULL, 13},
    {13, ",", REPLY_PASS, NULL, 7},
    {13, "]", REPLY_PASS, NULL, 8},
    {5, "```", REPLY_PASS, NULL, 0},
    {5, "\n", REPLY_PASS, NULL, 5},
    {5, "", REPLY_NAME, NULL, 3},
    {6, "{", REPLY_STRICT, NULL, 10},
    {6, "", REPLY_NAME, NULL, 14},
    {14, "(", REPLY_CALLED, NULL, 10},
    {8, "```", REPLY_PASS, NULL, 0},
    {10, ",", REPLY_PASS, NULL, 6},
    {10, "]", REPLY_PASS, NULL, 0},
};
static const struct reply_writing gemma_writing = {
    .before_name = "```tool_call\n{\"name\": \"",
    .after_name = "\", \"parameters\": ",
    .after_args = "}\n```",
    .args = REPLY_ARGS,
    .single = 1,

};
const struct reply_format reply_gemma = {
    .name = "gemma",
    .about = "Gemma 2 and 3: blocks of tool_code or JSON",
    REPLY_STEPS(gemma_steps),
    .soft = 1u << 5 | 1u << 8 | 1u << 10 | 1u << 12 | 1u << 13,
    .start = 9,
    .writing = &gemma_writing,
};
