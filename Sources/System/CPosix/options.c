#define _GNU_SOURCE
#include "CPosix.h"
#include <getopt.h>
#include <string.h>

enum { LONG_LIMIT = 64 };

struct cposix_option cposix_getopt(int argc, char *const *argv, const char *letters, const char *const *names,
                                   const int *takes_value, int count, int restart) {
    struct option longs[LONG_LIMIT + 1];
    memset(longs, 0, sizeof longs);
    if (count > LONG_LIMIT) count = LONG_LIMIT;
    for (int i = 0; i < count; i++) {
        longs[i].name = names[i];
        longs[i].has_arg = takes_value[i] ? required_argument : no_argument;
        longs[i].val = 1000 + i;
    }
    if (restart) optind = 0;
    opterr = 0;
    optarg = NULL;
    struct cposix_option result;
    result.code = getopt_long(argc, argv, letters, longs, NULL);
    result.unknown = optopt;
    result.next = optind;
    result.value = optarg;
    return result;
}
