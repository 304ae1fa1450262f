/* replay_main.c - runs a fuzz target once over each stored input, where libFuzzer is not.
 *
 *     build/release/tests/fuzz/NAME [FILE...]     no FILE: all of tests/fuzz/corpus/NAME
 *
 * Prints TAP with one test per target. A target fails by crashing, so the name of each input
 * is printed before it runs.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An exact copy on the heap: a read past the end of an input is a sanitizer's finding. */
static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = NULL;
    struct stat st;
    int rc = -1;

    if (f == NULL || fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode))
        goto out;
    data = malloc((size_t)st.st_size + (st.st_size == 0));
    if (data == NULL || fread(data, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
        goto out;
    printf("# %s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
    rc = 0;
out:
    if (rc < 0)
        printf("# %s: cannot be read\n", path);
    free(data);
    if (f != NULL)
        fclose(f);
    return rc;
}

static int replay_dir(const char *dir, int *n)
{
    struct dirent **entry = NULL;
    int n_entry = scandir(dir, &entry, NULL, alphasort), rc = 0;
    char path[4096];

    for (int i = 0; i < n_entry; i++) {
        if (entry[i]->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s", dir, entry[i]->d_name);
            rc |= replay_file(path);
            ++*n;
        }
        free(entry[i]);
    }
    free(entry);
    return rc;
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
    char dir[512];
    int rc = 0, n = 0;

    puts("1..1");
    for (int i = 1; i < argc; i++, n++)
        rc |= replay_file(argv[i]);
    if (argc < 2) {
        snprintf(dir, sizeof dir, "tests/fuzz/corpus/%s", name);
        rc = replay_dir(dir, &n);
    }
    if (n == 0)
        printf("# %s holds no input\n", dir);
    rc |= n == 0 ? -1 : 0;
    printf("%s 1 - %s: %d stored inputs\n", rc ? "not ok" : "ok", name, n);
    return rc ? 1 : 0;
}
