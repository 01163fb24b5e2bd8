#include "CWrap.h"
#include <syslog.h>
#include <tcpd.h>

/* libwrap refers to these two; every program that links it must define them. */
int allow_severity = LOG_MAIL | LOG_INFO;
int deny_severity = LOG_MAIL | LOG_WARNING;

/* Of libwrap, for tcpdmatch(8): options of rules are read and not carried out. A twist clears it. */
extern int dry_run;
/* Not 0: the process goes on after a check. */
extern int resident;

int cwrap_check(const char *daemon, const char *client_name, const char *client_address, const char *client_user) {
    resident = 1;
    dry_run = 1;
    int is_granted = hosts_ctl((char *)daemon, (char *)(client_name ? client_name : "unknown"), (char *)client_address,
                               (char *)(client_user ? client_user : "unknown"));
    return is_granted && dry_run != 0;
}

void cwrap_set_tables(const char *allow, const char *deny) {
    hosts_allow_table = (char *)allow;
    hosts_deny_table = (char *)deny;
}
