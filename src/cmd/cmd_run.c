#include "cmd/run.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "infer/engine.h"
#include "kern/kern.h"
#include "model/params.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#define STDIN_MAX ((size_t)64 << 20)

/* clang-format off */
#define AT(f) offsetof(struct run_options, f)
static const struct opt_row rows[] = {
    {.name = "temp", .type = OPT_FLOAT, .at = AT(sampling.temperature), .def = "0.8",
     .min = 0, .max = 1e30, .param = "temperature", .arg = "X",
     .help = "how freely tokens are chosen; 0: always the likeliest"},
    {.name = "top-k", .type = OPT_INT, .at = AT(sampling.top_k), .def = "40",
     .min = 0, .max = INT32_MAX, .param = "top_k", .arg = "N",
     .help = "choose among the N likeliest; 0: all"},
    {.name = "top-p", .type = OPT_FLOAT, .at = AT(sampling.top_p), .def = "0.9",
     .min = 0, .max = 1, .above = 1, .param = "top_p", .arg = "X",
     .help = "choose among the likeliest that make up X together; 1: all"},
    {.name = "min-p", .type = OPT_FLOAT, .at = AT(sampling.min_p), .def = "0",
     .min = 0, .max = 1, .param = "min_p", .arg = "X",
     .help = "leave out what is less than X times the likeliest; 0: off"},
    {.name = "typical", .type = OPT_FLOAT, .at = AT(sampling.typical_p), .def = "1",
     .min = 0, .max = 1, .above = 1, .param = "typical_p", .arg = "X",
     .help = "choose among tokens of typical surprise that make up X; 1: off"},
    {.name = "repeat-penalty", .type = OPT_FLOAT, .at = AT(sampling.repeat_penalty),
     .def = "1", .min = 0, .max = 1e30, .above = 1, .param = "repeat_penalty", .arg = "X",
     .help = "make tokens less likely that were there; 1: off"},
    {.name = "presence-penalty", .type = OPT_FLOAT, .at = AT(sampling.presence_penalty),
     .def = "0", .min = -1e30, .max = 1e30, .param = "presence_penalty", .arg = "X",
     .help = "take X off the logit of tokens that were there"},
    {.name = "frequency-penalty", .type = OPT_FLOAT, .at = AT(sampling.frequency_penalty),
     .def = "0", .min = -1e30, .max = 1e30, .param = "frequency_penalty", .arg = "X",
     .help = "take X off for each time that a token was there"},
    {.name = "repeat-last-n", .type = OPT_INT, .at = AT(sampling.repeat_last_n), .def = "64",
     .min = -1, .max = INT32_MAX, .param = "repeat_last_n", .arg = "N",
     .help = "penalties look back N tokens; 0: off, -1: all"},
    {.name = "top-n-sigma", .type = OPT_FLOAT, .at = AT(sampling.top_n_sigma), .def = "0",
     .min = 0, .max = 1e30, .param = "top_n_sigma", .arg = "X",
     .help = "leave out what is more than X deviations below the likeliest; 0: off"},
    {.name = "xtc-probability", .type = OPT_FLOAT, .at = AT(sampling.xtc_probability), .def = "0",
     .min = 0, .max = 1, .param = "xtc_probability", .arg = "X",
     .help = "how often the likeliest are left out for a less likely one; 0: off"},
    {.name = "xtc-threshold", .type = OPT_FLOAT, .at = AT(sampling.xtc_threshold), .def = "0.1",
     .min = 0, .max = 1, .param = "xtc_threshold", .arg = "X",
     .help = "the share that makes a token likely for that; above 0.5: off"},
    {.name = "dry-multiplier", .type = OPT_FLOAT, .at = AT(sampling.dry_multiplier), .def = "0",
     .min = 0, .max = 1e30, .param = "dry_multiplier", .arg = "X",
     .help = "take X off what goes on with a repetition, more for longer ones; 0: off"},
    {.name = "dry-base", .type = OPT_FLOAT, .at = AT(sampling.dry_base), .def = "1.75",
     .min = 0, .max = 1e30, .param = "dry_base", .arg = "X",
     .help = "times X for each token that the repetition is longer than allowed"},
    {.name = "dry-allowed-length", .type = OPT_INT, .at = AT(sampling.dry_allowed_length), .def = "2",
     .min = 0, .max = INT32_MAX, .param = "dry_allowed_length", .arg = "N",
     .help = "repetitions of less than N tokens are allowed"},
    {.name = "dry-last-n", .type = OPT_INT, .at = AT(sampling.dry_last_n), .def = "-1",
     .min = -1, .max = INT32_MAX, .param = "dry_last_n", .arg = "N",
     .help = "look for repetitions in the last N tokens; 0: off, -1: all"},
    {.name = "dynatemp-range", .type = OPT_FLOAT, .at = AT(sampling.dynatemp_range), .def = "0",
     .min = 0, .max = 1e30, .param = "dynatemp_range", .arg = "X",
     .help = "the temperature moves by X with the model's uncertainty; 0: off"},
    {.name = "dynatemp-exponent", .type = OPT_FLOAT, .at = AT(sampling.dynatemp_exponent), .def = "1",
     .min = 0, .max = 1e30, .param = "dynatemp_exponent", .arg = "X",
     .help = "uncertainty, 0 to 1, counts to the power of X"},
    {.name = "min-keep", .type = OPT_INT, .at = AT(sampling.min_keep), .def = "0",
     .min = 0, .max = INT32_MAX, .param = "min_keep", .arg = "N",
     .help = "filters leave at least N tokens"},
    {.name = "seed", .type = OPT_SEED, .at = AT(seed), .param = "seed", .arg = "N",
     .help = "the same seed gives the same text (default: another one each time)"},
    {.name = "num-predict", .letter = 'n', .type = OPT_INT, .at = AT(num_predict), .def = "-1",
     .min = -1, .max = INT32_MAX, .param = "num_predict", .arg = "N",
     .help = "most tokens of an answer; 0 or -1: until it is done"},
    {.name = "num-ctx", .letter = 'c', .type = OPT_INT, .at = AT(num_ctx), .def = "0",
     .min = 0, .max = PARAMS_CTX_MAX, .arg = "N",
     .help = "tokens that the context holds; 0: the model's own, at most 4096"},
    {.name = "stop", .type = OPT_LIST, .at = AT(stop), .param = "stop", .arg = "TEXT",
     .help = "end the answer before TEXT; may be given again"},
    {.name = "system", .type = OPT_STR, .at = AT(system), .arg = "TEXT",
     .help = "what the model is to be; without a chat template put before the prompt"},
    {.name = "format", .type = OPT_STR, .at = AT(format), .def = "text", .arg = "text|json|FILE",
     .help = "json: the answer is a JSON object; FILE: what its JSON Schema says"},
    {.name = "think", .type = OPT_MAYBE, .at = AT(think), .arg = "LEVEL",
     .help = "let the model reason first; LEVEL: low, medium, high, max, true or false"},
    {.name = "no-think", .type = OPT_FLAG, .at = AT(no_think),
     .help = "answer without reasoning"},
    {.name = "hide-thinking", .type = OPT_FLAG, .at = AT(hide_think),
     .help = "do not show the reasoning"},
    {.name = "tools", .type = OPT_STR, .at = AT(tools), .arg = "FILE",
     .help = "declarations of tools (JSON, as OpenAI's API has them) that may be called"},
    {.name = "tool-choice", .type = OPT_STR, .at = AT(choice), .arg = "CHOICE",
     .help = "auto, none, required, or the name of the tool that must be called"},
    {.name = "one-call", .type = OPT_FLAG, .at = AT(one_call),
     .help = "at most one call in an answer"},
    {.name = "template", .type = OPT_STR, .at = AT(template), .arg = "FILE",
     .help = "a chat template to use instead of the model's: Jinja, or Go (.tmpl)"},
    {.name = "raw", .type = OPT_FLAG, .at = AT(raw),
     .help = "complete the prompt as it stands, without a chat template"},
    {.name = "threads", .letter = 't', .type = OPT_INT, .at = AT(threads), .def = "0",
     .min = 0, .max = 256, .arg = "N",
     .help = "compute threads; 0: what the machine allows"},
    {.name = "pin", .type = OPT_FLAG, .at = AT(pin), .help = "keep each thread on its CPU"},
    {.name = "cpu", .type = OPT_STR, .at = AT(cpu), .arg = "TIER",
     .help = "at most these instructions: " KERN_TIER_NAMES},
    {.name = "draft", .type = OPT_INT, .at = AT(draft), .def = "0", .min = 0, .max = 16,
     .arg = "N", .help = "guess N tokens ahead with the model's own heads: the same text, faster"},
    CMD_KV_ROWS(AT(kv)),
    CMD_LORA_ROWS(AT(lora)),
    CMD_CACHE_ROWS(AT(cache)),
    {.name = "local", .type = OPT_FLAG, .at = AT(local),
     .help = "compute in this process, also when a server runs"},
    {.name = "json", .type = OPT_FLAG, .at = AT(json),
     .help = "print one JSON object for each answer, with timings"},
    {.name = "special", .type = OPT_FLAG, .at = AT(special),
     .help = "show the answer as it was written, with its control tokens"},
    {.name = "verbose", .letter = 'v', .type = OPT_FLAG, .at = AT(verbose),
     .help = "say on stderr how long it took"},
};
/* clang-format on */

const struct opt_spec run_spec = {
    .usage = "hearth run FILE|NAME [PROMPT...]",
    .about =
        "Answers PROMPT with the model in FILE, or of that NAME in the store; a model without "
        "a chat template completes\n"
        "it. A NAME is asked of the server that HEARTH_HOST names, or of the one on this "
        "machine, "
        "if one runs;\n"
        "not with what a server cannot be told: --tools, --tool-choice, --one-call, "
        "--template,\n"
        "--special, and all that is about this machine, from --threads to --local.\n"
        "What is piped to stdin goes before it. Without a prompt, on a terminal, it\n"
        "asks for one again and again. An empty prompt (\"\") only loads the model. Words\n"
        "after -- are never options.",
    .rows = rows,
    .n = (int)(sizeof(rows) / sizeof(rows[0])),
};

static void run_close(struct run *r)
{
    run_chat_close(r);
    run_via_close(r);
    hearth_seq_close(r->seq);
    hearth_engine_free(r->engine);
    hearth_model_close(r->model);
    store_model_done(&r->stored);
}

/* An engine whose context is too large for this machine says so without our option's name. */
static int engine_err_of(struct err *e, const struct hearth_error *he)
{
    if (he->code != HEARTH_E_NOMEM)
        return cmd_err(e, he);
    return err_set(e, he->code, "%s; -c (--num-ctx) sets another size of it", he->message);
}

/* Words go in and words come out. */
static int can_write(const struct run *r, struct err *e)
{
    int rc = infer_writes(r->model, e);
    char why[256];

    if (rc != E_NOT_FOUND)
        return rc < 0 ? err_wrap(e, rc, "%s", r->path) : 0;
    (void)snprintf(why, sizeof(why), "%.255s", e->msg);
    return err_set(e, E_UNSUPPORTED, "%s: %s; 'hearth debug logits' takes token ids", r->path,
                   why);
}

static int run_open(struct run *r, int words, struct err *e)
{
    struct hearth_engine_options eo = {
        .n_ctx = r->opt.num_ctx,
        .n_thread = r->opt.threads,
        .pin = r->opt.pin,
        .n_draft = r->opt.draft,
    };
    struct hearth_engine_info ei;
    struct hearth_error he = {0};
    uint64_t start = clock_ns();
    int rc =
        cmd_model_open_cached(&r->model, r->path, r->opt.threads, r->opt.cpu, &r->opt.cache, e);

    if (rc == 0)
        rc = cmd_adapt(r->model, &r->opt.lora, e);
    if (rc < 0)
        return rc;
    hearth_model_info(r->model, &r->info);
    rc = words ? can_write(r, e) : 0;
    if (rc == 0)
        rc = run_chat_open(r, e);
    if (rc < 0)
        return rc;
    cmd_kv_set(&r->opt.kv, &eo);
    if (hearth_engine_new(&r->engine, r->model, &eo, &he) < 0 ||
        hearth_seq_open(&r->seq, r->engine, &he) < 0)
        return engine_err_of(e, &he);
    hearth_engine_info(r->engine, &ei);
    r->n_ctx = ei.n_ctx;
    if (r->n_ctx > r->info.n_ctx_train)
        log_line(LOG_WARN,
                 "a context of %d is more than the %d tokens that this model was trained for; "
                 "what it writes past them may make no sense",
                 r->n_ctx, r->info.n_ctx_train);
    r->load_ns = clock_ns() - start;
    return 0;
}

/* Stdin, unless it is a terminal, then the words, with blanks between. */
static int prompt_of(struct buf *b, int n_word, char **words, struct err *e)
{
    if (!isatty(STDIN_FILENO)) {
        int rc = cmd_read_all(STDIN_FILENO, b, e);

        if (rc < 0)
            return rc;
    }
    for (int i = 0; i < n_word; i++) {
        if ((b->n && buf_byte(b, ' ') < 0) || buf_str(b, words[i]) < 0)
            return err_set(e, E_TOO_LONG, "the prompt has more than %zu bytes", b->max);
    }
    return 0;
}

/* The text is there, now the next start is made faster. That this fails is no failure. */
static int keep_packed(struct run *r, struct err *e)
{
    int rc = cmd_engine_pack(r->engine, e);

    hearth_model_info(r->model, &r->info);
    if (r->info.pack_note[0])
        log_line(LOG_WARN, "%s", r->info.pack_note);
    return rc;
}

/* A server's model, or one of the store, or a path. */
static int find_model(struct run *r, int argc, char **argv, struct err *e)
{
    const char *word = r->path;
    struct err why = {0};
    int rc = run_via_open(r, argc, argv, &why), own;

    if (rc == 1)
        return 0;
    if (rc < 0 && rc != E_NOT_FOUND)
        return err_set(e, rc, "%s", why.msg);
    own = run_stored(r, argc, argv, e);
    if (own == 0 && rc == E_NOT_FOUND && r->path == word)
        return err_set(e, rc, "%s", why.msg);
    return own;
}

/* Options are read twice when a model of the store has some, too; reading moves words. */
static int options(struct run *r, int argc, char **argv, int *status)
{
    char **copy = mem_calloc((size_t)argc + 1, sizeof(*copy));
    struct err e = {0};
    int n, rc = 0;

    if (!copy) {
        (void)err_set(&e, E_NOMEM, "no memory for %d words", argc);
        *status = cmd_fail(&e);
        return -1;
    }
    memcpy(copy, argv, (size_t)argc * sizeof(*copy));
    n = cmd_options(&run_spec, argc, argv, &r->opt, 1, -1, status);
    if (n >= 0) {
        r->path = argv[0];
        rc = find_model(r, argc, copy, &e);
    }
    mem_free(copy);
    if (rc == 0)
        return n;
    *status = cmd_fail(&e);
    return -1;
}

int cmd_run(int argc, char **argv)
{
    struct run r = {.start_ns = clock_ns()};
    struct err e = {0};
    struct buf prompt;
    int status = 0, n, rc = 0;

    n = options(&r, argc, argv, &status);
    if (n < 0) {
        run_via_close(&r);
        store_model_done(&r.stored);
        return status;
    }
    buf_init(&prompt, STDIN_MAX);
    r.stdout_tty = isatty(STDOUT_FILENO);
    r.interactive = n == 1 && r.stdout_tty && isatty(STDIN_FILENO);
    if (n == 1 && !r.interactive && isatty(STDIN_FILENO))
        rc = err_set(&e, E_INVALID, "no prompt; asking for one needs a terminal as output");
    else if (!r.interactive)
        rc = prompt_of(&prompt, n - 1, argv + 1, &e);
    if (rc == 0)
        rc = r.via ? run_chat_open_via(&r, &e) : run_open(&r, r.interactive || prompt.n, &e);
    /* After the model was opened: what is wrong with its file is the better news. */
    if (rc == 0 && n == 1 && !r.interactive && !prompt.n)
        rc = err_set(&e, E_INVALID,
                     "no prompt: standard input is empty; give it as words, or \"\" to only "
                     "load the model");
    if (rc < 0)
        goto out;
    if (r.interactive || prompt.n)
        run_notice(&r);
    if (r.interactive)
        status = run_repl(&r);
    else
        rc = run_answer(&r, prompt.p ? prompt.p : "", prompt.n, &e);
    if (rc == 0 && r.engine && r.opt.cache.dir)
        rc = keep_packed(&r, &e);
out:
    run_close(&r);
    buf_done(&prompt);
    return rc < 0 ? cmd_fail(&e) : status;
}
