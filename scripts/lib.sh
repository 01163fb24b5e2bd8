# shellcheck shell=bash
# What the scripts share: where things are, Debian packages, the Swift toolchain. Sourced, never run.

set -euo pipefail

# shellcheck disable=SC2034  # used by the scripts that source this file
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Exit codes of sysexits.h.
readonly EX_USAGE=64 EX_UNAVAILABLE=69

# What the build links and needs, by Debian 12's names. The second line is what the official toolchain asks for.
# shellcheck disable=SC2034
readonly build_packages=(
    libssl-dev libcrypt-dev libgdbm-dev libpam0g-dev libunbound-dev libwrap0-dev pkg-config
    binutils ca-certificates gcc git libc6-dev libcurl4-openssl-dev libedit-dev libncurses-dev libpython3-dev
    libsqlite3-dev libstdc++-12-dev libxml2-dev tzdata
)
# Real peers of the end-to-end tests (swaks with what it needs for TLS and SASL), the libraries of Debian's Postfix, Exim, HAProxy,
# oidentd, rspamd and clamd, which are unpacked and never installed (scripts/peers), python3 for our content filters, procmail as a
# program of sm, and ip(8) and ss(8) for networks of their own.
# shellcheck disable=SC2034
readonly peer_packages=(
    swaks libnet-ssleay-perl libauthen-sasl-perl curl msmtp openssl netbase iproute2
    libdb5.3 libicu72 libnsl2 libsasl2-2 libsasl2-modules libpcre2-8-0 libevent-2.1-7 libgnutls30 libidn2-0
    libcrypt1 libmnl0 libsystemd0
    python3 libglib2.0-0 libsodium23 libsqlite3-0 libunwind8 libjson-c5 libxml2 libbz2-1.0 libncurses6
    libbsd0 libldap-2.5-0 libunbound8
    procmail liblockfile-bin strace libncursesw6 libgssapi-krb5-2
)

say() { printf '==> %s\n' "$*" >&2; }
fail() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }
usage_error() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit "$EX_USAGE"; }

missing_packages() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s\n' "$package"
    done
}

# ensure_packages NAME…: installs what is missing as root; otherwise prints the one command to run and exits 69.
ensure_packages() {
    command -v dpkg-query >/dev/null || fail "this is not a Debian system; needed are the equivalents of: $*"
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        printf 'Some Debian packages are missing. As root, run:\n\n    apt-get update && apt-get install -y --no-install-recommends %s\n\n' \
            "${missing[*]}" >&2
        exit "$EX_UNAVAILABLE"
    fi
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    mapfile -t missing < <(missing_packages "${missing[@]}")
    [ ${#missing[@]} -eq 0 ] || fail "apt-get did not install: ${missing[*]}"
}

cache_directory() { printf '%s\n' "${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/$1"; }

# --- Swift

# The version that is fetched by --install-swift; the oldest one that builds us is the tools version of Package.swift.
readonly swift_release=6.3.1
# "Swift 6.x Release Signing Key", as the official images pin it.
readonly swift_signing_key=52BB7E3DE28A71BE22EC05FFEF80A866B47A981F
swift_toolchain_directory() { cache_directory "zmailer-swift/$swift_release"; }
swift_minimum() { sed -n '1s/^.*swift-tools-version: *\([0-9.]*\).*$/\1/p' "$root/Package.swift"; }

# swift_is_new_enough PROGRAM
swift_is_new_enough() {
    local version
    version=$("$1" --version 2>/dev/null | sed -n 's/^.*Swift version \([0-9][0-9.]*\).*$/\1/p' | head -n 1) || return 1
    [ -n "$version" ] && [ "$(printf '%s\n' "$(swift_minimum)" "$version" | sort -V | head -n 1)" = "$(swift_minimum)" ]
}

find_swift() {
    local candidate
    for candidate in "$(command -v swift || true)" "$(swift_toolchain_directory)/usr/bin/swift" \
        "${HOME:-/root}/.local/share/swiftly/bin/swift" /opt/swift/usr/bin/swift /opt/swift/*/usr/bin/swift; do
        if [ -x "$candidate" ] && swift_is_new_enough "$candidate"; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

swift_archive_url() {
    local suffix
    case $(dpkg --print-architecture) in
        amd64) suffix= ;;
        arm64) suffix=-aarch64 ;;
        *) fail "swift.org has no Debian 12 toolchain for $(dpkg --print-architecture)" ;;
    esac
    printf 'https://download.swift.org/swift-%s-release/debian12%s/swift-%s-RELEASE/swift-%s-RELEASE-debian12%s.tar.gz\n' \
        "$swift_release" "$suffix" "$swift_release" "$swift_release" "$suffix"
}

# Downloads the official toolchain, checks its signature against the pinned key and unpacks it into the cache folder.
# Needs the way to download.swift.org and swift.org. Nothing is unpacked, let alone run, before gpg has said yes to
# that one key.
install_swift() {
    local url directory work
    ensure_packages curl gpg ca-certificates tar
    url=$(swift_archive_url)
    directory=$(swift_toolchain_directory)
    mkdir -p "$(dirname "$directory")"
    work=$(mktemp -d "$(dirname "$directory")/fetch.XXXXXX")
    # shellcheck disable=SC2064  # the value of now is meant
    trap "rm -rf '$work'" EXIT
    say "fetching $url"
    curl -fSL --retry 3 --progress-bar -o "$work/swift.tar.gz" "$url" || fail "cannot fetch $url"
    curl -fsSL --retry 3 -o "$work/swift.tar.gz.sig" "$url.sig" || fail "cannot fetch $url.sig"
    curl -fsSL --retry 3 --compressed -o "$work/keys.asc" https://www.swift.org/keys/all-keys.asc \
        || fail "cannot fetch the signing keys of swift.org"
    mkdir -m 700 "$work/gnupg"
    gpg --homedir "$work/gnupg" --batch --quiet --import "$work/keys.asc" 2>/dev/null || true
    gpg --homedir "$work/gnupg" --batch --status-fd 3 --verify "$work/swift.tar.gz.sig" "$work/swift.tar.gz" \
        3>"$work/status" 2>"$work/gpg.log" || { cat "$work/gpg.log" >&2; fail "the toolchain's signature is not good"; }
    # VALIDSIG ends with the fingerprint of the primary key: any other key of the ring is not good enough.
    grep -q "^\[GNUPG:\] VALIDSIG .*$swift_signing_key\$" "$work/status" \
        || fail "the toolchain is not signed by $swift_signing_key"
    mkdir "$work/toolchain"
    tar -xzf "$work/swift.tar.gz" -C "$work/toolchain" --strip-components=1
    rm -rf "$directory"
    mv "$work/toolchain" "$directory"
    rm -rf "$work"
    trap - EXIT
    say "Swift $swift_release is in $directory"
}

# ensure_swift INSTALL: puts a Swift that is new enough first on PATH; INSTALL=yes may fetch it.
ensure_swift() {
    local swift
    if ! swift=$(find_swift); then
        if [ "${1:-no}" != yes ]; then
            cat >&2 <<END
No Swift >= $(swift_minimum) was found (looked for swift on PATH, swiftly's, and under /opt/swift). Either

  - run this script again with --install-swift: it fetches the official toolchain $swift_release for Debian 12
    (about 1 GB) into $(swift_toolchain_directory) and checks its signature, or
  - follow https://www.swift.org/install/linux/ and put its swift on the PATH.
END
            exit "$EX_UNAVAILABLE"
        fi
        install_swift
        swift=$(find_swift) || fail "the toolchain in $(swift_toolchain_directory) does not run"
    fi
    PATH=$(dirname "$swift"):$PATH
    export PATH
}
