#include "cmd/cmd.h"

#include "base/buf.h"
#include "base/mem.h"
#include "fmt/gguf.h"
#include "infer/draft.h"
#include "infer/engine.h"
#include "kern/kern.h"
#include "model/hf/hf.h"
#include "model/model.h"
#include "quant/quant.h"
#include "serve/metrics.h"
#include "text/tok.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "floats are written as they lie in memory");

enum { DEBUG_CTX = 4096 };

struct debug_options {
    const char *ids, *out, *cpu, *nextn;
    int greedy, threads, chunk, special, pos, n_ctx, each;
    struct cmd_kv kv;
    struct cmd_lora lora;
};

/* clang-format off */
#define AT(f) offsetof(struct debug_options, f)
#define ROW_IDS     {.name = "ids", .type = OPT_STR, .at = AT(ids), .arg = "1,2,3", \
                     .help = "token ids"}
#define ROW_OUT     {.name = "out", .letter = 'o', .type = OPT_STR, .at = AT(out), \
                     .arg = "FILE", .help = "where the float32 numbers go, little endian"}
#define ROW_THREADS {.name = "threads", .letter = 't', .type = OPT_INT, .at = AT(threads), \
                     .min = 0, .max = 256, .arg = "N", \
                     .help = "compute threads; 0: what the machine allows", .def = "0"}
#define ROW_CPU     {.name = "cpu", .type = OPT_STR, .at = AT(cpu), .arg = "TIER", \
                     .help = "at most these instructions: " KERN_TIER_NAMES}
#define ROW_SPECIAL(text) {.name = "special", .type = OPT_FLAG, .at = AT(special), .help = text}

static const struct opt_row logits_rows[] = {
    ROW_IDS,
    {.name = "greedy", .type = OPT_INT, .at = AT(greedy), .def = "0", .min = 0, .max = 1e6,
     .arg = "N", .help = "then append the likeliest token N times"},
    {.name = "chunk", .type = OPT_INT, .at = AT(chunk), .def = "0", .min = 0, .max = INT32_MAX,
     .arg = "N", .help = "feed the ids in pieces of N; 0: at once"},
    {.name = "nextn", .type = OPT_STR, .at = AT(nextn), .arg = "FILE",
     .help = "of the head that predicts the token after the next: FILE has the width (int32), "
             "then the hidden state of the token before each id (float32)"},
    {.name = "pos", .type = OPT_INT, .at = AT(pos), .def = "0", .min = 0, .max = 1 << 24,
     .arg = "N", .help = "position of the first id: what is before it is left out"},
    {.name = "num-ctx", .letter = 'c', .type = OPT_INT, .at = AT(n_ctx), .def = "0", .min = 0,
     .max = 1 << 24, .arg = "N", .help = "context to plan for; 0: the model's own, at most 4096"},
    ROW_OUT, ROW_THREADS, ROW_CPU, CMD_KV_ROWS(AT(kv)), CMD_LORA_ROWS(AT(lora)),
};
static const struct opt_row embd_rows[] = {
    ROW_IDS,
    {.name = "each", .type = OPT_FLAG, .at = AT(each),
     .help = "the hidden state of each position instead, after the last norm"},
    ROW_OUT, ROW_THREADS, ROW_CPU, CMD_KV_ROWS(AT(kv)), CMD_LORA_ROWS(AT(lora)),
};
static const struct opt_row tokens_rows[] = {
    ROW_SPECIAL("add BOS and EOS as the model says; control tokens in the text count"),
};
static const struct opt_row detok_rows[] = {ROW_IDS, ROW_SPECIAL("show control tokens")};
/* clang-format on */

#define ROWS(a) .rows = (a), .n = (int)(sizeof(a) / sizeof((a)[0]))

/* -- a file of floats ---------------------------------------------------------------- */

/* A regular file is written beside its place and renamed when it is whole; anything else
 * (/dev/stdout, a pipe) is written as it is. */
struct sink {
    const char *path;
    struct buf temp; /* name of the temporary file; empty: none */
    FILE *f;
};

static int sink_open(struct sink *k, const char *path, struct err *e)
{
    struct stat st;
    int fd, beside = stat(path, &st) != 0 ? errno == ENOENT : S_ISREG(st.st_mode);

    *k = (struct sink){.path = path};
    buf_init(&k->temp, 1u << 16);
    if (beside && buf_fmt(&k->temp, "%s.%ld.part", path, (long)getpid()) < 0)
        return err_set(e, E_NOMEM, "no memory for the name of %s", path);
    fd = open(k->temp.n ? k->temp.p : path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        int why = errno;

        buf_done(&k->temp);
        return err_sys(e, E_IO, why, "write %s", path);
    }
    k->f = fdopen(fd, "wb");
    if (k->f)
        return 0;
    (void)close(fd);
    return err_set(e, E_NOMEM, "no memory to write %s", path);
}

static int sink_put(struct sink *k, const float *v, size_t n, struct err *e)
{
    if (fwrite(v, sizeof(*v), n, k->f) == n)
        return 0;
    return err_sys(e, E_IO, errno, "write %s", k->path);
}

/* rc < 0: what was written is of no use. Returns rc, or what went wrong here. */
static int sink_close(struct sink *k, int rc, struct err *e)
{
    if (k->f && fclose(k->f) != 0 && rc >= 0)
        rc = err_sys(e, E_IO, errno, "write %s", k->path);
    if (k->temp.n && rc >= 0 && rename(k->temp.p, k->path) != 0)
        rc = err_sys(e, E_IO, errno, "rename to %s", k->path);
    if (k->temp.n && rc < 0)
        (void)unlink(k->temp.p);
    buf_done(&k->temp);
    k->f = NULL;
    return rc;
}

/* -- logits and embeddings ----------------------------------------------------------- */

/* What logits and embd have in common: a model, an engine, one sequence, ids, a file. */
struct probe {
    struct debug_options opt;
    struct hearth_model *m;
    struct hearth_engine *en;
    struct hearth_seq *s;
    struct hearth_model_info info;
    int32_t *ids;
    size_t n_id;
    struct sink sink;
    int keep;   /* rows go to the sink */
    float *row; /* [n_vocab]: the latest */
    struct err *e;
};

static void probe_close(struct probe *p)
{
    hearth_seq_close(p->s);
    hearth_engine_free(p->en);
    hearth_model_close(p->m);
    mem_free(p->ids);
    mem_free(p->row);
}

/* As `run` has it, or what is asked for, and room for the ids at least. */
static int plan_ctx(const struct probe *p)
{
    int need = (int)p->n_id + p->opt.greedy,
        usual = p->info.n_ctx_train < DEBUG_CTX ? p->info.n_ctx_train : DEBUG_CTX,
        want = p->opt.n_ctx ? p->opt.n_ctx : usual;

    return want > need ? want : need;
}

static int probe_open(struct probe *p, const char *path, struct err *e)
{
    const struct debug_options *o = &p->opt;
    struct hearth_engine_options eo = {.n_thread = o->threads};
    struct hearth_error he = {0};
    int rc;

    if (!o->ids || !o->out)
        return err_set(e, E_INVALID, "--ids and --out are needed");
    rc = opt_ids(o->ids, &p->ids, &p->n_id, e);
    if (rc < 0)
        return rc;
    rc = cmd_model_open(&p->m, path, o->threads, o->cpu, e);
    if (rc == 0)
        rc = cmd_adapt(p->m, &o->lora, e);
    if (rc < 0)
        return rc;
    hearth_model_info(p->m, &p->info);
    p->e = e;
    p->row = mem_calloc((size_t)p->info.n_vocab + 1, sizeof(*p->row));
    if (!p->row)
        return err_set(e, E_NOMEM, "no memory for %d logits", p->info.n_vocab);
    eo.n_ctx = plan_ctx(p);
    cmd_kv_set(&o->kv, &eo);
    if (hearth_engine_new(&p->en, p->m, &eo, &he) < 0 ||
        hearth_seq_open(&p->s, p->en, &he) < 0 ||
        hearth_seq_set_position(p->s, o->pos, &he) < 0)
        return cmd_err(e, &he);
    return 0;
}

static int take_row(void *ctx, size_t i, const float *logits)
{
    struct probe *p = ctx;
    size_t n = (size_t)p->info.n_vocab;

    (void)i;
    memcpy(p->row, logits, n * sizeof(*logits));
    return p->keep ? sink_put(&p->sink, logits, n, p->e) : 0;
}

static int feed(struct probe *p, const int32_t *ids, size_t n)
{
    struct hearth_error he = {0};
    int rc;

    p->e->code = 0;
    rc = hearth_seq_logits_all(p->s, ids, n, take_row, p, &he);
    if (rc < 0 && p->e->code == 0) /* else it was the file */
        return cmd_err(p->e, &he);
    return rc < 0 ? p->e->code : p->e->code < 0 ? p->e->code : 0;
}

static int likeliest(const struct probe *p, int32_t *id)
{
    int best = -1;

    for (int i = 0; i < p->info.n_vocab; i++) {
        if (p->row[i] == p->row[i] && (best < 0 || p->row[i] > p->row[best]))
            best = i;
    }
    if (best < 0)
        return err_set(p->e, E_NUMERIC, "all logits are NaN");
    *id = best;
    return 0;
}

/* The head alone, from hidden states of a file. */
static int nextn_run(struct probe *p)
{
    size_t width = (size_t)p->info.n_embd, n_vocab = (size_t)p->info.n_vocab;
    float *h = mem_calloc(p->n_id * width, sizeof(*h));
    FILE *f = fopen(p->opt.nextn, "rb");
    int32_t said = 0;
    int rc = 0;

    if (!h)
        rc = err_set(p->e, E_NOMEM, "no memory for %zu hidden states", p->n_id);
    else if (!f)
        rc = err_sys(p->e, E_NOT_FOUND, errno, "read %s", p->opt.nextn);
    else if (fread(&said, sizeof(said), 1, f) != 1 || (size_t)said != width ||
             fread(h, sizeof(*h), p->n_id * width, f) != p->n_id * width)
        rc = err_set(p->e, E_FORMAT, "%s: expected the width %zu and %zu hidden states",
                     p->opt.nextn, width, p->n_id);
    else if (!p->en->model->m->guesses)
        rc = err_set(p->e, E_UNSUPPORTED, "this model has no head that predicts ahead");
    for (size_t i = 0; i < p->n_id && rc == 0; i += (size_t)p->en->n_row) {
        size_t n = p->n_id - i < (size_t)p->en->n_row ? p->n_id - i : (size_t)p->en->n_row;

        rc = draft_head(p->s, (int)i, p->ids + i, (int)n, h + i * width, p->e);
        if (rc == 0)
            rc = sink_put(&p->sink, p->en->logits, n * n_vocab, p->e);
    }
    if (f)
        (void)fclose(f);
    mem_free(h);
    return rc;
}

static int logits_run(struct probe *p, int32_t *greedy)
{
    size_t chunk = p->opt.chunk > 0 ? (size_t)p->opt.chunk : p->n_id;

    p->keep = 1;
    for (size_t i = 0; i < p->n_id; i += chunk) {
        int rc = feed(p, p->ids + i, p->n_id - i < chunk ? p->n_id - i : chunk);

        if (rc < 0)
            return rc;
    }
    for (int i = 0; i < p->opt.greedy; i++) {
        int rc = likeliest(p, &greedy[i]);

        p->keep = i + 1 == p->opt.greedy; /* only the last row is asked for */
        if (rc == 0)
            rc = feed(p, &greedy[i], 1);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int debug_logits(int argc, char **argv)
{
    static const struct opt_spec spec = {
        .usage = "hearth debug logits MODEL --ids 1,2,3 --out FILE",
        .about = "Writes the logits of every position, then those after the last of --greedy.",
        ROWS(logits_rows),
    };
    struct probe p = {0};
    struct err e = {0};
    int32_t *greedy = NULL;
    int status, rc;

    if (cmd_options(&spec, argc, argv, &p.opt, 1, 1, &status) < 0)
        return status;
    rc = probe_open(&p, argv[0], &e);
    if (rc < 0)
        goto out;
    greedy = mem_calloc((size_t)p.opt.greedy + 1, sizeof(*greedy));
    if (!greedy) {
        rc = err_set(&e, E_NOMEM, "no memory for %d ids", p.opt.greedy);
        goto out;
    }
    rc = sink_open(&p.sink, p.opt.out, &e);
    if (rc < 0)
        goto out;
    rc = sink_close(&p.sink, p.opt.nextn ? nextn_run(&p) : logits_run(&p, greedy), &e);
    if (rc < 0)
        goto out;
    (void)printf("{\"n_vocab\":%d,\"greedy\":[", p.info.n_vocab);
    for (int i = 0; i < p.opt.greedy; i++)
        (void)printf("%s%d", i ? "," : "", (int)greedy[i]);
    (void)printf("]}\n");
out:
    mem_free(greedy);
    probe_close(&p);
    return rc < 0 ? cmd_fail(&e) : 0;
}

static int put_hidden(void *ctx, size_t i, const float *hidden)
{
    struct probe *p = ctx;

    (void)i;
    return sink_put(&p->sink, hidden, (size_t)p->info.n_embd, p->e);
}

static int debug_embd(int argc, char **argv)
{
    static const struct opt_spec spec = {
        .usage = "hearth debug embd MODEL --ids 1,2,3 --out FILE",
        .about = "Writes the pooled embedding of the ids, not normalised.",
        ROWS(embd_rows),
    };
    struct probe p = {0};
    struct hearth_error he = {0};
    struct err e = {0};
    float *v = NULL;
    int status, rc;

    if (cmd_options(&spec, argc, argv, &p.opt, 1, 1, &status) < 0)
        return status;
    rc = probe_open(&p, argv[0], &e);
    if (rc < 0)
        goto out;
    v = mem_calloc((size_t)p.info.n_embd_out, sizeof(*v));
    if (!v) {
        rc = err_set(&e, E_NOMEM, "no memory for %d numbers", p.info.n_embd_out);
        goto out;
    }
    rc = sink_open(&p.sink, p.opt.out, &e);
    if (rc < 0)
        goto out;
    rc = p.opt.each ? hearth_seq_hidden_all(p.s, p.ids, p.n_id, put_hidden, &p, &he)
                    : hearth_seq_embed(p.s, p.ids, p.n_id, v, &he);
    if (rc < 0 && e.code == 0)
        rc = cmd_err(&e, &he);
    else if (rc >= 0 && !p.opt.each)
        rc = sink_put(&p.sink, v, (size_t)p.info.n_embd_out, &e);
    rc = sink_close(&p.sink, rc, &e);
    if (rc >= 0)
        (void)printf("{\"n_embd\":%d}\n", p.opt.each ? p.info.n_embd : p.info.n_embd_out);
out:
    mem_free(v);
    probe_close(&p);
    return rc < 0 ? cmd_fail(&e) : 0;
}

/* -- tokens, also of files that hold a vocabulary and no weights ----------------------- */

static int tok_of_file(struct gguf **g, struct tok **t, const char *path, struct err *e)
{
    int rc = hf_open_model(g, path, 0, e);

    if (rc == 0)
        rc = tok_new(t, *g, e);
    return rc;
}

static int debug_tokens(int argc, char **argv)
{
    static const struct opt_spec spec = {
        .usage = "hearth debug tokens MODEL [--special] <TEXT",
        .about = "Prints the token ids of stdin as a JSON array.",
        ROWS(tokens_rows),
    };
    struct debug_options o = {0};
    struct gguf *g = NULL;
    struct tok *t = NULL;
    struct tok_ids ids = {0};
    struct err e = {0};
    struct buf text;
    int status, rc;

    if (cmd_options(&spec, argc, argv, &o, 1, 1, &status) < 0)
        return status;
    buf_init(&text, (size_t)1 << 30);
    rc = tok_of_file(&g, &t, argv[0], &e);
    if (rc == 0)
        rc = cmd_read_all(STDIN_FILENO, &text, &e);
    if (rc == 0)
        rc = tok_encode(t, text.p ? text.p : "", text.n,
                        o.special ? TOK_ADD_SPECIAL | TOK_PARSE_SPECIAL : 0, &ids, &e);
    if (rc >= 0) {
        (void)putchar('[');
        for (size_t i = 0; i < ids.n; i++)
            (void)printf("%s%d", i ? "," : "", (int)ids.id[i]);
        (void)printf("]\n");
    }
    tok_ids_done(&ids);
    buf_done(&text);
    tok_free(t);
    gguf_free(g);
    return rc < 0 ? cmd_fail(&e) : 0;
}

static int detok_print(const struct tok *t, const int32_t *ids, size_t n, int special,
                       struct err *e)
{
    struct tok_stream stream;
    struct buf out;
    int rc = 0;

    buf_init(&out, (size_t)1 << 30);
    tok_stream_init(&stream, t, 1, special);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (ids[i] < 0 || ids[i] >= tok_count(t))
            rc = err_set(e, E_INVALID, "token id %d is outside 0..%d", (int)ids[i],
                         tok_count(t) - 1);
        else if (tok_stream_put(&stream, ids[i], &out) < 0)
            rc = err_set(e, E_NOMEM, "no memory for the text of %zu tokens", n);
    }
    if (rc == 0 && tok_stream_end(&stream, &out) < 0)
        rc = err_set(e, E_NOMEM, "no memory for the text of %zu tokens", n);
    if (rc == 0 && out.n)
        (void)fwrite(out.p, 1, tok_tidy(t, out.p, out.n), stdout);
    buf_done(&out);
    return rc;
}

static int debug_detok(int argc, char **argv)
{
    static const struct opt_spec spec = {
        .usage = "hearth debug detok MODEL --ids 1,2,3 [--special]",
        .about = "Prints the bytes that the ids stand for, tidied as the tokenizer says.",
        ROWS(detok_rows),
    };
    struct debug_options o = {0};
    struct gguf *g = NULL;
    struct tok *t = NULL;
    struct err e = {0};
    int32_t *ids = NULL;
    size_t n = 0;
    int status, rc;

    if (cmd_options(&spec, argc, argv, &o, 1, 1, &status) < 0)
        return status;
    rc = o.ids ? opt_ids(o.ids, &ids, &n, &e) : err_set(&e, E_INVALID, "--ids is needed");
    if (rc == 0)
        rc = tok_of_file(&g, &t, argv[0], &e);
    if (rc == 0)
        rc = detok_print(t, ids, n, o.special, &e);
    mem_free(ids);
    tok_free(t);
    gguf_free(g);
    return rc < 0 ? cmd_fail(&e) : 0;
}

/* -- lists --------------------------------------------------------------------------- */

static int list_archs(struct err *e)
{
    char features[128];

    (void)e;
    (void)printf("%-18s %-60s %s\n", "name", "does, has", "models");
    for (int i = 0; arch_at(i); i++)
        (void)printf("%-18s %-60s %s\n", arch_at(i)->name,
                     arch_features(arch_at(i), features, sizeof(features)),
                     arch_at(i)->about ? arch_at(i)->about : "");
    return 0;
}

static int list_quants(struct err *e)
{
    const struct quant *q;

    (void)e;
    (void)printf("%-8s %4s %6s %6s %s\n", "name", "id", "block", "bytes", "bits/weight");
    for (int i = 0; (q = quant_at(i)) != NULL; i++)
        (void)printf("%-8s %4d %6d %6d %.4g%s\n", q->name, q->type, q->block, q->bytes,
                     8.0 * q->bytes / q->block, q->from_f32 ? "" : " (only read)");
    return 0;
}

static int list_kernels(struct err *e)
{
    struct kern k;
    char line[160];
    int tier = infer_tier(NULL, e);

    if (tier < 0)
        return tier;
    kern_init(&k, tier);
    (void)printf("best tier here: %s\ntier in use: %s\n", kern_tier_name(kern_tier_best()),
                 kern_tier_name(tier));
    for (int i = 0; kern_describe(&k, i, line, sizeof(line)); i++)
        (void)printf("%s\n", line);
    return 0;
}

static int list_tokenizers(struct err *e)
{
    (void)e;
    for (int i = 0; tok_kind_name(i); i++)
        (void)printf("kind %s\n", tok_kind_name(i));
    for (int i = 0; tok_pre_name(i); i++)
        (void)printf("pre  %s\n", tok_pre_name(i));
    return 0;
}

/* Model classes of Hugging Face folders. */
static int list_classes(struct err *e)
{
    const char *names, *arch;

    (void)e;
    for (size_t i = 0; (names = hf_class_name(i, &arch)) != NULL; i++) {
        for (size_t n; *names; names += n + (names[n] == '|')) {
            n = strcspn(names, "|");
            (void)printf("%-40.*s %s\n", (int)n, names, arch);
        }
    }
    return 0;
}

static int list_metrics(struct err *e)
{
    static const char *const kind[] = {"counter", "gauge", "histogram"};

    (void)e;
    (void)printf("%-36s %-10s %-8s %s\n", "metric", "kind", "label", "what it says");
    for (int i = 0; i < METRIC_N; i++) {
        const struct metrics_row *row = &metrics_table[i];

        (void)printf("%-36s %-10s %-8s %s\n", row->name, kind[row->kind],
                     row->what[0] ? row->what : "-", row->help);
    }
    return 0;
}

static int debug_list(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*fn)(struct err *e);
    } lists[] = {
        {"archs", list_archs},     {"classes", list_classes},       {"quants", list_quants},
        {"kernels", list_kernels}, {"tokenizers", list_tokenizers}, {"metrics", list_metrics},
    };
    static const struct opt_spec spec = {
        .usage = "hearth debug list archs|classes|quants|kernels|tokenizers|metrics",
        .about = "Prints what this build knows.",
    };
    struct err e = {0};
    int status;

    if (cmd_options(&spec, argc, argv, NULL, 1, 1, &status) < 0)
        return status;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        if (strcmp(argv[0], lists[i].name) != 0)
            continue;
        return lists[i].fn(&e) < 0 ? cmd_fail(&e) : 0;
    }
    (void)err_set(&e, E_INVALID, "no list '%s'; usage: %s", argv[0], spec.usage);
    return cmd_fail(&e);
}

/* -- the command --------------------------------------------------------------------- */

int cmd_debug(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*fn)(int argc, char **argv);
    } subs[] = {
        {"logits", debug_logits},       {"embd", debug_embd},
        {"tokens", debug_tokens},       {"detok", debug_detok},
        {"list", debug_list},           {"render", cmd_debug_render},
        {"grammar", cmd_debug_grammar}, {"probe", cmd_debug_probe},
        {"reply", cmd_debug_reply},
    };
    static const struct opt_spec spec = {
        .usage = "hearth debug logits|embd|tokens|detok|list|render|grammar|probe|reply ...",
        .about = "Looks inside a model. 'hearth debug logits --help' and so on say more.",
    };
    struct err e = {0};
    int status;

    for (size_t i = 0; argc > 0 && i < sizeof(subs) / sizeof(subs[0]); i++) {
        if (strcmp(argv[0], subs[i].name) == 0)
            return subs[i].fn(argc - 1, argv + 1);
    }
    if (cmd_options(&spec, argc, argv, NULL, 1, -1, &status) < 0)
        return status;
    (void)err_set(&e, E_INVALID, "no 'debug %s'; usage: %s", argv[0], spec.usage);
    return cmd_fail(&e);
}
