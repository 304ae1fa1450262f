/* openai_rows.h - rows of fields that several endpoints have: a table is made of these lists
 * and of its own rows.
 *
 * Besides OpenAI's fields there are those that clients of llama-server and vLLM send.
 *
 * Uses     serve/field.h
 */
#ifndef HEARTH_SERVE_API_OPENAI_ROWS_H
#define HEARTH_SERVE_API_OPENAI_ROWS_H

#include "serve/api/openai.h"

#include <limits.h>

/* clang-format off */
#define ROW(name, type, field, min, max, flags)                                                  \
    {name, FIELD_##type, OPENAI_AT(field), min, max, flags, NULL, NULL, NULL, 0}
#define ROW_READ(name, fn)             {name, FIELD_CALL, 0, 0, 0, 0, fn, NULL, NULL, 0}
#define ROW_NOTED(name, is)            {name, FIELD_NOTED, 0, 0, 0, 0, NULL, NULL, NULL, is}
#define ROW_REFUSED(name, fine, why)   {name, FIELD_REFUSED, 0, 0, 0, 0, NULL, fine, why, 0}
#define ROW_WARNED(name, is, fine, why)                                                         \
    {name, FIELD_WARNED, 0, 0, 0, 0, NULL, fine, why, is}

/* Who asks for which model. */
#define ROWS_ALL                                                                                 \
    ROW("model", STR, model, 1, 1024, 0),                                                        \
    ROW_READ("keep_alive", openai_read_keep_alive),                                              \
    ROW_NOTED("user", FIELD_IS_STR),                                                             \
    ROW_NOTED("safety_identifier", FIELD_IS_STR)

/* What a text is made with. */
#define ROWS_SAMPLING                                                                            \
    ROW("temperature", FLOAT, sampling.temperature, 0, 2, 0),                                    \
    ROW("top_p", FLOAT, sampling.top_p, 0, 1, FIELD_ABOVE),                                      \
    ROW("presence_penalty", FLOAT, sampling.presence_penalty, -2, 2, 0),                         \
    ROW("frequency_penalty", FLOAT, sampling.frequency_penalty, -2, 2, 0),                       \
    ROW("seed", I64, seed, -0x1p63, 0x1p63, 0),                                                  \
    ROW("top_k", INT, sampling.top_k, 0, INT_MAX, 0),                                            \
    ROW("min_p", FLOAT, sampling.min_p, 0, 1, 0),                                                \
    ROW("typical_p", FLOAT, sampling.typical_p, 0, 1, 0),                                        \
    ROW("typ_p", FLOAT, sampling.typical_p, 0, 1, 0),                                            \
    ROW("top_n_sigma", FLOAT, sampling.top_n_sigma, -1, 100, 0),                                 \
    ROW("repeat_penalty", FLOAT, sampling.repeat_penalty, 0, 10, FIELD_ABOVE),                   \
    ROW("repetition_penalty", FLOAT, sampling.repeat_penalty, 0, 10, FIELD_ABOVE),               \
    ROW("repeat_last_n", INT, sampling.repeat_last_n, -1, 1 << 20, FIELD_CLAMP),                 \
    ROW("dynatemp_range", FLOAT, sampling.dynatemp_range, 0, 2, 0),                              \
    ROW("dynatemp_exponent", FLOAT, sampling.dynatemp_exponent, 0, 100, 0),                      \
    ROW("xtc_probability", FLOAT, sampling.xtc_probability, 0, 1, 0),                            \
    ROW("xtc_threshold", FLOAT, sampling.xtc_threshold, 0, 1, 0),                                \
    ROW("dry_multiplier", FLOAT, sampling.dry_multiplier, 0, 100, 0),                            \
    ROW("dry_base", FLOAT, sampling.dry_base, 0, 100, 0),                                        \
    ROW("dry_allowed_length", INT, sampling.dry_allowed_length, 0, 1 << 20, 0),                  \
    ROW("dry_penalty_last_n", INT, sampling.dry_last_n, -1, 1 << 20, FIELD_CLAMP),               \
    ROW("min_keep", INT, sampling.min_keep, 0, 1 << 20, 0),                                      \
    ROW("ignore_eos", BOOL, sampling.ignore_eos, 0, 1, 0),                                       \
    ROW("logit_bias", JSON, logit_bias, 0, 0, 0),                                                \
    ROW("cache_prompt", BOOL, cache_prompt, 0, 1, 0),                                            \
    ROW("num_ctx", INT, n_ctx, 4, 1 << 27, 0),                                                   \
    ROW("stop", JSON, stop, 0, 0, 0),                                                            \
    ROW("grammar", STR, grammar, 1, 0, 0),                                                       \
    ROW("json_schema", JSON, json_schema, 0, 0, 0),                                              \
    ROW("guided_json", JSON, guided_json, 0, 0, 0),                                              \
    ROW("guided_grammar", STR, guided_grammar, 1, 0, 0),                                         \
    ROW("guided_regex", STR, guided_regex, 1, 0, 0),                                             \
    ROW("guided_choice", ARRAY, guided_choice, 1, 1024, 0),                                      \
    ROW("structured_outputs", OBJECT, structured, 0, 0, 0),                                      \
    ROW_REFUSED("mirostat", "0", NULL),                                                          \
    ROW_REFUSED("samplers", NULL, "is not supported: samplers run in a fixed order"),            \
    ROW_REFUSED("dry_sequence_breakers", NULL, NULL),                                            \
    ROW_REFUSED("min_tokens", "0", NULL),                                                        \
    ROW_REFUSED("length_penalty", "1", NULL),                                                    \
    ROW_REFUSED("use_beam_search", "false", NULL),                                               \
    ROW_REFUSED("stop_token_ids", NULL, NULL),                                                   \
    ROW_REFUSED("bad_words", NULL, "is not supported: use logit_bias"),                          \
    ROW_REFUSED("allowed_token_ids", NULL, NULL),                                                \
    ROW_REFUSED("include_stop_str_in_output", "false", NULL),                                    \
    ROW_REFUSED("skip_special_tokens", "true", NULL),                                            \
    ROW_REFUSED("spaces_between_special_tokens", "true", NULL),                                  \
    ROW_REFUSED("truncate_prompt_tokens", NULL, NULL),                                           \
    ROW_REFUSED("prompt_logprobs", NULL, NULL),                                                  \
    ROW_REFUSED("n_probs", "0", "is not supported: use logprobs"),                               \
    ROW_REFUSED("post_sampling_probs", "false", NULL),                                           \
    ROW_REFUSED("n_indent", "0", NULL),                                                          \
    ROW("t_max_predict_ms", I64, most_ms, -1, 1e12, 0),                                          \
    ROW_REFUSED("lora", NULL, "is not supported: make a model with the adapter"),                \
    ROW_WARNED("id_slot", FIELD_IS_INT, "-1", NULL),                                                           \
    ROW_WARNED("n_keep", FIELD_IS_INT, "0|-1", "has no effect: a context that is full ends the answer"),       \
    ROW_WARNED("n_cache_reuse", FIELD_IS_INT, "0", NULL),                                                      \
    ROW_WARNED("return_progress", FIELD_IS_BOOL, "false", NULL),                                                \
    ROW_WARNED("return_tokens", FIELD_IS_BOOL, "false", NULL),                                                  \
    ROW_WARNED("backend_sampling", FIELD_IS_BOOL, "false", NULL),                                               \
    ROW_NOTED("sse_ping_interval", FIELD_IS_INT)

/* Of chat and completions, in OpenAI's words. */
#define ROWS_TEXT                                                                                \
    ROW("stream", BOOL, stream, 0, 1, 0),                                                        \
    ROW("stream_options", OBJECT, stream_options, 0, 0, 0),                                      \
    ROW("max_tokens", INT, max_tokens, -1, INT_MAX, FIELD_CLAMP),                                \
    ROW("n_predict", INT, n_predict, -1, INT_MAX, FIELD_CLAMP),                                  \
    ROW("n", INT, n, 1, OPENAI_CHOICE_MAX, 0)
/* clang-format on */

#endif
