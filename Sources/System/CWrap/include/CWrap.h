#pragma once
/* TCP wrappers (hosts_access(3)). The library keeps global state: call from one serial thread only. */

/* 1: access granted, 0: denied. NULL name or user mean "unknown". No option of a rule (hosts_options(5)) changes this process
 * or starts another: spawn, user, nice, setenv, ... are passed over, and who is to be given to another program (twist), which
 * would take the place of this process, is denied. */
int cwrap_check(const char *daemon, const char *client_name, const char *client_address, const char *client_user);

/* Paths of the tables to consult instead of /etc/hosts.allow and /etc/hosts.deny; the strings must stay valid. */
void cwrap_set_tables(const char *allow, const char *deny);
