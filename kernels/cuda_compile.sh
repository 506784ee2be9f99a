#!/bin/sh
# cuda_compile.sh LOG COMMAND…: runs nvcc. What it says, with registers and spills of every kernel, goes to LOG, which a
# test reads; on a failure it is shown.
log=$1
shift
"$@" >"$log" 2>&1 && exit 0
status=$?
cat "$log" >&2
exit $status
