#!/bin/sh
# storm.sh MODE [WORD...] - a worker of the reload storm: cheap to start, so that there can be thousands of them.
#
#   leave      ready; told graceful_shutdown (or anything else), it leaves
#   closed     likewise, but says fully_closed and waits for its signal
#   linger     likewise, but leaves a little later
#   stubborn   ready; takes no notice of messages and of SIGTERM
#   child      ready; leaves a child behind in its group
#   exit       leaves at once with 3
#   die        ready, and leaves a moment later with 7
#   third      as leave, but in the third slot it leaves at once with 5
#   hang       never ready
# The end of its channel ends it whatever it does. A shell knows one digit for a descriptor: no more than six sockets.
channel=$RELOADER_CHANNEL_FD

say() {
    echo "\"$1\"" >&"$channel"
}

hear() {
    read -r _ <&"$channel"
}

case $1 in
leave) say ready; hear ;;
closed) say ready; hear && say fully_closed && hear ;;
linger) say ready; hear; exec sleep 0.15 ;;
stubborn) trap '' TERM; say ready; while hear; do :; done ;;
child) sleep 1000 & say ready; hear ;;
exit) exit 3 ;;
die) say ready; sleep 0.1; exit 7 ;;
third) [ "$RELOADER_SLOT" != 2 ] || exit 5; say ready; hear ;;
hang) hear ;;
esac
exit 0
