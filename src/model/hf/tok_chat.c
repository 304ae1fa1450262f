/* Chat templates of a folder: files of their own, or texts in tokenizer_config.json. The one
 * without a name is "default"; others ("tool_use", "rag") keep theirs. */
#include "model/hf/hf_priv.h"

#include "base/mem.h"
#include "fmt/jfile.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define TEMPLATE_MAX ((size_t)4 << 20)

enum { NAMED_MAX = 64, NAME_MAX_BYTES = 60 };

/* Names that were put; the first text of a name counts. */
struct put {
    struct hf *h;
    char name[NAMED_MAX][NAME_MAX_BYTES + 1];
    size_t n;
};

static void put_template(struct put *p, const char *name, struct str text)
{
    char key[128] = "tokenizer.chat_template";
    struct hf *h = p->h;

    if (strlen(name) > NAME_MAX_BYTES || p->n == NAMED_MAX) {
        hf_add_note(h,
                    "chat template '%.40s...' is left out: over %d bytes of name, or over %d "
                    "templates",
                    name, NAME_MAX_BYTES, NAMED_MAX);
        return;
    }
    for (size_t i = 0; i < p->n; i++) {
        if (strcmp(p->name[i], name) == 0)
            return;
    }
    if (h->rc < 0 || text.n == 0)
        return;
    if (text.n > TEMPLATE_MAX) {
        hf_fail(h, E_TOO_LONG, "chat template '%s': %zu bytes, the limit is %zu", name, text.n,
                TEMPLATE_MAX);
        return;
    }
    memcpy(p->name[p->n++], name, strlen(name) + 1);
    if (strcmp(name, "default") != 0)
        (void)snprintf(key, sizeof(key), "tokenizer.chat_template.%s", name);
    h->rc = gguf_put_str(h->keys, key, text, h->e);
}

static struct str str_json(const json_t *j)
{
    return (struct str){json_string_value(j), json_string_length(j)};
}

/* A text, a list of {"name", "template"}, or an object of texts by name. */
static void put_json(struct put *p, const json_t *j, const char *what)
{
    json_t *all = (json_t *)(uintptr_t)j, *text; /* jansson's loop takes no const */
    const char *name;

    if (json_is_string(j)) {
        put_template(p, "default", str_json(j));
        return;
    }
    for (size_t i = 0; i < json_array_size(j); i++) {
        const json_t *one = json_array_get(j, i), *t = json_object_get(one, "template");

        name = json_string_value(json_object_get(one, "name"));
        if (name && json_is_string(t))
            put_template(p, name, str_json(t));
        else
            hf_add_note(p->h, "%s: chat_template: element %zu has no name or no template", what,
                        i);
    }
    json_object_foreach(all, name, text)
    {
        if (json_is_string(text))
            put_template(p, name, str_json(text));
    }
}

static void put_file(struct put *p, const char *name, const char *file)
{
    struct mapping map;

    if (hf_map_in(p->h, file, &map))
        put_template(p, name, (struct str){(const char *)map.p, map.n});
    hf_unmap(p->h, &map);
}

/* chat_template.json: as in tokenizer_config.json. */
static void put_json_file(struct put *p, const char *file)
{
    struct mapping map;
    json_t *j = NULL;

    if (hf_map_in(p->h, file, &map)) {
        p->h->rc = jfile_parse(&j, file, (const char *)map.p, map.n, p->h->e);
        put_json(p, json_object_get(j, "chat_template"), file);
    }
    json_decref(j);
    hf_unmap(p->h, &map);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Files of a folder in the folder, sorted, so that the result does not hang on the disk's
 * order. */
static void put_folder(struct put *p, const char *folder)
{
    static const char end[] = ".jinja";
    char path[PATH_MAX], *names[NAMED_MAX];
    struct dirent *entry;
    size_t n = 0;
    DIR *dir;

    if (snprintf(path, sizeof(path), "%s/%s", p->h->dir, folder) >= PATH_MAX)
        return;
    dir = opendir(path);
    while (dir && n < NAMED_MAX && (entry = readdir(dir))) {
        size_t len = strlen(entry->d_name);

        if (len <= strlen(end) || strcmp(entry->d_name + len - strlen(end), end) != 0)
            continue;
        names[n] = mem_strdup(entry->d_name);
        if (names[n])
            n++;
        else
            hf_fail(p->h, E_NOMEM, "no memory for names");
    }
    if (dir)
        (void)closedir(dir);
    qsort(names, n, sizeof(*names), by_text);
    for (size_t i = 0; i < n; i++) {
        if (snprintf(path, sizeof(path), "%s/%s", folder, names[i]) < PATH_MAX) {
            names[i][strlen(names[i]) - strlen(end)] = '\0';
            put_file(p, names[i], path);
        }
        mem_free(names[i]);
    }
}

void hf_templates(struct hf *h)
{
    struct put p = {.h = h};

    /* Files of their own go before what the configuration says. */
    put_file(&p, "default", "chat_template.jinja");
    put_folder(&p, "additional_chat_templates");
    put_json_file(&p, "chat_template.json");
    put_json(&p, json_object_get(h->tok_config, "chat_template"), "tokenizer_config.json");
}
