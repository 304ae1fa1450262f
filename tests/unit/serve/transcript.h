/* transcript.h - what a client sends, what the provider says, and what the client gets, in a
 * file:
 *
 *     == name
 *     > POST /v1/messages                the request; its body on the lines that follow
 *     {"model":"m", ...}
 *     ! start 12 4                       events, one a line; see `says` below
 *     ! text Hello
 *     ! finish end
 *     ! done
 *     < 200 text/event-stream            the answer, up to the next ==
 *     ...
 *
 * Ids that differ each time are written as ID. TRANSCRIPT_WRITE=1 writes the answers anew: then
 * read them.
 */
#ifndef TESTS_UNIT_SERVE_TRANSCRIPT_H
#define TESTS_UNIT_SERVE_TRANSCRIPT_H

#include "fake.h"

#include "base/buf.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void transcript_unescape(char *s)
{
    char *to = s;

    for (; *s; s++) {
        if (s[0] == '\\' && s[1] == 'n') {
            *to++ = '\n';
            s++;
        } else if (s[0] == '\\' && s[1] == '\\') {
            *to++ = '\\';
            s++;
        } else {
            *to++ = *s;
        }
    }
    *to = '\0';
}

static int transcript_word(const char *const *words, int n, const char *word)
{
    for (int i = 0; i < n; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    fail_msg("no word '%s' here", word);
    return 0;
}

static void transcript_finish(struct fake *f, char *line)
{
    static const char *const kinds[] = {"end", "stop", "length", "calls", "filter"};
    struct gate_event ev = {.kind = GATE_EV_FINISH, .usage = &f->usage};
    char *stop = strchr(line, ' '), *choice = strchr(line, '#');

    if (stop)
        *stop++ = '\0';
    else if (choice) { /* "end#1" */
        ev.choice = (int)strtol(choice + 1, NULL, 10);
        *choice = '\0';
    }
    ev.finish = transcript_word(kinds, 5, line);
    ev.stop = str_of(stop ? stop : "");
    fake_say(f, &ev);
}

/* A token and its text: "choice id logprob text", with the best ones as "id:logprob:text"
 * behind |. */
static void transcript_token(struct fake *f, char *line)
{
    struct gate_token top[8], t = {.top = top};
    char *rest = strchr(line, '|'), *end;
    struct gate_event ev = {.kind = GATE_EV_CONTENT, .token = &t, .n_token = 1};
    double lp = 0;
    int at = 0;

    if (rest)
        *rest++ = '\0';
    assert_int_equal(sscanf(line, "%d %d %lf %n", &ev.choice, &t.id, &lp, &at), 3);
    t.logprob = (float)lp;
    transcript_unescape(line + at);
    ev.text = t.text = str_of(line + at);
    while (rest && *rest && t.n_top < 8) {
        int n = 0, id = 0;

        end = strchr(rest, '|');
        if (end)
            *end++ = '\0';
        assert_int_equal(sscanf(rest, "%d:%lf:%n", &id, &lp, &n), 2);
        top[t.n_top++] =
            (struct gate_token){.id = id, .logprob = (float)lp, .text = str_of(rest + n)};
        rest = end;
    }
    f->usage.n_output++;
    fake_say(f, &ev);
}

static void transcript_error(struct fake *f, const char *line)
{
    char name[32] = "";
    int at = 0, code = 0;

    assert_true(sscanf(line, "%31s %n", name, &at) >= 1);
    for (int i = -1; i > -20 && !code; i--)
        if (strcmp(err_row(i)->name, name) == 0)
            code = i;
    assert_int_not_equal(code, 0);
    fake_error(f, code, line + at);
}

static void transcript_tool(struct fake *f, int call, const char *line)
{
    char id[64] = "", name[64] = "";
    int at = 0, piece = 0;

    assert_int_equal(sscanf(line, "%63s %63s %d %n", id, name, &piece, &at), 3);
    fake_tool(f, 0, call, strcmp(id, "-") == 0 ? "" : id, name, line + at, (size_t)piece);
}

static void transcript_vector(struct fake *f, const char *line)
{
    float v[8];
    struct gate_event ev = {.kind = GATE_EV_VECTOR, .vector = v};
    char *end;

    ev.index = strtoul(line, &end, 10);
    while (*end && ev.n < 8)
        v[ev.n++] = strtof(end, &end);
    fake_say(f, &ev);
}

static void transcript_score(struct fake *f, const char *line)
{
    struct gate_event ev = {.kind = GATE_EV_SCORE};
    char *end;

    ev.index = strtoul(line, &end, 10);
    ev.score = strtod(end, NULL);
    fake_say(f, &ev);
}

static void transcript_usage(struct fake *f, const char *line)
{
    unsigned long long prompt_ms = 0, output_ms = 0;

    assert_int_equal(sscanf(line, "%d %llu %llu", &f->usage.n_ctx, &prompt_ms, &output_ms), 3);
    f->usage.prompt_ns = prompt_ms * 1000000;
    f->usage.output_ns = output_ms * 1000000;
}

/* One event: "text#1" is of choice 1, "tool#1" is the second call. */
static void transcript_say(struct fake *f, char *line)
{
    char *rest = strchr(line, ' '), *number;
    int a = 0, b = 0, n = 0;

    if (rest)
        *rest++ = '\0';
    else
        rest = line + strlen(line);
    number = strchr(line, '#');
    if (number) {
        n = (int)strtol(number + 1, NULL, 10);
        *number = '\0';
    }
    if (strcmp(line, "token") != 0)
        transcript_unescape(rest);
    if (strcmp(line, "start") == 0) {
        assert_int_equal(sscanf(rest, "%d %d", &a, &b), 2);
        fake_start(f, a, b);
    } else if (strcmp(line, "text") == 0) {
        fake_text(f, n, rest);
    } else if (strcmp(line, "think") == 0) {
        fake_reasoning(f, n, rest);
    } else if (strcmp(line, "token") == 0) {
        transcript_token(f, rest);
    } else if (strcmp(line, "tool") == 0) {
        transcript_tool(f, n, rest);
    } else if (strcmp(line, "vector") == 0) {
        transcript_vector(f, rest);
    } else if (strcmp(line, "score") == 0) {
        transcript_score(f, rest);
    } else if (strcmp(line, "usage") == 0) {
        transcript_usage(f, rest);
    } else if (strcmp(line, "warn") == 0) {
        fake_say(f, &(struct gate_event){.kind = GATE_EV_WARNING, .text = str_of(rest)});
    } else if (strcmp(line, "prefill") == 0) {
        fake_say(f, &(struct gate_event){.kind = GATE_EV_PREFILL,
                                         .n = strtol(rest, NULL, 10),
                                         .usage = &f->usage});
    } else if (strcmp(line, "finish") == 0) {
        transcript_finish(f, rest);
    } else if (strcmp(line, "done") == 0) {
        fake_done(f);
    } else if (strcmp(line, "error") == 0) {
        transcript_error(f, rest);
    } else {
        fail_msg("no event '%s'", line);
    }
}

/* How long the digits at p are, when what is said there differs each time. */
static size_t transcript_time(const char *p, size_t n)
{
    static const char *const before[] = {
        "\"created\":", "\"created_at\":", "\"completed_at\":"};
    static const char took[] = "\"time_ms\":";
    size_t len = 0, digits = 0;

    if (n > sizeof(took) - 1 && memcmp(p, took, sizeof(took) - 1) == 0)
        return sizeof(took) - 1;

    for (size_t k = 0; k < sizeof(before) / sizeof(*before) && !digits; k++) {
        len = strlen(before[k]);
        if (n > len && memcmp(p, before[k], len) == 0)
            while (len + digits < n && isdigit((unsigned char)p[len + digits]))
                digits++;
    }
    return digits > 8 ? len : 0;
}

/* The same of a time in letters: what stands in front of it, and how long it is. */
static size_t transcript_date(const char *p, size_t n, size_t *len)
{
    static const char *const before[] = {"\"created_at\":\"", "\"modified_at\":\""};

    for (size_t k = 0; k < sizeof(before) / sizeof(*before); k++) {
        size_t at = strlen(before[k]);
        const char *end = n > at ? memchr(p + at, '"', n - at) : NULL;

        *len = end ? (size_t)(end - p) - at : 0;
        if (end && memcmp(p, before[k], at) == 0 && *len > 10 && p[at + 10] == 'T')
            return at;
    }
    return 0;
}

/* Ids become ID, times of now TIME. */
static void transcript_mask(struct buf *out, struct str s)
{
    static const char *const before[] = {
        "msg_", "toolu_", "\"signature\":\"", "cmpl_", "cmpl-", "call_", "resp_",
        "fc_",  "rs_",    "rerank-"};

    for (size_t i = 0; i < s.n;) {
        size_t n = 0, skip = 0, date = 0, at = transcript_date(s.p + i, s.n - i, &date);

        if (at) {
            assert_int_equal(buf_put(out, s.p + i, at), 0);
            assert_int_equal(buf_str(out, "TIME"), 0);
            i += at + date;
            continue;
        }
        for (size_t k = 0; k < sizeof(before) / sizeof(*before); k++) {
            size_t len = strlen(before[k]);

            if (i + len + 24 > s.n || memcmp(s.p + i, before[k], len) != 0)
                continue;
            for (n = len; i + n < s.n && isalnum((unsigned char)s.p[i + n]); n++) {
            }
            if (n == len + 24)
                skip = len;
        }
        if (transcript_time(s.p + i, s.n - i)) {
            skip = transcript_time(s.p + i, s.n - i);
            assert_int_equal(buf_put(out, s.p + i, skip), 0);
            assert_int_equal(buf_str(out, "TIME"), 0);
            for (i += skip; i < s.n && isdigit((unsigned char)s.p[i]); i++) {
            }
        } else if (skip) {
            assert_int_equal(buf_put(out, s.p + i, skip), 0);
            assert_int_equal(buf_str(out, "ID"), 0);
            i += n;
        } else {
            assert_int_equal(buf_byte(out, s.p[i++]), 0);
        }
    }
}

/* What the client got, with the warnings that came along. */
static void transcript_got(struct buf *out, const struct fake *f)
{
    const char *at = f->call.headers.n ? f->call.headers.p : "";

    assert_int_equal(
        buf_fmt(out, "< %d %s%s\n", f->call.status, f->call.type, f->call.cut ? " (cut)" : ""),
        0);
    for (const char *end; (end = strchr(at, '\n')); at = end + 1)
        assert_int_equal(buf_fmt(out, "< %.*s\n", (int)(end - at), at), 0);
    if (f->call.out.n)
        transcript_mask(out, (struct str){f->call.out.p, f->call.out.n});
    while (out->n && out->p[out->n - 1] == '\n')
        out->n--;
    out->p[out->n] = '\0';
    assert_int_equal(buf_byte(out, '\n'), 0);
}

static char *transcript_read(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = calloc(1, 1 << 20);

    if (!f || !text)
        fail_msg("%s: cannot be read", path);
    assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
    (void)fclose(f);
    return text;
}

/* Plays one case, which ends where the answer begins; appends it and what came of it. */
static void transcript_play(struct fake *f, const struct route_list *lists, char *text,
                            struct buf *out)
{
    struct buf body;
    char method[8] = "", path[128] = "", headers[256] = "";
    int sent = 0;

    buf_init(&body, 1 << 20);
    for (char *line = text, *end; *line; line = end) {
        end = strchr(line, '\n');
        assert_non_null(end);
        *end++ = '\0';
        if (line[0])
            assert_int_equal(buf_fmt(out, "%s\n", line), 0);
        if (line[0] == '>' && !method[0]) {
            assert_int_equal(sscanf(line, "> %7s %127s", method, path), 2);
        } else if (line[0] == '>') {
            (void)snprintf(headers + strlen(headers), sizeof(headers) - strlen(headers), "%s\n",
                           line + 2);
        } else if (line[0] == '!') {
            if (!sent++)
                assert_true(fake_send(f, lists, method, path, NULL, headers,
                                      (struct str){body.n ? body.p : "", body.n}));
            transcript_say(f, line + 2);
        } else if (line[0] != '=' && line[0] != '#' && line[0]) {
            assert_int_equal(buf_str(&body, line), 0);
        }
    }
    if (!sent)
        assert_true(fake_send(f, lists, method, path, NULL, headers,
                              (struct str){body.n ? body.p : "", body.n}));
    buf_done(&body);
    assert_null(f->sink); /* the case says its end */
    assert_int_equal(f->n_started, f->n_freed);
    assert_int_equal(f->call.ended, 1);
    transcript_got(out, f);
}

/* Compares a case, n bytes at text, with what comes of it; appends that to all. */
static void transcript_case(struct fake *f, const struct route_list *lists, const char *path,
                            const char *text, size_t n, struct buf *all)
{
    char *input = strndup(text, n), *answer = strstr(input, "\n< ");
    struct buf got;

    buf_init(&got, 1 << 20);
    if (answer)
        answer[1] = '\0';
    memset(&f->usage, 0, sizeof(f->usage));
    transcript_play(f, lists, input, &got);
    while (n && text[n - 1] == '\n')
        n--;
    if (!getenv("TRANSCRIPT_WRITE") && (got.n != n + 1 || memcmp(got.p, text, n) != 0))
        fail_msg("%s: got\n%s", path, got.p);
    assert_int_equal(buf_fmt(all, "%s%s", all->n ? "\n" : "", got.p), 0);
    buf_done(&got);
    free(input);
}

/* All cases of a file. */
static void transcript_file(struct fake *f, const struct route_list *lists, const char *path)
{
    char *text = transcript_read(path), *at = text, *next;
    struct buf all;

    buf_init(&all, 4 << 20);
    assert_memory_equal(at, "== ", 3);
    for (; at; at = next) {
        next = strstr(at, "\n== ");
        next = next ? next + 1 : NULL;
        transcript_case(f, lists, path, at, next ? (size_t)(next - at) : strlen(at), &all);
    }
    if (getenv("TRANSCRIPT_WRITE")) {
        FILE *w = fopen(path, "wb");

        assert_non_null(w);
        assert_int_equal(fwrite(all.p, 1, all.n, w), all.n);
        (void)fclose(w);
    }
    buf_done(&all);
    free(text);
}

#endif
