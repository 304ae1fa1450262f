/* Every way that a GGUF file is known to be broken: what gguf_open must say of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gguf_make.h"

#include "base/clock.h"
#include "fmt/gguf.h"

#include <sys/stat.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOWER 10
#else
#define SLOWER 1
#endif

#define TOP  ((uint64_t)1 << 63)
#define ALL  UINT64_MAX
#define BUF0 ((size_t)64 << 20)

/* -- the files ----------------------------------------------------------------------- */

static void empty(struct buf *b)
{
    (void)b;
}

static void three_bytes(struct buf *b)
{
    make_bytes(b, "GGU", 3);
}

static void header_cut(struct buf *b)
{
    make_bytes(b, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 23);
}

static void magic_ggml(struct buf *b)
{
    make_bytes(b, "lmgg", 4);
    make_data(b, 32, 64);
}

static void magic_text(struct buf *b)
{
    make_bytes(b, "Once upon a time there was a file that was no model.", 52);
}

static void magic_zip(struct buf *b)
{
    make_bytes(b, "PK\3\4", 4);
    make_data(b, 32, 64);
}

static void magic_html(struct buf *b)
{
    make_bytes(b, "\n  <!DOCTYPE html><html><body>404</body></html>", 47);
}

static void magic_html_short(struct buf *b)
{
    make_bytes(b, "<html>", 6);
}

static void magic_lfs(struct buf *b)
{
    const char *s = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";

    make_bytes(b, s, strlen(s));
}

static void magic_safetensors(struct buf *b)
{
    make_u64(b, 16);
    make_bytes(b, "{\"__metadata__\":{}}", 19);
}

static void magic_json(struct buf *b)
{
    make_bytes(b, "{\"error\":\"Repository not found\"}", 32);
}

static void version_0(struct buf *b)
{
    make_head(b, 0, 0, 0);
}

static void version_1(struct buf *b)
{
    make_head(b, 1, 0, 0);
}

static void version_4(struct buf *b)
{
    make_head(b, 4, 0, 0);
}

static void version_big(struct buf *b)
{
    make_head(b, 0x03000000, 0, 0);
}

static void tensors_2_63(struct buf *b)
{
    make_head(b, 3, TOP, 0);
}

static void tensors_all(struct buf *b)
{
    make_head(b, 3, ALL, 0);
}

static void tensors_one_too_many(struct buf *b)
{
    make_head(b, 3, 2, 0);
    make_data(b, 8, 47);
}

static void keys_2_62(struct buf *b)
{
    make_head(b, 3, 0, TOP / 2);
}

static void key_length_all(struct buf *b)
{
    make_head(b, 3, 0, 1);
    make_u64(b, ALL);
    make_data(b, 8, 32);
}

static void key_past_end(struct buf *b)
{
    make_head(b, 3, 0, 1);
    make_u64(b, 100);
    make_data(b, 8, 32);
}

static void key_too_long(struct buf *b)
{
    make_head(b, 3, 0, 1);
    make_u64(b, 65537);
    make_data(b, 8, 70000);
}

static void key_empty(struct buf *b)
{
    make_head(b, 3, 0, 1);
    make_key(b, "", 0);
    make_bytes(b, "\1", 1);
}

static void key_twice(struct buf *b)
{
    make_head(b, 3, 0, 3);
    make_kv_u32(b, "a.x", 1);
    make_kv_u32(b, "a.y", 1);
    make_kv_u32(b, "a.x", 2);
}

static void key_nul(struct buf *b)
{
    make_head(b, 3, 0, 1);
    make_u64(b, 3);
    make_bytes(b, "a\0b", 3);
    make_u32(b, 4);
    make_u32(b, 1);
}

static void key_not_utf8(struct buf *b)
{
    make_head(b, 3, 0, 1);
    make_kv_u32(b, "a\xff\xfe", 1);
}

static void key_escape(struct buf *b)
{
    make_head(b, 3, 0, 1);
    make_key(b, "\x1b]0;owned\a", 13);
    make_u32(b, 1);
}

static void type_13(struct buf *b)
{
    make_head(b, 3, 0, 1);
    make_kv_u32(b, "a", 1);
    b->p[24 + 8 + 1] = 13;
}

static void type_255(struct buf *b)
{
    make_head(b, 3, 0, 1);
    make_key(b, "a", 255);
    make_u32(b, 0);
}

static void array_of(struct buf *b, uint32_t type, uint64_t n)
{
    make_head(b, 3, 0, 1);
    make_key(b, "a.list", 9);
    make_u32(b, type);
    make_u64(b, n);
}

static void array_nested(struct buf *b)
{
    array_of(b, 9, 1);
    make_u32(b, 0);
    make_u64(b, 0);
}

static void array_type(struct buf *b)
{
    array_of(b, 13, 1);
    make_u32(b, 0);
}

static void array_2_61(struct buf *b)
{
    array_of(b, 10, TOP / 4);
    make_data(b, 8, 64);
}

static void array_wraps(struct buf *b)
{
    array_of(b, 10, TOP / 4 + 1); /* times 8 is 8, if nobody looks */
    make_data(b, 8, 64);
}

static void array_long(struct buf *b)
{
    array_of(b, 4, 17);
    make_data(b, 2, 64);
}

static void strings_many(struct buf *b)
{
    array_of(b, 8, TOP / 4);
    make_data(b, 8, 64);
}

static void strings_long(struct buf *b)
{
    array_of(b, 8, 3);
    make_str(b, "one");
    make_u64(b, 100);
    make_str(b, "three");
}

static void string_wraps(struct buf *b)
{
    make_head(b, 3, 0, 1);
    make_key(b, "a.text", 8);
    make_u64(b, ALL - 7);
    make_data(b, 8, 64);
}

static void bool_2(struct buf *b)
{
    make_head(b, 3, 0, 1);
    make_key(b, "a.flag", 7);
    make_bytes(b, "\2", 1);
}

static void bools_2(struct buf *b)
{
    array_of(b, 7, 3);
    make_bytes(b, "\0\1\2", 3);
}

static void value_cut(struct buf *b)
{
    make_head(b, 3, 0, 1);
    make_key(b, "a.big", 10);
    make_u32(b, 1);
}

static void align_of(struct buf *b, uint32_t align)
{
    make_head(b, 3, 1, 1);
    make_kv_u32(b, "general.alignment", align);
    make_vec(b, "t", 8, 0);
    make_data(b, 32, 64);
}

static void align_0(struct buf *b)
{
    align_of(b, 0);
}

static void align_1(struct buf *b)
{
    align_of(b, 1);
}

static void align_3(struct buf *b)
{
    align_of(b, 3);
}

static void align_4(struct buf *b)
{
    align_of(b, 4);
}

static void align_2_31(struct buf *b)
{
    align_of(b, (uint32_t)1 << 31);
}

static void align_i32(struct buf *b)
{
    make_head(b, 3, 0, 1);
    make_key(b, "general.alignment", 5);
    make_u32(b, 32);
}

static void align_array(struct buf *b)
{
    make_head(b, 3, 0, 1);
    make_key(b, "general.alignment", 9);
    make_u32(b, 4);
    make_u64(b, 1);
    make_u32(b, 32);
}

static void dims_of(struct buf *b, uint32_t n_dim)
{
    static const uint64_t ne[8] = {8, 1, 1, 1, 1, 1, 1, 1};

    make_head(b, 3, 1, 0);
    make_tensor(b, "t", n_dim, ne, 0, 0);
    make_data(b, 32, 64);
}

static void dims_0(struct buf *b)
{
    dims_of(b, 0);
}

static void dims_5(struct buf *b)
{
    dims_of(b, 5);
}

static void dims_2_31(struct buf *b)
{
    dims_of(b, (uint32_t)1 << 31);
}

static void shape_of(struct buf *b, uint64_t x, uint64_t y, uint64_t z, uint32_t type)
{
    uint64_t ne[3] = {x, y, z};

    make_head(b, 3, 1, 0);
    make_tensor(b, "blk.0.w", 3, ne, type, 0);
    make_data(b, 32, 4096);
}

static void ne_0(struct buf *b)
{
    shape_of(b, 8, 0, 1, 0);
}

static void ne_negative(struct buf *b)
{
    shape_of(b, 8, ALL, 1, 0);
}

static void ne_top(struct buf *b)
{
    shape_of(b, 8, TOP, 1, 0);
}

static void ne_product(struct buf *b)
{
    shape_of(b, (uint64_t)1 << 32, (uint64_t)1 << 32, 1, 0);
}

static void ne_product_63(struct buf *b)
{
    shape_of(b, (uint64_t)1 << 32, (uint64_t)1 << 31, 1, 0);
}

static void ne_bytes(struct buf *b)
{
    shape_of(b, (uint64_t)1 << 62, 1, 1, 0); /* times 4 bytes is 0, if nobody looks */
}

static void tensor_type_99(struct buf *b)
{
    shape_of(b, 32, 1, 1, 99);
}

static void tensor_type_neg(struct buf *b)
{
    shape_of(b, 32, 1, 1, UINT32_MAX);
}

static void tensor_type_4(struct buf *b)
{
    shape_of(b, 32, 1, 1, 4);
}

static void tensor_type_33(struct buf *b)
{
    shape_of(b, 32, 1, 1, 33);
}

static void row_ragged(struct buf *b)
{
    shape_of(b, 33, 32, 1, 8);
}

static void row_half_block(struct buf *b)
{
    shape_of(b, 128, 2, 1, 12); /* the product is whole blocks, the row is not */
}

static void two_of(struct buf *b, const char *second, uint64_t offset, size_t n_data)
{
    make_head(b, 3, 2, 0);
    make_vec(b, "first", 16, 0);
    make_vec(b, second, 16, offset);
    make_data(b, 32, n_data);
}

static void offset_unaligned(struct buf *b)
{
    two_of(b, "second", 72, 256);
}

static void offset_overlap(struct buf *b)
{
    two_of(b, "second", 32, 256);
}

static void offset_same(struct buf *b)
{
    two_of(b, "second", 0, 256);
}

static void offset_overlap_unsorted(struct buf *b)
{
    make_head(b, 3, 3, 0);
    make_vec(b, "c", 16, 128);
    make_vec(b, "a", 16, 0);
    make_vec(b, "b", 32, 32);
    make_data(b, 32, 256);
}

static void offset_past_end(struct buf *b)
{
    two_of(b, "second", 4096, 256);
}

static void offset_wraps(struct buf *b)
{
    two_of(b, "second", ALL - 31, 256);
}

static void data_cut_1(struct buf *b)
{
    two_of(b, "second", 64, 127);
}

static void data_cut_half(struct buf *b)
{
    two_of(b, "second", 64, 64);
}

static void data_none(struct buf *b)
{
    make_head(b, 3, 1, 0);
    make_vec(b, "only", 16, 0);
}

static void tensor_twice(struct buf *b)
{
    two_of(b, "first", 64, 128);
}

static void tensor_name_256(struct buf *b)
{
    char name[257];

    memset(name, 'n', 256);
    name[256] = '\0';
    two_of(b, name, 64, 128);
}

static void tensor_name_empty(struct buf *b)
{
    two_of(b, "", 64, 128);
}

/* -- what must be said of them ------------------------------------------------------- */

struct bad {
    const char *name;
    void (*make)(struct buf *b);
    int code;
    const char *says, *says_too;
};

#define BAD(make, code, says, too)                                                             \
    {                                                                                          \
#make, make, code, says, too                                                           \
    }

/* clang-format off */
static const struct bad bads[] = {
    BAD(empty, E_FORMAT, "header", "the file is empty at byte 0"),
    BAD(three_bytes, E_FORMAT, "header", "the file ends at byte 3"),
    BAD(header_cut, E_FORMAT, "24 bytes", "the file ends at byte 23"),
    BAD(magic_ggml, E_FORMAT, "not a GGUF file", "GGML"),
    BAD(magic_text, E_FORMAT, "not a GGUF file", "begins with \"Once\""),
    BAD(magic_zip, E_FORMAT, "not a GGUF file", "ZIP"),
    BAD(magic_html, E_FORMAT, "not a GGUF file", "HTML"),
    BAD(magic_html_short, E_FORMAT, "not a GGUF file", "HTML"),
    BAD(magic_lfs, E_FORMAT, "not a GGUF file", "Git LFS"),
    BAD(magic_safetensors, E_FORMAT, "not a GGUF file", "safetensors"),
    BAD(magic_json, E_FORMAT, "not a GGUF file", "JSON"),
    BAD(version_0, E_FORMAT, "version 0", "at byte 4"),
    BAD(version_1, E_UNSUPPORTED, "version 1", "at byte 4"),
    BAD(version_4, E_UNSUPPORTED, "version 4", "at byte 4"),
    BAD(version_big, E_UNSUPPORTED, "big-endian", "at byte 4"),
    BAD(tensors_2_63, E_FORMAT, "9223372036854775808 tensors", "at byte 8"),
    BAD(tensors_all, E_FORMAT, "18446744073709551615 tensors", "at byte 8"),
    BAD(tensors_one_too_many, E_FORMAT, "room for at most 1", "at byte 8"),
    BAD(keys_2_62, E_FORMAT, "4611686018427387904 keys", "at byte 16"),
    BAD(key_length_all, E_FORMAT, "key number 0", "18446744073709551615 bytes long"),
    BAD(key_past_end, E_FORMAT, "key number 0", "needs 100 bytes"),
    BAD(key_too_long, E_FORMAT, "the limit is 65536", "at byte 24"),
    BAD(key_empty, E_FORMAT, "key number 0: the key is empty", "at byte 24"),
    BAD(key_twice, E_FORMAT, "key a.x: the key is there twice", "at byte 62"),
    BAD(key_nul, E_FORMAT, "a\\x00b: the key holds a NUL", "at byte 24"),
    BAD(key_not_utf8, E_FORMAT, "not UTF-8", "at byte 24"),
    BAD(key_escape, E_FORMAT, "\\x1B]0;owned\\x07", "value type 13"),
    BAD(type_13, E_FORMAT, "key a: value type 13", "at byte 33"),
    BAD(type_255, E_FORMAT, "key a: value type 255", "at byte 33"),
    BAD(array_nested, E_FORMAT, "key a.list: an array of arrays", "at byte 42"),
    BAD(array_type, E_FORMAT, "array of value type 13", "at byte 42"),
    BAD(array_2_61, E_FORMAT, "2305843009213693952 u64", "at byte 46"),
    BAD(array_wraps, E_FORMAT, "2305843009213693953 u64", "at byte 46"),
    BAD(array_long, E_FORMAT, "array of 17 u32", "64 bytes more at byte 46"),
    BAD(strings_many, E_FORMAT, "array of 2305843009213693952 strings", "at byte 46"),
    BAD(strings_long, E_FORMAT, "key a.list: the string in the array needs 100", "at byte 73"),
    BAD(string_wraps, E_FORMAT, "key a.text: the value needs 18446744073709551608", "at byte"),
    BAD(bool_2, E_FORMAT, "key a.flag: a bool of value 2", "at byte 42"),
    BAD(bools_2, E_FORMAT, "key a.list: a bool of value 2", "at byte 56"),
    BAD(value_cut, E_FORMAT, "key a.big: the value needs 8 bytes", "at byte 41"),
    BAD(align_0, E_FORMAT, "key general.alignment: an alignment of 0", "power of two at byte 53"),
    BAD(align_1, E_FORMAT, "an alignment of 1", "less than 8"),
    BAD(align_3, E_FORMAT, "an alignment of 3", "power of two"),
    BAD(align_4, E_FORMAT, "an alignment of 4", "less than 8"),
    BAD(align_2_31, E_FORMAT, "an alignment of 2147483648", "more than 1048576"),
    BAD(align_i32, E_FORMAT, "type is i32, expected u32", "at byte 49"),
    BAD(align_array, E_FORMAT, "type is arr, expected u32", "at byte 49"),
    BAD(dims_0, E_FORMAT, "tensor t: 0 dimensions", "at byte 33"),
    BAD(dims_5, E_FORMAT, "tensor t: 5 dimensions", "at byte 33"),
    BAD(dims_2_31, E_FORMAT, "2147483648 dimensions", "at byte 33"),
    BAD(ne_0, E_FORMAT, "tensor blk.0.w: dimension 1 is 0", "at byte 39"),
    BAD(ne_negative, E_FORMAT, "dimension 1 is -1", "at byte"),
    BAD(ne_top, E_FORMAT, "dimension 1 is -9223372036854775808", "at byte"),
    BAD(ne_product, E_FORMAT, "product of its dimensions", "at byte"),
    BAD(ne_product_63, E_FORMAT, "product of its dimensions", "at byte"),
    BAD(ne_bytes, E_FORMAT, "size in bytes", "at byte"),
    BAD(tensor_type_99, E_UNSUPPORTED, "tensor blk.0.w: type 99 is not known", "at byte"),
    BAD(tensor_type_neg, E_UNSUPPORTED, "is not known", "at byte"),
    BAD(tensor_type_4, E_UNSUPPORTED, "type 4 (Q4_2) was removed", "at byte"),
    BAD(tensor_type_33, E_UNSUPPORTED, "type 33 (Q4_0_8_8) was removed", "at byte"),
    BAD(row_ragged, E_FORMAT, "rows of 33 are not a multiple of Q8_0's block of 32", "at byte"),
    BAD(row_half_block, E_FORMAT, "rows of 128", "Q4_K's block of 256"),
    BAD(offset_unaligned, E_FORMAT, "tensor second:", "not a multiple of 32"),
    BAD(offset_overlap, E_FORMAT, "tensor second: its data overlap those of first", "at byte 160"),
    BAD(offset_same, E_FORMAT, "overlap", "first"),
    BAD(offset_overlap_unsorted, E_FORMAT, "overlap those of", "at byte"),
    BAD(offset_past_end, E_FORMAT, "tensor second: its 64 bytes at offset 4096", "past the end"),
    BAD(offset_wraps, E_FORMAT, "tensor second:", "past the end"),
    BAD(data_cut_1, E_FORMAT, "tensor second: its 64 bytes at offset 64", "at byte 255"),
    BAD(data_cut_half, E_FORMAT, "tensor second:", "past the end"),
    BAD(data_none, E_FORMAT, "tensor only: its 64 bytes at offset 0", "past the end"),
    BAD(tensor_twice, E_FORMAT, "tensor first: the tensor is there twice", "at byte"),
    BAD(tensor_name_256, E_FORMAT, "tensor number 1: the name is 256 bytes long", "255"),
    BAD(tensor_name_empty, E_FORMAT, "tensor number 1: its name is empty", "at byte"),
};
/* clang-format on */

static int open_bytes(const char *path, const struct buf *b, struct gguf **g, struct err *e)
{
    make_file(path, b->p, b->n);
    return gguf_open(g, path, e);
}

static void check_bad(const struct bad *bad)
{
    const char *path = make_path("bad.gguf");
    struct gguf *untouched = (struct gguf *)(uintptr_t)16, *g = untouched;
    struct err e = {0};
    struct buf b;
    int rc;

    buf_init(&b, BUF0);
    bad->make(&b);
    rc = open_bytes(path, &b, &g, &e);
    if (rc != bad->code || e.code != bad->code)
        fail_msg("%s: code %d, expected %d: %s", bad->name, rc, bad->code, e.msg);
    if (g != untouched)
        fail_msg("%s: the result was written", bad->name);
    if (strncmp(e.msg, path, strlen(path)) != 0 || !strstr(e.msg, " at byte "))
        fail_msg("%s: neither path nor byte in: %s", bad->name, e.msg);
    if (!strstr(e.msg, bad->says) || !strstr(e.msg, bad->says_too))
        fail_msg("%s: \"%s\" and \"%s\" are not in: %s", bad->name, bad->says, bad->says_too,
                 e.msg);
    (void)unlink(path);
    buf_done(&b);
}

static void test_catalogue(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++)
        check_bad(&bads[i]);
}

/* A file with one of everything. */
static void make_whole(struct buf *b)
{
    uint64_t ne[2] = {32, 2};

    make_head(b, 3, 3, 5);
    make_kv_str(b, "general.architecture", "llama");
    make_kv_u32(b, "general.alignment", 16);
    make_key(b, "a.flag", 7);
    make_bytes(b, "\1", 1);
    make_key(b, "a.strings", 9);
    make_u32(b, 8);
    make_u64(b, 2);
    make_str(b, "x");
    make_str(b, "");
    make_key(b, "a.numbers", 9);
    make_u32(b, 3);
    make_u64(b, 3);
    make_bytes(b, "\1\0\2\0\3\0", 6);
    make_vec(b, "late", 4, 96);
    make_tensor(b, "early", 2, ne, 8, 0); /* 68 bytes, then a hole */
    make_vec(b, "mid", 4, 80);
    make_data(b, 16, 112);
}

static void test_whole_is_good(void **state)
{
    const char *path = make_path("whole.gguf");
    const struct gguf_tensor *t;
    struct gguf *g = NULL;
    struct err e = {0};
    struct buf b;

    (void)state;
    buf_init(&b, BUF0);
    make_whole(&b);
    if (open_bytes(path, &b, &g, &e) < 0)
        fail_msg("%s", e.msg);
    t = gguf_tensor(g, "mid");
    assert_non_null(t);
    assert_memory_equal(t->data, b.p + t->offset, t->n_byte);
    assert_int_equal(t->offset, b.n - 112 + 80);
    assert_int_equal(gguf_trailing_bytes(g), 0);
    gguf_free(g);
    (void)unlink(path);
    buf_done(&b);
}

/* Every shorter version of a good file is refused, and says where. */
static void test_every_truncation(void **state)
{
    const char *path = make_path("cut.gguf");
    struct buf b;

    (void)state;
    buf_init(&b, BUF0);
    make_whole(&b);
    for (size_t n = b.n; n-- > 0;) {
        struct gguf *g = NULL;
        struct err e = {0};
        int rc;

        make_file(path, b.p, n);
        rc = gguf_open(&g, path, &e);
        if (rc != E_FORMAT || g || strncmp(e.msg, path, strlen(path)) != 0)
            fail_msg("cut at %zu: code %d: %s", n, rc, e.msg);
    }
    (void)unlink(path);
    buf_done(&b);
}

/* Whatever one byte becomes, the file opens or is refused as broken or unknown. */
static void test_every_byte_changed(void **state)
{
    static const unsigned char to[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    const char *path = make_path("flip.gguf");
    struct buf b;
    int n_open = 0, n_refused = 0;

    (void)state;
    buf_init(&b, BUF0);
    make_whole(&b);
    for (size_t i = 0; i < b.n - 112; i++) {
        for (size_t k = 0; k < sizeof(to); k++) {
            struct gguf *g = NULL;
            struct err e = {0};
            char kept = b.p[i];
            int rc;

            b.p[i] = (char)to[k];
            rc = open_bytes(path, &b, &g, &e);
            if (rc < 0 && rc != E_FORMAT && rc != E_UNSUPPORTED)
                fail_msg("byte %zu = %d: code %d: %s", i, to[k], rc, e.msg);
            n_open += rc == 0;
            n_refused += rc < 0;
            gguf_free(g);
            b.p[i] = kept;
        }
    }
    assert_true(n_open > 100 && n_refused > 100);
    (void)unlink(path);
    buf_done(&b);
}

/* -- sizes that must not cost ---------------------------------------------------------- */

static double open_seconds(const struct buf *b)
{
    const char *path = make_path("many.gguf");
    struct gguf *g = NULL;
    struct err e = {0};
    uint64_t t;

    make_file(path, b->p, b->n);
    t = clock_cpu_ns();
    if (gguf_open(&g, path, &e) < 0)
        fail_msg("%s", e.msg);
    t = clock_cpu_ns() - t;
    assert_non_null(g);
    gguf_free(g);
    (void)unlink(path);
    return (double)t * 1e-9;
}

static void test_many_keys_and_tensors(void **state)
{
    char name[32];
    double s;
    struct buf b;

    (void)state;
    buf_init(&b, BUF0);
    make_head(&b, 3, 0, 100000);
    for (int i = 0; i < 100000; i++) {
        (void)snprintf(name, sizeof(name), "some.key.%d", i);
        make_kv_u32(&b, name, (uint32_t)i);
    }
    s = open_seconds(&b);
    print_message("100000 keys: %.3f s\n", s);
    assert_true(s < 0.5 * SLOWER);

    buf_clear(&b);
    make_head(&b, 3, 100000, 0);
    for (int i = 0; i < 100000; i++) { /* last first, so that they must be sorted */
        (void)snprintf(name, sizeof(name), "blk.%d.weight", i);
        make_vec(&b, name, 8, (uint64_t)(99999 - i) * 32);
    }
    make_data(&b, 32, 100000 * 32);
    s = open_seconds(&b);
    print_message("100000 tensors: %.3f s\n", s);
    assert_true(s < 0.5 * SLOWER);
    buf_done(&b);
}

static void test_trailing_bytes(void **state)
{
    const char *path = make_path("tail.gguf");
    struct gguf *g = NULL;
    struct err e = {0};
    struct buf b;

    (void)state;
    buf_init(&b, BUF0);
    two_of(&b, "second", 64, 128);
    make_bytes(&b, "garbage", 7);
    if (open_bytes(path, &b, &g, &e) < 0)
        fail_msg("%s", e.msg);
    assert_int_equal(gguf_trailing_bytes(g), 7);
    gguf_free(g);
    (void)unlink(path);
    buf_done(&b);
}

/* -- things that are no files ----------------------------------------------------------- */

static void check_path(const char *path, int code)
{
    struct gguf *g = NULL;
    struct err e = {0};
    int rc = gguf_open(&g, path, &e);

    if (rc != code || !strstr(e.msg, path))
        fail_msg("%s: code %d, expected %d: %s", path, rc, code, e.msg);
    assert_null(g);
}

static void test_paths(void **state)
{
    const char *fifo = make_path("fifo.gguf"), *link = make_path("link.gguf"),
               *file = make_path("file.gguf");
    struct gguf *g = NULL;
    struct err e = {0};
    struct buf b;

    (void)state;
    check_path(make_dir(), E_INVALID);
    check_path("/dev/zero", E_INVALID);
    check_path(make_path("none.gguf"), E_NOT_FOUND);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    check_path(fifo, E_INVALID);
    (void)unlink(fifo);

    buf_init(&b, BUF0);
    make_whole(&b);
    make_file(file, b.p, b.n);
    assert_int_equal(chmod(file, 0444), 0);
    assert_int_equal(symlink(file, link), 0);
    if (gguf_open(&g, link, &e) < 0)
        fail_msg("%s", e.msg);
    gguf_free(g);
    assert_int_equal(chmod(file, 0), 0);
    if (geteuid() != 0)
        check_path(file, E_IO);
    else
        print_message("running as root: a file without permission is not tried\n");
    (void)unlink(link);
    (void)unlink(file);
    buf_done(&b);
}

/* -- split files -------------------------------------------------------------------------- */

struct part {
    uint32_t no, count, n_told;
    const char *arch, *tensor;
};

static void make_part(const char *name, const struct part *p)
{
    struct buf b;

    buf_init(&b, BUF0);
    make_head(&b, 3, 1, p->arch ? 4 : 3);
    make_key(&b, "split.no", 2);
    make_bytes(&b, &p->no, 2);
    make_key(&b, "split.count", 2);
    make_bytes(&b, &p->count, 2);
    make_key(&b, "split.tensors.count", 5);
    make_u32(&b, p->n_told);
    if (p->arch)
        make_kv_str(&b, "general.architecture", p->arch);
    make_vec(&b, p->tensor, 8, 0);
    make_data(&b, 32, 32);
    make_file(make_path(name), b.p, b.n);
    buf_done(&b);
}

static const char *const part_names[3] = {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf",
                                          "m-00003-of-00003.gguf"};

/* Three good parts, of which number i is another, or missing when another is NULL. */
static void check_split(int i, const struct part *other, int from, int code, const char *says)
{
    static const struct part good[3] = {
        {0, 3, 3, "llama", "a"}, {1, 3, 3, NULL, "b"}, {2, 3, 3, "llama", "c"}};
    struct gguf *g = NULL;
    struct err e = {0};
    int rc;

    for (int k = 0; k < 3; k++) {
        if (k != i || other)
            make_part(part_names[k], k == i ? other : &good[k]);
        else
            (void)unlink(make_path(part_names[k]));
    }
    rc = gguf_open(&g, make_path(part_names[from]), &e);
    if (rc != code || (code < 0 && !strstr(e.msg, says)))
        fail_msg("part %d from %d: code %d, expected %d: %s", i, from, rc, code, e.msg);
    if (rc == 0) {
        assert_int_equal(gguf_n_part(g), 3);
        assert_int_equal(gguf_n_tensor(g), 3);
        assert_int_equal(gguf_tensor(g, "c")->part, 2);
        assert_int_equal(gguf_n_kv(g), 4);
    }
    gguf_free(g);
    for (int k = 0; k < 3; k++)
        (void)unlink(make_path(part_names[k]));
}

static void test_split(void **state)
{
    static const struct part first = {0, 3, 3, "llama", "a"}, count = {1, 2, 3, NULL, "b"},
                             number = {2, 3, 3, NULL, "b"}, told = {1, 3, 4, NULL, "b"},
                             arch = {1, 3, 3, "qwen2", "b"}, twice = {1, 3, 3, NULL, "a"},
                             outside = {3, 3, 3, NULL, "b"};

    (void)state;
    for (int from = 0; from < 3; from++)
        check_split(0, &first, from, 0, "");
    check_split(1, NULL, 0, E_NOT_FOUND, "m-00002-of-00003.gguf");
    check_split(0, NULL, 2, E_NOT_FOUND, "m-00001-of-00003.gguf");
    check_split(1, &count, 0, E_FORMAT, "part 2 of 2, expected part 2 of 3");
    check_split(1, &number, 0, E_FORMAT, "part 3 of 3, expected part 2 of 3");
    check_split(1, &told, 0, E_FORMAT, "split.tensors.count");
    check_split(1, &arch, 0, E_FORMAT, "another model");
    check_split(1, &twice, 0, E_FORMAT, "tensor a: part 2 has it again");
    check_split(1, &outside, 1, E_FORMAT, "split.no");
}

static void test_split_alone(void **state)
{
    static const struct part renamed = {0, 3, 3, "llama", "a"}, one = {0, 1, 1, "llama", "a"},
                             many = {0, 65535, 1, "llama", "a"};
    struct gguf *g = NULL;
    struct err e = {0};

    (void)state;
    make_part("renamed.gguf", &renamed);
    assert_int_equal(gguf_open(&g, make_path("renamed.gguf"), &e), E_FORMAT);
    assert_non_null(strstr(e.msg, "must end in -00001-of-00003.gguf"));
    (void)unlink(make_path("renamed.gguf"));

    make_part("one.gguf", &one);
    assert_int_equal(gguf_open(&g, make_path("one.gguf"), &e), 0);
    assert_int_equal(gguf_n_part(g), 1);
    gguf_free(g);
    g = NULL;
    (void)unlink(make_path("one.gguf"));

    make_part("m-00001-of-65535.gguf", &many);
    assert_int_equal(gguf_open(&g, make_path("m-00001-of-65535.gguf"), &e), E_NOT_FOUND);
    assert_non_null(strstr(e.msg, "m-00002-of-65535.gguf"));
    (void)unlink(make_path("m-00001-of-65535.gguf"));
    assert_null(g);
}

static int done(void **state)
{
    (void)state;
    make_dir_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_catalogue),
        cmocka_unit_test(test_whole_is_good),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_every_byte_changed),
        cmocka_unit_test(test_many_keys_and_tensors),
        cmocka_unit_test(test_trailing_bytes),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_split_alone),
    };

    return cmocka_run_group_tests(tests, NULL, done);
}
