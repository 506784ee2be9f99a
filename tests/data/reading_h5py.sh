#!/bin/sh
# reading_h5py.sh PROGRAM: has h5py write its files into a folder of their own, and PROGRAM read them; 77 without h5py.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=$(sh "$here/../find_python.sh" numpy h5py) || exit 77
folder=$(mktemp -d "${TMPDIR:-/tmp}/nightshift-h5py.XXXXXX")
trap 'rm -rf "$folder"' EXIT
"$python" "$here/h5py_zoo.py" "$folder"
"$1" "$folder"
