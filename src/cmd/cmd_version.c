#include "cmd/cmd.h"

int cmd_version(int argc, char **argv)
{
    static const struct opt_spec spec = {
        .usage = "hearth version",
        .about = "Prints the version of hearth.",
    };
    int status;

    if (cmd_options(&spec, argc, argv, NULL, 0, 0, &status) < 0)
        return status;
    (void)printf("hearth %s\n", hearth_version());
    return 0;
}
