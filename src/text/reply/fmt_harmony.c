/* Messages in channels: <|channel|>NAME to=RECIPIENT<|message|>TEXT<|end|>. The recipient may
 * also stand before the channel, behind <|start|>assistant, or begin what a prompt left open.
 */
#include "text/reply/reply_priv.h"

#define MESSAGE "<|message|>"
#define CHANNEL "<|channel|>"

static const struct reply_step harmony_steps[] = {
    {0, "<|start|>assistant", REPLY_HEADER, MESSAGE, 1},
    {0, CHANNEL, REPLY_HEADER, MESSAGE, 1},
    {5, "to=", REPLY_HEADER, MESSAGE, 1},
    {0, "<|end|>", REPLY_DROP, NULL, 0},
    {1, "{", REPLY_ARGS, NULL, 2},
    {2, "<|call|>", REPLY_PASS, NULL, 0},
    {2, "<|end|>", REPLY_PASS, NULL, 0},
};
static const struct reply_writing harmony_after_role = {
    .before_name = "<|start|>assistant" CHANNEL "commentary to=functions.",
    .after_name = " <|constrain|>json" MESSAGE,
    .after_args = "<|call|>",
    .args = REPLY_ARGS,
};
static const struct reply_writing harmony_writing = {
    .before_name = CHANNEL "commentary to=functions.",
    .after_name = " <|constrain|>json" MESSAGE,
    .after_args = "<|call|>",
    .args = REPLY_ARGS,
    .single = 1,
    /* A recipient in a header, or in what a prompt left open. */
    .forbid = "^\\s*to=|(<\\|channel\\|>|<\\|start\\|>assistant)([^<]|<\\|c)*to=",
    .other = &harmony_after_role,
};
const struct reply_format reply_harmony = {
    .name = "harmony",
    .about = "gpt-oss",
    REPLY_STEPS(harmony_steps),
    .soft = 1u << 2,
    .start = 5,
    .think = {CHANNEL "analysis" MESSAGE, "<|end|>"},
    .heading = {"<|start|>assistant" CHANNEL "final" MESSAGE, CHANNEL "final" MESSAGE},
    .writing = &harmony_writing,
};

/* The word behind `what`, which ends at a blank or a control token; p NULL: not there. */
static struct str word_behind(struct str head, const char *what)
{
    size_t n = strlen(what);
    const char *p = memmem(head.p, head.n, what, n);
    struct str w = {0};

    if (!p)
        return w;
    w.p = p + n;
    while (w.p + w.n < head.p + head.n && !strchr(" \t<", w.p[w.n]))
        w.n++;
    return w;
}

int reply_header(struct reply *r, struct str head)
{
    struct str to = word_behind(head, "to="), channel = word_behind(head, CHANNEL);

    if (to.p)
        return reply_call_named(r, to);
    reply_leave(r, channel.p && str_is(channel, "analysis") ? REPLY_AT_THINK : REPLY_AT_START);
    r->raw.n = 0;
    r->step = NULL;
    return 1;
}
