/* vexp.h - exp, 2^x, and what is made of them, on vectors, over the names of vec_<tier>.h.
 *
 * exp(x) = 2^n e^r with n = round(x / ln 2) and |r| <= ln 2 / 2; e^r is a polynomial of degree
 * 6 whose error is below 2 units in the last place over the range (tests/kern checks 4e-7
 * relative). exp(0) is 1 exactly; below -87 the result is 0, above 88 it stays at exp(88).
 */
#ifndef HEARTH_KERN_X86_VEXP_H
#define HEARTH_KERN_X86_VEXP_H

#include "kern/kern.h"

#include <math.h>

INL vf vf_exp(vf x)
{
    vf lim = vf_max(vf_min(x, vf_set(88.0f)), vf_set(-87.0f)),
       n = vf_round(vf_mul(lim, vf_set(1.44269504f))), r, p;

    /* ln 2 in two parts, so that n * ln 2 is exact to the last bit of r. */
    r = vf_fnma(n, vf_set(0.693359375f), lim);
    r = vf_fnma(n, vf_set(-2.12194440e-4f), r);
    p = vf_set(1.0f / 720);
    p = vf_fma(p, r, vf_set(1.0f / 120));
    p = vf_fma(p, r, vf_set(1.0f / 24));
    p = vf_fma(p, r, vf_set(1.0f / 6));
    p = vf_fma(p, r, vf_set(0.5f));
    p = vf_fma(p, r, vf_set(1.0f));
    p = vf_fma(p, r, vf_set(1.0f));
    return vf_keep_ge(vf_scale2(p, n), x, vf_set(-87.0f));
}

/* 2^x for x <= 0, within 1.6e-7 relative, 2^0 is 1 exactly; below -126 it stays at 2^-126. A
 * polynomial of degree 5 that is 1 at 0, fitted to the least relative error on [-1/2, 1/2]. */
INL vf vf_exp2_neg(vf x)
{
    vf lim = vf_max(x, vf_set(-126.0f)), n = vf_round(lim), r = vf_sub(lim, n), p;

    p = vf_set(0.0013264727f);
    p = vf_fma(p, r, vf_set(0.009671513f));
    p = vf_fma(p, r, vf_set(0.055507336f));
    p = vf_fma(p, r, vf_set(0.24022242f));
    p = vf_fma(p, r, vf_set(0.693147f));
    p = vf_fma(p, r, vf_set(1.0f));
    return vf_scale2(p, n);
}

INL vf vf_silu(vf x)
{
    return vf_div(x, vf_add(vf_set(1.0f), vf_exp(vf_sub(vf_zero(), x))));
}

/* -- enum kern_act ------------------------------------------------------------------------ */

/* All within 5e-7 of the result, as long as the exponent that they take is small; an exponent
 * is a rounded float, so its e^ errs by 1.2e-7 times its size beside that. What becomes of
 * that is below 1e-7 of the argument (tests/kern). The polynomials are fitted to the least
 * relative error on their ranges. */

INL vf vf_neg(vf x)
{
    return vf_sub(vf_zero(), x);
}

/* y, but x where that is no number: bounds have hidden it. */
INL vf vf_or_nan(vf y, vf x)
{
    return vf_pick_ge(y, x, x, vf_set(-INFINITY));
}

/* Not above limit. */
INL vf vf_below(vf x, vf limit)
{
    return vf_pick_ge(limit, x, x, limit);
}

/* x sigm(by): no difference of what is almost the same, also where the result is small. */
INL vf vf_gated(vf x, vf by)
{
    return vf_div(x, vf_add(vf_set(1.0f), vf_exp(vf_neg(by))));
}

INL vf vf_gelu(vf x)
{
    return vf_gated(
        x, vf_mul(x, vf_fma(vf_mul(x, x), vf_set(0.07135481627f), vf_set(1.5957691216f))));
}

/* x (1 - h) above 0 and x h below, where h = erfc(|x| / sqrt(2)) / 2 is e^(-x^2 / 2) times a
 * polynomial in 1 / (1 + 0.4 |x| / sqrt(2)), within 6e-8 up to where h is 0. */
INL vf vf_gelu_erf(vf x)
{
    vf a = vf_below(vf_abs(x), vf_set(16.0f)),
       t = vf_div(vf_set(1.0f), vf_fma(a, vf_set(0.28284271247f), vf_set(1.0f))), p;

    p = vf_set(0.040267493429f);
    p = vf_fma(p, t, vf_set(-0.135471074276f));
    p = vf_fma(p, t, vf_set(0.073842114462f));
    p = vf_fma(p, t, vf_set(0.099729607308f));
    p = vf_fma(p, t, vf_set(0.071508297986f));
    p = vf_fma(p, t, vf_set(0.196963026257f));
    p = vf_fma(p, t, vf_set(0.200958584753f));
    p = vf_fma(p, t, vf_set(0.226575709460f));
    p = vf_fma(p, t, vf_set(0.225626298200f));
    p = vf_mul(vf_mul(p, t), vf_exp(vf_mul(vf_mul(a, a), vf_set(-0.5f))));
    return vf_fnma(vf_mul(a, vf_set(0.5f)), p, vf_pick_ge(vf_zero(), x, vf_neg(x), vf_zero()));
}

/* max(x, 0) + log(1 + e), e = e^-|x|; the logarithm is 2 atanh(e / (2 + e)), whose argument is
 * at most 1/3. */
INL vf vf_softplus(vf x)
{
    vf e = vf_exp(vf_neg(vf_abs(x))), s = vf_div(e, vf_add(e, vf_set(2.0f))), t = vf_mul(s, s),
       p;

    p = vf_set(0.28178334f);
    p = vf_fma(p, t, vf_set(0.27960603f));
    p = vf_fma(p, t, vf_set(0.4002491f));
    p = vf_fma(p, t, vf_set(0.66666315f));
    p = vf_fma(p, t, vf_set(2.0f));
    return vf_fma(p, s, vf_pick_ge(vf_zero(), x, vf_neg(x), vf_zero()));
}

/* x + x^3 p(x^2) up to 0.625, from there 1 - 2 / (e^2|x| + 1) with the sign of x. */
INL vf vf_tanh(vf x)
{
    vf a = vf_abs(x), near = vf_min(a, vf_set(0.625f)), t = vf_mul(near, near), p, far;

    p = vf_set(-0.00609694f);
    p = vf_fma(p, t, vf_set(0.02099736f));
    p = vf_fma(p, t, vf_set(-0.05385095f));
    p = vf_fma(p, t, vf_set(0.1333277f));
    p = vf_fma(p, t, vf_set(-0.33333329f));
    p = vf_fma(vf_mul(p, t), near, near);
    far =
        vf_sub(vf_set(1.0f), vf_div(vf_set(2.0f), vf_add(vf_exp(vf_add(a, a)), vf_set(1.0f))));
    p = vf_pick_ge(far, p, a, vf_set(0.625f));
    return vf_or_nan(vf_pick_ge(p, vf_neg(p), x, vf_zero()), x);
}

/* act(x), its bound above with those that have one. */
INL vf vf_act(const int act, vf x, vf limit)
{
    switch (act) {
    case KERN_ACT_GELU:
        return vf_gelu(x);
    case KERN_ACT_GELU_ERF:
        return vf_gelu_erf(x);
    case KERN_ACT_GELU_QUICK:
        return vf_gated(x, vf_mul(x, vf_set(1.702f)));
    case KERN_ACT_RELU:
        return vf_pick_ge(vf_zero(), x, vf_neg(x), vf_zero());
    case KERN_ACT_RELU2:
        x = vf_pick_ge(vf_zero(), x, vf_neg(x), vf_zero());
        return vf_mul(x, x);
    case KERN_ACT_SIGMOID:
        return vf_or_nan(vf_gated(vf_set(1.0f), x), x);
    case KERN_ACT_SOFTPLUS:
        return vf_softplus(x);
    case KERN_ACT_TANH:
        return vf_tanh(x);
    case KERN_ACT_OAI:
        x = vf_below(x, limit);
        return vf_gated(x, vf_mul(x, vf_set(1.702f)));
    case KERN_ACT_CLAMP_IN:
        return vf_silu(vf_below(x, limit));
    case KERN_ACT_CLAMP_OUT:
        return vf_below(vf_silu(x), limit);
    default:
        return vf_silu(x);
    }
}

#endif
