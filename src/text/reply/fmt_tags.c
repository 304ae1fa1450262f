/* Calls whose parameters stand one by one between markers. */
#include "text/reply/reply_priv.h"

static const struct reply_step qwen3_steps[] = {
    {0, "<tool_call>", REPLY_PASS, NULL, 1},  {0, "<function=", REPLY_NAME, ">", 2},
    {1, "<function=", REPLY_NAME, ">", 2},    {2, "<parameter=", REPLY_KEY, ">", 3},
    {3, "", REPLY_LINE, "</parameter>", 2},   {2, "</function>", REPLY_DONE, NULL, 4},
    {2, "</tool_call>", REPLY_DONE, NULL, 0}, {4, "<function=", REPLY_NAME, ">", 2},
    {4, "</tool_call>", REPLY_PASS, NULL, 0},
};
static const struct reply_writing qwen3_writing = {
    .before_name = "<tool_call>\n<function=",
    .after_name = ">\n",
    .after_args = "</function>\n</tool_call>",
    .sep = "\n",
    .args = REPLY_LINE,
    .before_key = "<parameter=",
    .after_key = ">\n",
    .after_value = "\n</parameter>\n",

};
const struct reply_format reply_qwen3 = {
    .name = "qwen3-xml",
    .about = "Qwen3-Coder, Qwen3.5, Nemotron 3, StepFun 3.5",
    REPLY_STEPS(qwen3_steps),
    .soft = 1u << 4,
    .may_end = 1u << 2,
    .writing = &qwen3_writing,
};

static const struct reply_step seed_steps[] = {
    {0, "<seed:tool_call>", REPLY_PASS, NULL, 1},  {1, "<function=", REPLY_NAME, ">", 2},
    {2, "<parameter=", REPLY_KEY, ">", 3},         {3, "", REPLY_VALUE, "</parameter>", 2},
    {2, "</function>", REPLY_DONE, NULL, 4},       {4, "<function=", REPLY_NAME, ">", 2},
    {4, "</seed:tool_call>", REPLY_PASS, NULL, 0},
};
static const struct reply_writing seed_writing = {
    .before_name = "<seed:tool_call>\n<function=",
    .after_name = ">\n",
    .after_args = "</function>\n</seed:tool_call>",
    .sep = "\n",
    .args = REPLY_VALUE,
    .before_key = "<parameter=",
    .after_key = ">",
    .after_value = "</parameter>\n",

};
const struct reply_format reply_seed = {
    .name = "seed-oss",
    .about = "Seed-OSS",
    REPLY_STEPS(seed_steps),
    .soft = 1u << 4,
    .may_end = 1u << 2,
    .writing = &seed_writing,
};

static const struct reply_step glm_steps[] = {
    {0, "<tool_call>", REPLY_NAME, NULL, 1},
    {1, "<arg_key>", REPLY_KEY, "</arg_key>", 2},
    {2, "<arg_value>", REPLY_VALUE, "</arg_value>", 1},
    {1, "</tool_call>", REPLY_DONE, NULL, 0},
};
static const struct reply_writing glm_writing = {
    .before_name = "<tool_call>",
    .after_name = "\n",
    .after_args = "</tool_call>",
    .sep = "\n",
    .args = REPLY_VALUE,
    .before_key = "<arg_key>",
    .after_key = "</arg_key>\n<arg_value>",
    .after_value = "</arg_value>\n",

};
const struct reply_format reply_glm = {
    .name = "glm",
    .about = "GLM 4.5 to 5, Laguna",
    REPLY_STEPS(glm_steps),
    .may_end = 1u << 1,
    .writing = &glm_writing,
};

#define HY ":opensource>"

static const struct reply_step hunyuan_steps[] = {
    {0, "<tool_calls" HY, REPLY_PASS, NULL, 1},
    {0, "<tool_calls>", REPLY_PASS, NULL, 6},
    {1, "<tool_call" HY, REPLY_NAME, "<tool_sep" HY, 2},
    {2, "<arg_key" HY, REPLY_KEY, "</arg_key" HY, 3},
    {3, "<arg_value" HY, REPLY_VALUE, "</arg_value" HY, 2},
    {2, "</tool_call" HY, REPLY_DONE, NULL, 4},
    {4, "<tool_call" HY, REPLY_NAME, "<tool_sep" HY, 2},
    {4, "</tool_calls" HY, REPLY_PASS, NULL, 0},
    {6, "<tool_call>", REPLY_NAME, "<tool_sep>", 7},
    {7, "<arg_key>", REPLY_KEY, "</arg_key>", 8},
    {8, "<arg_value>", REPLY_VALUE, "</arg_value>", 7},
    {7, "</tool_call>", REPLY_DONE, NULL, 9},
    {9, "<tool_call>", REPLY_NAME, "<tool_sep>", 7},
    {9, "</tool_calls>", REPLY_PASS, NULL, 0},
};
static const struct reply_writing hunyuan_writing = {
    .begin = "<tool_calls" HY "\n",
    .end = "\n</tool_calls" HY,
    .sep = "\n",
    .before_name = "<tool_call" HY,
    .after_name = "<tool_sep" HY "\n",
    .after_args = "</tool_call" HY,
    .args = REPLY_VALUE,
    .before_key = "<arg_key" HY,
    .after_key = "</arg_key" HY "\n<arg_value" HY,
    .after_value = "</arg_value" HY "\n",

};
const struct reply_format reply_hunyuan = {
    .name = "hunyuan",
    .about = "Hunyuan 3",
    REPLY_STEPS(hunyuan_steps),
    .soft = 1u << 4 | 1u << 9,
    .may_end = 1u << 2 | 1u << 7,
    .writing = &hunyuan_writing,
};

#define DSML "｜DSML｜"

static const struct reply_step dsml_steps[] = {
    {0, "<" DSML "function_calls>", REPLY_PASS, NULL, 1},
    {0, "<" DSML "tool_calls>", REPLY_PASS, NULL, 1},
    {1, "<" DSML "invoke name=\"", REPLY_NAME, "\">", 2},
    {2, "<" DSML "parameter name=\"", REPLY_KEY, "\"", 3},
    {3, " string=\"true\">", REPLY_STRING, "</" DSML "parameter>", 2},
    {3, " string=\"false\">", REPLY_DATA, "</" DSML "parameter>", 2},
    {3, ">", REPLY_VALUE, "</" DSML "parameter>", 2},
    {3, "string=\"true\">", REPLY_STRING, "</" DSML "parameter>", 2},
    {3, "string=\"false\">", REPLY_DATA, "</" DSML "parameter>", 2},
    {2, "</" DSML "invoke>", REPLY_DONE, NULL, 4},
    {4, "<" DSML "invoke name=\"", REPLY_NAME, "\">", 2},
    {4, "</" DSML "function_calls>", REPLY_PASS, NULL, 0},
    {4, "</" DSML "tool_calls>", REPLY_PASS, NULL, 0},
};
#define DSML_WRITING(block)                                                                    \
    {                                                                                          \
        .begin = "<" DSML block ">\n", .end = "\n</" DSML block ">", .sep = "\n",              \
        .before_name = "<" DSML "invoke name=\"", .after_name = "\">\n",                       \
        .after_args = "</" DSML "invoke>", .args = REPLY_STRING,                               \
        .before_key = "<" DSML "parameter name=\"", .after_key = "\" string=\"false\">",       \
        .after_string = "\" string=\"true\">", .after_value = "</" DSML "parameter>\n",        \
    }
static const struct reply_writing dsml32_writing = DSML_WRITING("function_calls");
static const struct reply_writing dsml4_writing = DSML_WRITING("tool_calls");
const struct reply_format reply_dsml32 = {
    .name = "deepseek-v3.2",
    .about = "DeepSeek V3.2: DSML",
    REPLY_STEPS(dsml_steps),
    .soft = 1u << 4,
    .may_end = 1u << 2,
    .writing = &dsml32_writing,
};
const struct reply_format reply_dsml4 = {
    .name = "deepseek-v4",
    .about = "DeepSeek V4: DSML",
    REPLY_STEPS(dsml_steps),
    .soft = 1u << 4,
    .may_end = 1u << 2,
    .writing = &dsml4_writing,
};

static const struct reply_step minicpm_steps[] = {
    {0, "<function name=\"", REPLY_NAME, "\">", 1},  {1, "<param name=\"", REPLY_KEY, "\">", 2},
    {2, "<![CDATA[", REPLY_VALUE, "]]></param>", 1}, {2, "", REPLY_VALUE, "</param>", 1},
    {1, "</function>", REPLY_DONE, NULL, 0},
};
static const struct reply_writing minicpm_writing = {
    .before_name = "<function name=\"",
    .after_name = "\">",
    .after_args = "</function>",
    .sep = "\n",
    .args = REPLY_VALUE,
    .before_key = "<param name=\"",
    .after_key = "\">",
    .after_string = "\"><![CDATA[",
    .string_end = "]]>",
    .after_value = "</param>",

};
const struct reply_format reply_minicpm = {
    .name = "minicpm5",
    .about = "MiniCPM 5",
    REPLY_STEPS(minicpm_steps),
    .may_end = 1u << 1,
    .writing = &minicpm_writing,
};
