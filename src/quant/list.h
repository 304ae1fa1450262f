/* list.h - the rows of the format table, one per format; list.c puts them in order. */
#ifndef HEARTH_QUANT_LIST_H
#define HEARTH_QUANT_LIST_H

#include "quant/quant.h"

extern const struct quant quant_f32, quant_f16, quant_bf16;
extern const struct quant quant_q4_0, quant_q4_1, quant_q5_0, quant_q5_1, quant_q8_0;
extern const struct quant quant_q2_k, quant_q3_k, quant_q4_k, quant_q5_k, quant_q6_k;
extern const struct quant quant_iq1_s, quant_iq1_m, quant_iq2_xxs, quant_iq2_xs, quant_iq2_s;
extern const struct quant quant_iq3_xxs, quant_iq3_s, quant_iq4_nl, quant_iq4_xs;
extern const struct quant quant_tq1_0, quant_tq2_0, quant_mxfp4, quant_nvfp4;
extern const struct quant quant_q1_0, quant_q2_0;

#endif
