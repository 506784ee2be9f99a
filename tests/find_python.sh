#!/bin/sh
# Prints a Python 3 that has all modules named; 1 and a line on stderr where there is none. Tests then skip:
#   python=$(sh tests/find_python.sh numpy h5py) || exit 77
# Looks at NIGHTSHIFT_PYTHON, the environment that bootstrap.sh makes, and what is installed.
here=$(cd "$(dirname "$0")/.." && pwd)
imports=
for module in "$@"; do imports="${imports}import $module;"; done
for python in "${NIGHTSHIFT_PYTHON:-}" "$here/build/peers-venv/bin/python" python3 /usr/bin/python3; do
    [ -n "$python" ] || continue
    if "$python" -c "$imports" >/dev/null 2>&1; then
        command -v "$python"
        exit 0
    fi
done
echo "no Python 3 with $* found: install python3-numpy python3-h5py, run 'sh bootstrap.sh test' with PyPI in reach, or set NIGHTSHIFT_PYTHON" >&2
exit 1
