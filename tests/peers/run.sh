#!/bin/sh
# sh run.sh "MODULE …" SCRIPT.py WORDS…   runs a script with a Python that has the modules; 77 and a line where there is none.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck disable=SC2086
python=$(sh "$here/../find_python.sh" $1) || exit 77
shift
exec "$python" "$@"
