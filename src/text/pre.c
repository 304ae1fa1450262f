#include "text/pre.h"

#include "text/pre_scan.h"

/* clang-format off */
#define GPT2    { pre_gpt2 }
#define LLAMA3  { pre_llama3 }
#define QWEN2   { pre_qwen2 }
#define QWEN35  { pre_qwen35 }
#define O200K   { pre_o200k }
#define TEKKEN  { pre_tekken }
#define KIMI    { pre_kimi }
#define SEED    { pre_seed }
#define MINICPM { pre_digits_by3, pre_minicpm }
#define LAGUNA  { pre_lines, pre_qwen2 }
#define DSV3    { pre_digits_by3, pre_kana_han, pre_deepseek3 }
#define DSLLM   { pre_line_end, pre_space_cased, pre_space_marks, pre_last_spaces, pre_east, pre_digits }
#define DSCODE  { pre_line_end, pre_space_letters, pre_space_punct, pre_east, pre_digit }
#define STAR    { pre_digit, pre_gpt2 }
#define FALCON  { pre_marks_tick, pre_gpt2, pre_digits3 }
#define DEFAULT { pre_marks_plain, pre_gpt2, pre_digits, pre_digits3 }

static const struct pre table[] = {
    {"default",                DEFAULT, PRE_TIDY},
    {"gpt-2",                  GPT2,    PRE_TIDY},
    {"gpt-neox",               GPT2,    PRE_TIDY},
    {"phi-2",                  GPT2,    PRE_TIDY},
    {"olmo",                   GPT2,    PRE_TIDY},
    {"mpt",                    GPT2,    PRE_TIDY},
    {"jais",                   GPT2,    PRE_TIDY},
    {"modern-bert",            GPT2,    PRE_TIDY},
    {"jina-es",                GPT2,    PRE_TIDY},
    {"jina-de",                GPT2,    PRE_TIDY},
    {"jina-v2-es",             GPT2,    PRE_TIDY},
    {"jina-v2-de",             GPT2,    PRE_TIDY},
    {"a.x-4.0",                GPT2,    PRE_TIDY},
    {"exaone4",                GPT2,    PRE_TIDY},
    {"trillion",               GPT2,    PRE_TIDY},
    {"granite-docling",        GPT2,    PRE_TIDY},
    {"jina-v1-en",             GPT2,    PRE_TIDY | PRE_SEP},
    {"jina-v2-code",           GPT2,    PRE_TIDY | PRE_SEP},
    {"roberta-bpe",            GPT2,    PRE_TIDY | PRE_SEP},
    {"gigachat",               GPT2,    PRE_TIDY},
    {"mellum",                 GPT2,    PRE_TIDY},
    {"llama-bpe",              LLAMA3,  PRE_WHOLE | PRE_BOS | PRE_TIDY},
    {"llama3",                 LLAMA3,  PRE_WHOLE | PRE_BOS | PRE_TIDY},
    {"llama-v3",               LLAMA3,  PRE_WHOLE | PRE_BOS | PRE_TIDY},
    {"falcon3",                LLAMA3,  PRE_WHOLE | PRE_BOS | PRE_TIDY},
    {"falcon-h1",              LLAMA3,  PRE_WHOLE | PRE_BOS | PRE_TIDY},
    {"pixtral",                LLAMA3,  PRE_WHOLE | PRE_BOS | PRE_TIDY},
    {"lfm2",                   LLAMA3,  PRE_WHOLE | PRE_BOS | PRE_TIDY},
    {"midm-2.0",               LLAMA3,  PRE_WHOLE | PRE_BOS | PRE_TIDY},
    {"jina-v5-nano",           LLAMA3,  PRE_WHOLE | PRE_BOS | PRE_TIDY},
    {"dbrx",                   LLAMA3,  PRE_TIDY},
    {"smaug-bpe",              LLAMA3,  PRE_TIDY},
    {"nemotron",               LLAMA3,  0},
    {"glm4",                   LLAMA3,  PRE_TIDY},
    {"chatglm-bpe",            LLAMA3,  PRE_TIDY},
    {"qwen2",                  QWEN2,   0},
    {"deepseek-r1-qwen",       QWEN2,   0},
    {"kormo",                  QWEN2,   0},
    {"f2llmv2",                QWEN2,   0},
    {"stablelm2",              QWEN2,   PRE_TIDY},
    {"hunyuan",                QWEN2,   0},
    {"megrez",                 QWEN2,   PRE_TIDY},
    {"solar-open",             QWEN2,   0},
    {"grok-2",                 QWEN2,   0},
    {"laguna",                 LAGUNA,  0},
    {"seed-coder",             SEED,    0},
    {"minicpm5",               MINICPM, PRE_WHOLE},
    {"qwen35",                 QWEN35,  0},
    {"gpt-4o",                 O200K,   0},
    {"llama4",                 O200K,   0},
    {"kanana2",                O200K,   0},
    {"talkie",                 O200K,   0},
    {"minimax-m2",             O200K,   0},
    {"granite-embed-multi-97m",O200K,   PRE_WHOLE},
    {"tekken",                 TEKKEN,  PRE_WHOLE | PRE_BOS},
    {"deepseek-v3",            DSV3,    0},
    {"hunyuan-dense",          DSV3,    0},
    {"joyai-llm",              DSV3,    0},
    {"kimi-k2",                KIMI,    PRE_BY_ID},
    {"deepseek-llm",           DSLLM,   0},
    {"deepseek-coder",         DSCODE,  0},
    {"starcoder",              STAR,    PRE_TIDY},
    {"refact",                 STAR,    PRE_TIDY},
    {"command-r",              STAR,    0},
    {"smollm",                 STAR,    0},
    {"codeshell",              STAR,    0},
    {"exaone",                 STAR,    PRE_TIDY},
    {"minerva-7b",             STAR,    PRE_TIDY},
    {"mellum2",                STAR,    0},
    {"falcon",                 FALCON,  PRE_TIDY},
};
/* clang-format on */

const struct pre *pre_at(int i)
{
    return i >= 0 && (size_t)i < sizeof(table) / sizeof(*table) ? &table[i] : NULL;
}

const struct pre *pre_find(struct str name)
{
    const struct pre *row;

    for (int i = 0; (row = pre_at(i)); i++) {
        if (str_is(name, row->name))
            return row;
    }
    return NULL;
}

void pre_iter_init(struct pre_iter *it, const struct pre *pre, struct str text)
{
    *it = (struct pre_iter){.pre = pre, .p = text.p, .n = text.n};
}

int pre_iter_next(struct pre_iter *it, struct str *word)
{
    size_t end = it->n;

    if (it->at == it->n)
        return 0;
    for (int k = 0; k < PRE_STAGES && it->pre->stage[k]; k++) {
        /* A stage sees no further than the piece that the stage before it made. */
        if (it->end[k] <= it->at)
            it->end[k] = it->at + it->pre->stage[k](it->p + it->at, end - it->at);
        end = it->end[k];
    }
    *word = (struct str){it->p + it->at, end - it->at};
    it->at = end;
    return 1;
}
