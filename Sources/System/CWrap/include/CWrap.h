#pragma once
/* TCP wrappers (hosts_access(3)). The library keeps global state: call from one serial thread only. */

/* 1: access granted, 0: denied. NULL name or user mean "unknown". */
int cwrap_check(const char *daemon, const char *client_name, const char *client_address, const char *client_user);

/* Paths of the tables to consult instead of /etc/hosts.allow and /etc/hosts.deny; the strings must stay valid. */
void cwrap_set_tables(const char *allow, const char *deny);
