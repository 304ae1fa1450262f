#include "text/charsmap.h"

#include "base/mem.h"
#include "text/vocab.h"

static const char key[] = "tokenizer.ggml.precompiled_charsmap";

static unsigned char byte_at(const struct gguf_kv *kv, uint64_t i)
{
    return (unsigned char)gguf_arr_int(kv, i);
}

static uint32_t word_at(const struct gguf_kv *kv, uint64_t i)
{
    return (uint32_t)byte_at(kv, i) | (uint32_t)byte_at(kv, i + 1) << 8 |
           (uint32_t)byte_at(kv, i + 2) << 16 | (uint32_t)byte_at(kv, i + 3) << 24;
}

int charsmap_init(struct charsmap *c, const struct gguf *g, struct err *e)
{
    const struct gguf_kv *kv;
    uint64_t n, at = 4;
    int rc = vocab_array(g, key, 0, 0, &kv, e);

    *c = (struct charsmap){0};
    if (rc < 0 || !kv || kv->n == 0)
        return rc;
    if (kv->elem_type != GGUF_I8 && kv->elem_type != GGUF_U8)
        return err_set(e, E_FORMAT, "%s is not an array of bytes", key);
    n = kv->n < 4 ? 0 : word_at(kv, 0);
    if (n == 0 || n % 4 || n >= kv->n - 4)
        return err_set(e, E_FORMAT, "%s: %llu bytes of a table in %llu bytes", key,
                       (unsigned long long)n, (unsigned long long)kv->n);
    c->n_unit = (size_t)(n / 4);
    c->n_text = (size_t)(kv->n - 4 - n);
    c->unit = mem_alloc(c->n_unit * sizeof(*c->unit));
    c->text = mem_alloc(c->n_text);
    if (!c->unit || !c->text) {
        charsmap_done(c);
        return err_set(e, E_NOMEM, "no memory for %s", key);
    }
    for (size_t i = 0; i < c->n_unit; i++, at += 4)
        c->unit[i] = word_at(kv, at);
    for (size_t i = 0; i < c->n_text; i++)
        c->text[i] = (char)byte_at(kv, at + i);
    if (c->text[c->n_text - 1] != '\0') {
        charsmap_done(c);
        return err_set(e, E_FORMAT, "%s: its last replacement does not end", key);
    }
    return 0;
}

void charsmap_done(struct charsmap *c)
{
    mem_free(c->unit);
    mem_free(c->text);
    *c = (struct charsmap){0};
}

/* Where the children of a unit begin, to be combined with their byte. */
static inline size_t base_of(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 512) >> 6);
}

enum { HAS_VALUE = 256 };
#define LABEL 0x800000ffu /* with a bit that only values have */
#define VALUE 0x7fffffffu

size_t charsmap_find(const struct charsmap *c, const char *p, size_t n, struct str *put)
{
    size_t node = c->n_unit ? base_of(c->unit[0]) : 0, found = 0;

    for (size_t i = 0; i < n && p[i]; i++) {
        unsigned char byte = (unsigned char)p[i];
        uint32_t unit;

        node ^= byte;
        if (node >= c->n_unit || (c->unit[node] & LABEL) != byte)
            break;
        unit = c->unit[node];
        node ^= base_of(unit);
        if (!(unit & HAS_VALUE))
            continue;
        if (node >= c->n_unit || (c->unit[node] & VALUE) >= c->n_text)
            break;
        *put = str_of(c->text + (c->unit[node] & VALUE));
        found = i + 1;
    }
    return found;
}
