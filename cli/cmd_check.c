/* cmd_check.c - gtrace check FILE: is this a possible execution? */
#include "cli/cli.h"
#include "format/reading/trace.h"
#include "format/reading/validate.h"

#include <argp.h>
#include <inttypes.h>
#include <stdio.h>
