/* analyser.h - what clang's analyser cannot see, since it looks at one file at a time and not
 * into functions with "...": setting an error returns its code, which is negative. Included
 * by `make check` behind base/err.h; without it every result of a function that failed looks
 * as if it could be used. */
#define err_set(e, code, ...)      (err_set((e), (code), __VA_ARGS__), (code))
#define err_setv(e, code, fmt, ap) (err_setv((e), (code), (fmt), (ap)), (code))
#define err_wrap(e, code, ...)     (err_wrap((e), (code), __VA_ARGS__), (code))
#define err_sys(e, code, errno_now, ...)                                                       \
    (err_sys((e), (code), (errno_now), __VA_ARGS__), (code))
