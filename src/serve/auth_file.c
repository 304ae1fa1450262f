/* The file of keys: read, added to, removed from. Writers take turns by a lock on a file beside
 * it, write a new one and rename it into its place. */
#include "serve/auth_priv.h"

#include "base/digest.h"
#include "base/mem.h"
#include "serve/route.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((size_t)4 << 20)

enum { KEY_BYTES = 32, KEYS_MAX = 10000 };

static const struct {
    const char *name;
    int bit;
} scopes[] = {{"infer", SCOPE_INFER}, {"manage", SCOPE_MANAGE}, {"metrics", SCOPE_METRICS}};

void auth_hash(const unsigned char salt[AUTH_SALT], struct str key,
               unsigned char hash[SHA256_SIZE])
{
    struct sha256 s;

    sha256_init(&s);
    sha256_put(&s, salt, AUTH_SALT);
    sha256_put(&s, key.p, key.n);
    sha256_end(&s, hash);
}

/* -- a line -------------------------------------------------------------------------------- */

static int hex_bytes(struct str text, unsigned char *out, size_t n)
{
    static const char digits[] = "0123456789abcdef";

    if (text.n != 2 * n)
        return 0;
    for (size_t i = 0; i < text.n; i++) {
        const char *at = text.p[i] ? strchr(digits, text.p[i]) : NULL;

        if (!at)
            return 0;
        out[i / 2] = (unsigned char)(i % 2 ? out[i / 2] | (at - digits) : (at - digits) << 4);
    }
    return 1;
}

/* The part of *at before `stop`, which goes with it. 0: nothing is left. */
static int split(struct str *at, char stop, struct str *part)
{
    size_t n = 0;

    while (stop == ' ' && at->n && (at->p[0] == ' ' || at->p[0] == '\t'))
        *at = (struct str){at->p + 1, at->n - 1};
    if (at->n == 0)
        return 0;
    while (n < at->n && at->p[n] != stop && !(stop == ' ' && at->p[n] == '\t'))
        n++;
    *part = (struct str){at->p, n};
    n += n < at->n;
    *at = (struct str){at->p + n, at->n - n};
    return 1;
}

static int is_name(struct str s)
{
    if (s.n == 0 || s.n > AUTH_NAME_MAX)
        return 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-' || c == '@'))
            return 0;
    }
    return 1;
}

static int read_scopes(struct str text, int *out, struct err *e)
{
    struct str one;

    *out = 0;
    while (split(&text, ',', &one)) {
        size_t i = 0;

        while (i < sizeof(scopes) / sizeof(scopes[0]) && !str_is(one, scopes[i].name))
            i++;
        if (i == sizeof(scopes) / sizeof(scopes[0]))
            return err_set(e, E_INVALID, "'%.*s' is no scope; they are infer, manage, metrics",
                           (int)(one.n < 40 ? one.n : 40), one.p);
        *out |= scopes[i].bit;
    }
    return *out ? 0 : err_set(e, E_INVALID, "a key needs a scope: infer, manage, metrics");
}

static int read_models(struct auth_keys *set, struct str text, struct auth_key *k,
                       struct err *e)
{
    const char *all[AUTH_MODELS_MAX];
    struct str one;
    int n = 0;

    while (split(&text, ',', &one)) {
        if (one.n == 0)
            continue;
        if (n == AUTH_MODELS_MAX)
            return err_set(e, E_INVALID, "more than %d models", AUTH_MODELS_MAX);
        all[n] = arena_strdup(&set->mem, one);
        if (!all[n++])
            return err_set(e, E_NOMEM, "no memory for keys");
    }
    k->model = arena_alloc(&set->mem, sizeof(all[0]) * (size_t)(n ? n : 1));
    if (!k->model)
        return err_set(e, E_NOMEM, "no memory for keys");
    for (int i = 0; i < n; i++)
        k->model[i] = all[i];
    k->n_model = n;
    return 0;
}

static int read_number(struct str text, int min, int max, int *out, struct err *e)
{
    char copy[16], *end;
    long n;

    (void)snprintf(copy, sizeof(copy), "%.*s", (int)(text.n < 15 ? text.n : 15), text.p);
    n = strtol(copy, &end, 10);
    if (text.n == 0 || text.n > 14 || *end || n < min || n > max)
        return err_set(e, E_INVALID, "'%.*s' is no number from %d to %d",
                       (int)(text.n < 40 ? text.n : 40), text.p, min, max);
    *out = (int)n;
    return 0;
}

static int read_setting(struct auth_keys *set, struct str word, struct auth_key *k,
                        struct err *e)
{
    struct str name = {"", 0};

    (void)split(&word, '=', &name);
    if (str_is(name, "models"))
        return read_models(set, word, k, e);
    if (str_is(name, "per_minute"))
        return read_number(word, 0, 1000000, &k->per_minute, e);
    if (str_is(name, "priority"))
        return read_number(word, -1000, 1000, &k->priority, e);
    return err_set(e, E_INVALID, "'%.*s' is no setting of a key",
                   (int)(name.n < 40 ? name.n : 40), name.p);
}

int auth_line(struct auth_keys *set, struct str line, struct auth_stored *out, struct err *e)
{
    struct str name = {"", 0}, secret = {"", 0}, salt = {"", 0}, scope = {"", 0};
    int rc;

    memset(out, 0, sizeof(*out));
    if (!split(&line, ' ', &name) || name.p[0] == '#')
        return 0;
    if (!is_name(name) || !split(&line, ' ', &secret) || !split(&secret, ':', &salt) ||
        !hex_bytes(salt, out->salt, AUTH_SALT) || !hex_bytes(secret, out->hash, SHA256_SIZE) ||
        !split(&line, ' ', &scope))
        return err_set(e, E_INVALID, "this is no line of a key: NAME SALT:HASH SCOPES ...");
    out->pub.name = arena_strdup(&set->mem, name);
    if (!out->pub.name)
        return err_set(e, E_NOMEM, "no memory for keys");
    out->pub.id = digest_bytes(0, name.p, name.n) | 1;
    rc = read_scopes(scope, &out->pub.scopes, e);
    while (rc == 0 && split(&line, ' ', &scope))
        rc = read_setting(set, scope, &out->pub, e);
    return rc < 0 ? rc : 1;
}

/* -- the file ------------------------------------------------------------------------------ */

void auth_keys_free(struct auth_keys *k)
{
    if (!k)
        return;
    arena_done(&k->mem);
    mem_free(k->key);
    mem_free(k);
}

static int read_file(const char *path, struct buf *out, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    ssize_t n = -1;
    int rc = 0;

    if (fd < 0)
        return err_sys(e, errno == ENOENT ? E_NOT_FOUND : E_IO, errno, "keys: %s", path);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        rc = err_set(e, E_INVALID, "keys: %s is no file", path);
    else if (st.st_mode & 077)
        rc = err_set(e, E_INVALID, "keys: others may read or write %s; 'chmod 600 %s'", path,
                     path);
    else if ((size_t)st.st_size > FILE_MAX)
        rc = err_set(e, E_TOO_LONG, "keys: %s has more than %zu bytes", path, FILE_MAX);
    else if (!buf_reserve(out, (size_t)st.st_size + 1))
        rc = err_set(e, E_NOMEM, "no memory for keys");
    else if ((n = read(fd, out->p, (size_t)st.st_size)) < 0)
        rc = err_sys(e, E_IO, errno, "keys: %s", path);
    else
        out->n = (size_t)n;
    (void)close(fd);
    return rc;
}

static int add_key(struct auth_keys *set, const struct auth_stored *k, struct err *e)
{
    struct auth_stored *more;

    for (int i = 0; i < set->n; i++) {
        if (strcmp(set->key[i].pub.name, k->pub.name) == 0)
            return err_set(e, E_INVALID, "there are two keys '%s'", k->pub.name);
    }
    if (set->n == KEYS_MAX)
        return err_set(e, E_INVALID, "more than %d keys", KEYS_MAX);
    more = mem_realloc(set->key, sizeof(*more) * (size_t)(set->n + 1));
    if (!more)
        return err_set(e, E_NOMEM, "no memory for keys");
    set->key = more;
    set->key[set->n++] = *k;
    return 0;
}

static int read_lines(struct auth_keys *set, const char *path, struct str text, struct err *e)
{
    struct str line;

    for (int number = 1; split(&text, '\n', &line); number++) {
        struct auth_stored k;
        int rc = auth_line(set, line, &k, e);

        if (rc > 0)
            rc = add_key(set, &k, e);
        if (rc < 0)
            return err_wrap(e, rc, "%s:%d", path, number);
    }
    return 0;
}

int auth_file_read(struct auth_keys **out, const char *path, struct err *e)
{
    struct auth_keys *k = mem_calloc(1, sizeof(*k));
    struct sha256 hash;
    struct buf text;
    int rc = 0;

    if (!k)
        return err_set(e, E_NOMEM, "no memory for keys");
    buf_init(&text, FILE_MAX + 1);
    arena_init(&k->mem, 2 * FILE_MAX);
    k->asked = path != NULL;
    if (path)
        rc = read_file(path, &text, e);
    sha256_init(&hash);
    sha256_put(&hash, text.n ? text.p : "", text.n);
    sha256_end(&hash, k->text);
    if (path && rc == 0)
        rc = read_lines(k, path, (struct str){text.p, text.n}, e);
    buf_done(&text);
    if (rc < 0) {
        auth_keys_free(k);
        return rc;
    }
    *out = k;
    return 0;
}

/* -- writing ------------------------------------------------------------------------------- */

static int replace(const char *path, const struct buf *text, struct err *e)
{
    char beside[4096];
    int fd, bad;

    if (snprintf(beside, sizeof(beside), "%s.new", path) >= (int)sizeof(beside))
        return err_set(e, E_INVALID, "keys: the path is too long");
    (void)unlink(beside);
    fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(e, E_IO, errno, "keys: %s", beside);
    bad = write(fd, text->n ? text->p : "", text->n) != (ssize_t)text->n || fsync(fd) != 0;
    bad |= close(fd) != 0;
    if (!bad && rename(beside, path) == 0)
        return 0;
    bad = errno;
    (void)unlink(beside);
    return err_sys(e, E_IO, bad, "keys: write %s", path);
}

/* Holds off other writers: a file descriptor to be closed. */
static int lock_beside(const char *path, struct err *e)
{
    char beside[4096];
    int fd;

    if (snprintf(beside, sizeof(beside), "%s.lock", path) >= (int)sizeof(beside))
        return err_set(e, E_INVALID, "keys: the path is too long");
    fd = open(beside, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(e, E_IO, errno, "keys: %s", beside);
    if (flock(fd, LOCK_EX) != 0) {
        (void)close(fd);
        return err_sys(e, E_IO, errno, "keys: lock %s", beside);
    }
    return fd;
}

static int put_hex(struct buf *out, const unsigned char *p, size_t n)
{
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = buf_fmt(out, "%02x", p[i]);
    return rc;
}

/* Appends the line of k, whose key goes to `key`. */
static int write_line(struct buf *out, const struct auth_key *k, struct buf *key, struct err *e)
{
    unsigned char r[KEY_BYTES + AUTH_SALT], hash[SHA256_SIZE];
    size_t at = key->n;
    int rc;

    if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
        return err_sys(e, E_IO, errno, "random bytes");
    rc = buf_str(key, "hearth-");
    if (rc == 0)
        rc = put_hex(key, r, KEY_BYTES);
    if (rc < 0)
        return err_set(e, rc, "no memory for a key");
    auth_hash(r + KEY_BYTES, (struct str){key->p + at, key->n - at}, hash);
    rc = buf_fmt(out, "%s ", k->name);
    if (rc == 0)
        rc = put_hex(out, r + KEY_BYTES, AUTH_SALT);
    if (rc == 0)
        rc = buf_byte(out, ':');
    if (rc == 0)
        rc = put_hex(out, hash, SHA256_SIZE);
    for (size_t i = 0, n = 0; i < sizeof(scopes) / sizeof(scopes[0]) && rc == 0; i++) {
        if (k->scopes & scopes[i].bit)
            rc = buf_fmt(out, "%s%s", n++ ? "," : " ", scopes[i].name);
    }
    for (int i = 0; i < k->n_model && rc == 0; i++)
        rc = buf_fmt(out, "%s%s", i ? "," : " models=", k->model[i]);
    if (rc == 0 && k->per_minute)
        rc = buf_fmt(out, " per_minute=%d", k->per_minute);
    if (rc == 0 && k->priority)
        rc = buf_fmt(out, " priority=%d", k->priority);
    if (rc == 0)
        rc = buf_byte(out, '\n');
    return rc < 0 ? err_set(e, rc, "no memory for keys") : 0;
}

static int check_new(const struct auth_key *k, struct err *e)
{
    if (!is_name(str_of(k->name)))
        return err_set(e, E_INVALID, "a key's name has 1 to %d letters, digits and .-_@",
                       AUTH_NAME_MAX);
    for (int i = 0; i < k->n_model; i++) {
        if (!k->model[i][0] || strpbrk(k->model[i], " ,\t\n\r"))
            return err_set(e, E_INVALID, "'%s' is no name of a model", k->model[i]);
    }
    return 0;
}

/* The text of the file without the line of `without`. Fails: E_NOT_FOUND there is no file. */
static int text_without(const char *path, const char *without, struct buf *out, int *found,
                        struct err *e)
{
    struct buf text;
    struct str at, line, rest, name;
    int rc;

    buf_init(&text, FILE_MAX + 1);
    *found = 0;
    rc = read_file(path, &text, e);
    at = (struct str){text.p, rc == 0 ? text.n : 0};
    while (rc == 0 && split(&at, '\n', &line)) {
        rest = line;
        if (split(&rest, ' ', &name) && str_is(name, without)) {
            *found = 1;
            continue;
        }
        rc = buf_put(out, line.p, line.n);
        if (rc == 0)
            rc = buf_byte(out, '\n');
        if (rc < 0)
            (void)err_set(e, rc, "no memory for keys");
    }
    buf_done(&text);
    return rc;
}

int auth_add(const char *path, const struct auth_key *k, struct buf *out, struct err *e)
{
    struct buf text;
    int rc = check_new(k, e), found = 0, lock = rc < 0 ? rc : lock_beside(path, e);

    if (lock < 0)
        return lock;
    buf_init(&text, FILE_MAX + 4096);
    rc = text_without(path, k->name, &text, &found, e);
    if (rc == E_NOT_FOUND)
        rc = 0;
    if (found)
        rc = err_set(e, E_INVALID, "there is a key '%s' already", k->name);
    if (rc == 0)
        rc = write_line(&text, k, out, e);
    if (rc == 0)
        rc = replace(path, &text, e);
    buf_done(&text);
    (void)close(lock);
    return rc;
}

int auth_remove(const char *path, const char *name, struct err *e)
{
    struct buf text;
    int rc, found = 0, lock = lock_beside(path, e);

    if (lock < 0)
        return lock;
    buf_init(&text, FILE_MAX + 4096);
    rc = text_without(path, name, &text, &found, e);
    if (rc == 0 && !found)
        rc = err_set(e, E_NOT_FOUND, "there is no key '%s' in %s", name, path);
    if (rc == 0)
        rc = replace(path, &text, e);
    buf_done(&text);
    (void)close(lock);
    return rc;
}
