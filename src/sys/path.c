#include "sys/path.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

/* What each kind is called in the environment, and under HOME without that. */
static const struct {
    const char *var, *home;
} kinds[] = {
    [PATH_CONFIG] = {"XDG_CONFIG_HOME", "/.config"},
    [PATH_DATA] = {"XDG_DATA_HOME", "/.local/share"},
    [PATH_CACHE] = {"XDG_CACHE_HOME", "/.cache"},
    [PATH_STATE] = {"XDG_STATE_HOME", "/.local/state"},
};

/* A variable that holds an absolute path, or NULL. */
static const char *absolute(const char *var)
{
    const char *v = getenv(var);

    return v && v[0] == '/' ? v : NULL;
}

int path_xdg(struct buf *b, enum path_kind kind, const char *name, struct err *e)
{
    const char *base = absolute(kinds[kind].var), *home = "";
    size_t n = b->n;
    int rc;

    if (!base) {
        base = absolute("HOME");
        home = kinds[kind].home;
    }
    if (!base)
        return err_set(e, E_NOT_FOUND, "neither %s nor HOME is set to an absolute path",
                       kinds[kind].var);
    rc = buf_fmt(b, "%s%s/hearth%s%s", base, home, name ? "/" : "", name ? name : "");
    if (rc < 0) {
        b->n = n;
        return err_set(e, rc, "the path under %s is too long", base);
    }
    return 0;
}

/* 0 when dir is a directory now, else why not. */
static int make_dir(const char *dir)
{
    struct stat st;
    int why;

    if (mkdir(dir, 0700) == 0)
        return 0;
    why = errno;
    /* What is there already may be in a place where we may not write. */
    if (stat(dir, &st) != 0)
        return why;
    return S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
}

int path_mkdirs(const char *dir, struct err *e)
{
    char *path = mem_strdup(dir);
    int why = 0;

    if (!path)
        return err_set(e, E_NOMEM, "%s: no memory", dir);
    for (char *p = path; why == 0 && *p; p++) {
        if (*p != '/' || p == path)
            continue;
        *p = '\0';
        why = make_dir(path);
        *p = '/';
    }
    if (why == 0)
        why = make_dir(path);
    mem_free(path);
    return why ? err_sys(e, E_IO, why, "%s: the directory cannot be made", dir) : 0;
}
