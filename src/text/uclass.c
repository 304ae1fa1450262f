#include "text/uclass.h"

#include "base/utf8.h"

#include <utf8proc.h>

/* clang-format off */
enum { U = UC_UPPER, L = UC_LOWER, N = UC_NUM, P = UC_PUNCT, S = UC_SYM, W = UC_SPACE,
       E = UC_SPACE | UC_EOL };

const uint16_t uclass_ascii[128] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, W, E, W, W, E, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    W, P, P, P, S, P, P, P, P, P, P, S, P, P, P, P, /*   ! " # $ % & ' ( ) * + , - . / */
    N, N, N, N, N, N, N, N, N, N, P, P, S, S, S, P, /* 0-9 : ; < = > ? */
    P, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, /* @ A-O */
    U, U, U, U, U, U, U, U, U, U, U, P, P, P, S, P, /* P-Z [ \ ] ^ _ */
    S, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, /* ` a-o */
    L, L, L, L, L, L, L, L, L, L, L, P, S, P, S, 0, /* p-z { | } ~ */
};

static const uint16_t of_category[] = {
    [UTF8PROC_CATEGORY_LU] = UC_UPPER, [UTF8PROC_CATEGORY_LL] = UC_LOWER,
    [UTF8PROC_CATEGORY_LT] = UC_TITLE, [UTF8PROC_CATEGORY_LM] = UC_ALPHA,
    [UTF8PROC_CATEGORY_LO] = UC_ALPHA, [UTF8PROC_CATEGORY_MN] = UC_MARK,
    [UTF8PROC_CATEGORY_MC] = UC_MARK,  [UTF8PROC_CATEGORY_ME] = UC_MARK,
    [UTF8PROC_CATEGORY_ND] = UC_NUM,   [UTF8PROC_CATEGORY_NL] = UC_NUM,
    [UTF8PROC_CATEGORY_NO] = UC_NUM,   [UTF8PROC_CATEGORY_PC] = UC_PUNCT,
    [UTF8PROC_CATEGORY_PD] = UC_PUNCT, [UTF8PROC_CATEGORY_PS] = UC_PUNCT,
    [UTF8PROC_CATEGORY_PE] = UC_PUNCT, [UTF8PROC_CATEGORY_PI] = UC_PUNCT,
    [UTF8PROC_CATEGORY_PF] = UC_PUNCT, [UTF8PROC_CATEGORY_PO] = UC_PUNCT,
    [UTF8PROC_CATEGORY_SM] = UC_SYM,   [UTF8PROC_CATEGORY_SC] = UC_SYM,
    [UTF8PROC_CATEGORY_SK] = UC_SYM,   [UTF8PROC_CATEGORY_SO] = UC_SYM,
    [UTF8PROC_CATEGORY_ZS] = UC_SPACE, [UTF8PROC_CATEGORY_ZL] = UC_SPACE,
    [UTF8PROC_CATEGORY_ZP] = UC_SPACE, [UTF8PROC_CATEGORY_CO] = 0,
};
/* clang-format on */

size_t uclass_wide(const char *p, size_t n, unsigned *cls)
{
    int32_t cp;
    int len = utf8_next(p, n, &cp);

    if (cp < 0)
        *cls = 0;
    else if (cp == 0x85) /* NEL: a control by category, white space by property */
        *cls = UC_SPACE;
    else
        *cls = of_category[utf8proc_category(cp)];
    return (size_t)len;
}

/* \p{Han}, from Unicode's Scripts.txt */
static const struct {
    int32_t first, last;
} han[] = {
    {0x2e80, 0x2e99},   {0x2e9b, 0x2ef3},   {0x2f00, 0x2fd5},   {0x3005, 0x3005},
    {0x3007, 0x3007},   {0x3021, 0x3029},   {0x3038, 0x303b},   {0x3400, 0x4dbf},
    {0x4e00, 0x9fff},   {0xf900, 0xfa6d},   {0xfa70, 0xfad9},   {0x16fe2, 0x16fe3},
    {0x16ff0, 0x16ff1}, {0x20000, 0x2a6df}, {0x2a700, 0x2b739}, {0x2b740, 0x2b81d},
    {0x2b820, 0x2cea1}, {0x2ceb0, 0x2ebe0}, {0x2ebf0, 0x2ee5d}, {0x2f800, 0x2fa1d},
    {0x30000, 0x3134a}, {0x31350, 0x323af},
};

size_t uclass_next_han(const char *p, size_t n, unsigned *cls)
{
    size_t len = uclass_next(p, n, cls);
    int32_t cp;

    /* The lead bytes of Han: U+2000 and above. */
    if ((unsigned char)*p < 0xe2)
        return len;
    (void)utf8_next(p, n, &cp);
    for (size_t i = 0; i < sizeof(han) / sizeof(*han) && cp >= han[i].first; i++)
        *cls |= cp <= han[i].last ? UC_HAN : 0;
    return len;
}
