/* gram_os.c - object states: what is there of an object, and the keys of the rest, decoded.
 *
 * A key of the rest is remembered as it was read, byte by byte; when it has ended, its value
 * joins the set of keys that are taken. Sets of keys are sorted, so that equal ones are one.
 */
#include "text/gram/gram_priv.h"

#include "base/mem.h"
#include "base/utf8.h"

/* -- object states -------------------------------------------------------------------- */

static size_t os_words(const struct gram_obj *o)
{
    /* Without needs the place in the order says enough. */
    return o->n_rest + (o->ordered && !o->closure ? 0 : o->words);
}

static const struct gram_os *os_at(const struct gram *g, uint32_t os)
{
    return GRAM_REC(struct gram_os, g->os, os);
}

/* The number of a state, and its facts' place. */
static uint32_t os_number(struct gram *g, const struct gram_os *s, size_t n_byte, struct err *e)
{
    uint32_t id = gram_intern(g, &g->os, &g->walk, s, n_byte, NULL);

    if (id && id >= g->os_facts.n) {
        size_t more = id + 1 - g->os_facts.n;

        if (gram_room(g, &g->os_facts, more, sizeof(struct gram_os_facts)) < 0)
            id = 0;
        else
            memset(GRAM_AT(struct gram_os_facts, g->os_facts) + g->os_facts.n, 0,
                   more * sizeof(struct gram_os_facts));
        g->os_facts.n += id ? more : 0;
    }
    if (!id)
        (void)gram_full(g, e);
    return id;
}

uint32_t gram_os_again(struct gram *g, const struct gram_os *s, struct err *e)
{
    size_t words = os_words(gram_obj_at(g, s->obj));

    return os_number(g, s, sizeof(*s) + words * sizeof(s->word[0]), e);
}

/* A copy of a state that can be changed, in scratch; NULL: full. */
static struct gram_os *os_copy(struct gram *g, uint32_t os, uint32_t obj, size_t *n_byte,
                               struct err *e)
{
    *n_byte = sizeof(struct gram_os) + os_words(gram_obj_at(g, obj)) * sizeof(uint64_t);
    buf_clear(&g->text);
    if (!buf_reserve(&g->text, *n_byte)) {
        (void)gram_full(g, e);
        return NULL;
    }
    if (os)
        memcpy(g->text.p, os_at(g, os), *n_byte);
    else
        memset(g->text.p, 0, *n_byte);
    return (struct gram_os *)(void *)g->text.p;
}

uint32_t gram_os_start(struct gram *g, uint32_t obj, struct err *e)
{
    size_t n_byte;
    struct gram_os *s = os_copy(g, 0, obj, &n_byte, e);

    if (!s)
        return 0;
    s->obj = obj;
    return os_number(g, s, n_byte, e);
}

uint32_t gram_os_prop(struct gram *g, uint32_t os, uint32_t prop, struct err *e)
{
    const struct gram_obj *o = gram_obj_at(g, os_at(g, os)->obj);
    size_t n_byte;
    struct gram_os *s = os_copy(g, os, os_at(g, os)->obj, &n_byte, e);

    if (!s)
        return 0;
    s->count++;
    if (o->ordered)
        s->pos = prop + 1;
    if (!o->ordered || o->closure)
        gram_bit_set(s->word + o->n_rest, prop);
    return os_number(g, s, n_byte, e);
}

/* -- keys of the rest ----------------------------------------------------------------- */

uint32_t gram_raw(struct gram *g, uint32_t raw, unsigned byte, struct err *e)
{
    uint64_t key = (uint64_t)raw << 8 | byte;
    size_t slots = g->raw.cap;
    uint32_t id;

    if (map64_get(&g->raw, key, &id))
        return id;
    if (g->raws.n >= UINT32_MAX || gram_room(g, &g->raws, 1, sizeof(uint64_t)) < 0 ||
        map64_put(&g->raw, key, (uint32_t)g->raws.n) < 0) {
        (void)gram_full(g, e);
        return 0;
    }
    g->heap += (g->raw.cap - slots) * sizeof(struct map64_slot);
    GRAM_AT(uint64_t, g->raws)[g->raws.n] = key;
    return (uint32_t)g->raws.n++;
}

static int hex4(const char *p)
{
    int v = 0;

    for (int i = 0; i < 4; i++) {
        int c = (unsigned char)p[i];

        v = v * 16 + (c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    return v;
}

/* The value of a JSON string that is known to be one, in place; returns its length. */
static size_t decode(char *p, size_t n)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    size_t out = 0;

    for (size_t i = 1; i + 1 < n;) {
        const char *at;
        int32_t cp;

        if (p[i] != '\\') {
            p[out++] = p[i++];
            continue;
        }
        at = strchr(from, p[i + 1]);
        if (p[i + 1] != 'u') {
            p[out++] = at ? to[at - from] : p[i + 1];
            i += 2;
            continue;
        }
        cp = hex4(p + i + 2);
        i += 6;
        if (cp >= 0xD800 && cp < 0xE000) {
            cp = 0x10000 + ((cp - 0xD800) << 10) + (hex4(p + i + 2) - 0xDC00);
            i += 6;
        }
        out += (size_t)utf8_put(cp, p + out);
    }
    return out;
}

/* The number of a key that was read. */
static uint32_t key_of_raw(struct gram *g, uint32_t raw, struct err *e)
{
    size_t n = 0, i;
    uint32_t id = 0;
    char *p;

    for (uint32_t r = raw; r; r = (uint32_t)(GRAM_AT(uint64_t, g->raws)[r] >> 8))
        n++;
    p = mem_alloc(n + 1);
    i = n;
    for (uint32_t r = raw; p && r; r = (uint32_t)(GRAM_AT(uint64_t, g->raws)[r] >> 8))
        p[--i] = (char)(GRAM_AT(uint64_t, g->raws)[r] & 0xFF);
    if (p)
        id = gram_key(g, (struct str){p, decode(p, n)});
    mem_free(p);
    if (!id)
        (void)gram_full(g, e);
    return id;
}

/* A set of keys with one more. */
static uint32_t key_set(struct gram *g, uint32_t set, uint32_t key, struct err *e)
{
    uint32_t n = gram_keys_in(g, set), at = 0, id;
    const uint32_t *old = set ? GRAM_REC(uint32_t, g->key_sets, set) + 1 : NULL;
    uint32_t *all = mem_alloc((n + (size_t)2) * sizeof(*all));
    struct str own = gram_key_text(g, key);

    if (!all) {
        (void)gram_full(g, e);
        return 0;
    }
    for (; at < n; at++) {
        if (gram_text_order(gram_key_text(g, old[at]), own) > 0)
            break;
    }
    all[0] = n + 1;
    if (at)
        memcpy(all + 1, old, at * sizeof(*all));
    all[1 + at] = key;
    if (n > at)
        memcpy(all + 2 + at, old + at, (n - at) * sizeof(*all));
    id = gram_intern(g, &g->key_sets, &g->kept, all, (n + (size_t)2) * sizeof(*all), NULL);
    mem_free(all);
    if (!id)
        (void)gram_full(g, e);
    return id;
}

uint32_t gram_os_rest(struct gram *g, uint32_t os, uint32_t rest, uint32_t raw, struct err *e)
{
    uint64_t used = os_at(g, os)->word[rest];
    const struct gram_obj *o = gram_obj_at(g, os_at(g, os)->obj);
    uint32_t set = GRAM_USED_SET(used), key;
    struct gram_os *s;
    size_t n_byte;

    if (raw != GRAM_RAW_UNKNOWN) {
        key = key_of_raw(g, raw, e);
        set = key ? key_set(g, set, key, e) : 0;
        if (!set)
            return 0;
    }
    s = os_copy(g, os, os_at(g, os)->obj, &n_byte, e);
    if (!s)
        return 0;
    s->count++;
    s->pos = o->ordered ? o->n_prop : 0;
    s->word[rest] = ((uint64_t)GRAM_USED_N(used) + 1) << 32 | set;
    return os_number(g, s, n_byte, e);
}

int gram_os_key(struct gram *g, uint32_t os, uint32_t rest, uint32_t *bs, struct err *e)
{
    const struct gram_os *s = os_at(g, os);
    const struct gram_obj *o = gram_obj_at(g, s->obj);
    struct gram_cs cs = {.kind = GRAM_CS_RX, .pay = 1 + rest, .a = o->key[rest]};
    struct gram_bs_key key = {.kind = GRAM_BS_OPEN,
                              .to = o->plain ? GRAM_TO_PLAIN : GRAM_TO_JSON};

    *bs = 0;
    if (o->rest_size[rest] <= GRAM_USED_N(s->word[rest]))
        return 0;
    if (GRAM_USED_SET(s->word[rest])) {
        cs.kind = GRAM_CS_BUT;
        cs.b = GRAM_USED_SET(s->word[rest]);
        cs.hi = gram_keys_in(g, cs.b);
    }
    key.x = gram_cs(g, &cs, e);
    *bs = key.x ? gram_bs(g, &key, e) : 0;
    return *bs ? 0 : e->code;
}

int gram_os_name(struct gram *g, uint32_t os, uint32_t names, uint32_t *bs, struct err *e)
{
    const struct gram_obj *o = gram_obj_at(g, os_at(g, os)->obj);
    struct gram_cs cs = {.kind = GRAM_CS_NAMES,
                         .pay = 1 + o->n_rest,
                         .a = os_at(g, os)->obj,
                         .b = names - 1,
                         .hi = o->n_prop};
    struct gram_bs_key key = {.kind = GRAM_BS_OPEN,
                              .to = o->plain ? GRAM_TO_PLAIN : GRAM_TO_JSON};

    key.x = gram_cs(g, &cs, e);
    *bs = key.x ? gram_bs(g, &key, e) : 0;
    return *bs ? 0 : e->code;
}
