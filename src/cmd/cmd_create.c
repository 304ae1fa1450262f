/* hearth create: a name for weights that stay where they are, with settings of one's own. */
#include "cmd/cmd.h"

#include "base/buf.h"
#include "base/log.h"
#include "store/store.h"
#include "text/tmpl/tmpl.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct create_options {
    const char *file;
};

#define AT(f) offsetof(struct create_options, f)

/* clang-format off */
static const struct opt_row rows[] = {
    {.name = "file", .letter = 'f', .type = OPT_STR, .at = AT(file), .def = "Modelfile",
     .arg = "FILE", .help = "the Modelfile; -: standard input"},
};
/* clang-format on */

/* Steps are for those who watch. */
static void say(void *ctx, const char *status)
{
    (void)ctx;
    if (isatty(STDERR_FILENO))
        (void)fprintf(stderr, "%s\n", status);
}

static void print_warnings(const struct modelfile *mf, const char *file)
{
    const char *at = mf->warnings.p, *end;

    for (; at && (end = strchr(at, '\n')) != NULL; at = end + 1)
        log_line(LOG_WARN, "%s: %.*s", file, (int)(end - at), at);
}

/* A template that does not compile is better known of now. */
static int check_template(struct str text, struct err *e)
{
    struct tmpl *t = NULL;
    int rc = text.n ? tmpl_new(&t, tmpl_kind_of(text), text, e) : 0;

    tmpl_free(t);
    return rc < 0 ? err_wrap(e, rc, "TEMPLATE") : 0;
}

/* Paths in a Modelfile are relative to its folder; in one that comes through a pipe ("-",
 * /dev/stdin, <(...)), to where we are. */
static int folder_of(const char *file, char out[PATH_MAX], struct err *e)
{
    struct stat st;
    int here = strcmp(file, "-") == 0 || (stat(file, &st) == 0 && !S_ISREG(st.st_mode));
    char *slash;

    if (!realpath(here ? "." : file, out))
        return err_set(e, E_NOT_FOUND, "%s: no such file", file);
    if (here)
        return 0;
    slash = strrchr(out, '/');
    slash[slash == out] = '\0';
    return 0;
}

static int create(const char *name, const char *file, struct err *e)
{
    struct modelfile mf = {0};
    struct store *s = NULL;
    char dir[PATH_MAX];
    struct buf text;
    int rc;

    buf_init(&text, MODELFILE_MAX);
    rc = strcmp(file, "-") == 0 ? cmd_read_all(STDIN_FILENO, &text, e)
                                : cmd_read_file(file, &text, e);
    if (rc == 0)
        rc = folder_of(file, dir, e);
    if (rc == 0) {
        rc = modelfile_parse(&mf, (struct str){text.p ? text.p : "", text.n}, e);
        if (rc == 0)
            rc = check_template(mf.template, e);
        if (rc < 0)
            rc = err_wrap(e, rc, "%s", file);
    }
    if (rc == 0) {
        print_warnings(&mf, file);
        rc = store_open(&s, NULL, e);
    }
    if (rc == 0)
        rc = store_create(s, str_of(name), &mf, dir, say, NULL, e);
    store_close(s);
    modelfile_done(&mf);
    buf_done(&text);
    return rc;
}

int cmd_create(int argc, char **argv)
{
    static const struct opt_spec spec = {
        .usage = "hearth create NAME [-f Modelfile]",
        .about = "Gives NAME to the model that the Modelfile's FROM names: a GGUF file or a "
                 "Hugging Face folder, which\nis used where it lies, or another model. "
                 "Replaces what had that name.",
        .rows = rows,
        .n = (int)(sizeof(rows) / sizeof(rows[0])),
    };
    struct create_options o = {0};
    struct err e = {0};
    int status;

    if (cmd_options(&spec, argc, argv, &o, 1, 1, &status) < 0)
        return status;
    return create(argv[0], o.file, &e) < 0 ? cmd_fail(&e) : 0;
}
