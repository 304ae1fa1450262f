/* The matrix product: every type on every tier against exact weights and, where a tier
 * rounds activations to 8 bits, those same rounded activations; and its independence of the
 * number of columns, bit for bit. */
#include "kern_test.h"

#include "kern/tile.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct matrix {
    const struct quant *q;
    size_t n_row, n_col, row_bytes;
    unsigned char *rows, *tiles;
    float *exact;
};

/* Where the block of a format has its half-precision scales, -1 at the end. Blocks of other
 * formats may hold any bytes. */
static const int *halves_of(int type)
{
    static const int none[] = {-1}, first[] = {0, -1}, two[] = {0, 2, -1},
                     q2_k[] = {80, 82, -1}, q3_k[] = {108, -1}, q6_k[] = {208, -1},
                     tq1_0[] = {52, -1}, tq2_0[] = {64, -1};

    switch (type) {
    case QUANT_Q4_1:
    case QUANT_Q5_1:
    case QUANT_Q4_K:
    case QUANT_Q5_K:
        return two;
    case QUANT_Q2_K:
        return q2_k;
    case QUANT_Q3_K:
        return q3_k;
    case QUANT_Q6_K:
        return q6_k;
    case QUANT_TQ1_0:
        return tq1_0;
    case QUANT_TQ2_0:
        return tq2_0;
    case QUANT_IQ1_M:
    case QUANT_MXFP4:
    case QUANT_NVFP4:
        return none;
    default:
        return first;
    }
}

/* Gives a block of any bytes scales of about `half`, a positive half. */
static void set_scales(int type, unsigned char *p, int half)
{
    for (const int *at = halves_of(type); *at >= 0; at++) {
        p[*at] = (unsigned char)half;
        p[*at + 1] = (unsigned char)(half >> 8);
    }
    if (type == QUANT_IQ1_M) { /* a nibble in the top of each word of its scales */
        for (int i = 0; i < 4; i++)
            p[49 + 2 * i] = (unsigned char)((p[49 + 2 * i] & 15) | (half >> 4 * i & 15) << 4);
    }
    if (type == QUANT_MXFP4)
        p[0] = (unsigned char)(112 + (half >> 10)); /* from the exponent of a half */
}

/* A row of a format: what its writer makes of x or, where there is none, random bytes. */
static void fill_row(const struct quant *q, const float *x, unsigned char *row, size_t n_col,
                     struct rng *r)
{
    if (q->from_f32) {
        q->from_f32(x, row, n_col);
        return;
    }
    for (size_t b = 0; b < n_col / (size_t)q->block; b++, row += q->bytes) {
        for (int i = 0; i < q->bytes; i++)
            row[i] = (unsigned char)rng_u64(r);
        set_scales(q->type, row, 0x1c00 + (int)(rng_u64(r) % 0x1800));
    }
}

static void matrix_make(struct matrix *m, const struct kern *k, const struct quant *q,
                        size_t n_row, size_t n_col, struct rng *r, int fill)
{
    size_t n_group = (n_row + k->n_group - 1) / k->n_group;
    float *x = test_alloc(n_col * sizeof(*x));

    *m = (struct matrix){.q = q, .n_row = n_row, .n_col = n_col};
    m->row_bytes = n_col / (size_t)q->block * (size_t)q->bytes;
    m->rows = test_alloc(n_row * m->row_bytes);
    m->exact = test_alloc(n_row * n_col * sizeof(float));
    for (size_t i = 0; i < n_row; i++) {
        unsigned char *row = m->rows + i * m->row_bytes;

        /* Good writers are slow. Rows that a kernel could mix up are no multiple of 7 apart. */
        if (i >= 7) {
            memcpy(row, row - 7 * m->row_bytes, m->row_bytes);
        } else {
            for (size_t j = 0; j < n_col; j++)
                x[j] = fill == 1 ? ((j + i) % 2 ? 3.0f : -3.0f) : rng_normal(r);
            if (fill == 2) /* heavy tails */
                x[rng_u64(r) % n_col] *= 50;
            fill_row(q, x, row, n_col, r);
        }
        q->to_f32(row, m->exact + i * n_col, n_col);
    }
    m->tiles = test_alloc(n_group * tile_group_bytes(q, n_col, k->n_group));
    if (k->mm[q->type].layout == KERN_TILES)
        tile_pack(k, q, m->rows, n_row, n_col, m->tiles, 0, n_group);
    mem_free(x);
}

static void matrix_free(struct matrix *m)
{
    mem_free(m->rows);
    mem_free(m->tiles);
    mem_free(m->exact);
}

static struct kern_weight weight_of(const struct matrix *m, const struct kern *k)
{
    int tiles = k->mm[m->q->type].layout == KERN_TILES;

    return (struct kern_weight){m->q->type,
                                k->mm[m->q->type].layout,
                                m->n_row,
                                m->n_col,
                                tiles ? m->tiles : m->rows,
                                tiles ? tile_group_bytes(m->q, m->n_col, k->n_group)
                                      : m->row_bytes};
}

/* y for n columns of x, through the table as the engine calls it. */
static void product_scaled(const struct kern *k, const struct matrix *m,
                           const struct matrix *m2, const float *x, size_t n, int epilogue,
                           const float *bias, const float *scale, float *y,
                           struct kern_acts *to, struct kern_acts *acts, void **acts_buf)
{
    struct kern_weight w = weight_of(m, k), w2;
    int form = k->mm[m->q->type].form;
    void *scratch = test_alloc(kern_mul_scratch(n));
    struct kern_mul j = {.w = {&w},
                         .x = acts,
                         .bias = {bias, bias},
                         .scale = {scale[0], scale[1]},
                         .y = y,
                         .ldy = m->n_row,
                         .epilogue = epilogue,
                         .acts = to};

    if (m2) {
        w2 = weight_of(m2, k);
        j.w[1] = &w2;
    }
    *acts_buf = test_alloc(kern_acts_bytes(n, m->n_col, form));
    kern_acts_bind(k, acts, *acts_buf, n, m->n_col, form);
    acts->x = x;
    k->acts(acts, form, 0, n);
    k->mm[m->q->type].mul(k, &j, 0, (m->n_row + k->n_group - 1) / k->n_group, scratch);
    mem_free(scratch);
}

static void product(const struct kern *k, const struct matrix *m, const struct matrix *m2,
                    const float *x, size_t n, int epilogue, const float *bias, float *y,
                    struct kern_acts *to, struct kern_acts *acts, void **acts_buf)
{
    static const float none[2];

    product_scaled(k, m, m2, x, n, epilogue, bias, none, y, to, acts, acts_buf);
}

/* Number t of column c as the tier sees it, after rounding. */
static double seen(const struct kern_acts *a, int form, size_t c, size_t t)
{
    size_t p = c / a->n_panel, i = c % a->n_panel, w = kern_panel_width(a, p);

    if (form == KERN_FORM_Q8)
        return (double)a->d[kern_panel_at(a, p, a->k / 32) + t / 32 * w + i] *
               a->q[kern_panel_at(a, p, a->k) + (t / 4 * w + i) * 4 + t % 4];
    if (form == KERN_FORM_F32)
        return (double)a->f[kern_panel_at(a, p, a->k) + t * w + i];
    return (double)a->x[c * a->k + t];
}

/* Column c as the tier sees it. */
static void seen_column(const struct kern_acts *a, int form, size_t c, double *x)
{
    for (size_t t = 0; t < a->k; t++)
        x[t] = seen(a, form, c, t);
}

/* Row r by such a column, and the sum of magnitudes. */
static double dot(const struct matrix *m, size_t r, const double *x, double *mag)
{
    double sum = 0;

    *mag = 0;
    for (size_t t = 0; t < m->n_col; t++) {
        double v = (double)m->exact[r * m->n_col + t] * x[t];

        sum += v;
        *mag += fabs(v);
    }
    return sum;
}

static void check_case(const struct kern *k, const struct quant *q, size_t n_row, size_t n_col,
                       size_t n, int fill, uint64_t seed)
{
    struct rng r;
    struct matrix m;
    struct kern_acts a;
    void *buf;
    float *x = test_alloc(n * n_col * sizeof(*x)),
          *y = test_alloc((n * n_row + 8) * sizeof(*y));
    double *column = test_alloc(n_col * sizeof(*column));

    rng_seed(&r, seed);
    matrix_make(&m, k, q, n_row, n_col, &r, fill);
    fill_normal(&r, x, n * n_col, fill == 1 ? 100.0f : 1.0f);
    if (n > 1)
        memset(x, 0, n_col * sizeof(*x)); /* a column of zeros gives zeros */
    for (size_t i = 0; i < 8; i++)
        y[n * n_row + i] = 12345.0f;
    product(k, &m, NULL, x, n, KERN_STORE, NULL, y, NULL, &a, &buf);
    for (size_t c = 0; c < n; c++) {
        seen_column(&a, k->mm[q->type].form, c, column);
        for (size_t i = 0; i < n_row; i++) {
            double mag, want = dot(&m, i, column, &mag), got = (double)y[c * n_row + i];

            if (!(fabs(got - want) <= 2e-6 * mag + 1e-30))
                fail_msg("%s %s rows=%zu cols=%zu n=%zu fill=%d seed=%llu: y[%zu][%zu] = %.9g, "
                         "want %.9g",
                         kern_tier_name(k->tier), q->name, n_row, n_col, n, fill,
                         (unsigned long long)seed, c, i, got, want);
        }
    }
    for (size_t i = 0; i < 8; i++)
        assert_true(y[n * n_row + i] == 12345.0f);
    mem_free(buf);
    mem_free(column);
    mem_free(x);
    mem_free(y);
    matrix_free(&m);
}

static void types_body(const struct kern *k)
{
    static const size_t rows[] = {1, 16, 31, 32, 33, 70}, cols[] = {1, 2, 3, 5, 6, 7, 13};
    uint64_t seed = 1;

    for (int i = 0; quant_at(i); i++) {
        const struct quant *q = quant_at(i);
        size_t block = (size_t)q->block;

        for (size_t a = 0; a < sizeof(rows) / sizeof(*rows); a++) {
            for (size_t b = 0; b < sizeof(cols) / sizeof(*cols); b++) {
                size_t n_col = block == 1 ? 1 + seed * 37 % 600 : block * (1 + seed % 11);

                check_case(k, q, rows[a], n_col > 1024 ? 1024 : n_col, cols[b], (int)(seed % 3),
                           seed);
                seed++;
            }
        }
    }
}

static void every_type_on_every_tier(void **state)
{
    (void)state;
    each_tier(types_body);
}

/* A column alone, and the same column among n, at each or at every seventh place: so many that
 * each way of multiplying is taken. */
static void invariance_of(const struct kern *k, size_t n, size_t step)
{
    enum { ROWS = 50 };
    struct rng r;

    rng_seed(&r, 99);
    for (int i = 0; quant_at(i); i++) {
        const struct quant *q = quant_at(i);
        size_t n_col = q->block == 1 ? 300 : 768;
        float *x = test_alloc(n * n_col * sizeof(*x)), *y = test_alloc(n * ROWS * sizeof(*y)),
              *one = test_alloc(ROWS * sizeof(*one));
        struct kern_acts a;
        struct matrix m;
        void *buf;

        matrix_make(&m, k, q, ROWS, n_col, &r, 0);
        fill_normal(&r, x, n * n_col, 1);
        product(k, &m, NULL, x, n, KERN_STORE, NULL, y, NULL, &a, &buf);
        mem_free(buf);
        for (size_t c = 0; c < n; c += step) {
            product(k, &m, NULL, x + c * n_col, 1, KERN_STORE, NULL, one, NULL, &a, &buf);
            mem_free(buf);
            assert_memory_equal(one, y + c * ROWS, ROWS * sizeof(*one));
        }
        mem_free(x);
        mem_free(y);
        mem_free(one);
        matrix_free(&m);
    }
}

static void invariance_body(const struct kern *k)
{
    invariance_of(k, 29, 1);
    invariance_of(k, 131, 7);
}

static void columns_do_not_depend_on_each_other(void **state)
{
    (void)state;
    each_tier(invariance_body);
}

/* What the epilogues of two products do to the first. */
static double gated(int epilogue, double v)
{
    double by =
        epilogue == KERN_SILU_MUL ? v : 2 * 0.79788456080286536 * (v + 0.044715 * v * v * v);

    return v / (1 + exp(-by));
}

static void epilogue_body(const struct kern *k)
{
    enum { N = 9, ROWS = 45, COLS = 512 };
    static const int types[] = {QUANT_Q4_K, QUANT_F16};
    struct rng r;

    rng_seed(&r, 5);
    for (size_t i = 0; i < 2; i++) {
        const struct quant *q = quant_find(types[i]);
        struct matrix g, u;
        struct kern_acts a;
        void *buf;
        float *x = test_alloc(N * COLS * sizeof(*x)), bias[ROWS],
              *vg = test_alloc(N * ROWS * 4), *vu = test_alloc(N * ROWS * 4),
              *y = test_alloc(N * ROWS * 4);

        matrix_make(&g, k, q, ROWS, COLS, &r, 0);
        matrix_make(&u, k, q, ROWS, COLS, &r, 0);
        fill_normal(&r, x, N * COLS, 0.3f);
        fill_normal(&r, bias, ROWS, 1);
        product(k, &g, NULL, x, N, KERN_STORE, NULL, vg, NULL, &a, &buf);
        mem_free(buf);
        product(k, &u, NULL, x, N, KERN_STORE, NULL, vu, NULL, &a, &buf);
        mem_free(buf);
        for (int e = KERN_SILU_MUL; e <= KERN_GELU_MUL; e++) {
            product(k, &g, &u, x, N, e, NULL, y, NULL, &a, &buf);
            mem_free(buf);
            for (size_t t = 0; t < N * ROWS; t++) {
                double want = gated(e, (double)vg[t]) * (double)vu[t];

                assert_true(fabs((double)y[t] - want) <= 1.5e-6 * fabs(want) + 1e-12);
            }
        }
        memcpy(y, vu, N * ROWS * sizeof(*y));
        product(k, &g, NULL, x, N, KERN_ADD, bias, y, NULL, &a, &buf);
        mem_free(buf);
        for (size_t t = 0; t < N * ROWS; t++) {
            float want = vu[t] + (vg[t] + bias[t % ROWS]);

            assert_true(fabsf(y[t] - want) <= 1e-5f * fabsf(want) + 1e-6f);
        }
        matrix_free(&g);
        matrix_free(&u);
        mem_free(x);
        mem_free(vg);
        mem_free(vu);
        mem_free(y);
    }
}

/* Scales come before biases, each weight has its own, and 0 stands for 1: for few columns and
 * for many, by each epilogue. */
static void scaled_type(const struct kern *k, const struct quant *q, size_t n, struct rng *r)
{
    enum { ROWS = 64, COLS = 512 };
    static const float scale[2] = {0.37f, -2.5f};
    size_t n_y = n * ROWS;
    struct matrix g, u;
    struct kern_acts a;
    void *buf;
    float *x = test_alloc(n * COLS * 4), bias[ROWS], *vg = test_alloc(n_y * 4),
          *vu = test_alloc(n_y * 4), *y = test_alloc(n_y * 4), *one = test_alloc(n_y * 4);

    matrix_make(&g, k, q, ROWS, COLS, r, 0);
    matrix_make(&u, k, q, ROWS, COLS, r, 0);
    fill_normal(r, x, n * COLS, 0.3f);
    fill_normal(r, bias, ROWS, 1);
    product(k, &g, NULL, x, n, KERN_STORE, NULL, vg, NULL, &a, &buf);
    mem_free(buf);
    product(k, &u, NULL, x, n, KERN_STORE, NULL, vu, NULL, &a, &buf);
    mem_free(buf);
    product_scaled(k, &g, NULL, x, n, KERN_STORE, bias, scale, y, NULL, &a, &buf);
    mem_free(buf);
    for (size_t t = 0; t < n_y; t++) {
        vg[t] = vg[t] * scale[0] + bias[t % ROWS];
        assert_true(fabsf(y[t] - vg[t]) <= 1e-6f * (fabsf(vg[t]) + 3));
    }
    memcpy(y, vu, n_y * sizeof(*y));
    product_scaled(k, &g, NULL, x, n, KERN_ADD, bias, scale, y, NULL, &a, &buf);
    mem_free(buf);
    for (size_t t = 0; t < n_y; t++)
        assert_true(fabsf(y[t] - (vu[t] + vg[t])) <= 2e-6f * (fabsf(y[t]) + 3));
    product_scaled(k, &g, &u, x, n, KERN_SILU_MUL, bias, scale, y, NULL, &a, &buf);
    mem_free(buf);
    for (size_t t = 0; t < n_y; t++) {
        double v = (double)vg[t], b = (double)vu[t] * (double)scale[1] + (double)bias[t % ROWS],
               want = v / (1 + exp(-v)) * b;

        assert_true(fabs((double)y[t] - want) <= 3e-6 * (fabs(want) + fabs(b) + fabs(v) + 1));
    }
    product_scaled(k, &g, &u, x, n, KERN_SILU_MUL, bias, (const float[]){1, 0}, y, NULL, &a,
                   &buf);
    mem_free(buf);
    product(k, &g, &u, x, n, KERN_SILU_MUL, bias, one, NULL, &a, &buf);
    mem_free(buf);
    assert_memory_equal(y, one, n_y * sizeof(*y));
    matrix_free(&g);
    matrix_free(&u);
    mem_free(x);
    mem_free(vg);
    mem_free(vu);
    mem_free(y);
    mem_free(one);
}

static void scales_body(const struct kern *k)
{
    static const int types[] = {QUANT_Q4_K, QUANT_IQ3_S, QUANT_Q8_0, QUANT_F16, QUANT_F32};
    static const size_t n[] = {1, 7, 40};
    struct rng r;

    rng_seed(&r, 8);
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        for (size_t h = 0; h < sizeof(n) / sizeof(*n); h++)
            scaled_type(k, quant_find(types[i]), n[h], &r);
    }
}

static void scales(void **state)
{
    (void)state;
    each_tier(scales_body);
}

/* A result left in 8 bits is the same as one that was written and then rounded. */
static void to_acts_body(const struct kern *k)
{
    enum { N = 9, ROWS = 96, COLS = 512 };
    struct rng r;
    struct matrix g, u;
    struct kern_acts a, want, got;
    void *buf, *bufs[2];
    float *x = test_alloc(N * COLS * sizeof(*x)), *y = test_alloc(N * ROWS * sizeof(*y));
    size_t bytes = kern_acts_bytes(N, ROWS, KERN_FORM_Q8);

    if (!k->mul_acts) {
        mem_free(x);
        mem_free(y);
        return;
    }
    rng_seed(&r, 6);
    matrix_make(&g, k, quant_find(QUANT_Q6_K), ROWS, COLS, &r, 0);
    matrix_make(&u, k, quant_find(QUANT_Q6_K), ROWS, COLS, &r, 0);
    fill_normal(&r, x, N * COLS, 0.3f);
    for (int i = 0; i < 2; i++) {
        bufs[i] = test_alloc(bytes);
        memset(bufs[i], 0, bytes);
    }
    product(k, &g, &u, x, N, KERN_SILU_MUL, NULL, y, NULL, &a, &buf);
    mem_free(buf);
    kern_acts_bind(k, &want, bufs[0], N, ROWS, KERN_FORM_Q8);
    want.x = y;
    k->acts(&want, KERN_FORM_Q8, 0, N);
    kern_acts_bind(k, &got, bufs[1], N, ROWS, KERN_FORM_Q8);
    product(k, &g, &u, x, N, KERN_SILU_MUL, NULL, NULL, &got, &a, &buf);
    mem_free(buf);
    assert_memory_equal(bufs[0], bufs[1], bytes);
    mem_free(bufs[0]);
    mem_free(bufs[1]);
    mem_free(x);
    mem_free(y);
    matrix_free(&g);
    matrix_free(&u);
}

static void results_in_8_bits(void **state)
{
    (void)state;
    each_tier(to_acts_body);
}

static void epilogues(void **state)
{
    (void)state;
    each_tier(epilogue_body);
}

/* Columns prepared one by one, copied into panels that begin in the middle of an allocation,
 * and added to chosen rows with a factor: bit for bit what the plain product gives. */
static void scattered_type(const struct kern *k, const struct quant *q, size_t n, struct rng *r)
{
    enum { N = 20, ROWS = 45, FIRST = 3 };
    size_t n_col = q->block == 1 ? 96 : 256;
    int form = k->mm[q->type].form;
    struct matrix m;
    struct kern_acts plain, rows, all, part;
    float *x = test_alloc(N * n_col * 4), *picked = test_alloc((FIRST + N) * n_col * 4),
          *v = test_alloc(N * ROWS * 4), *y = test_alloc(N * ROWS * 4), factor[N],
          *was = test_alloc(N * ROWS * 4);
    void *buf, *rows_buf = test_alloc(kern_acts_bytes(N, n_col, form)),
               *all_buf = test_alloc(kern_acts_bytes(FIRST + N, n_col, form)),
               *scratch = test_alloc(kern_mul_scratch(N));
    int32_t to[N];
    struct kern_weight w;
    struct kern_mul j = {.w = {&w}, .x = &part, .y = y, .ldy = ROWS, .epilogue = KERN_ADD};

    matrix_make(&m, k, q, ROWS, n_col, r, 0);
    fill_normal(r, x, N * n_col, 1);
    fill_normal(r, was, N * ROWS, 1);
    fill_normal(r, factor, N, 1);
    product(k, &m, NULL, x, N, KERN_STORE, NULL, v, NULL, &plain, &buf);
    kern_acts_bind(k, &rows, rows_buf, N, n_col, form);
    rows.x = x;
    rows.n_panel = 1;
    k->acts(&rows, form, 0, N);
    kern_acts_bind(k, &all, all_buf, FIRST + N, n_col, form);
    all.x = picked;
    part = kern_acts_part(k, &all, FIRST, n);
    for (size_t c = 0; c < n; c++) {
        to[c] = (int32_t)((c * 7 + 2) % N);
        kern_acts_copy(&part, c, &rows, (size_t)to[c]);
        memcpy(picked + (FIRST + c) * n_col, x + (size_t)to[c] * n_col, n_col * 4);
    }
    memcpy(y, was, N * ROWS * 4);
    w = weight_of(&m, k);
    j.to = to;
    j.factor = factor;
    k->mm[q->type].mul(k, &j, 0, (ROWS + k->n_group - 1) / k->n_group, scratch);
    for (size_t c = 0; c < n; c++) {
        for (size_t i = 0; i < ROWS; i++) {
            size_t at = (size_t)to[c] * ROWS + i;

            was[at] += factor[c] * v[at];
        }
    }
    assert_memory_equal(y, was, N * ROWS * 4);
    mem_free(x);
    mem_free(picked);
    mem_free(v);
    mem_free(y);
    mem_free(was);
    mem_free(buf);
    mem_free(rows_buf);
    mem_free(all_buf);
    mem_free(scratch);
    matrix_free(&m);
}

static void scattered_body(const struct kern *k)
{
    struct rng r;

    rng_seed(&r, 77);
    for (int i = 0; quant_at(i); i++) {
        for (size_t n = 1; n <= 20; n += 1 + n / 4)
            scattered_type(k, quant_at(i), n, &r);
    }
}

static void copied_and_scattered_columns(void **state)
{
    (void)state;
    each_tier(scattered_body);
}

/* Extreme weights and activations: nothing saturates. */
static void extreme_weights(const struct kern *k, int bytes)
{
    enum { ROWS = 32, COLS = 512 };

    for (int i = 0; quant_at(i); i++) {
        const struct quant *q = quant_at(i);
        struct rng r;
        struct matrix m;
        struct kern_acts a;
        void *buf;
        float *x = test_alloc(2 * COLS * sizeof(*x)), *y = test_alloc(2 * ROWS * sizeof(*y));
        size_t n_block = ROWS * COLS / (size_t)q->block;

        if (q->block == 1) {
            mem_free(x);
            mem_free(y);
            continue;
        }
        rng_seed(&r, 3);
        matrix_make(&m, k, q, ROWS, COLS, &r, 0);
        /* All bits set, or none, but the scales, which become 1. */
        for (size_t b = 0; b < n_block; b++) {
            unsigned char *p = m.rows + b * (size_t)q->bytes;

            memset(p, q->type == QUANT_Q8_0 ? 0x80 : bytes, (size_t)q->bytes);
            if (q->type == QUANT_NVFP4)
                memset(p, 0x7e, 4);
            set_scales(q->type, p, 0x3c00);
        }
        q->to_f32(m.rows, m.exact, ROWS * COLS);
        if (k->mm[q->type].layout == KERN_TILES)
            tile_pack(k, q, m.rows, ROWS, COLS, m.tiles, 0, ROWS / k->n_group);
        for (size_t t = 0; t < COLS; t++) {
            x[t] = 5;
            x[COLS + t] = t % 2 ? -7.0f : 7.0f;
        }
        product(k, &m, NULL, x, 2, KERN_STORE, NULL, y, NULL, &a, &buf);
        for (size_t c = 0; c < 2; c++) {
            double column[COLS];

            seen_column(&a, k->mm[q->type].form, c, column);
            for (size_t row = 0; row < ROWS; row++) {
                double mag, want = dot(&m, row, column, &mag);

                if (!(fabs((double)y[c * ROWS + row] - want) <= 2e-6 * mag))
                    fail_msg("%s %s extreme: %.9g, want %.9g", kern_tier_name(k->tier), q->name,
                             (double)y[c * ROWS + row], want);
            }
        }
        mem_free(buf);
        mem_free(x);
        mem_free(y);
        matrix_free(&m);
    }
}

static void extreme_body(const struct kern *k)
{
    extreme_weights(k, 0xff);
    extreme_weights(k, 0x00);
}

/* Blocks of any bytes, also such as no writer makes: one block a row, so that no scale hides
 * behind a larger one. */
static void any_bytes(const struct kern *k, const struct quant *q, float size, int round)
{
    enum { ROWS = 64 };
    size_t n_col = (size_t)q->block;
    struct rng r;
    struct matrix m;
    struct kern_acts a;
    void *buf;
    float x[256], y[ROWS];
    double column[256];

    rng_seed(&r, (uint64_t)round + 17);
    matrix_make(&m, k, q, ROWS, n_col, &r, 0);
    fill_normal(&r, x, n_col, size);
    for (size_t i = 0; i < ROWS * m.row_bytes; i++)
        m.rows[i] = (unsigned char)rng_u64(&r);
    for (size_t row = 0; row < ROWS; row++) {
        unsigned char *p = m.rows + row * m.row_bytes, first = p[0];

        set_scales(q->type, p, (int)(rng_u64(&r) % 0x7c00));
        if (q->type == QUANT_MXFP4) /* any exponent that leaves the sum finite */
            p[0] = first % (size > 1 ? 0x60 : 0xe0);
    }
    q->to_f32(m.rows, m.exact, ROWS * n_col);
    if (k->mm[q->type].layout == KERN_TILES)
        tile_pack(k, q, m.rows, ROWS, n_col, m.tiles, 0, ROWS / k->n_group);
    product(k, &m, NULL, x, 1, KERN_STORE, NULL, y, NULL, &a, &buf);
    seen_column(&a, k->mm[q->type].form, 0, column);
    for (size_t row = 0; row < ROWS; row++) {
        double mag, want = dot(&m, row, column, &mag), top = 0, sum = 0;

        for (size_t t = 0; t < n_col; t++) {
            top = fmax(top, fabs((double)m.exact[row * n_col + t]));
            sum += fabs(column[t]);
        }
        /* A minimum may cancel what it is taken from, so the limit looks at the largest. */
        if (!(fabs((double)y[row] - want) <= 2e-6 * top * sum + 1e-36))
            fail_msg("%s %s round %d row %zu: %.9g, want %.9g", kern_tier_name(k->tier),
                     q->name, round, row, (double)y[row], want);
    }
    mem_free(buf);
    matrix_free(&m);
}

static void any_bytes_body(const struct kern *k)
{
    for (int i = 0; quant_at(i); i++) {
        for (int round = 0; round < 16 && quant_at(i)->block > 1; round++)
            any_bytes(k, quant_at(i), round % 2 ? 1.0f : 1e20f, round);
    }
}

/* The i8mm tier sums in another order than dotprod, but exactly: the same bits. */
static void pairs_change_no_bit(void **state)
{
    enum { ROWS = 40, COLS = 512, N = 9 };
    struct kern k[2];
    struct rng r;

    (void)state;
    if (!kern_tier_here(KERN_I8MM)) {
        print_message("this machine has no i8mm\n");
        skip();
    }
    kern_init(&k[0], KERN_DOTPROD);
    kern_init(&k[1], KERN_I8MM);
    rng_seed(&r, 6);
    for (int i = 0; quant_at(i); i++) {
        struct matrix m;
        float *x = test_alloc(N * COLS * sizeof(*x)), y[2][N * ROWS];

        matrix_make(&m, &k[0], quant_at(i), ROWS, COLS, &r, 0);
        fill_normal(&r, x, N * COLS, 1);
        for (size_t n = 1; n <= N; n++) {
            for (int t = 0; t < 2; t++) {
                struct kern_acts a;
                void *buf;

                product(&k[t], &m, NULL, x, n, KERN_STORE, NULL, y[t], NULL, &a, &buf);
                mem_free(buf);
            }
            assert_memory_equal(y[0], y[1], n * ROWS * sizeof(**y));
        }
        mem_free(x);
        matrix_free(&m);
    }
}

/* One activation that is no number, or infinite: its column shows it, whatever the tier. */
static void not_finite_body(const struct kern *k)
{
    enum { ROWS = 16, COLS = 256, N = 3 };
    static const float odd[] = {NAN, INFINITY, -INFINITY};
    struct rng r;

    rng_seed(&r, 7);
    for (int i = 0; quant_at(i); i++) {
        struct matrix m;
        struct kern_acts a;
        void *buf;
        float *x = test_alloc(N * COLS * sizeof(*x)), y[N * ROWS];

        matrix_make(&m, k, quant_at(i), ROWS, COLS, &r, 0);
        for (size_t o = 0; o < 3; o++) {
            fill_normal(&r, x, N * COLS, 1);
            x[COLS + rng_u64(&r) % COLS] = odd[o];
            product(k, &m, NULL, x, N, KERN_STORE, NULL, y, NULL, &a, &buf);
            mem_free(buf);
            for (size_t t = 0; t < N * ROWS; t++) {
                if (t / ROWS == 1 && isfinite(y[t]))
                    fail_msg("%s %s: %g became %g", kern_tier_name(k->tier), quant_at(i)->name,
                             (double)odd[o], (double)y[t]);
                if (t / ROWS != 1)
                    assert_true(isfinite(y[t]));
            }
        }
        mem_free(x);
        matrix_free(&m);
    }
}

static void what_is_not_finite_stays_so(void **state)
{
    (void)state;
    each_tier(not_finite_body);
}

static void blocks_of_any_bytes(void **state)
{
    (void)state;
    each_tier(any_bytes_body);
}

static void extremes_do_not_saturate(void **state)
{
    (void)state;
    each_tier(extreme_body);
}

/* -- layouts --------------------------------------------------------------------------- */

/* A copy of n bytes with pages before and after it that must not be touched: close to the one
 * behind, or to the one in front. */
struct fenced {
    unsigned char *map, *p;
    size_t n_map;
};

static struct fenced fence(const void *bytes, size_t n, int front)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (n + page - 1) / page * page;
    struct fenced f = {.n_map = room + 2 * page};

    f.map = mmap(NULL, f.n_map, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(f.map != MAP_FAILED);
    f.p = f.map + page + (front ? 0 : room - n);
    memcpy(f.p, bytes, n);
    assert_int_equal(mprotect(f.map, page, PROT_NONE), 0);
    assert_int_equal(mprotect(f.map + page + room, page, PROT_NONE), 0);
    return f;
}

/* The product of rows as in a file and of their tiles: the same bits. */
static void check_layouts(const struct kern *k, const struct matrix *m, size_t n, int front)
{
    int form = k->mm[m->q->type].form;
    struct fenced f = fence(m->rows, m->n_row * m->row_bytes, front);
    struct kern_weight tiles = weight_of(m, k), rows = tiles;
    float *x = test_alloc(n * m->n_col * sizeof(*x)),
          *y[2] = {test_alloc(n * m->n_row * sizeof(float)),
                   test_alloc(n * m->n_row * sizeof(float))};
    void *buf = test_alloc(kern_acts_bytes(n, m->n_col, form)),
         *scratch = test_alloc(kern_mul_scratch(n));
    size_t n_group = (m->n_row + k->n_group - 1) / k->n_group;
    struct kern_acts a;
    struct rng r;

    rng_seed(&r, n + m->n_row);
    fill_normal(&r, x, n * m->n_col, 1);
    kern_acts_bind(k, &a, buf, n, m->n_col, form);
    a.x = x;
    k->acts(&a, form, 0, n);
    rows.layout = KERN_ROWS;
    rows.data = f.p;
    rows.stride = m->row_bytes;
    for (int i = 0; i < 2; i++) {
        const struct kern_weight *w = i ? &rows : &tiles;
        struct kern_mul j = {.w = {w}, .x = &a, .y = y[i], .ldy = m->n_row};

        memset(y[i], 0xff, n * m->n_row * sizeof(float));
        k->mm[m->q->type].mul(k, &j, 0, n_group, scratch);
    }
    if (memcmp(y[0], y[1], n * m->n_row * sizeof(float)) != 0)
        fail_msg("%s %s rows=%zu cols=%zu n=%zu: rows and tiles differ",
                 kern_tier_name(k->tier), m->q->name, m->n_row, m->n_col, n);
    assert_int_equal(munmap(f.map, f.n_map), 0);
    mem_free(x);
    mem_free(y[0]);
    mem_free(y[1]);
    mem_free(buf);
    mem_free(scratch);
}

/* The tier's tiles are those of the plain code. */
static void check_tiles(const struct kern *k, const struct matrix *m)
{
    size_t n_group = (m->n_row + k->n_group - 1) / k->n_group,
           n = n_group * tile_group_bytes(m->q, m->n_col, k->n_group);
    struct fenced f = fence(m->rows, m->n_row * m->row_bytes, 0);
    struct kern plain = *k;
    unsigned char *a = test_alloc(n), *b = test_alloc(n);

    plain.tiles = tile_rows;
    memset(a, 0x55, n);
    memset(b, 0xaa, n);
    tile_pack(&plain, m->q, m->rows, m->n_row, m->n_col, a, 0, n_group);
    tile_pack(k, m->q, f.p, m->n_row, m->n_col, b, 0, n_group);
    if (memcmp(a, b, n) != 0)
        fail_msg("%s %s rows=%zu cols=%zu: not the plain tiles", kern_tier_name(k->tier),
                 m->q->name, m->n_row, m->n_col);
    assert_int_equal(munmap(f.map, f.n_map), 0);
    mem_free(a);
    mem_free(b);
}

static void layouts_body(const struct kern *k)
{
    static const size_t rows[] = {1, 15, 16, 17, 31, 32, 33, 47, 64, 83},
                        floats[] = {1, 2, 3, 5, 63, 64, 65, 71, 255, 259};
    struct rng r;

    rng_seed(&r, 23);
    for (int i = 0; quant_at(i); i++) {
        const struct quant *q = quant_at(i);

        if (k->mm[q->type].layout == KERN_ROWS)
            continue;
        for (size_t c = 0; c < sizeof(rows) / sizeof(*rows); c++) {
            struct matrix m;

            matrix_make(&m, k, q, rows[c],
                        q->block == 1 ? floats[c] : (size_t)q->block * (c + 1), &r, 0);
            check_tiles(k, &m);
            for (size_t n = 1; n < 9; n += c % 2 + 1)
                check_layouts(k, &m, n, n % 2 == 0);
            matrix_free(&m);
        }
    }
}

static void layouts_give_the_same_bits(void **state)
{
    (void)state;
    each_tier(layouts_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_on_every_tier),
        cmocka_unit_test(columns_do_not_depend_on_each_other),
        cmocka_unit_test(epilogues),
        cmocka_unit_test(scales),
        cmocka_unit_test(results_in_8_bits),
        cmocka_unit_test(copied_and_scattered_columns),
        cmocka_unit_test(extremes_do_not_saturate),
        cmocka_unit_test(blocks_of_any_bytes),
        cmocka_unit_test(layouts_give_the_same_bits),
        cmocka_unit_test(pairs_change_no_bit),
        cmocka_unit_test(what_is_not_finite_stays_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
