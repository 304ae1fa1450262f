/* tests/data/go_template_cases.json: hundreds of small templates with what Go makes of them,
 * and chat templates in the manner of Modelfiles with what Ollama makes of conversations. */
#include "text/tmpl/go_run.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#define CASES "tests/data/go_template_cases.json"

static json_t *cases(void)
{
    json_error_t je;
    json_t *j = json_load_file(CASES, JSON_ALLOW_NUL, &je);

    if (!j)
        fail_msg("%s: line %d: %s", CASES, je.line, je.text);
    return j;
}

static struct str str_of_json(const json_t *j)
{
    return (struct str){json_string_value(j), json_string_length(j)};
}

/* Marks: in order, of two kinds by turns, up to the end of the text. */
static void check_marks(const struct marked *m)
{
    size_t at = 0;

    for (size_t i = 0; i < m->n; i++) {
        assert_true(m->mark[i].end > at);
        assert_true(i == 0 || m->mark[i].user != m->mark[i - 1].user);
        at = m->mark[i].end;
    }
    assert_int_equal(at, m->text.n);
}

/* 1: it is as the case wants; want is no string: an error. */
static int check(const char *name, const json_t *want, int rc, const struct marked *out,
                 const struct err *e)
{
    struct str got = {out->text.p, out->text.n};

    if (rc < 0) {
        assert_true(e->msg[0] != 0 && e->code == rc);
        if (json_is_string(want))
            print_message("%s: %s\n", name, e->msg);
        return !json_is_string(want);
    }
    check_marks(out);
    if (json_is_string(want) && str_eq(got, str_of_json(want)))
        return 1;
    print_message("%s: \"%.*s\"\n  not \"%s\"\n", name, (int)got.n, got.p ? got.p : "",
                  json_is_string(want) ? json_string_value(want) : "an error");
    return 0;
}

static int run(struct str text, const json_t *data, struct marked *out, struct err *e)
{
    struct value_room room;
    struct go_tree tree;
    struct go_run r = {.room = &room, .tree = &tree, .out = out};
    struct value dot;
    int rc = go_parse(&tree, text, go_func_find, e);

    if (rc < 0)
        return rc;
    value_room_init(&room, NULL, e);
    assert_int_equal(value_of_json(&room, data, 1, &dot), 0);
    go_of_json(&dot);
    rc = go_exec(&r, tree.root, dot);
    value_room_done(&room);
    go_tree_done(&tree);
    return rc;
}

static void test_language(void **state)
{
    json_t *all = cases(), *one;
    size_t i, bad = 0;

    (void)state;
    json_array_foreach(json_object_get(all, "language"), i, one)
    {
        struct marked out;
        struct err e = {0};
        const json_t *t = json_array_get(one, 0);
        int rc;

        marked_init(&out, 1 << 20);
        rc = run(str_of_json(t), json_object_get(all, "data"), &out, &e);
        bad += !check(json_string_value(t), json_array_get(one, 1), rc, &out, &e);
        marked_done(&out);
    }
    assert_true(i > 900);
    assert_int_equal(bad, 0);
    json_decref(all);
}

static size_t check_chat(const json_t *all, const char *name, json_t *of)
{
    struct tmpl *t = NULL;
    const char *conversation;
    json_t *want;
    size_t bad = 0;

    assert_int_equal(
        tmpl_new(&t, TMPL_GO,
                 str_of_json(json_object_get(json_object_get(all, "templates"), name)), NULL),
        0);
    json_object_foreach(of, conversation, want)
    {
        const json_t *vars =
            json_object_get(json_object_get(all, "conversations"), conversation);
        struct marked out;
        struct err e = {0};
        char label[128];
        int rc;

        (void)snprintf(label, sizeof(label), "%s of %s", name, conversation);
        marked_init(&out, 1 << 20);
        rc = tmpl_render(t, vars, NULL, NULL, &out, &e);
        bad += !check(label, want, rc, &out, &e);
        marked_done(&out);
    }
    tmpl_free(t);
    return bad;
}

static void test_chats(void **state)
{
    json_t *all = cases(), *of;
    const char *name;
    size_t bad = 0;

    (void)state;
    json_object_foreach(json_object_get(all, "chats"), name, of) bad +=
        check_chat(all, name, of);
    assert_int_equal(json_object_size(json_object_get(all, "chats")),
                     json_object_size(json_object_get(all, "templates")));
    assert_int_equal(bad, 0);
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_language),
        cmocka_unit_test(test_chats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
