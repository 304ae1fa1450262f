#include "text/reply/reply_priv.h"

/* One line for each; where two fit, the probe takes the first. */
#define FORMATS(X)                                                                             \
    X(hermes)                                                                                  \
    X(qwen3)                                                                                   \
    X(glm)                                                                                     \
    X(seed)                                                                                    \
    X(hunyuan)                                                                                 \
    X(dsml4)                                                                                   \
    X(dsml32)                                                                                  \
    X(deepseek3)                                                                               \
    X(deepseek1)                                                                               \
    X(kimi)                                                                                    \
    X(minimax2)                                                                                \
    X(minimax3)                                                                                \
    X(minicpm)                                                                                 \
    X(mistral13)                                                                               \
    X(mistral3)                                                                                \
    X(harmony)                                                                                 \
    X(gemma4)                                                                                  \
    X(functiongemma)                                                                           \
    X(lfm2)                                                                                    \
    X(olmo3)                                                                                   \
    X(nemotron2)                                                                               \
    X(apriel)                                                                                  \
    X(phi4)                                                                                    \
    X(granite)                                                                                 \
    X(cohere)                                                                                  \
    X(commandr)                                                                                \
    X(apertus)                                                                                 \
    X(solar)                                                                                   \
    X(functionary31)                                                                           \
    X(functionary32)                                                                           \
    X(firefunction)                                                                            \
    X(gigachat)                                                                                \
    X(gigachat3)                                                                               \
    X(llama3)                                                                                  \
    X(gemma)

#define X(f) extern const struct reply_format reply_##f;
FORMATS(X)
#undef X

const struct reply_format *const reply_formats[] = {
#define X(f) &reply_##f,
    FORMATS(X)
#undef X
        NULL};

const char *const reply_ends[] = {"<|im_end|>",
                                  "<|endoftext|>",
                                  "<|eot_id|>",
                                  "<|eom_id|>",
                                  "<|end_of_text|>",
                                  "<|eot|>",
                                  "<|end|>",
                                  "<|return|>",
                                  "<|call|>",
                                  "</s>",
                                  "<EOS>",
                                  "<eos>",
                                  "<end_of_turn>",
                                  "<turn|>",
                                  "<|tool_response>",
                                  "<｜end▁of▁sentence｜>",
                                  "<|END_OF_TURN_TOKEN|>",
                                  "<EOS_TOKEN>",
                                  "<seed:eos>",
                                  "[e~[",
                                  "<SPECIAL_12>",
                                  "<｜hy_eos:opensource｜>",
                                  "<|user|>",
                                  "<|observation|>",
                                  "<|message_sep|>",
                                  "<sep>",
                                  "<|assistant_end|>",
                                  "<|end_of_role|>",
                                  "<start_function_response>",
                                  "</assistant>",
                                  NULL};

const struct reply_format *reply_find(struct str name)
{
    for (int i = 0; reply_formats[i]; i++) {
        if (str_is(name, reply_formats[i]->name))
            return reply_formats[i];
    }
    return NULL;
}

const char *reply_name(int i)
{
    return i >= 0 && i < (int)(sizeof(reply_formats) / sizeof(reply_formats[0])) - 1
               ? reply_formats[i]->name
               : NULL;
}

static int shares(struct str token, const char *text)
{
    size_t n = text ? strlen(text) : 0;

    return n && token.n &&
           (memmem(text, n, token.p, token.n) || memmem(token.p, token.n, text, n));
}

static int writing_uses(const struct reply_writing *w, struct str token)
{
    const char *const texts[] = {w->begin,        w->end,        w->sep,         w->before_name,
                                 w->after_name,   w->after_args, w->before_key,  w->after_key,
                                 w->after_string, w->string_end, w->after_value, w->lead};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (shares(token, texts[i]))
            return 1;
    return 0;
}

int reply_uses(const struct reply_style *style, struct str token)
{
    const struct reply_format *f = style->format;
    int uses = shares(token, style->think_open) || shares(token, style->think_close);

    for (int i = 0; reply_ends[i] && !uses; i++)
        uses = str_is(token, reply_ends[i]);
    if (uses || !f)
        return uses;
    for (int i = 0; i < f->n_steps && !uses; i++)
        uses = shares(token, f->steps[i].lit) || shares(token, f->steps[i].until);
    for (const struct reply_writing *w = f->writing; w && !uses; w = w->other)
        uses = writing_uses(w, token);
    return uses || shares(token, f->think[0]) || shares(token, f->think[1]) ||
           shares(token, f->mark) || shares(token, f->end) || shares(token, f->heading[0]) ||
           shares(token, f->heading[1]) || shares(token, f->closing);
}
