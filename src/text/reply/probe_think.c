/* How a model marks its reasoning, and what turns it on. */
#include "text/reply/probe_priv.h"

static const char *const pairs[][2] = {
    {"<think>", "</think>"},
    {"[THINK]", "[/THINK]"},
    {"<|START_THINKING|>", "<|END_THINKING|>"},
    {"<seed:think>", "</seed:think>"},
    {"<mm:think>", "</mm:think>"},
    {"<|channel>thought", "<channel|>"},
    {"<|channel|>analysis<|message|>", "<|end|>"},
    {"<|inner_prefix|>", "<|inner_suffix|>"},
    {"Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"},
    {"<thinking>", "</thinking>"},
    {"<reasoning>", "</reasoning>"},
    {"<thought>", "</thought>"},
    {"<|begin_of_thought|>", "<|end_of_thought|>"},
    {"<reason>", "</reason>"},
};

/* Variables that may turn reasoning on and off, with values. */
static const struct {
    const char *name, *on, *off;
} switches[] = {
    {"enable_thinking", "true", "false"},
    {"thinking", "true", "false"},
    {"thinking_mode", "\"enabled\"", "\"disabled\""},
    {"reasoning", "true", "false"},
    {"reasoning_effort", "\"high\"", "\"none\""},
    {"reasoning_effort", "\"high\"", "\"no_think\""},
    {"reasoning_effort", "\"high\"", "\"minimal\""},
    {"reasoning_effort", "\"high\"", "\"low\""},
    {"thinking_budget", "-1", "0"},
    {"add_thoughts", "true", "false"},
};

static void set(struct reply_style *s, struct str open, struct str close)
{
    if (!open.n || !close.n || open.n >= REPLY_MARK_MAX || close.n >= REPLY_MARK_MAX)
        return;
    memcpy(s->think_open, open.p, open.n);
    s->think_open[open.n] = '\0';
    memcpy(s->think_close, close.p, close.n);
    s->think_close[close.n] = '\0';
}

static int blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static struct str trim(struct str s)
{
    while (s.n && blank(s.p[s.n - 1]))
        s.n--;
    while (s.n && blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    return s;
}

static int begins(struct str s, const char *with)
{
    return s.n >= strlen(with) && memcmp(s.p, with, strlen(with)) == 0;
}

static int ends(struct str s, const char *with)
{
    size_t n = strlen(with);

    return s.n >= n && memcmp(s.p + s.n - n, with, n) == 0;
}

/* The marker that s begins with, or ends with: from one bracket to the other. */
static struct str marker(struct str s, int at_end)
{
    static const char open[] = "<[", close[] = ">]";

    for (int k = 0; k < 2 && s.n > 2; k++) {
        const char *p;

        if (!at_end && s.p[0] == open[k] && (p = memchr(s.p, close[k], s.n)))
            return (struct str){s.p, (size_t)(p - s.p) + 1};
        if (at_end && s.p[s.n - 1] == close[k] && (p = memrchr(s.p, open[k], s.n)))
            return (struct str){p, s.n - (size_t)(p - s.p)};
    }
    return (struct str){0};
}

/* The reasoning of a message that is rendered, and what stands around it. */
static void from_history(struct probing *p, struct probe *out, struct buf *text, int calls,
                         const char *variable, const char *value)
{
    const struct probe_ask ask = {.assistant = 1,
                                  .content = PROBE_CONTENT,
                                  .reasoning = PROBE_THOUGHT,
                                  .variable = variable,
                                  .value = value,
                                  .calls = calls,
                                  .args_text = out->args_text};
    struct str before, after;
    const char *at, *content;

    if (!probe_render(p, &ask, text))
        return;
    at = memmem(text->p, text->n, PROBE_THOUGHT, strlen(PROBE_THOUGHT));
    content = memmem(text->p, text->n, PROBE_CONTENT, strlen(PROBE_CONTENT));
    if (!at || !content || content < at)
        return;
    before = trim((struct str){text->p, (size_t)(at - text->p)});
    after.p = at + strlen(PROBE_THOUGHT);
    after.n = (size_t)(content - after.p);
    after = trim(after);
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (begins(after, pairs[i][1]) &&
            (ends(before, pairs[i][0]) || !strchr("<[", pairs[i][0][0]))) {
            set(&out->style, str_of(pairs[i][0]), str_of(pairs[i][1]));
            return;
        }
    }
    set(&out->style, marker(before, 1), marker(after, 0));
}

/* Markers in what the template says: in a prompt that opens reasoning, or asks for it. */
static void from_prompt(struct probing *p, struct probe *out, struct buf *text,
                        const char *variable, const char *value)
{
    const struct probe_ask ask = {.prompt = 1, .variable = variable, .value = value};
    struct str t;

    if (!probe_render(p, &ask, text))
        return;
    t = trim((struct str){text->p, text->n});
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (ends(t, pairs[i][0]) || ends(t, pairs[i][1]) ||
            (probe_has(text, pairs[i][1]) &&
             (probe_has(text, pairs[i][0]) || !strchr("<[", pairs[i][0][0])))) {
            set(&out->style, str_of(pairs[i][0]), str_of(pairs[i][1]));
            return;
        }
    }
}

static void find_markers(struct probing *p, struct probe *out, struct buf *text)
{
    const struct reply_format *f = out->style.format;

    if (f && f->think[0]) {
        set(&out->style, str_of(f->think[0]), str_of(f->think[1]));
        return;
    }
    for (int calls = 0; calls < 2 && !out->style.think_close[0]; calls++)
        from_history(p, out, text, calls, NULL, NULL);
    for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
        if (!out->style.think_close[0] && tmpl_mentions(p->t, switches[i].name))
            from_history(p, out, text, 0, switches[i].name, switches[i].on);
    }
    if (!out->style.think_close[0])
        from_prompt(p, out, text, NULL, NULL);
    for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
        if (!out->style.think_close[0] && tmpl_mentions(p->t, switches[i].name))
            from_prompt(p, out, text, switches[i].name, switches[i].on);
    }
}

/* Models that reason though their templates do not say so. */
static void from_name(struct str name, struct probe *out)
{
    static const struct {
        const char *name, *open, *close;
    } names[] = {
        {"mimo", "<think>", "</think>"},
        {"-r1", "<think>", "</think>"},
        {"qwq", "<think>", "</think>"},
        {"thinking", "<think>", "</think>"},
        {"phi-4-reasoning", "<think>", "</think>"},
        {"phi-4-mini-reasoning", "<think>", "</think>"},
        {"olmo-3", "<think>", "</think>"},
        {"magistral", "[THINK]", "[/THINK]"},
        {"exaone-deep", "<thought>", "</thought>"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (probe_named(name, names[i].name)) {
            set(&out->style, str_of(names[i].open), str_of(names[i].close));
            return;
        }
    }
}

static int same(const struct buf *a, const struct buf *b)
{
    return str_eq((struct str){a->p, a->n}, (struct str){b->p, b->n});
}

static struct str str_of_buf(const struct buf *b)
{
    return (struct str){b->p, b->n};
}

/* 1: reasoning was opened and closed again: <think></think>. */
static int is_closed(const struct reply_style *s, const struct buf *b)
{
    return probe_has(b, s->think_open) && !probe_is_open(s, str_of_buf(b));
}

/* "low" and its like are degrees, unless they end reasoning in the prompt. */
static int is_degree(const struct reply_style *s, const char *name, const struct buf *on,
                     const struct buf *off)
{
    return !strcmp(name, "reasoning_effort") &&
           probe_is_open(s, str_of_buf(on)) == probe_is_open(s, str_of_buf(off)) &&
           is_closed(s, on) == is_closed(s, off);
}

/* 1: the variable turns reasoning on and off. */
static int try_switch(struct probing *p, struct probe *out, size_t i, struct buf *on,
                      struct buf *off, struct buf *unset)
{
    const struct reply_style *s = &out->style;
    struct probe_ask ask = {.prompt = 1, .variable = switches[i].name};
    int degree;

    ask.value = switches[i].on;
    if (!probe_render(p, &ask, on))
        return 0;
    ask.value = switches[i].off;
    if (!probe_render(p, &ask, off) || same(on, off))
        return 0;
    ask.variable = NULL;
    if (!probe_render(p, &ask, unset))
        return 0;
    degree = is_degree(s, switches[i].name, on, off);
    out->think_variable = switches[i].name;
    out->think_on = switches[i].on;
    out->think_off = degree ? NULL : switches[i].off;
    out->think = degree ? PROBE_THINK_ALWAYS : PROBE_THINK_SWITCH;
    out->think_default = degree || same(unset, on);
    if (!degree && !same(unset, on) && !same(unset, off))
        out->think_default =
            probe_is_open(s, str_of_buf(unset)) == probe_is_open(s, str_of_buf(on)) &&
            is_closed(s, unset) == is_closed(s, on);
    return !degree;
}

void probe_think(struct probing *p, struct str name, struct probe *out)
{
    struct buf text, off, unset;

    buf_init(&text, 8 << 20);
    buf_init(&off, 8 << 20);
    buf_init(&unset, 8 << 20);
    find_markers(p, out, &text);
    if (!out->style.think_close[0])
        from_name(name, out);
    if (out->style.think_close[0]) {
        out->think = PROBE_THINK_ALWAYS;
        out->think_default = 1;
        for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
            if (tmpl_mentions(p->t, switches[i].name) &&
                try_switch(p, out, i, &text, &off, &unset))
                break;
        }
    }
    buf_done(&text);
    buf_done(&off);
    buf_done(&unset);
}
