#!/bin/sh
# keep.sh FOLDER SENDER RECIPIENT...: keeps the text on stdin in FOLDER/NAME.text, its envelope in FOLDER/NAME.envelope,
# a line for each address. SENDER may be a dash: it then stands in the environment. 75: the server has to try again.
folder=$1
shift
[ "$1" != - ] || { shift; set -- "$SENDER" "$@"; }
name=$(mktemp "$folder/XXXXXXXXXX") || exit 75
cat >"$name.text" && printf '%s\n' "$@" >"$name" && mv "$name" "$name.envelope" || exit 75
