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
