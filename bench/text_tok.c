/* text_tok.c - tokenizers: how many MB of text a second become ids, and ids text.
 *
 * Each vocabulary of the fixtures, or those that are named, on English prose, on code and on a
 * mix of scripts. A peer is called with a vocabulary and a file of text, and prints the MB/s of
 * its encoder: the number, alone.
 */
#include "base/rng.h"
#include "text.h"
#include "text/tok.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TEXT_BYTES = 2 << 20, NAME_MAX_LEN = 256 };

struct job {
    const struct tok *t;
    struct str text;
    struct tok_ids ids;
    struct buf out;
};

/* -- texts --------------------------------------------------------------------------- */

static const char *const code[] = {
    "static int ",
    "return ",
    "if (",
    "for (size_t i = 0; i < n; i++) {\n",
    "\n",
    "    ",
    "        ",
    "struct buf *b",
    "x->n_item = 0;",
    "\"%d\\n\"",
    "0x7fff",
    "self.assertEqual(",
    "def __init__",
    "// ",
    "/* why */",
    "import os\n",
    "}\n",
    ") {\n",
    " == ",
    "foo_bar_baz",
    "HashMap<String",
    "camelCase",
    "&mut self",
    "=> ",
    "12345",
    "3.14159f",
    "[i + 1]",
    ";\n",
    "<div class=",
    "{\"key\": ",
    "#define MAX ",
    " && ",
};

static const char *const mixed[] = {
    "the quick brown fox ",
    "Война и мир, ",
    "знаменитая книга. ",
    "Straße über Köln ",
    "déjà vu, naïve café ",
    "日本語のテキスト、",
    "ひらがなとカタカナ。",
    "中文字符处理，",
    "今天天气很好。",
    "한국어 문장입니다. ",
    "العربية من اليمين ",
    "עברית מימין לשמאל ",
    "हिन्दी में पाठ ",
    "ภาษาไทยไม่มีช่องว่าง",
    "Tiếng Việt có dấu ",
    "Ελληνικά γράμματα ",
    "👩‍👩‍👧‍👦🇫🇷👍🏽 ",
    "1234567890 ",
    "\n",
    "— «да» … ",
};

/* Pieces in random order. */
static void fill(struct buf *out, const char *const *piece, size_t n)
{
    struct rng r;

    rng_seed(&r, 1);
    while (out->n < TEXT_BYTES) {
        if (buf_str(out, piece[rng_u64(&r) % n]) < 0)
            bench_text_die("not enough memory", "");
    }
}

static void read_file(struct buf *out, const char *folder)
{
    char path[512];
    FILE *f;
    char *to = buf_reserve(out, TEXT_BYTES);

    (void)snprintf(path, sizeof(path), "%s/text/war-and-peace.txt", folder);
    f = fopen(path, "rb");
    if (!f || !to)
        bench_text_die("cannot read ", path);
    out->n += fread(to, 1, TEXT_BYTES, f);
    (void)fclose(f);
}

/* -- measuring ----------------------------------------------------------------------- */

static void encode(void *ctx)
{
    struct job *j = ctx;

    j->ids.n = 0;
    if (tok_encode(j->t, j->text.p, j->text.n, 0, &j->ids, NULL) < 0)
        bench_text_die("cannot encode", "");
}

static void decode(void *ctx)
{
    struct job *j = ctx;
    struct tok_stream s;
    int rc = 0;

    buf_clear(&j->out);
    tok_stream_init(&s, j->t, 1, 0);
    for (size_t i = 0; rc == 0 && i < j->ids.n; i++)
        rc = tok_stream_put(&s, j->ids.id[i], &j->out);
    if (rc < 0 || tok_stream_end(&s, &j->out) < 0)
        bench_text_die("cannot decode", "");
}

/* MB/s that the peer says, or 0. */
static double ask_peer(const char *peer, const char *vocabulary, struct str text)
{
    char path[] = P_tmpdir "/hearth-bench-XXXXXX", line[64] = "";
    char *command = NULL;
    int fd = mkstemp(path);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "wb");

    if (!f || fwrite(text.p, 1, text.n, f) != text.n || fclose(f) != 0)
        bench_text_die("cannot write ", path);
    if (asprintf(&command, "'%s' '%s' '%s'", peer, vocabulary, path) > 0) {
        f = popen(command, "r");
        if (f && !fgets(line, sizeof(line), f))
            line[0] = '\0';
        if (f)
            (void)pclose(f);
    }
    free(command);
    (void)unlink(path);
    return strtod(line, NULL);
}

static void measure(const struct bench_text *b, const struct tok *t, const char *path,
                    const char *name, const char *kind, struct str text)
{
    struct job j = {.t = t, .text = text};
    double in, out;

    buf_init(&j.out, SIZE_MAX);
    in = 1e3 * (double)text.n / bench_text_ns(encode, &j);
    out = 1e3 * (double)text.n / bench_text_ns(decode, &j);
    (void)printf("%-16s %-8s %8.1f %8.1f %9.2f", name, kind, in, out,
                 (double)text.n / (double)(j.ids.n ? j.ids.n : 1));
    if (b->peer) {
        double other = ask_peer(b->peer, path, text);

        (void)printf(" %8.1f %7.1fx", other, other > 0 ? in / other : 0.0);
    }
    (void)printf("\n");
    (void)fflush(stdout);
    tok_ids_done(&j.ids);
    buf_done(&j.out);
}

static void measure_all(const struct bench_text *b, const char *file, const struct buf *text)
{
    static const char *const kind[] = {"english", "code", "mixed"};
    char path[1024], name[NAME_MAX_LEN];
    struct gguf *g;
    struct tok *t;
    struct err e = {0};

    (void)snprintf(path, sizeof(path), "%s/vocab/%s", b->shared, file);
    (void)snprintf(name, sizeof(name), "%.*s", (int)strlen(file) - 5, file);
    if (!bench_text_wants(b, name))
        return;
    if (gguf_open(&g, path, &e) < 0 || tok_new(&t, g, &e) < 0)
        bench_text_die("", e.msg);
    gguf_free(g);
    for (int i = 0; i < 3; i++)
        measure(b, t, path, name, kind[i], (struct str){text[i].p, text[i].n});
    tok_free(t);
}

static int is_gguf(const struct dirent *d)
{
    size_t n = strlen(d->d_name);

    return n > 5 && n < NAME_MAX_LEN && strcmp(d->d_name + n - 5, ".gguf") == 0;
}

void bench_tok(const struct bench_text *b)
{
    struct buf text[3];
    struct dirent **file;
    char path[512];
    int n;

    (void)snprintf(path, sizeof(path), "%s/vocab", b->shared);
    n = scandir(path, &file, is_gguf, alphasort);
    if (n <= 0)
        bench_text_die("no vocabularies in ", path);
    for (int i = 0; i < 3; i++)
        buf_init(&text[i], SIZE_MAX);
    read_file(&text[0], b->shared);
    fill(&text[1], code, sizeof(code) / sizeof(*code));
    fill(&text[2], mixed, sizeof(mixed) / sizeof(*mixed));
    (void)printf("%-16s %-8s %8s %8s %9s%s\n", "tokenizer, MB/s", "text", "encode", "decode",
                 "B/token", b->peer ? "     peer   ratio" : "");
    for (int i = 0; i < n; i++) {
        measure_all(b, file[i]->d_name, text);
        free(file[i]);
    }
    free((void *)file);
    for (int i = 0; i < 3; i++)
        buf_done(&text[i]);
}
