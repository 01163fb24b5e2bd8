#!/bin/sh
# Content filter to begin with, in POSIX shell: refuses a sender, holds a subject, marks the rest.
# `PARAM contentfilter /usr/local/libexec/zmailer/contentfilters/example.sh`, after you have changed the rules to yours.
#
# Started once, it is given message after message: `#hungry` asks for the path of a message file; a line that begins with a
# number answers (below 0 refuse, 0 accept, above 0 freeze). Standard error goes to a log.
LC_ALL=C && export LC_ALL
while echo '#hungry' && IFS= read -r path; do
    [ -r "$path" ] || continue # No result is better than a wrong one: smtpserver then does what its contentfilter-failure says.
    # The envelope: lines NAME VALUE up to env-end. It is read by the shell, the content (which may hold any octet) by sed.
    sender= recipients=0
    while IFS=' ' read -r name value; do
        case $name in
            env-end) break ;;
            from) sender=$value ;;
            to) recipients=$((recipients + 1)) ;;
        esac
    done <"$path"
    # The header: from behind env-end to the first empty line; lines end in CR LF.
    subject=$(sed -n -e '1,/^env-end$/d' -e '/^.\{0,1\}$/q' -e 's/^[Ss][Uu][Bb][Jj][Ee][Cc][Tt]: *//p' <"$path" | tr -cd ' -~' \
        | cut -c 1-200)
    case $sender in
        *@spammer.example) echo '-1 550 5.7.1 we want no mail from there'; continue ;;
    esac
    case $subject in
        *'make money fast'*) echo '1 250 2.7.1 held until somebody has looked at it'; continue ;;
    esac
    echo "+header X-Filtered: example.sh, $recipients recipients"
    echo '0 250 2.6.0 fine'
done
