#pragma once
#include <security/pam_appl.h>
/* PAM would sleep, for seconds, in the process that holds one of few places: whoever answers a client waits instead. */
static void cpam_delay_nothing(int result, unsigned microseconds, void *data) {
    (void)result;
    (void)microseconds;
    (void)data;
}
static inline int cpam_never_delay(pam_handle_t *handle) {
    return pam_set_item(handle, PAM_FAIL_DELAY, (const void *)cpam_delay_nothing);
}
