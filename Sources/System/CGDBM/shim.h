#pragma once
#include <gdbm.h>
/* gdbm_errno is a macro around a function; Swift cannot see it. */
static inline int cgdbm_errno(void) { return gdbm_errno; }
