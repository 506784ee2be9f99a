#!/bin/sh
# Same bytes on an older processor: trains, evaluates and scores on this one and on one that has neither AVX nor AVX2
# (qemu-x86_64 -cpu Nehalem, where such an instruction ends the program), and compares every file that must be equal.
#
#   old_processor.sh PROGRAM E2E_RECUT
#
# Exit 77 (skipped) where qemu-x86_64 is not installed, or where this is no x86-64 to begin with.
set -eu
LC_ALL=C
export LC_ALL
tests=$(cd "$(dirname "$0")" && pwd)
program=$1 recut=$2 night=2026-11-20
if [ "$(uname -m)" != x86_64 ]; then echo "old_processor: skipped, this is no x86-64"; exit 77; fi
if ! command -v qemu-x86_64 >/dev/null 2>&1; then echo "old_processor: skipped, qemu-x86_64 (package qemu-user) is not installed"; exit 77; fi

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_WAIT_POLICY=passive NIGHTSHIFT_SITE=/dev/null
unset NIGHTSHIFT_CPU NIGHTSHIFT_TEST_FAULT NIGHTSHIFT_READ 2>/dev/null || :
folder=$(mktemp -d "${TMPDIR:-/tmp}/nightshift-old-processor-XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM
cd "$folder"

fail() { echo "old_processor: $*"; cat log 2>/dev/null || :; exit 1; }
here() { "$program" "$@"; }
old() { qemu-x86_64 -cpu Nehalem "$program" "$@"; }

# go PROCESSOR JOB THREADS: a training, an evaluation and a night; hashes of what they leave in PROCESSOR-JOB.hashes
go()
{
    processor=$1 job=$2 out=$folder/$1-$2
    set -- "$tests/bytes/$job.yaml" --quiet --set "run.out=$out/run" --set "run.threads=$3" --set model.rounds=15 \
        --set "data.cohort=[$folder/$job.h5]" --set "score.cohort=[$folder/night.h5]" --set "score.out=$out/scores.h5"
    if ! { $processor train "$@" && $processor evaluate "$@" && $processor score "$@" --as-of "$night"; } >log 2>&1; then
        fail "$job failed ($processor)"
    fi
    (cd "$out" && find run/bundle run/evaluations scores.h5 scores.h5.manifest.json -type f | sort | xargs sha256sum) >"$processor-$job.hashes"
    [ "$(wc -l <"$processor-$job.hashes")" -eq 8 ] || fail "not eight files: $(cat "$processor-$job.hashes")"
}

# The older processor is one: the baseline is chosen there, and no more can be had.
old --version | grep -q 'cpu (baseline)' || fail "not the baseline: $(old --version)"
sh "$tests/bytes/cohorts.sh" "$program" "$recut" 3000 1 >log 2>&1 || fail "no cohorts"
code=0
NIGHTSHIFT_CPU=avx2 old check "$tests/bytes/plain.yaml" --set "data.cohort=[$folder/plain.h5]" >log 2>&1 || code=$?
if [ $code -ne 2 ] || ! grep -q 'which this processor has not' log; then fail "NIGHTSHIFT_CPU=avx2 on it: exit $code"; fi

for job in plain weights; do
    go here $job 2
    go old $job 1
    cmp -s here-$job.hashes old-$job.hashes || fail "$job: other bytes: $(diff here-$job.hashes old-$job.hashes || :)"
done
grep -q '"level": "baseline"' old-plain/run/run.json || fail "run.json does not say baseline"
echo "old_processor: two jobs, 8 files each: the same on $("$program" --version | sed -n 's/.*cpu (\([a-z0-9]*\)).*/\1/p') and on a Nehalem"
