/* schema_format.c - "format" as a set of strings. */
#include "text/gram/schema_part.h"

int schema_format(struct schema *s, uint32_t node, rx_id *out)
{
    *out = 0;
    return schema_fail(s, E_UNSUPPORTED, node, "format", "not yet");
}
