#!/usr/bin/env bash
# peer.sh prepare|start|stop|flush|qcount|version|log: this system as one peer of a mail server benchmark.
#
# Environment: BENCH_PORT (listen on 127.0.0.1), BENCH_SINK_PORT (next hop on 127.0.0.1), BENCH_SPOOL (everything is
# below it), BENCH_MAXCONN (sessions to allow), BENCH_PROFILE (default, idle, reject), BENCH_USERS, ZMAILER_LAYOUT
# (programs as scripts/build makes them, default .build/layout). With BENCH_TLS_PORT, BENCH_TLS_CERT and BENCH_TLS_KEY (PEM
# files): STARTTLS, and TLS from the first octet on that port of 127.0.0.1. With BENCH_FILTER: that program is the content filter.
# With BENCH_HOSTS=N: mail for hI.fan.test (I from 1 to N) goes to that port of 127.0.0.I.
#
# Relays relay.test and *.fan.test to the sink, delivers u1..uN@local.test to $BENCH_SPOOL/maildir/uN/, refuses the rest.
# Durability is the default: message file and directory entry are synced before 250.
set -eu
root=$(cd "$(dirname "$(readlink -f "$0")")/../.." && pwd)
layout=${ZMAILER_LAYOUT:-$root/.build/layout}
port=${BENCH_PORT:-2525}
sink=${BENCH_SINK_PORT:-2626}
spool=${BENCH_SPOOL:-/var/tmp/zmailer-bench}
connections=${BENCH_MAXCONN:-100}
profile=${BENCH_PROFILE:-default}
users=${BENCH_USERS:-50}
conf=$spool/zmailer.conf
# Socket paths must stay under 108 bytes whatever BENCH_SPOOL is.
post=$spool/post

prepare() {
    rm -rf "$spool"
    mkdir -p "$spool/share" "$spool/var/db" "$spool/log" "$spool/maildir"
    cp -R "$layout/share/zmailer/proto/forms" "$spool/share/forms"
    cat >"$conf" <<END
ZCONFIG=$conf
MAILBIN=$layout/libexec/zmailer
MAILSHARE=$spool/share
MAILVAR=$spool/var
POSTOFFICE=$post
LOGDIR=$spool/log
HOSTNAME=mx.bench.test
TRUSTEDUSER=$(id -un)
ACCOUNTS=file:$spool/var/db/users
MAILBOX=maildir:$spool/maildir/%u
END
    for i in $(seq 1 "$users"); do echo "u$i"; done >"$spool/var/db/users"
    echo postmaster >>"$spool/var/db/users"
    echo local.test >"$spool/var/db/localnames"
    printf 'relay.test\n.fan.test\n' >"$spool/var/db/smtp-policy.mx"
    : >"$spool/var/db/smtp-policy.relay"
    # The first of the four default pairs: who is not listed is refused, and no name is looked up, as in the other peer.
    {
        echo '.             relaycustomer - relaytarget -'
        echo '[0.0.0.0]/0   relaycustomer - relaytarget -'
        echo '_localnames   rejectnet - relaycustnet - localdomain + relaytarget +'
        echo '_relaytarget  relaytarget +'
        echo '_full_rights  rejectnet - relaycustnet + relaytarget +'
        echo '_bulk_mail    rejectsource + rejectnet + relaytarget -'
    } >"$spool/var/db/smtp-policy.src"
    : >"$spool/var/db/aliases"
    printf 'relay.test smtpx![127.0.0.1]:%s\n.fan.test smtpx![127.0.0.1]:%s\n' "$sink" "$sink" >"$spool/var/db/routes"
    for i in $(seq 1 "${BENCH_HOSTS:-0}"); do echo "h$i.fan.test smtpx![127.0.0.$i]:$sink"; done >>"$spool/var/db/routes"
    limit=$((connections > 800 ? connections + 200 : 1000))
    cat >"$spool/share/smtpserver.conf" <<END
PARAM BindAddress [127.0.0.1]
PARAM BindPort $port
PARAM ListenQueueSize 4096
PARAM MaxSameIpSource $limit
PARAM MaxParallelConnections $limit
PARAM RcptLimitCount 10000
PARAM queue-recipients 10000000
PARAM policydb gdbm $spool/var/db/smtp-policy
END
    if [ -n "${BENCH_TLS_PORT:-}" ]; then
        cat >>"$spool/share/smtpserver.conf" <<END
PARAM BindSmtpS [127.0.0.1] $BENCH_TLS_PORT
PARAM use-tls
PARAM tls-cert-file $BENCH_TLS_CERT
PARAM tls-key-file $BENCH_TLS_KEY
END
    fi
    if [ -n "${BENCH_FILTER:-}" ]; then echo "PARAM contentfilter $BENCH_FILTER" >>"$spool/share/smtpserver.conf"; fi
    echo '* 999 ve' >>"$spool/share/smtpserver.conf"
    if [ "$profile" = reject ]; then :; fi # there is no limit on refused recipients in a session
    "$layout/bin/zmailer" newdb -Z "$conf" >/dev/null
    cat >"$spool/share/scheduler.conf" <<END
*/*
    interval=5m
    retries="1 1 2 3 5"
    expiry=3d
    maxta=200
    maxchannel=100
    maxring=100
    maxthr=20
local/*
    command="mailbox -c \$channel -j 16"
error/*
    command="errormail -c \$channel"
smtpx/*
    command="smtp -c \$channel -x -j 20"
smtp/*
    command="smtp -c \$channel -j 20"
END
}

case ${1:-} in
    prepare) prepare ;;
    start) setsid "$layout/bin/zmailer" start --foreground -Z "$conf" </dev/null >"$spool/log/supervisor" 2>&1 & ;;
    stop) "$layout/bin/zmailer" stop -Z "$conf" ;;
    flush) "$layout/bin/zmailer" flush -Z "$conf" ;;
    qcount) find "$post/router" "$post/queue" "$post/deferred" -type f 2>/dev/null | sed 's|.*/||' | sort -u | wc -l ;;
    version) "$layout/bin/zmailer" --version ;;
    log) echo "$spool/log/scheduler" ;;
    *)
        echo "usage: $0 prepare|start|stop|flush|qcount|version|log" >&2
        exit 64
        ;;
esac
