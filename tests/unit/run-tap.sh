#!/bin/bash
# run-tap.sh PROGRAM - runs a cmocka program and mends what it reports: a test that it skips is "not ok" there, which meson
# takes for a failure, and there is no place for the reason, which our tests print ("skipped: …") in the line before.
# RELOADER_WRAPPER goes in front of it (valgrind).
set -o pipefail
# shellcheck disable=SC2086
${RELOADER_WRAPPER-} "$@" | awk '
    /^(# )?skipped: / { reason = $0; sub(/^(# )?skipped: /, "", reason) }
    /^not ok [0-9]+ # SKIP / { print "ok " $3 " - " $6 ": " reason " # SKIP " reason; next }
    { print }'
