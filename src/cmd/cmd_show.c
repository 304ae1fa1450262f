/* hearth show: what a model file says of itself. Everything printed comes from the file, so
 * text is printed with control characters made visible: a file cannot drive the terminal.
 */
#include "cmd/show.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/utf8.h"
#include "fmt/gguf.h"
#include "model/hf/hf.h"
#include "model/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    SHOW_TEXT = 120,     /* bytes of a string that are printed as metadata */
    SHOW_LICENSE = 2,    /* lines */
    SHOW_PREFIX_MAX = 64 /* bytes of an architecture's name in front of its keys */
};

struct show_options {
    int json, verbose;
    int part[SHOW_PARTS];
};

/* -- facts --------------------------------------------------------------------------- */

/* A string key, empty when it is absent or of another type: showing a file must not depend on
 * what is wrong with it. */
static struct str text_of(const struct gguf *g, const char *key)
{
    struct str s = {"", 0};

    return gguf_str(g, key, &s, NULL) > 0 ? s : (struct str){"", 0};
}

/* The key ARCH.name; 0 when there is none. */
static int arch_key(struct str arch, const char *name, char *out, size_t cap)
{
    if (arch.n == 0 || arch.n > SHOW_PREFIX_MAX)
        return 0;
    (void)snprintf(out, cap, "%.*s.%s", (int)arch.n, arch.p, name);
    return 1;
}

static int arch_u64(const struct gguf *g, struct str arch, const char *name, uint64_t *out)
{
    char key[128];

    return arch_key(arch, name, key, sizeof(key)) && gguf_u64(g, key, out, NULL) > 0;
}

/* The store knows what a model with a name can do: its Modelfile may have a template. */
static void facts_read(const struct gguf *g, const struct store_model *m, struct show_facts *f)
{
    const struct gguf_kv *tokens = gguf_kv(g, "tokenizer.ggml.tokens");

    *f = (struct show_facts){0};
    f->arch = text_of(g, "general.architecture");
    f->tok = text_of(g, "tokenizer.ggml.model");
    f->license = text_of(g, "general.license");
    if (f->license.n == 0)
        f->license = text_of(g, "general.license.name");
    if (tokens && tokens->type == GGUF_ARR)
        f->n_tok = tokens->n;
    f->has_ctx = arch_u64(g, f->arch, "context_length", &f->n_ctx);
    f->has_embd = arch_u64(g, f->arch, "embedding_length", &f->n_embd);
    for (size_t i = 0; i < gguf_n_tensor(g); i++)
        f->n_param += gguf_tensor_at(g, i)->n_elem;
    f->quant = gguf_file_type(g);
    f->adapter = str_is(text_of(g, "general.type"), "adapter");
    f->can = m->path ? m->can : store_can_of(g);
}

/* -- text ---------------------------------------------------------------------------- */

/* Characters that move the cursor, ring, or turn the direction of text around. */
static int is_control(int32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

/* At most max bytes of s. */
static void print_text(struct str s, size_t max)
{
    size_t i = 0;

    while (i < s.n && i < max) {
        int32_t c; /* -1, below 0x20, for a byte that is no character */
        size_t len = (size_t)utf8_next(s.p + i, s.n - i, &c);

        for (size_t k = 0; k < len; k++) {
            if (is_control(c))
                (void)printf("\\x%02X", (unsigned char)s.p[i + k]);
            else
                (void)putchar(s.p[i + k]);
        }
        i += len;
    }
    if (i < s.n)
        (void)printf("... (%zu bytes)", s.n);
}

static void print_field(const char *name, struct str value)
{
    (void)printf("    %-20s", name);
    print_text(value, SHOW_TEXT);
    (void)putchar('\n');
}

static void print_count(const char *name, uint64_t n)
{
    (void)printf("    %-20s%" PRIu64 "\n", name, n);
}

/* 1234567890 is "1.2B". */
static void print_params(uint64_t n)
{
    static const struct {
        uint64_t unit;
        const char *letter;
    } units[] = {{1000000000000u, "T"}, {1000000000u, "B"}, {1000000u, "M"}, {1000u, "K"}};

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        /* In tenths, rounded; what rounds up to 1000 of a unit is 1 of the next. */
        uint64_t tenth = units[i].unit / 10, x = n / tenth + (n % tenth >= tenth / 2);

        if (x < 10)
            continue;
        (void)printf("    %-20s%" PRIu64 ".%" PRIu64 "%s\n", "parameters", x / 10, x % 10,
                     units[i].letter);
        return;
    }
    print_count("parameters", n);
}

static void print_license(struct str text)
{
    (void)printf("\n  License\n");
    for (int line = 0; text.n && line < SHOW_LICENSE;) {
        const char *end = memchr(text.p, '\n', text.n);
        struct str one = {text.p, end ? (size_t)(end - text.p) : text.n};
        size_t step = one.n + (end != NULL);

        text.p += step;
        text.n -= step;
        while (one.n && (one.p[one.n - 1] == '\r' || one.p[one.n - 1] == ' '))
            one.n--;
        while (one.n && (*one.p == ' ' || *one.p == '\t')) {
            one.p++;
            one.n--;
        }
        if (one.n == 0)
            continue;
        (void)printf("    ");
        print_text(one, SHOW_TEXT);
        (void)putchar('\n');
        line++;
    }
}

/* Parts that are files: what was made of them has none of its own. */
uint64_t show_n_file(const struct gguf *g)
{
    uint64_t n = 0;

    for (int i = 0; i < gguf_n_part(g); i++)
        n += gguf_mapping(g, i)->stamp[0] != 0;
    return n;
}

static void print_double(double v, int type)
{
    char text[NUM_TEXT];

    (void)(type == GGUF_F32 ? num_float(text, (float)v) : num_double(text, v));
    (void)fputs(text, stdout);
}

/* What is added to a model, and how much of it. */
static void print_adapter(const struct gguf *g)
{
    struct str type = text_of(g, "adapter.type");
    double alpha = 0;

    print_field("type", type.n ? type : str_of("not told"));
    if (gguf_f64(g, "adapter.lora.alpha", &alpha, NULL) > 0) {
        (void)printf("    %-20s", "alpha");
        print_double(alpha, GGUF_F32);
        (void)putchar('\n');
    }
    print_count("tensors", gguf_n_tensor(g));
}

static void print_facts(const struct gguf *g, const struct show_facts *f)
{
    (void)printf(f->adapter ? "  Adapter\n" : "  Model\n");
    if (f->adapter)
        print_adapter(g);
    print_field(f->adapter ? "of architecture" : "architecture",
                f->arch.n ? f->arch : str_of("not told"));
    if (strcmp(gguf_format(g), "GGUF") != 0)
        print_field("format", str_of(gguf_format(g)));
    if (gguf_n_tensor(g))
        print_params(f->n_param);
    if (f->has_ctx)
        print_count("context length", f->n_ctx);
    if (f->has_embd)
        print_count("embedding length", f->n_embd);
    if (f->quant)
        print_field("quantization", str_of(f->quant));
    if (show_n_file(g) > 1)
        print_count("files", show_n_file(g));
    if (f->can)
        (void)printf("\n  Capabilities\n");
    for (int i = 0; store_can_name(i); i++)
        if (f->can & 1 << i)
            (void)printf("    %s\n", store_can_name(i));
    if (f->tok.n || f->n_tok) {
        (void)printf("\n  Tokenizer\n");
        print_field("kind", f->tok.n ? f->tok : str_of("not told"));
        print_count("tokens", f->n_tok);
    }
    if (f->license.n)
        print_license(f->license);
}

static void print_elems(const struct gguf_kv *kv)
{
    uint64_t n = kv->n < SHOW_ELEMS ? kv->n : SHOW_ELEMS;
    struct str s[SHOW_ELEMS];
    struct gguf_kv first = *kv;

    first.n = n;
    if (kv->elem_type == GGUF_STR)
        gguf_arr_strs(&first, s);
    (void)putchar('[');
    for (uint64_t i = 0; i < n; i++) {
        if (i)
            (void)printf(", ");
        if (kv->elem_type == GGUF_STR)
            print_text(s[i], SHOW_TEXT / SHOW_ELEMS);
        else if (kv->elem_type == GGUF_F32 || kv->elem_type == GGUF_F64)
            print_double(gguf_arr_f64(kv, i), kv->elem_type);
        else
            (void)printf("%" PRId64, gguf_arr_int(kv, i));
    }
    (void)printf(kv->n > n ? ", ...]" : "]");
}

static void print_value(const struct gguf_kv *kv)
{
    switch (kv->type) {
    case GGUF_STR:
        print_text(kv->v.s, SHOW_TEXT);
        break;
    case GGUF_ARR:
        print_elems(kv);
        break;
    case GGUF_F32:
    case GGUF_F64:
        print_double(kv->v.f, kv->type);
        break;
    case GGUF_BOOL:
        (void)printf("%s", kv->v.u ? "true" : "false");
        break;
    case GGUF_I8:
    case GGUF_I16:
    case GGUF_I32:
    case GGUF_I64:
        (void)printf("%" PRId64, kv->v.i);
        break;
    default:
        (void)printf("%" PRIu64, kv->v.u);
    }
}

static void print_all(const struct gguf *g)
{
    (void)printf("\n  Metadata\n");
    for (size_t i = 0; i < gguf_n_kv(g); i++) {
        const struct gguf_kv *kv = gguf_kv_at(g, i);

        (void)printf("    ");
        print_text(kv->key, SHOW_TEXT);
        if (kv->type == GGUF_ARR)
            (void)printf("  %s[%" PRIu64 "]  ", gguf_type_name(kv->elem_type), kv->n);
        else
            (void)printf("  %s  ", gguf_type_name(kv->type));
        print_value(kv);
        (void)putchar('\n');
    }
    (void)printf("\n  Tensors\n");
    for (size_t i = 0; i < gguf_n_tensor(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);

        (void)printf("    ");
        print_text(t->name, SHOW_TEXT);
        (void)printf("  %s  [", gguf_tensor_type_name(t->type));
        for (int k = 0; k < t->n_dim; k++)
            (void)printf("%s%" PRIu64, k ? ", " : "", t->ne[k]);
        (void)printf("]\n");
    }
}

/* -- the command --------------------------------------------------------------------- */

#define AT(f) offsetof(struct show_options, f)

/* clang-format off */
static const struct opt_row rows[] = {
    {.name = "verbose", .letter = 'v', .type = OPT_FLAG, .at = AT(verbose),
     .help = "also print all metadata and tensors"},
    {.name = "modelfile", .type = OPT_FLAG, .at = AT(part[SHOW_MODELFILE]),
     .help = "print the Modelfile that makes this model"},
    {.name = "parameters", .type = OPT_FLAG, .at = AT(part[SHOW_PARAMETERS]),
     .help = "print its parameters"},
    {.name = "template", .type = OPT_FLAG, .at = AT(part[SHOW_TEMPLATE]),
     .help = "print its chat template"},
    {.name = "system", .type = OPT_FLAG, .at = AT(part[SHOW_SYSTEM]),
     .help = "print its system text"},
    {.name = "license", .type = OPT_FLAG, .at = AT(part[SHOW_LICENSES]),
     .help = "print its licences"},
    {.name = "json", .type = OPT_FLAG, .at = AT(json),
     .help = "print one JSON object"},
};
/* clang-format on */

/* The weights of m, which is empty when word is a path. */
static int show(const char *word, const struct store_model *m, const struct show_options *o,
                struct err *e)
{
    const char *path = m->path ? m->path : word;
    struct gguf *g = NULL;
    struct err why = {0};
    struct show_facts f;
    int rc = hf_open_model(&g, path, 0, e), part = SHOW_PARTS;

    if (rc == E_NOT_FOUND && access(path, F_OK) != 0) /* else a part of it is missing */
        (void)err_set(e, rc,
                      m->path ? "the weights of this model are gone: no file '%s'"
                              : "no model file '%s' here, and no model of that name; give the "
                                "path of a .gguf file",
                      path);
    if (rc < 0)
        return rc;
    if (gguf_trailing_bytes(g))
        log_line(LOG_WARN, "%s: %" PRIu64 " bytes after the last tensor", path,
                 gguf_trailing_bytes(g));
    facts_read(g, m, &f);
    if (hf_is_folder(path) && model_check(g, &why) < 0)
        log_line(LOG_WARN, "it will not open: %s", why.msg);
    for (int i = 0; i < SHOW_PARTS; i++)
        if (o->part[i])
            part = i;
    if (part < SHOW_PARTS) {
        rc = show_stored_part(m, g, part, e);
    } else if (o->json) {
        rc = show_json(g, &f, m, o->verbose, e);
    } else {
        print_facts(g, &f);
        rc = show_stored(m, e);
        if (o->verbose)
            print_all(g);
    }
    if (rc == 0)
        rc = gguf_intact(g, e);
    gguf_free(g);
    return rc;
}

int cmd_show(int argc, char **argv)
{
    static const struct opt_spec spec = {
        .usage = "hearth show FILE|NAME [--json] [--verbose]",
        .about = "Says what a model is: one with a name (hearth list), or a file. FILE may be "
                 "any part of a split model, or a\nHugging Face folder.",
        .rows = rows,
        .n = (int)(sizeof(rows) / sizeof(rows[0])),
    };
    struct show_options o = {0};
    struct store_model m = {0};
    struct err e = {0};
    int status, rc, n = 0;

    if (cmd_options(&spec, argc, argv, &o, 1, 1, &status) < 0)
        return status;
    for (int i = 0; i < SHOW_PARTS; i++)
        n += o.part[i];
    rc = n + o.json > 1 ? err_set(&e, E_INVALID,
                                  "only one of --modelfile, --parameters, "
                                  "--template, --system, --license, --json")
                        : show_find(argv[0], &m, &e);
    if (rc == 0)
        rc = show(argv[0], &m, &o, &e);
    store_model_done(&m);
    return rc < 0 ? cmd_fail(&e) : 0;
}
