#include "base/num.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* So many digits of a decimal number, 6 or 15, are never lost in the type: what has no more is
 * found at once, since %g leaves zeros at the end out. Only next to 0, where numbers have fewer
 * bits, digits are lost. With 9 or 17 every number is there. */
int num_float(char out[NUM_TEXT], float x)
{
    int len = 0;

    for (int digits = fabsf(x) < FLT_MIN ? 1 : 6; digits <= 9; digits++) {
        len = snprintf(out, NUM_TEXT, "%.*g", digits, (double)x);
        if (strtof(out, NULL) == x)
            break;
    }
    return len;
}

int num_double(char out[NUM_TEXT], double x)
{
    int len = 0;

    for (int digits = fabs(x) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
        len = snprintf(out, NUM_TEXT, "%.*g", digits, x);
        if (strtod(out, NULL) == x)
            break;
    }
    return len;
}

double num_widen(float x)
{
    char text[NUM_TEXT];

    (void)num_float(text, x);
    return strtod(text, NULL);
}
