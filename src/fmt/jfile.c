#include "fmt/jfile.h"

#include "sys/mmap.h"

int jfile_parse(json_t **out, const char *what, const char *p, size_t n, struct err *e)
{
    json_error_t why;
    json_t *j = json_loadb(p, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);

    if (!j) {
        /* Not every refusal of memory is told as one; syntax errors have words. */
        if (json_error_code(&why) == json_error_out_of_memory || !why.text[0])
            return err_set(e, E_NOMEM, "%s: no memory for its JSON", what);
        return err_set(e, E_FORMAT, "%s: not JSON: %s in line %d", what, why.text, why.line);
    }
    if (!json_is_object(j)) {
        json_decref(j);
        return err_set(e, E_FORMAT, "%s: JSON, but not an object", what);
    }
    *out = j;
    return 0;
}

int jfile_load(json_t **out, const char *path, size_t max, struct err *e)
{
    struct mapping map;
    int rc = mmap_open(&map, path, e), gone;

    if (rc < 0)
        return rc;
    if (map.n > max)
        rc = err_set(e, E_TOO_LONG, "%s: %zu bytes, the limit is %zu", path, map.n, max);
    else
        rc = jfile_parse(out, path, (const char *)map.p, map.n, e);
    gone = mmap_intact(&map, e);
    mmap_close(&map);
    if (gone < 0 && rc == 0) {
        json_decref(*out);
        *out = NULL;
    }
    return gone < 0 ? gone : rc;
}
