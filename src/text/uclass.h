/* uclass.h - the classes of characters that pre-tokenizers distinguish.
 *
 * A byte that is no character counts as one of no class, so that text of any kind can be
 * split and put together again.
 *
 * Threads  any
 * Uses     base/; utf8proc for Unicode categories
 */
#ifndef HEARTH_TEXT_UCLASS_H
#define HEARTH_TEXT_UCLASS_H

#include <stddef.h>
#include <stdint.h>

/* What the regular expressions call \p{Lu}, \p{Ll}, ... and \s. */
enum uclass {
    UC_UPPER = 1,  /* Lu */
    UC_LOWER = 2,  /* Ll */
    UC_TITLE = 4,  /* Lt */
    UC_ALPHA = 8,  /* Lm, Lo: letters without case */
    UC_MARK = 16,  /* M */
    UC_NUM = 32,   /* N */
    UC_PUNCT = 64, /* P */
    UC_SYM = 128,  /* S */
    UC_SPACE = 256,
    UC_EOL = 512,  /* CR and LF, which are spaces too */
    UC_HAN = 1024, /* script Han; only uclass_next_han tells */

    UC_LETTER = UC_UPPER | UC_LOWER | UC_TITLE | UC_ALPHA,
    UC_CASED = UC_UPPER | UC_LOWER | UC_TITLE
};

extern const uint16_t uclass_ascii[128];

/* As uclass_next for characters past ASCII. */
size_t uclass_wide(const char *p, size_t n, unsigned *cls);

/* The length of the character at p (n > 0 bytes are there), and its classes. */
static inline size_t uclass_next(const char *p, size_t n, unsigned *cls)
{
    unsigned char c = (unsigned char)*p;

    if (c >= 0x80)
        return uclass_wide(p, n, cls);
    *cls = uclass_ascii[c];
    return 1;
}

/* As uclass_next, with UC_HAN. */
size_t uclass_next_han(const char *p, size_t n, unsigned *cls);

#endif
