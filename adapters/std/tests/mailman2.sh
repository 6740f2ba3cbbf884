#!/bin/sh
# Notes how it was called and what it got, then does what the list's name says.
cd "$(dirname "$0")" || exit 1
echo "$# $*" >>calls
case $2 in
    exit_*) cat >/dev/null; exit "${2#exit_}" ;;
    signal) kill -TERM $$ ;;
    deaf) exit 67 ;;
    nothing) exit 0 ;;
    hang) sleep 30 & echo $! >pid; wait ;;
    slow) cat >/dev/null; sleep 0.4 ;;
    *) cat >"text.$1.$2" ;;
esac
