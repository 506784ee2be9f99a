#!/bin/sh
# Every barrier is needed: takes each __syncthreads and __syncwarp out of the kernels in turn, builds the list of cases with
# the race detector, and runs it. What survives is listed, and must be in barriers.known with a reason.
#
#   barriers.sh BUILD [FIRST STEP]    all of them; or those of number FIRST, FIRST + STEP, … (for a sample)
#
# BUILD is a build folder of this tree made with make, whose test_cases_cuda_race has been built. Exit 1 where a barrier
# survives that is not known, or a known one is noticed after all.
set -eu
LC_ALL=C
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$1 first=${2:-1} step=${3:-1}
folder=$build/tests/cuda_host
link=$folder/CMakeFiles/test_cases_cuda_race.dir/link.txt
flags=$folder/CMakeFiles/cuda_on_host_race_kernels.dir/flags.make
if [ ! -e "$link" ] || [ ! -e "$flags" ]; then echo "barriers.sh: '$build' is no build folder made with make" >&2; exit 77; fi
work=$(mktemp -d "${TMPDIR:-/tmp}/nightshift-barriers-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
compiler=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
words=$(sed -n 's/^CXX_FLAGS = //p' "$flags")
mkdir -p "$work/kernels"
known=$here/barriers.known

# Every barrier as file:line:text, block.h's last.
(cd "$root" && grep -nE '__sync(threads|warp)\(\);' kernels/*_cuda.cu kernels/cuda_block.h) >"$work/list"

# compile FILE: its object into $work
compile()
{
    source=$root/$1
    if [ -e "$work/$1" ]; then source=$work/$1; fi
    # shellcheck disable=SC2086
    "$compiler" -I"$work" -I"$root" $words -O1 -c "$source" -o "$work/$(basename "$1" .cu).o"
}

number=0 failed=0 n_noticed=0 n_known=0
while IFS=: read -r file line text; do
    number=$((number + 1))
    if [ $number -lt "$first" ] || [ $(((number - first) % step)) -ne 0 ]; then continue; fi
    rm -f "$work"/*.o "$work"/kernels/*
    # The line itself stays, so that numbers of lines stay too.
    sed "${line}s/__sync[a-z]*();/;/" "$root/$file" >"$work/$file"
    case $file in
    *.h) for user in $(cd "$root" && grep -lE '#include "kernels/cuda_block.h"' kernels/*_cuda.cu); do compile "$user"; done ;;
    *) compile "$file" ;;
    esac
    (cd "$folder" && sh -c "$(sed "s# -o test_cases_cuda_race # $(echo "$work"/*.o) -o $work/mutant #" "$link")")
    # What a barrier is known by: its file, function and how many barriers of the function come before it.
    name=$(awk -v line="$line" '/^[A-Za-z_].*\(/ && !/;$/ { f = $0; sub(/__launch_bounds__\([A-Z_]*\)/, "", f); sub(/\(.*/, "", f); sub(/.*[ *]/, "", f); n = 0 }
                                /__sync(threads|warp)\(\);/ { n++; if (NR == line) print f " " n }' "$root/$file")
    place="$(basename "$file") $name"
    if NIGHTSHIFT_CUDA_SEEDS=1-2 timeout 300 "$work/mutant" >"$work/out" 2>&1; then
        if grep -q "^$place:" "$known"; then
            printf 'known     %s\n' "$(grep "^$place:" "$known")"
            n_known=$((n_known + 1))
        else
            printf 'SURVIVES  %s (line %s)\n' "$place" "$line"
            failed=1
        fi
    else
        printf 'noticed   %-44s %s\n' "$place" "$(grep -m 1 -oE 'race: .*|other (trees|margins|scores|risks).*|cuda on host: .*' "$work/out" | cut -c 1-80)"
        n_noticed=$((n_noticed + 1))
        if grep -q "^$place:" "$known"; then echo "barriers.sh: barriers.known says that nobody notices this one" >&2; failed=1; fi
    fi
done <"$work/list"
echo "$n_noticed noticed, $n_known known, of $number in the kernels"
exit $failed
