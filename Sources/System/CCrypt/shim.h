#pragma once
#include <crypt.h>
/* A structure of 32 KiB, which Swift would see as so many values; crypt_rn(3) takes it as memory of this size. */
static inline int ccrypt_data_size(void) { return (int)sizeof(struct crypt_data); }
