#!/bin/sh
# spills.sh FOLDER: the logs of nvcc in FOLDER (-Xptxas -v) name every kernel for sm_80 and sm_90, and none of them spills
# registers or keeps arrays in local memory. Prints what each takes.
set -eu
n=0 failed=0
for log in "$1"/*_cuda.o.log; do
    [ -e "$log" ] || { echo "spills.sh: there are no logs of nvcc in '$1'" >&2; exit 1; }
    awk -v file="$(basename "$log" .o.log)" '
        /Compiling entry function/ { split($0, part, "\047"); kernel = part[2]; target = part[4]; next }
        /bytes stack frame/ { stack = $1; stores = $5; loads = $9; next }
        /Used [0-9]+ registers/ {
            match($0, /Used [0-9]+/)
            printf "%-16s %-7s %-3s registers, %s bytes of stack, %s + %s spilled: %s\n", file, target, substr($0, RSTART + 5, RLENGTH - 5), stack, stores, loads, kernel
            n++
            if (stack + stores + loads > 0) bad++
        }
        END { exit bad > 0 ? 1 : n == 0 ? 3 : 0 }' "$log" || code=$?
    case ${code:-0} in
    0) n=$((n + 1)) ;;
    3) ;; # a source without kernels
    *) failed=1 ;;
    esac
    code=0
done
[ $n -gt 0 ] && [ $failed = 0 ] || { echo "spills.sh: a kernel spills, or a log names none" >&2; exit 1; }
