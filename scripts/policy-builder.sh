#!/bin/sh
# policy-builder.sh [-n] [-d dbdir] [-f dbfile] [-Z zmailer.conf]: the policy database from its sources.
#
# Merges <dbfile>.src, localnames and <dbfile>.{relay,mx,spam}[.manual] of dbdir into <dbfile>.dat, compiles that, and puts the
# new database in the place of the one in use only if everything was right. Running daemons notice it by themselves.
#
#   -n  taken, and without effect (it used to mean: do not fetch spam lists)
#   -d  folder of the files, $MAILVAR/db if not given
#   -f  base name, smtp-policy if not given
#   -Z  zmailer.conf; $ZCONFIG, or /etc/zmailer/zmailer.conf, if not given
#
# Ends with 0, 2 (command line), 64 (no <dbfile>.src), 66 (a file cannot be read), 69 (no makedb), 73 (dbdir cannot be written), 74 (the
# disk is full, or fails), 75 (another builder does not come to an end), 78 (zmailer.conf), or the code of makedb.
# docs/man/policy-builder.8 has more.
set -eu
LC_ALL=C
export LC_ALL
umask 022

complain() { printf 'policy-builder.sh: %s\n' "$*" >&2; }
# fail CODE TEXT…
fail() {
    code=$1
    shift
    complain "$*: nothing has changed, the database in use stays"
    exit "$code"
}
usage() {
    echo 'usage: policy-builder.sh [-n] [-d dbdir] [-f dbfile] [-Z zmailer.conf]' >&2
    exit 2
}

dbdir=
dbfile=smtp-policy
conf=${ZCONFIG:-/etc/zmailer/zmailer.conf}
while getopts nd:f:Z: option; do
    case $option in
        n) ;;
        d) dbdir=$OPTARG ;;
        f) dbfile=$OPTARG ;;
        Z) conf=$OPTARG ;;
        *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ $# -eq 0 ] || usage
case $dbfile in
    '' | -* | *[!A-Za-z0-9._-]*)
        complain "-f '$dbfile': must be the name of a file in dbdir, of letters, digits, '.', '_' and '-'"
        exit 2
        ;;
esac

case $conf in /*) ;; *) conf=./$conf ;; esac
if [ ! -r "$conf" ]; then
    complain "$conf: cannot be read (give another with -Z)"
    exit 78
fi
MAILBIN=/usr/libexec/zmailer MAILVAR=/var/lib/zmailer DBTYPE=gdbm
# shellcheck source=/dev/null
. "$conf"
: "${dbdir:=$MAILVAR/db}"

# What ZMailer has and we have not is built as gdbm; makedb says so.
case $DBTYPE in
    [Tt][Ee][Xx][Tt]) suffix= ;;
    *) suffix=.gdbm ;;
esac

case $dbdir in /*) ;; *) dbdir=./$dbdir ;; esac
cd "$dbdir" 2>/dev/null || fail 66 "$dbdir: is no folder that can be entered"
[ -x "$MAILBIN/makedb" ] || fail 69 "$MAILBIN/makedb: cannot be run (MAILBIN of $conf says where it is)"
case ${POLICY_BUILDER_WAIT:=600} in
    *[!0-9]*) fail 2 "POLICY_BUILDER_WAIT '$POLICY_BUILDER_WAIT': must be a number of seconds" ;;
esac
if [ ! -f "$dbfile.src" ]; then
    complain "$dbdir/$dbfile.src is not there: nothing to build from (a sample is in share/zmailer/db)"
    exit 64
fi

# The later one of two builders waits: it has newer files. The lock ends with the process, however that ends.
lock=.$dbfile.lock
# Whoever may write the folder may build, also where another user has made these files.
[ -e "$lock" ] || true 2>/dev/null >"$lock" || fail 73 "$dbdir/$lock: cannot be made ($(id -un) must own the folder)"
[ -w . ] || fail 73 "$dbdir: $(id -un) may not write in this folder"
exec 9<"$lock"
flock -w "$POLICY_BUILDER_WAIT" 9 || fail 75 "$dbdir/$lock: another builder is at work"

work=$(mktemp -d "${TMPDIR:-/tmp}/policy-builder.XXXXXX") || fail 73 "no folder for temporary files (TMPDIR)"
trap 'rm -rf "$work"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Reads the files of one kind. Comments and blanks around go; a line with nothing on it stays an empty line, so that line numbers
# stay what they are.
# shellcheck disable=SC2016  # awk's, not the shell's
merge='
function plain(line,   i, n, c, before, quoted) {
    sub(/\r$/, "", line)
    if (index(line, "#")) {
        n = length(line); before = " "; quoted = 0
        for (i = 1; i <= n; i++) {
            c = substr(line, i, 1)
            if (c == "#" && !quoted && (before == " " || before == "\t")) { line = substr(line, 1, i - 1); break }
            if (c == "\"" && before != "\\") quoted = !quoted
            before = c
        }
    }
    sub(/^[ \t\r]+/, "", line)
    sub(/[ \t\r]+$/, "", line)
    return line
}
FNR == 1 { sub(/^\357\273\277/, "") }
FNR == 1 && kind != "spam" { printf "#@line 1 \"%s\"\n", FILENAME }
kind == "source" {
    if ($0 !~ /^[ \t\r#]/ && $0 != "") entries[FILENAME]++
    print
    next
}
{
    line = plain($0)
    if (kind == "spam") {
        sub(/^@/, "", line)
        if (line == "") next
        entries[FILENAME]++
        gsub(/\t/, " ", line)
        printf "%s %s\t#@%s:%d\n", tolower(line), (line ~ /^\[/ ? "rejectnet +" : "= _bulk_mail"), FILENAME, FNR
        next
    }
    if (line == "") { print ""; next }
    entries[FILENAME]++
    words = split(line, word, /[ \t\r]+/)
    if (kind == "localnames") line = word[1] " = _localnames"
    if (kind == "relay") line = line (words == 2 && word[2] == "submit" ? " +" : "") " = _full_rights"
    if (kind == "mx") line = line " = _relaytarget"
    print line
}
END { for (i = 1; i < ARGC; i++) printf "%9d  %s\n", entries[ARGV[i]], ARGV[i] >>counts }
'
# The names of a kind that are there. One that is there and cannot be read must not be passed over: with it rights or refusals would go.
present() {
    for name; do
        if [ -f "$name" ] && [ -r "$name" ]; then
            printf '%s\n' "$name"
        elif [ -e "$name" ] || [ -L "$name" ]; then
            fail 66 "$dbdir/$name: $(id -un) cannot read it, or it is no file, or a link to nothing"
        fi
    done
}

# add KIND FILE…: those of the files that are there
add() {
    kind=$1
    shift
    files=$(present "$@") || exit
    [ -n "$files" ] || return 0
    # shellcheck disable=SC2086  # a list of names without blanks
    awk -v kind="$kind" -v counts="$work/counts" "$merge" $files
}

{
    rm -f "$dbfile.dat" &&
        {
            add source "$dbfile.src" &&
                add localnames localnames &&
                add relay "$dbfile.relay.manual" "$dbfile.relay" &&
                add mx "$dbfile.mx.manual" "$dbfile.mx"
        } >"$dbfile.dat" &&
        add spam "$dbfile.spam" "$dbfile.spam.manual" >"$work/lines" &&
        # Of equal lines the first one tells where it stands.
        sort -t '	' -k 1,1 -u <"$work/lines" >"$work/spam" &&
        cat "$work/spam" >>"$dbfile.dat"
} || fail 74 "$dbdir/$dbfile.dat could not be written"

echo "merged in $dbdir:"
cat "$work/counts"

result=0
"$MAILBIN/makedb" -A -p "$DBTYPE" "$dbfile-new" "$dbfile.dat" || result=$?
if [ "$result" -ne 0 ]; then
    rm -f "$dbfile-new.gdbm"
    fail "$result" "makedb ended with $result"
fi
if [ -z "$suffix" ]; then
    echo "DBTYPE=$DBTYPE: the sources are right; the policy service reads them itself"
    exit 0
fi
mv -f "$dbfile-new$suffix" "$dbfile$suffix" || fail 74 "$dbdir/$dbfile$suffix could not be put in place"
# The contents are on the disk already; now the name.
sync . 2>/dev/null || sync
echo "$dbdir/$dbfile$suffix is in use"
