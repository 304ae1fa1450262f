/* hearth.yaml: what is taken prints, and what is printed is taken and prints the same again;
 * and who wants all mistakes hears of one exactly where the first one ends the reading. */
#include "serve/config_priv.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config_owned *read_text(const char *p, size_t n)
{
    struct config_owned *c = mem_calloc(1, sizeof(*c));
    struct err e = {0};
    int rc;

    if (!c)
        abort();
    arena_init(&c->mem, (size_t)64 << 20);
    if (config_defaults(c, &e) < 0)
        abort();
    rc = config_yaml(c, "f", (struct str){p, n}, &e);
    if (rc < 0 && (!e.msg[0] || rc != e.code))
        abort();
    if (rc == 0)
        return c;
    config_free(&c->config);
    return NULL;
}

static void on_fault(void *ctx, const struct err *e)
{
    if (e->code != E_INVALID || !e->msg[0])
        abort();
    ++*(int *)ctx;
}

static int n_mistake(const char *p, size_t n)
{
    struct config_owned *c = mem_calloc(1, sizeof(*c));
    struct err e = {0};
    int count = 0;

    if (!c)
        abort();
    arena_init(&c->mem, (size_t)64 << 20);
    c->fault = on_fault;
    c->ctx = &count;
    if (config_defaults(c, &e) < 0)
        abort();
    count += config_yaml(c, "f", (struct str){p, n}, &e) < 0;
    config_free(&c->config);
    return count;
}

static char *print(const struct config *c)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);

    if (!f)
        abort();
    config_print(c, f);
    if (fclose(f) != 0)
        abort();
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_owned *c, *again;
    char *text, *other;
    int64_t ns;
    int n;

    if (size > 1 << 16)
        return 0;
    text = mem_alloc(size + 1);
    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    (void)config_duration(text, &ns);
    c = read_text(text, size);
    n = n_mistake(text, size);
    mem_free(text);
    if (!c != (n > 0))
        abort();
    if (!c)
        return 0;
    text = print(&c->config);
    again = read_text(text, strlen(text));
    if (!again)
        abort();
    other = print(&again->config);
    if (strcmp(text, other) != 0)
        abort();
    free(text);
    free(other);
    config_free(&c->config);
    config_free(&again->config);
    return 0;
}
