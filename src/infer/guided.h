/* guided.h - a guide of text/ as the engine asks for it. */
#ifndef HEARTH_INFER_GUIDED_H
#define HEARTH_INFER_GUIDED_H

#include "hearth.h"

struct guide;

/* The functions through which an engine asks g. */
struct hearth_guide guided_by(struct guide *g);

#endif
