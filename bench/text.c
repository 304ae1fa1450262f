/* text.c - how fast the text room is: text.h.
 *
 *   bench/text [BENCH] [WORD...]
 *
 * PEER names another's program that is measured beside ours; SHARED the folder of the fixtures.
 */
#include "text.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name;
    void (*run)(const struct bench_text *b);
} benches[] = {
#define BENCH_TEXT_ROW(name) {#name, bench_##name},
    BENCH_TEXTS(BENCH_TEXT_ROW)
#undef BENCH_TEXT_ROW
};

enum { N_BENCH = sizeof(benches) / sizeof(*benches) };

void bench_text_die(const char *what, const char *which)
{
    (void)fprintf(stderr, "error: %s%s\n", what, which);
    exit(1);
}

int bench_text_wants(const struct bench_text *b, const char *name)
{
    for (int i = 0; i < b->n_word; i++) {
        if (strcmp(b->word[i], name) == 0)
            return 1;
    }
    return b->n_word == 0;
}

double bench_text_ns(void (*fn)(void *ctx), void *ctx)
{
    enum { TRIES = 5 };
    double best = 1e30;

    for (int i = 0; i < TRIES; i++) {
        uint64_t start = clock_cpu_ns();
        double ns;

        fn(ctx);
        ns = (double)(clock_cpu_ns() - start);
        best = ns < best ? ns : best;
    }
    return best;
}

int main(int argc, char **argv)
{
    struct bench_text b = {.shared = getenv("SHARED"), .peer = getenv("PEER")};
    const char *only = NULL;

    for (int i = 0; i < N_BENCH && argc > 1; i++) {
        if (strcmp(argv[1], benches[i].name) == 0)
            only = argv[1];
    }
    b.shared = b.shared && *b.shared ? b.shared : "../shared";
    b.peer = b.peer && *b.peer ? b.peer : NULL;
    b.word = argv + 1 + (only != NULL);
    b.n_word = argc - 1 - (only != NULL);
    for (int i = 0; i < N_BENCH; i++) {
        if (!only || strcmp(only, benches[i].name) == 0)
            benches[i].run(&b);
    }
    return 0;
}
