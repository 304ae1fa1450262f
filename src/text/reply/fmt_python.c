/* Calls as Python writes them: f(a=1, s="text"). And Gemma's braces: call:f{a:1,s:<|"|>t<|"|>}.
 */
#include "text/reply/reply_priv.h"

static const struct reply_step lfm2_steps[] = {
    {0, "<|tool_call_start|>", REPLY_PASS, NULL, 1},
    {1, "[", REPLY_PASS, NULL, 2},
    {1, "", REPLY_NAME, NULL, 3},
    {2, "{", REPLY_OBJECT, NULL, 4},
    {2, "", REPLY_NAME, NULL, 3},
    {3, "(", REPLY_CALLED, NULL, 4},
    {4, ",", REPLY_PASS, NULL, 2},
    {4, "]", REPLY_PASS, NULL, 5},
    {4, "<|tool_call_end|>", REPLY_PASS, NULL, 0},
    {5, "<|tool_call_end|>", REPLY_PASS, NULL, 0},
};
static const struct reply_writing lfm2_writing = {
    .begin = "<|tool_call_start|>[",
    .end = "]<|tool_call_end|>",
    .sep = ", ",
    .before_name = "",
    .after_name = "(",
    .after_args = ")",
    .args = REPLY_CALLED,

};
const struct reply_format reply_lfm2 = {
    .name = "lfm2",
    .about = "LFM2",
    REPLY_STEPS(lfm2_steps),
    .soft = 1u << 4 | 1u << 5,
    .writing = &lfm2_writing,
};

static const struct reply_step olmo3_steps[] = {
    {0, "<function_calls>", REPLY_PASS, NULL, 1},
    {1, "", REPLY_NAME, NULL, 2},
    {2, "(", REPLY_CALLED, NULL, 3},
    {3, "</function_calls>", REPLY_PASS, NULL, 0},
    {3, "\n", REPLY_PASS, NULL, 3},
    {3, "", REPLY_NAME, NULL, 2},
};
static const struct reply_writing olmo3_writing = {
    .begin = "<function_calls>",
    .end = "</function_calls>",
    .sep = "\n",
    .before_name = "",
    .after_name = "(",
    .after_args = ")",
    .args = REPLY_CALLED,

};
const struct reply_format reply_olmo3 = {
    .name = "olmo3",
    .about = "OLMo 3",
    REPLY_STEPS(olmo3_steps),
    .soft = 1u << 3,
    .writing = &olmo3_writing,
};

static const struct reply_step gemma4_steps[] = {
    {0, "<|tool_call>", REPLY_PASS, NULL, 1},
    {1, "call:", REPLY_NAME, NULL, 2},
    {2, "{", REPLY_BRACES, NULL, 3},
    {3, "<tool_call|>", REPLY_PASS, NULL, 0},
};
static const struct reply_writing gemma4_writing = {
    .before_name = "<|tool_call>call:",
    .after_name = "",
    .after_args = "<tool_call|>",
    .sep = "",
    .args = REPLY_BRACES,

};
const struct reply_format reply_gemma4 = {
    .name = "gemma4",
    .about = "Gemma 4",
    REPLY_STEPS(gemma4_steps),
    .soft = 1u << 3,
    .think = {"<|channel>thought", "<channel|>"},
    .mark = "<|\"|>",
    .writing = &gemma4_writing,
};

static const struct reply_step functiongemma_steps[] = {
    {0, "<start_function_call>", REPLY_PASS, NULL, 1},
    {1, "call:", REPLY_NAME, NULL, 2},
    {2, "{", REPLY_BRACES, NULL, 3},
    {3, "<end_function_call>", REPLY_PASS, NULL, 0},
};
static const struct reply_writing functiongemma_writing = {
    .before_name = "<start_function_call>call:",
    .after_name = "",
    .after_args = "<end_function_call>",
    .sep = "",
    .args = REPLY_BRACES,

};
const struct reply_format reply_functiongemma = {
    .name = "functiongemma",
    .about = "FunctionGemma",
    REPLY_STEPS(functiongemma_steps),
    .soft = 1u << 3,
    .mark = "<escape>",
    .writing = &functiongemma_writing,
};
