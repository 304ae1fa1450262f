/* Texts that grow by tokens which the mask of a schema allows: they never get stuck, and are
 * valid when they end. */
#include "text/gram/schema.h"

#include "base/mem.h"
#include "base/rng.h"
#include "fmt/gguf.h"
#include "text/gram/mask.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#define VOCAB "../shared/vocab/gpt-2.gguf"

enum { TEXTS = 2, TOKENS = 400, SOON = 40 };

static struct rng rng;
static int n_done;

static struct gram *compile(const json_t *schema, int writing)
{
    struct schema_options o = {.writing = writing};
    struct gram *g;
    gram_ref root;
    struct err e;

    if (gram_new(&g, NULL, &e) < 0 || schema_add(g, schema, &o, &root, &e) < 0 ||
        gram_finish(g, root, &e) < 0)
        fail_msg("%s: %s", json_dumps(schema, 0), e.msg);
    return g;
}

/* Brings a text towards its end: closes more than it opens. */
static int score(const struct tok *t, int id)
{
    struct str s = tok_piece(t, id, 0);
    int n = tok_is_eog(t, id) ? 40 : 0;

    for (size_t i = 0; i < s.n; i++) {
        if (strchr("\"]}", s.p[i]))
            n += 2;
        else if (strchr("[{", s.p[i]))
            n -= 3;
    }
    return n;
}

static int choose(const struct tok *t, const uint32_t *bits, int hurry)
{
    int best = -1, best_score = 0, n = tok_count(t);

    for (int tries = 0; best < 0 || tries < 200; tries++) {
        int id = (int)(rng_u64(&rng) % (uint64_t)n), s;

        while (best < 0 && tries > 200 && !(bits[id / 32] >> (id % 32) & 1))
            id = (id + 1) % n;
        if (!(bits[id / 32] >> (id % 32) & 1))
            continue;
        s = hurry ? score(t, id) : 0;
        if (best < 0 || s > best_score) {
            best = id;
            best_score = s;
        }
    }
    for (int i = 0; hurry && i < n; i++) {
        if (tok_is_eog(t, i) && bits[i / 32] >> (i % 32) & 1)
            return i;
    }
    return best;
}

/* One text; 1 when it came to its end. */
static int grow(struct mask *m, struct gram *g, const struct tok *t, uint32_t *bits,
                struct buf *text)
{
    struct err e;

    mask_reset(m, gram_start(g));
    for (int k = 0; k < TOKENS; k++) {
        int id;
        struct str piece;

        if (mask_fill(m, bits, &e) <= 0)
            fail_msg("behind \"%s\": %s", text->p ? text->p : "", e.msg);
        id = choose(t, bits, k > SOON && rng_u64(&rng) % 4 != 0);
        assert_int_equal(mask_accept(m, id, &e), 0);
        if (tok_is_eog(t, id))
            return 1;
        piece = tok_piece(t, id, 0);
        assert_int_equal(buf_put(text, piece.p, piece.n), 0);
    }
    return 0;
}

static void try_schema(const json_t *schema, const struct tok *t, const struct mask_vocab *v)
{
    struct gram *write = compile(schema, 1), *check = compile(schema, 0);
    uint32_t *bits = mem_alloc(MASK_WORDS(tok_count(t)) * sizeof(*bits));
    struct mask *m;

    assert_int_equal(mask_new(&m, write, v, NULL), 0);
    for (int i = 0; i < TEXTS; i++) {
        struct buf text;
        gram_state s = 0;

        buf_init(&text, 1 << 20);
        if (grow(m, write, t, bits, &text)) {
            n_done++;
            assert_int_equal(gram_put(check, gram_start(check), text.p, text.n, &s, NULL, NULL),
                             0);
            if (!s || !gram_may_end(check, s))
                fail_msg("\"%s\" is not valid under %s", text.p, json_dumps(schema, 0));
        }
        buf_done(&text);
    }
    mem_free(bits);
    mask_free(m);
    gram_free(check);
    gram_free(write);
}

static void test_file(void **state)
{
    json_t *cases = json_load_file(*state, 0, NULL);
    struct gguf *file;
    struct mask_vocab *v;
    struct tok *t;
    int n;

    if (access(VOCAB, R_OK) != 0) {
        print_message("no %s\n", VOCAB);
        skip();
    }
    assert_non_null(cases);
    n = (int)json_array_size(cases);
    assert_int_equal(gguf_open(&file, VOCAB, NULL), 0);
    assert_int_equal(tok_new(&t, file, NULL), 0);
    gguf_free(file);
    assert_int_equal(mask_vocab_new(&v, t, NULL), 0);
    rng_seed(&rng, 7);
    n_done = 0;
    for (int i = 0; i < n; i++)
        try_schema(json_object_get(json_array_get(cases, (size_t)i), "schema"), t, v);
    print_message("%d texts of %d finished\n", n_done, n * TEXTS);
    assert_true(n_done > n * TEXTS / 2);
    mask_vocab_free(v);
    tok_free(t);
    json_decref(cases);
}

int main(void)
{
#define FILE_TEST(name)                                                                        \
    {                                                                                          \
#name, test_file, NULL, NULL, (void *)(uintptr_t) "tests/data/schema/" #name ".json"   \
    }
    const struct CMUnitTest tests[] = {FILE_TEST(tools), FILE_TEST(objects),
                                       FILE_TEST(formats)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
