/* vexp.h - exp, 2^x and silu on vectors, over the names of vec_<tier>.h.
 *
 * exp(x) = 2^n e^r with n = round(x / ln 2) and |r| <= ln 2 / 2; e^r is a polynomial of degree
 * 6 whose error is below 2 units in the last place over the range (tests/kern checks 4e-7
 * relative). exp(0) is 1 exactly; below -87 the result is 0, above 88 it stays at exp(88).
 */
#ifndef HEARTH_KERN_X86_VEXP_H
#define HEARTH_KERN_X86_VEXP_H

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

#endif
