/* Calls as a name and behind it the arguments as JSON. */
#include "text/reply/reply_priv.h"

static const struct reply_step mistral_steps[] = {
    {0, "[TOOL_CALLS]", REPLY_PASS, NULL, 1},
    {1, " ", REPLY_PASS, NULL, 1},
    {1, "\n", REPLY_PASS, NULL, 1},
    {1, "[", REPLY_PASS, NULL, 2},
    {1, "", REPLY_NAME, NULL, 4},
    {2, "{", REPLY_OBJECT, NULL, 3},
    {3, ",", REPLY_PASS, NULL, 2},
    {3, "]", REPLY_PASS, NULL, 0},
    {4, "[CALL_ID]", REPLY_TAKE, "[ARGS]", 5},
    {4, "[ARGS]", REPLY_PASS, NULL, 5},
    {4, "{", REPLY_ARGS, NULL, 6},
    {5, "{", REPLY_ARGS, NULL, 6},
};
static const struct reply_writing mistral3_writing = {
    .begin = "[TOOL_CALLS][",
    .end = "]",
    .sep = ", ",
    .before_name = "{\"name\": \"",
    .after_name = "\", \"arguments\": ",
    .after_args = "}",
    .args = REPLY_ARGS,

};
const struct reply_format reply_mistral3 = {
    .name = "mistral-v3",
    .about = "Mistral 7B v0.3 to Small 3.1: a JSON array",
    REPLY_STEPS(mistral_steps),
    .soft = 1u << 3 | 1u << 6,
    .writing = &mistral3_writing,
};
static const struct reply_writing mistral13_writing = {
    .before_name = "[TOOL_CALLS]",
    .after_name = "[ARGS]",
    .after_args = "",
    .sep = "",
    .args = REPLY_ARGS,

};
const struct reply_format reply_mistral13 = {
    .name = "mistral-v13",
    .about = "Mistral Small 3.2, Devstral, Magistral, Ministral 3: name[ARGS]{}, also with "
             "[CALL_ID]",
    REPLY_STEPS(mistral_steps),
    .soft = 1u << 3 | 1u << 6,
    .writing = &mistral13_writing,
};

#define DS_BEGIN "<｜tool▁calls▁begin｜>"
#define DS_END   "<｜tool▁calls▁end｜>"
#define DS_CALL  "<｜tool▁call▁begin｜>"
#define DS_DONE  "<｜tool▁call▁end｜>"
#define DS_SEP   "<｜tool▁sep｜>"

static const struct reply_step deepseek_steps[] = {
    {0, DS_BEGIN, REPLY_PASS, NULL, 1},  {0, DS_CALL "function" DS_SEP, REPLY_NAME, "\n", 3},
    {0, DS_CALL, REPLY_NAME, DS_SEP, 2}, {1, DS_CALL "function" DS_SEP, REPLY_NAME, "\n", 3},
    {1, DS_CALL, REPLY_NAME, DS_SEP, 2}, {1, "function" DS_SEP, REPLY_NAME, "\n", 3},
    {2, "{", REPLY_ARGS, NULL, 4},       {3, "```json", REPLY_PASS, NULL, 2},
    {3, "{", REPLY_ARGS, NULL, 4},       {4, "```", REPLY_PASS, NULL, 5},
    {4, DS_DONE, REPLY_PASS, NULL, 6},   {5, DS_DONE, REPLY_PASS, NULL, 6},
    {4, DS_END, REPLY_PASS, NULL, 0},    {6, DS_CALL "function" DS_SEP, REPLY_NAME, "\n", 3},
    {6, DS_CALL, REPLY_NAME, DS_SEP, 2}, {6, DS_END, REPLY_PASS, NULL, 0},
};
static const struct reply_writing deepseek3_writing = {
    .begin = DS_BEGIN,
    .end = DS_END,
    .sep = "",
    .before_name = DS_CALL,
    .after_name = DS_SEP,
    .after_args = DS_DONE,
    .args = REPLY_ARGS,

};
const struct reply_format reply_deepseek3 = {
    .name = "deepseek-v3.1",
    .about = "DeepSeek V3.1",
    REPLY_STEPS(deepseek_steps),
    .soft = 1u << 4 | 1u << 5 | 1u << 6,
    .writing = &deepseek3_writing,
};
static const struct reply_writing deepseek1_writing = {
    .begin = DS_BEGIN,
    .end = DS_END,
    .sep = "\n",
    .before_name = DS_CALL "function" DS_SEP,
    .after_name = "\n```json\n",
    .after_args = "\n```" DS_DONE,
    .args = REPLY_ARGS,

};
const struct reply_format reply_deepseek1 = {
    .name = "deepseek-r1",
    .about = "DeepSeek V3, R1 and what was distilled from it",
    REPLY_STEPS(deepseek_steps),
    .soft = 1u << 4 | 1u << 5 | 1u << 6,
    .writing = &deepseek1_writing,
};

#define KIMI_CALL "<|tool_call_begin|>"
#define KIMI_ARGS "<|tool_call_argument_begin|>"

static const struct reply_step kimi_steps[] = {
    {0, "<|tool_calls_section_begin|>", REPLY_PASS, NULL, 1},
    {0, KIMI_CALL, REPLY_IDNAME, KIMI_ARGS, 2},
    {1, KIMI_CALL, REPLY_IDNAME, KIMI_ARGS, 2},
    {2, "{", REPLY_ARGS, NULL, 3},
    {3, "<|tool_call_end|>", REPLY_PASS, NULL, 4},
    {3, "<|tool_calls_section_end|>", REPLY_PASS, NULL, 0},
    {4, KIMI_CALL, REPLY_IDNAME, KIMI_ARGS, 2},
    {4, "<|tool_calls_section_end|>", REPLY_PASS, NULL, 0},
};
static const struct reply_writing kimi_writing = {
    .begin = "<|tool_calls_section_begin|>",
    .end = "<|tool_calls_section_end|>",
    .sep = "",
    .before_name = KIMI_CALL "functions.",
    .after_name = ":\1" KIMI_ARGS,
    .after_args = "<|tool_call_end|>",
    .args = REPLY_ARGS,

};
const struct reply_format reply_kimi = {
    .name = "kimi-k2",
    .about = "Kimi K2",
    REPLY_STEPS(kimi_steps),
    .soft = 1u << 3 | 1u << 4,
    .writing = &kimi_writing,
};

#define SOLAR_CALL "<|tool_call:begin|>"

static const struct reply_step solar_steps[] = {
    {0, "<|tool_calls|>", REPLY_PASS, NULL, 1},
    {0, "<|begin|>assistant", REPLY_DROP, NULL, 0},
    {0, "<|content|>", REPLY_DROP, NULL, 0},
    {1, SOLAR_CALL, REPLY_TAKE, "<|tool_call:name|>", 2},
    {2, "", REPLY_NAME, "<|tool_call:args|>", 3},
    {3, "{", REPLY_ARGS, NULL, 4},
    {4, "<|tool_call:end|>", REPLY_PASS, NULL, 5},
    {5, SOLAR_CALL, REPLY_TAKE, "<|tool_call:name|>", 2},
    {5, "<|calls|>", REPLY_PASS, NULL, 0},
};
static const struct reply_writing solar_writing = {
    .begin = "<|tool_calls|>",
    .end = "<|calls|>",
    .sep = "",
    .before_name = SOLAR_CALL "\1<|tool_call:name|>",
    .after_name = "<|tool_call:args|>",
    .after_args = "<|tool_call:end|>",
    .args = REPLY_ARGS,

};
const struct reply_format reply_solar = {
    .name = "solar-open",
    .about = "Solar Open",
    REPLY_STEPS(solar_steps),
    .soft = 1u << 4 | 1u << 5,
    .think = {"<|think|>", "<|end|>"},
    .writing = &solar_writing,
};

static const struct reply_step functionary31_steps[] = {
    {0, "<function=", REPLY_NAME, ">", 1},
    {1, "{", REPLY_ARGS, NULL, 2},
    {2, "</function>", REPLY_PASS, NULL, 0},
};
static const struct reply_writing functionary31_writing = {
    .before_name = "<function=",
    .after_name = ">",
    .after_args = "</function>",
    .sep = "",
    .args = REPLY_ARGS,

};
const struct reply_format reply_functionary31 = {
    .name = "functionary-v3.1",
    .about = "Functionary 3.1, Llama 3 with custom tools",
    REPLY_STEPS(functionary31_steps),
    .soft = 1u << 2,
    .writing = &functionary31_writing,
};

/* The prompt ends with >>>, so that an answer begins with a recipient. */
static const struct reply_step functionary32_steps[] = {
    {0, ">>>all\n", REPLY_DROP, NULL, 0}, {0, ">>>", REPLY_NAME, "\n", 1},
    {5, "all\n", REPLY_DROP, NULL, 0},    {5, "", REPLY_NAME, "\n", 1},
    {1, "{", REPLY_ARGS, NULL, 2},        {2, ">>>all\n", REPLY_PASS, NULL, 0},
    {2, ">>>", REPLY_NAME, "\n", 1},
};
static const struct reply_writing functionary32_writing = {
    .before_name = "",
    .after_name = "\n",
    .after_args = "",
    .sep = ">>>",
    .args = REPLY_ARGS,
    .lead = "all\n",
};
const struct reply_format reply_functionary32 = {
    .name = "functionary-v3.2",
    .about = "Functionary 3.2",
    REPLY_STEPS(functionary32_steps),
    .soft = 1u << 2,
    .start = 5,
    .writing = &functionary32_writing,
};

/* [{"name": {arguments}}, ...] */
static const struct reply_step apertus_steps[] = {
    {0, "<|tools_prefix|>", REPLY_PASS, NULL, 1},
    {1, "[", REPLY_PASS, NULL, 2},
    {2, "{", REPLY_PASS, NULL, 3},
    {3, "\"", REPLY_NAME, "\"", 4},
    {4, ":", REPLY_PASS, NULL, 5},
    {5, "{", REPLY_ARGS, NULL, 6},
    {6, "}", REPLY_PASS, NULL, 7},
    {7, ",", REPLY_PASS, NULL, 2},
    {7, "]", REPLY_PASS, NULL, 8},
    {8, "<|tools_suffix|>", REPLY_PASS, NULL, 0},
};
static const struct reply_writing apertus_writing = {
    .begin = "<|tools_prefix|>[",
    .end = "]<|tools_suffix|>",
    .sep = ", ",
    .before_name = "{\"",
    .after_name = "\": ",
    .after_args = "}",
    .args = REPLY_ARGS,

};
const struct reply_format reply_apertus = {
    .name = "apertus",
    .about = "Apertus",
    REPLY_STEPS(apertus_steps),
    .soft = 1u << 6 | 1u << 7 | 1u << 8,
    .think = {"<|inner_prefix|>", "<|inner_suffix|>"},
    .writing = &apertus_writing,
};
