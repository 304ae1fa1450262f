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

static int make_dir(const char *dir)
{
    struct stat st;

    if (mkdir(dir, 0700) == 0)
        return 0;
    if (errno != EEXIST && errno != EROFS && errno != EACCES)
        return -1;
    /* What is there already may be in a place where we may not write. */
    if (stat(dir, &st) != 0)
        return -1;
    errno = ENOTDIR;
    return S_ISDIR(st.st_mode) ? 0 : -1;
}

int path_mkdirs(const char *dir, struct err *e)
{
    char *path = mem_strdup(dir);
    int rc = 0;

    if (!path)
        return err_set(e, E_NOMEM, "%s: no memory", dir);
    for (char *p = path; rc == 0 && *p; p++) {
        if (*p != '/' || p == path)
            continue;
        *p = '\0';
        rc = make_dir(path);
        *p = '/';
    }
    if (rc == 0)
        rc = make_dir(path);
    if (rc < 0)
        rc = err_sys(e, E_IO, errno, "%s: the directory cannot be made", dir);
    mem_free(path);
    return rc;
}
