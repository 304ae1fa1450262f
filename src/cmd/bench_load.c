#include "cmd/bench_load.h"

#include "base/clock.h"
#include "base/mem.h"
#include "net/host.h"
#include "net/lines.h"

#include <curl/curl.h>
#include <stdio.h>

enum { EVENT_MAX = 16 << 20, BODY_MAX = 64 << 20, WORDS_KEPT = 2048, TICK_MS = 100 };

const char *const load_outcome_name[LOAD_OUTCOMES] = {
    "waiting", "ok", "left", "connect", "status", "told", "cut", "format", "timeout",
};

/* One request under way. Its handle is kept for the next one, and with it the connection. */
struct lane {
    struct load *l;
    CURL *easy;
    struct load_request *r; /* NULL: idle */
    struct lines lines;
    struct buf body, words; /* what is asked; the beginning of an answer that is an error */
    int done;
    struct lane *next; /* idle ones */
};

struct load {
    const struct load_options *o;
    struct host host;
    struct curl_slist *head;
    struct buf url;
    CURLM *multi;
    struct lane **lane;
    int n_lane;
    struct lane *idle;
    struct load_request *r;
    int n, n_begun, n_ended;
    uint64_t start_ns;
    struct load_gaps *gaps;
    char *told;
    int rc; /* no memory: what is measured is not complete */
};

/* -- what comes -------------------------------------------------------------------------- */

static int gap_put(struct load_gaps *g, double s)
{
    if (g->n == g->cap) {
        size_t cap = g->cap ? 2 * g->cap : 4096;
        float *v = mem_realloc(g->v, cap * sizeof(*v));

        if (!v)
            return E_NOMEM;
        g->v = v;
        g->cap = cap;
    }
    g->v[g->n++] = (float)s;
    return 0;
}

/* A piece of text has come. */
static int piece(struct lane *k, uint64_t now)
{
    struct load_request *r = k->r;
    double gap = (double)(now - r->last_ns) / 1e9;

    if (r->n_piece == 0) {
        r->first_ns = now;
    } else {
        if (gap_put(k->l->gaps, gap) < 0)
            return k->l->rc = E_NOMEM;
        r->n_slow += gap > k->l->o->slo_gap_s;
    }
    r->last_ns = now;
    r->n_piece++;
    if (r->n_piece != r->leave_after)
        return 0;
    r->outcome = LOAD_LEFT;
    return 1;
}

static int on_event(void *ctx, struct str event, struct str data)
{
    struct lane *k = ctx;
    char told[ERR_MAX] = "";
    int rc = load_apis[k->l->o->api].event(k->r, event, data, &k->done, told);

    if (rc < 0) {
        k->r->outcome = strncmp(told, "no JSON", 7) == 0 ? LOAD_FORMAT : LOAD_TOLD;
        if (!*k->l->told)
            (void)snprintf(k->l->told, ERR_MAX, "%s", told);
        return 1;
    }
    return rc ? piece(k, clock_ns()) : 0;
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct lane *k = ctx;
    struct err e = {0};
    long status = 0;

    n *= size;
    (void)curl_easy_getinfo(k->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        size_t room = k->words.max - k->words.n;

        if (buf_put(&k->words, p, n < room ? n : room) < 0)
            k->l->rc = E_NOMEM;
        return n;
    }
    if (lines_put(&k->lines, p, n, &e) == 0)
        return n;
    if (k->r->outcome == LOAD_WAITING)
        k->r->outcome = LOAD_FORMAT;
    return (size_t)CURL_WRITEFUNC_ERROR;
}

/* -- one request ------------------------------------------------------------------------- */

static struct lane *lane_new(struct load *l)
{
    struct lane *k = mem_calloc(1, sizeof(*k));

    if (!k)
        return NULL;
    k->l = l;
    k->easy = curl_easy_init();
    buf_init(&k->body, BODY_MAX);
    buf_init(&k->words, WORDS_KEPT);
    if (!k->easy) {
        mem_free(k);
        return NULL;
    }
    (void)curl_easy_setopt(k->easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(k->easy, CURLOPT_PRIVATE, k);
    (void)curl_easy_setopt(k->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(k->easy, CURLOPT_URL, l->url.p);
    (void)curl_easy_setopt(k->easy, CURLOPT_HTTPHEADER, l->head);
    (void)curl_easy_setopt(k->easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(k->easy, CURLOPT_WRITEDATA, k);
    (void)curl_easy_setopt(k->easy, CURLOPT_TIMEOUT, (long)l->o->timeout_s);
    if (l->host.socket.n)
        (void)curl_easy_setopt(k->easy, CURLOPT_UNIX_SOCKET_PATH, l->host.socket.p);
    if (l->host.is_local)
        (void)curl_easy_setopt(k->easy, CURLOPT_PROXY, "");
    l->lane[l->n_lane++] = k;
    return k;
}

static void lane_free(struct lane *k)
{
    curl_easy_cleanup(k->easy);
    if (k->r)
        lines_done(&k->lines);
    buf_done(&k->body);
    buf_done(&k->words);
    mem_free(k);
}

static int begin(struct load *l, struct load_request *r, uint64_t start_ns)
{
    struct lane *k = l->idle;

    if (k)
        l->idle = k->next;
    else
        k = lane_new(l);
    if (!k || load_body(l->o, r, &k->body) < 0)
        return E_NOMEM;
    k->r = r;
    k->done = 0;
    buf_clear(&k->words);
    lines_init(&k->lines, load_apis[l->o->api].ndjson ? LINES_NDJSON : LINES_SSE, EVENT_MAX,
               on_event, k);
    (void)curl_easy_setopt(k->easy, CURLOPT_POSTFIELDS, k->body.p);
    (void)curl_easy_setopt(k->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)k->body.n);
    r->start_ns = start_ns;
    r->got_prompt = r->got_cached = r->got_output = -1;
    l->n_begun++;
    return curl_multi_add_handle(l->multi, k->easy) == CURLM_OK ? 0 : E_NOMEM;
}

static int outcome(struct lane *k, CURLcode code)
{
    struct err e = {0};
    int rc = lines_end(&k->lines, &e);

    if (k->r->outcome != LOAD_WAITING)
        return k->r->outcome;
    if (code == CURLE_OPERATION_TIMEDOUT)
        return LOAD_TIMEOUT;
    if (k->r->status == 0)
        return LOAD_CONNECT;
    if (k->r->status != 200)
        return LOAD_STATUS;
    return code == CURLE_OK && rc == 0 && k->done ? LOAD_OK : LOAD_CUT;
}

static void end(struct load *l, struct lane *k, CURLcode code)
{
    struct load_request *r = k->r;
    long status = 0;

    r->end_ns = clock_ns();
    (void)curl_easy_getinfo(k->easy, CURLINFO_RESPONSE_CODE, &status);
    r->status = (int)status;
    r->outcome = outcome(k, code);
    if (r->outcome > LOAD_LEFT && !*l->told && k->words.n)
        (void)snprintf(l->told, ERR_MAX, "HTTP status %d: %s", r->status, k->words.p);
    else if (r->outcome > LOAD_LEFT && !*l->told)
        (void)snprintf(l->told, ERR_MAX, "%s: %s", load_outcome_name[r->outcome],
                       curl_easy_strerror(code));
    lines_done(&k->lines);
    (void)curl_multi_remove_handle(l->multi, k->easy);
    k->r = NULL;
    k->next = l->idle;
    l->idle = k;
    l->n_ended++;
}

/* -- all of them ------------------------------------------------------------------------- */

/* Begins what is due; *wait_ms: until the next arrival. */
static int begin_due(struct load *l, int *wait_ms)
{
    uint64_t now = clock_ns();
    int rc = 0;

    *wait_ms = TICK_MS;
    while (l->n_begun < l->n && rc == 0) {
        struct load_request *r = &l->r[l->n_begun];
        uint64_t due = l->start_ns + r->at_ns;

        if (l->o->at_once) {
            if (l->n_begun - l->n_ended >= l->o->at_once)
                return 0;
            due = now;
        } else if (due > now) {
            uint64_t ms = (due - now) / 1000000;

            *wait_ms = ms < TICK_MS ? (int)ms : TICK_MS;
            return 0;
        }
        rc = begin(l, r, due);
    }
    return rc;
}

static int drive(struct load *l)
{
    int running, left, wait_ms, rc = 0;
    const CURLMsg *m;

    l->start_ns = clock_ns();
    while (l->n_ended < l->n && rc == 0) {
        rc = begin_due(l, &wait_ms);
        if (curl_multi_perform(l->multi, &running) != CURLM_OK)
            rc = E_NOMEM;
        while ((m = curl_multi_info_read(l->multi, &left))) {
            struct lane *k = NULL;

            (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &k);
            if (m->msg == CURLMSG_DONE && k)
                end(l, k, m->data.result);
        }
        if (l->rc < 0)
            rc = l->rc;
        /* In a closed loop the place of one that ended is taken at once. */
        if (l->n_ended < l->n && rc == 0 &&
            !(l->o->at_once && l->n_begun < l->n && l->n_begun - l->n_ended < l->o->at_once))
            (void)curl_multi_poll(l->multi, NULL, 0, wait_ms, NULL);
    }
    return rc;
}

static int add_head(struct load *l, const char *text)
{
    struct curl_slist *head = curl_slist_append(l->head, text);

    if (!head)
        return E_NOMEM;
    l->head = head;
    return 0;
}

static int load_open(struct load *l, struct err *e)
{
    struct buf line;
    int rc = host_read(&l->host, l->o->url, e);

    if (rc < 0)
        return rc;
    buf_init(&line, WORDS_KEPT);
    rc = buf_fmt(&l->url, "%s%s", l->host.url.p, load_apis[l->o->api].path);
    if (rc == 0)
        rc = add_head(l, "Content-Type: application/json");
    if (rc == 0)
        rc = add_head(l, "Expect:");
    if (rc == 0 && l->o->api == LOAD_ANTHROPIC)
        rc = add_head(l, "anthropic-version: 2023-06-01");
    if (rc == 0 && l->o->key)
        rc = buf_fmt(&line, "Authorization: Bearer %s", l->o->key);
    if (rc == 0 && l->o->key)
        rc = add_head(l, line.p);
    buf_done(&line);
    if (rc < 0)
        return err_set(e, rc, "the URL or the key is too long, or there is no memory");
    l->lane = mem_calloc((size_t)l->n, sizeof(struct lane *));
    l->multi = curl_multi_init();
    if (!l->lane || !l->multi)
        return err_set(e, E_NOMEM, "no memory for %d requests", l->n);
    (void)curl_multi_setopt(l->multi, CURLMOPT_MAXCONNECTS, (long)(l->n < 4096 ? l->n : 4096));
    return 0;
}

static void load_close(struct load *l)
{
    for (int i = 0; i < l->n_lane && l->lane; i++) {
        (void)curl_multi_remove_handle(l->multi, l->lane[i]->easy);
        lane_free(l->lane[i]);
    }
    mem_free(l->lane);
    (void)curl_multi_cleanup(l->multi);
    curl_slist_free_all(l->head);
    buf_done(&l->url);
    host_done(&l->host);
}

int load_run(const struct load_options *o, struct load_request *r, int n,
             struct load_gaps *gaps, uint64_t *wall_ns, char *told, struct err *e)
{
    struct load l = {.o = o, .r = r, .n = n, .gaps = gaps, .told = told};
    int rc;

    told[0] = '\0';
    buf_init(&l.url, WORDS_KEPT);
    rc = load_open(&l, e);
    if (rc == 0) {
        rc = drive(&l);
        if (rc < 0)
            (void)err_set(e, rc, "no memory for what %d requests bring", n);
        *wall_ns = clock_ns() - l.start_ns;
    }
    load_close(&l);
    return rc;
}
