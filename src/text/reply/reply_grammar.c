/* Grammars of calls, put together from how a format writes them. */
#include "text/reply/reply_priv.h"

#include "text/reply/grammar_priv.h"

/* -- texts ------------------------------------------------------------------------------- */

gram_ref reply_grammar_seq(struct gram *g, gram_ref a, gram_ref b)
{
    const gram_ref both[2] = {a, b};

    return gram_seq(g, both, 2);
}

static gram_ref number(struct gram *g)
{
    static const struct rx_range digit = {'0', '9'};
    struct rx *rx = gram_rx(g);

    return gram_text(g, rx_repeat(rx, rx_set(rx, &digit, 1), 1, 4));
}

gram_ref reply_grammar_text(struct gram *g, const char *s)
{
    gram_ref all = GRAM_EMPTY;

    while (s && *s) {
        size_t n = strcspn(s, "\1");

        if (n)
            all = reply_grammar_seq(g, all, gram_bytes(g, (struct str){s, n}));
        s += n;
        if (*s) {
            all = reply_grammar_seq(g, all, number(g));
            s++;
        }
    }
    return all;
}

/* Any text with s in it. */
static rx_id rx_with(struct rx *rx, rx_id s)
{
    rx_id any = rx_repeat(rx, rx_any(rx), 0, RX_INF);

    return rx_seq(rx, any, rx_seq(rx, s, any));
}

static rx_id rx_blanks(struct rx *rx, uint32_t max)
{
    static const struct rx_range blanks[] = {{'\t', '\n'}, {'\r', '\r'}, {' ', ' '}};

    return rx_repeat(rx, rx_set(rx, blanks, 3), 0, max);
}

/* -- text that is no call ---------------------------------------------------------------- */

static rx_id rx_markers(const struct reply_format *f, const struct reply_style *style,
                        struct rx *rx)
{
    rx_id any = rx_repeat(rx, rx_any(rx), 0, RX_INF), bad = RX_NONE;

    for (int i = 0; i < f->n_steps; i++) {
        const struct reply_step *s = &f->steps[i];
        rx_id lit = s->lit[0] && s->act != REPLY_DROP ? rx_text(rx, str_of(s->lit)) : RX_NONE;

        if (s->at == 0)
            bad = rx_alt(rx, bad, rx_with(rx, lit));
        else if (f->start && s->at == f->start)
            bad = rx_alt(rx, bad, rx_seq(rx, rx_blanks(rx, RX_INF), rx_seq(rx, lit, any)));
    }
    /* Reasoning does not begin again: an answer's start would come back with it. */
    if (style->think_open[0])
        bad = rx_alt(rx, bad, rx_with(rx, rx_text(rx, str_of(style->think_open))));
    if (style->think_close[0])
        bad = rx_alt(rx, bad, rx_with(rx, rx_text(rx, str_of(style->think_close))));
    return bad;
}

static int free_text(struct gram *g, const struct reply_style *style, gram_ref *out,
                     struct err *e)
{
    const struct reply_format *f = style->format;
    struct rx *rx = gram_rx(g);
    rx_id bad;
    int rc;

    if (f->writing && f->writing->forbid) {
        rc = rx_parse(rx, str_of(f->writing->forbid), RX_SEARCH, &bad, e);
        if (rc < 0)
            return rc;
    } else {
        bad = rx_markers(f, style, rx);
    }
    *out = gram_text(g, rx_not(rx, bad));
    return 0;
}

/* -- calls ------------------------------------------------------------------------------- */

static int readable(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              (c && strchr("_-./", c)) || (c & 0x80)))
            return 0;
    }
    return name.n > 0 && name.n <= REPLY_NAME_MAX / 2;
}

/* One of the tools' calls, without what is around them. */
static int one_call(struct gram *g, const struct reply_format *f, const struct reply_writing *w,
                    const struct reply_tools_of *tools, const char *only, gram_ref *out,
                    struct err *e)
{
    size_t n = json_array_size(tools->tools);

    *out = GRAM_NEVER;
    for (size_t i = 0; i < n; i++) {
        struct str name = reply_tools_name(tools, (int)i);
        gram_ref args, part[5], both[2];
        int rc;

        if (only && !str_is(name, only))
            continue;
        if (!readable(name))
            return err_set(e, E_UNSUPPORTED,
                           "tool '%.*s': the name has characters that calls cannot have",
                           (int)name.n, name.p);
        rc = reply_grammar_args(g, f, w, reply_tools_schema(tools, (int)i), &args, e);
        if (rc < 0)
            return err_wrap(e, rc, "tool '%.*s'", (int)name.n, name.p);
        part[0] = reply_grammar_text(g, w->before_name);
        part[1] = gram_bytes(g, name);
        part[2] = reply_grammar_text(g, w->after_name);
        part[3] = args;
        part[4] = reply_grammar_text(g, w->after_args);
        both[0] = *out;
        both[1] = gram_seq(g, part, 5);
        *out = gram_alt(g, both, 2);
    }
    if (*out == GRAM_NEVER)
        return err_set(e, E_INVALID,
                       only ? "tool_choice: no tool '%s'" : "tools: there are none%s",
                       only ? only : "");
    return 0;
}

static int calls(struct gram *g, const struct reply_style *style,
                 const struct reply_tools_of *tools, const struct reply_tools *t, gram_ref *out,
                 struct err *e)
{
    const struct reply_format *f = style->format;
    gram_ref way[2], part[3], call;
    size_t n = 0;

    for (const struct reply_writing *w = f->writing; w; w = w->other) {
        const char *only = t->choice == REPLY_REQUIRED ? t->only : NULL;
        int rc = one_call(g, f, w, tools, only, &call, e);

        if (rc < 0)
            return rc;
        part[0] = reply_grammar_text(g, w->begin);
        part[1] = gram_list(g, call, reply_grammar_text(g, w->sep), 1,
                            t->parallel && !f->writing->single ? GRAM_INF : 1);
        part[2] = reply_grammar_text(g, w->end);
        way[n++] = gram_seq(g, part, 3);
    }
    *out = gram_alt(g, way, n);
    return 0;
}

/* Text, then calls or none; or calls at once. */
static gram_ref either(struct gram *g, const struct reply_writing *w, gram_ref text,
                       gram_ref all)
{
    gram_ref behind, way[2];

    if (!w->lead)
        return reply_grammar_seq(g, text, gram_repeat(g, all, 0, 1));
    behind = reply_grammar_seq(g, reply_grammar_text(g, w->sep), all);
    text = reply_grammar_seq(g, reply_grammar_text(g, w->lead), text);
    way[0] = reply_grammar_seq(g, text, gram_repeat(g, behind, 0, 1));
    way[1] = all;
    return gram_alt(g, way, 2);
}

int reply_grammar(struct gram *g, const struct reply_style *style, const struct reply_tools *t,
                  gram_ref *out, struct err *e)
{
    const struct reply_format *f = style->format;
    struct reply_tools_of tools = {0};
    gram_ref text = GRAM_NEVER, all = GRAM_NEVER;
    int rc;

    if (!f || !f->writing)
        return err_set(e, E_UNSUPPORTED, "calls%s%s cannot be held to a grammar",
                       f ? " of the format " : "", f ? f->name : "");
    rc = reply_tools_init(&tools, t->tools, e);
    if (rc == 0)
        rc = free_text(g, style, &text, e);
    if (rc == 0 && t->choice != REPLY_NONE)
        rc = calls(g, style, &tools, t, &all, e);
    reply_tools_done(&tools);
    if (rc < 0)
        return rc;
    if (t->choice == REPLY_NONE)
        *out = reply_grammar_seq(g, reply_grammar_text(g, f->writing->lead), text);
    else if (t->choice == REPLY_AUTO)
        *out = either(g, f->writing, text, all);
    else if (f->writing->lead)
        *out = all;
    else
        *out = reply_grammar_seq(g, gram_text(g, rx_blanks(gram_rx(g), 2)), all);
    return 0;
}

gram_ref reply_content(struct gram *g, const struct reply_style *style, gram_ref content)
{
    static const struct reply_format none;
    const struct reply_format *f = style->format ? style->format : &none;
    const char *lead = f->writing ? f->writing->lead : NULL;
    gram_ref way[2], heads = GRAM_EMPTY;
    size_t n = 0;

    for (size_t i = 0; i < 2; i++)
        if (f->heading[i])
            way[n++] = gram_bytes(g, str_of(f->heading[i]));
    if (n)
        heads = gram_alt(g, way, n);
    heads = reply_grammar_seq(g, heads, reply_grammar_text(g, lead));
    content = reply_grammar_seq(g, heads, content);
    if (f->closing)
        content = reply_grammar_seq(g, content,
                                    gram_repeat(g, gram_bytes(g, str_of(f->closing)), 0, 1));
    /* Who neither reasons nor writes headings has nothing that blanks could stand behind: they
     * would be part of the content, which must not have them. */
    if (!style->format && !*style->think_close)
        return content;
    return reply_grammar_seq(g, gram_text(g, rx_blanks(gram_rx(g), 4)), content);
}
