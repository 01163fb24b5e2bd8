#!/usr/bin/env bash
# peer-postfix.sh prepare|start|stop|flush|qcount|version|log: Debian's Postfix, unpacked by scripts/peers, as the other
# peer of the comparison. Same contract and same task as peer.sh; Postfix's defaults but for what the task needs.
set -eu
prefix=${ZMAILER_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/zmailer-peers}/postfix
port=${BENCH_PORT:-2525}
sink=${BENCH_SINK_PORT:-2626}
spool=${BENCH_SPOOL:-/var/tmp/zmailer-bench-postfix}
connections=${BENCH_MAXCONN:-100}
profile=${BENCH_PROFILE:-default}
users=${BENCH_USERS:-50}
export LD_LIBRARY_PATH=$prefix/usr/lib/postfix
conf=$spool/etc
queue=$spool/queue

account() { getent passwd "$1" >/dev/null || useradd --system --no-create-home --shell /usr/sbin/nologin --user-group "$1"; }

service() { # name type private unpriv chroot wakeup maxproc command
    printf '%s\n' "$*" >>"$conf/master.cf"
}

prepare() {
    account postfix
    account vmail
    getent group postdrop >/dev/null || groupadd --system postdrop
    rm -rf "$spool"
    mkdir -p "$conf" "$queue" "$spool/data" "$spool/maildir"
    for directory in active bounce corrupt defer deferred flush hold incoming private saved trace; do
        install -d -m 700 -o postfix "$queue/$directory"
    done
    install -d -m 730 -o postfix -g postdrop "$queue/maildrop"
    install -d -m 710 -o postfix -g postdrop "$queue/public"
    install -d -m 755 "$queue/pid"
    chown postfix "$spool/data"
    chmod 700 "$spool/data"
    chown vmail "$spool/maildir"
    chmod 755 "$spool" "$conf" "$queue"
    for i in $(seq 1 "$users"); do echo "u$i@local.test u$i/"; done >"$conf/users"
    cat >"$conf/main.cf" <<END
compatibility_level = 3.6
queue_directory = $queue
data_directory = $spool/data
daemon_directory = $prefix/usr/lib/postfix/sbin
command_directory = $prefix/usr/sbin
meta_directory = $conf
shlib_directory = $prefix/usr/lib/postfix
import_environment = MAIL_CONFIG TZ LANG=C LD_LIBRARY_PATH
export_environment = TZ MAIL_CONFIG LANG LD_LIBRARY_PATH
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.bench.test
mydestination =
mynetworks = 192.0.2.1/32
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
disable_dns_lookups = yes
smtpd_peername_lookup = no
alias_maps =
alias_database =
local_recipient_maps =
relay_domains = relay.test, fan.test
relay_transport = relay:[127.0.0.1]:$sink
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions =
virtual_mailbox_domains = local.test
virtual_mailbox_base = $spool/maildir
virtual_mailbox_maps = hash:$conf/users
virtual_uid_maps = static:$(id -u vmail)
virtual_gid_maps = static:$(id -g vmail)
virtual_minimum_uid = 1
virtual_mailbox_limit = 0
smtpd_client_connection_count_limit = 0
default_process_limit = $((connections > 100 ? connections + 50 : 100))
maillog_file = $spool/maillog
maillog_file_prefixes = $spool
smtp_tls_security_level = none
END
    if [ "$profile" = reject ]; then
        # Limits on errors in a session lifted, as ours has none.
        cat >>"$conf/main.cf" <<END
smtpd_soft_error_limit = 100000
smtpd_hard_error_limit = 100000
smtpd_junk_command_limit = 100000
END
    fi
    : >"$conf/master.cf"
    service "127.0.0.1:$port" inet n - n - - smtpd
    if [ -n "${BENCH_TLS_PORT:-}" ]; then
        service "127.0.0.1:$BENCH_TLS_PORT" inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
        cat >>"$conf/main.cf" <<END
smtpd_tls_security_level = may
smtpd_tls_cert_file = $BENCH_TLS_CERT
smtpd_tls_key_file = $BENCH_TLS_KEY
END
    fi
    service pickup unix n - n 60 1 pickup
    service cleanup unix n - n - 0 cleanup
    service qmgr unix n - n 300 1 qmgr
    service tlsmgr unix - - n '1000?' 1 tlsmgr
    service rewrite unix - - n - - trivial-rewrite
    for name in bounce defer trace; do service $name unix - - n - 0 bounce; done
    service verify unix - - n - 1 verify
    service flush unix n - n '1000?' 0 flush
    service proxymap unix - - n - - proxymap
    service proxywrite unix - - n - 1 proxymap
    for name in smtp relay; do service $name unix - - n - - smtp; done
    service showq unix n - n - - showq
    service error unix - - n - - error
    service retry unix - - n - - error
    service discard unix - - n - - discard
    service local unix - n n - - local
    service virtual unix - n n - - virtual
    service lmtp unix - - n - - lmtp
    service anvil unix - - n - 1 anvil
    service scache unix - - n - 1 scache
    service postlog unix-dgram n - n - 1 postlogd
    "$prefix/usr/sbin/postmap" -c "$conf" "hash:$conf/users"
}

case ${1:-} in
    prepare) prepare ;;
    start) setsid "$prefix/usr/lib/postfix/sbin/master" -c "$conf" </dev/null >"$spool/master.out" 2>&1 & ;;
    stop) if [ -s "$queue/pid/master.pid" ]; then kill "$(tr -d ' ' <"$queue/pid/master.pid")"; fi ;;
    flush) "$prefix/usr/sbin/postqueue" -c "$conf" -f ;;
    qcount) find "$queue/incoming" "$queue/active" "$queue/deferred" "$queue/maildrop" -type f 2>/dev/null | wc -l ;;
    version) "$prefix/usr/sbin/postconf" -c "$conf" -dh mail_version ;;
    log) echo "$spool/maillog" ;;
    *)
        echo "usage: $0 prepare|start|stop|flush|qcount|version|log" >&2
        exit 64
        ;;
esac
