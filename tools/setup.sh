# shellcheck shell=sh disable=SC2034
# setup.sh - what ./run, ./test and .ci/run share: installing what is missing, and the build.
#
# Sourced, with the top of the tree as current directory. Only install_missing() ever needs root, and only when a package
# is missing: then one apt run as root or by sudo. Everything else works as whoever calls.
# An entry "a|b" is satisfied by either package; b is what gets installed. "command:c|p" is also satisfied by any c in PATH.

# gcc does not bring libc6-dev without recommended packages.
BUILD_PACKAGES='gcc libc6-dev meson ninja-build pkgconf|pkg-config libsystemd-dev libyaml-dev libjansson-dev zlib1g-dev libcurl4-openssl-dev|libcurl4-gnutls-dev libedit-dev libmicrohttpd-dev nettle-dev libcrypt-dev'
TEST_PACKAGES='command:c++|g++ libcmocka-dev python3 python3-pytest python3-pytest-xdist python3-pyte python3-yaml shellcheck strace tmux bash zsh fish gunicorn command:node|nodejs systemd debootstrap build-essential debhelper mandoc prometheus python3-prometheus-client openapi-specification python3-jsonschema command:nginx|nginx-light openssl command:curl|curl chromium chromium-driver python3-selenium'
# CLANG_RUNTIME stands for the sanitizer and fuzzer runtime, whose name carries clang's version.
CI_PACKAGES='clang CLANG_RUNTIME'

# Exit statuses of all three commands.
EXIT_FAILED=1
EXIT_USAGE=2
EXIT_PACKAGES=3

BUILD=${RELOADER_BUILD:-build}

# How many tests run at a time: they wait more than they compute.
TEST_JOBS=${TEST_JOBS:-$(($(nproc) * 2))}

say() {
    printf '%s\n' "$*"
}

complain() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

is_installed() {
    dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

is_satisfied() {
    case $1 in
    command:*)
        satisfied_command=${1#command:}
        command -v "${satisfied_command%%|*}" >/dev/null 2>&1 || is_installed "${1##*|}"
        ;;
    *'|'*) is_installed "${1%%|*}" || is_installed "${1##*|}" ;;
    CLANG_RUNTIME) is_clang_runtime_installed ;;
    *) is_installed "$1" ;;
    esac
}

is_clang_runtime_installed() {
    clang_version=$(dpkg-query -W -f '${Version}' clang 2>/dev/null) || return 1
    is_installed "$(clang_runtime_of "$clang_version")"
}

# From clang's package version, 1:14.0-55.7, to the name of its runtime's package.
clang_runtime_of() {
    clang_major=${1#*:}
    say "libclang-rt-${clang_major%%.*}-dev"
}

# missing_packages ENTRY... prints the names of what is to be installed.
missing_packages() {
    for entry in "$@"; do
        is_satisfied "$entry" || printf '%s ' "${entry##*|}"
    done
}

# What runs as root, in one go. A package that brings a server would start it: a policy-rc.d forbids that meanwhile
# (unless the machine has a policy of its own, which is then the administrator's word).
# shellcheck disable=SC2016
INSTALL_SCRIPT='
set -e
policy=/usr/sbin/policy-rc.d
mark="# by the set-up of reloader, for the moment"
trap "exit 130" INT TERM HUP
if ! [ -e "$policy" ] && ! [ -L "$policy" ] || grep -qsx "$mark" "$policy"; then
    trap "rm -f $policy" EXIT
    printf "#!/bin/sh\n%s\nexit 101\n" "$mark" >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
apt-get -qq -o DPkg::Lock::Timeout=300 update || echo "apt-get update failed; trying with the lists that are there" >&2
packages=
for package in "$@"; do
    if [ "$package" = CLANG_RUNTIME ]; then
        version=$(apt-cache show --no-all-versions clang | sed -n "s/^Version: \([0-9]*:\)\?\([0-9]*\).*/\2/p" | head -n 1)
        package=libclang-rt-$version-dev
    fi
    packages="$packages $package"
done
# shellcheck disable=SC2086
apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
    -o Dpkg::Options::=--force-confold install $packages
'

# install_missing ENTRY... returns when all are there; else exits with EXIT_PACKAGES.
install_missing() {
    if ! command -v dpkg-query >/dev/null 2>&1; then
        check_foreign_system
        return 0
    fi
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" = 0 ]; then
        become_root=
    elif command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        become_root=sudo
    else
        complain "these packages are missing, and installing them needs root or sudo:"
        say "    apt-get install --no-install-recommends $missing" >&2
        exit "$EXIT_PACKAGES"
    fi
    say "installing $missing"
    install_log=$(mktemp "${TMPDIR:-/tmp}/reloader-install.XXXXXX")
    # shellcheck disable=SC2086
    if ! $become_root sh -c "$INSTALL_SCRIPT" sh $missing </dev/null >"$install_log" 2>&1; then
        tail -n 30 "$install_log" >&2
        rm -f "$install_log"
        complain "could not install these packages:"
        say "    $missing" >&2
        exit "$EXIT_PACKAGES"
    fi
    rm -f "$install_log"
}

# Not Debian or Ubuntu: nothing is installed, but what is there may do.
check_foreign_system() {
    foreign_missing=
    for tool in cc meson ninja pkg-config; do
        command -v "$tool" >/dev/null 2>&1 || foreign_missing="$foreign_missing $tool"
    done
    for library in libsystemd yaml-0.1 jansson; do
        pkg-config --exists "$library" 2>/dev/null || foreign_missing="$foreign_missing $library"
    done
    [ -z "$foreign_missing" ] && return 0
    complain "this is neither Debian nor Ubuntu; install these yourself:$foreign_missing"
    exit "$EXIT_PACKAGES"
}

# run_unit_tests DIR: of what is built in DIR. They, too, wait more than they compute.
run_unit_tests() {
    meson test -C "$1" --no-rebuild --quiet --print-errorlogs --num-processes "$((TEST_JOBS > 0 ? TEST_JOBS : 1))"
}

# run_pytest DIR PYTEST-ARGUMENT...: tests of what is built in DIR; several at a time where pytest-xdist is there.
run_pytest() {
    tested_directory=$1
    shift
    /usr/bin/python3 -c 'import xdist' 2>/dev/null && set -- -n "$TEST_JOBS" "$@"
    RELOADER_BUILD=$tested_directory /usr/bin/python3 -B -m pytest -p no:cacheprovider -q -rfE --tb=short "$@"
}

# build DIR [MESON-OPTION...]: configures where needed and compiles; quiet unless it fails.
build() {
    build_directory=$1
    shift
    build_log=$(mktemp "${TMPDIR:-/tmp}/reloader-build.XXXXXX")
    if build_steps "$@" >"$build_log" 2>&1; then
        rm -f "$build_log"
        return 0
    fi
    tail -n 60 "$build_log" >&2
    complain "the build in $build_directory/ failed; the whole log is $build_log"
    return "$EXIT_FAILED"
}

build_steps() {
    if [ ! -f "$build_directory/build.ninja" ]; then
        meson setup "$build_directory" "$@" || return
    elif [ $# -gt 0 ]; then
        meson configure "$build_directory" "$@" || return
    fi
    ninja -C "$build_directory"
}
