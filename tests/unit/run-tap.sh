#!/bin/bash
# run-tap.sh PROGRAM - runs a cmocka program and mends what it reports: a test that it skips is "not ok" there, which meson
# takes for a failure, and there is no place for the reason, which our tests print ("skipped: …") in the line before.
set -o pipefail
"$@" | awk '
    /^(# )?skipped: / { reason = $0; sub(/^(# )?skipped: /, "", reason) }
    /^not ok [0-9]+ # SKIP / { print "ok " $3 " - " $6 " # SKIP " reason; next }
    { print }'
