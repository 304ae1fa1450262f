/* The command line: words that end with a newline each. What a number or a list of ids is
 * must agree with what it is after printing. */
#include "cmd/opt.c" /* commands are no part of the library */

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fields {
    int flag, number, choice;
    float share;
    struct opt_seed seed;
    const char *text;
    struct opt_list list;
};

#define AT(f) offsetof(struct fields, f)

static const struct opt_row rows[] = {
    {.name = "flag", .letter = 'f', .type = OPT_FLAG, .at = AT(flag)},
    {.name = "number",
     .letter = 'n',
     .type = OPT_INT,
     .at = AT(number),
     .min = -5,
     .max = INT32_MAX,
     .arg = "N"},
    {.name = "choice", .type = OPT_CHOICE, .at = AT(choice), .arg = "one|two"},
    {.name = "share", .type = OPT_FLOAT, .at = AT(share), .max = 1, .above = 1, .arg = "X"},
    {.name = "seed", .type = OPT_SEED, .at = AT(seed), .arg = "N"},
    {.name = "text", .letter = 't', .type = OPT_STR, .at = AT(text), .arg = "TEXT"},
    {.name = "list", .type = OPT_LIST, .at = AT(list), .arg = "TEXT"},
};

static const struct opt_spec spec = {"usage", "about", rows,
                                     (int)(sizeof(rows) / sizeof(rows[0]))};

static void check_ids(const char *text)
{
    int32_t *ids = NULL;
    size_t n = 0;

    if (opt_ids(text, &ids, &n, NULL) == 0 && (n == 0 || n > strlen(text)))
        abort();
    mem_free(ids);
}

static void check_fields(const struct fields *v)
{
    for (int i = 0; i < spec.n; i++) {
        struct fields again = *v;
        char text[64];

        if (rows[i].type == OPT_STR || !opt_show(&rows[i], v, text, sizeof(text)))
            continue;
        if (rows[i].type == OPT_FLOAT && v->share == 0) /* not given */
            continue;
        if (opt_set(&rows[i], "x", text, &again, NULL) < 0)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char mem[4096], *words[256];
    struct fields v = {0};
    struct err e = {0};
    int n = 0, left;

    if (size >= sizeof(mem))
        return 0;
    if (size)
        memcpy(mem, data, size);
    mem[size] = '\0';
    for (char *p = mem; p && n < 256;) {
        words[n++] = p;
        p = strchr(p, '\n');
        if (p)
            *p++ = '\0';
    }
    for (int i = 0; i < n; i++)
        check_ids(words[i]);
    left = opt_parse(&spec, n, words, &v, &e);
    if (left == OPT_HELP)
        return 0;
    if (left < 0 ? left != E_INVALID || !e.msg[0] : left > n)
        abort();
    if (left >= 0)
        check_fields(&v);
    return 0;
}
