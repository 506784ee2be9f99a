#!/bin/sh
# The checks of the cuda backend, one part at a time, each at most 8 minutes on a GPU machine. Makes its data itself.
#
#   sh run.sh PART [--build FOLDER] [--host]
#
#   cases      every operation case against the cpu's bytes
#   bytes      trainings and scorings of the program: bundles and scores against the cpu's, ranks sharing a GPU
#   bad        bad conditions: no driver, an old one, no GPU, too little memory, a GPU lost in the middle
#   sanitizer  compute-sanitizer (memcheck, racecheck, synccheck) on a small case, or why not
#   bench      times of the program, cpu and cuda side by side
#   ncu        the hot kernels under ncu, or why not
#   all        all of these
#
# FOLDER is a build folder (default: build beside this tree), or a folder with nightshift, nightshift_cuda.so and
# test_cases_gpu. Without a GPU, or with --host, kernels run on the host (tests/cuda_host); `sanitizer`, `bench` and `ncu` then only say what
# they would do. Prints a table as each part ends; exit 1 where anything failed.
set -u
LC_ALL=C
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
build=$here/../../build
part= host=no
while [ $# -gt 0 ]; do
    case $1 in
    --build) build=$2; shift ;;
    --host) host=yes ;;
    -*) echo "run.sh: unknown word '$1'" >&2; exit 2 ;;
    *) part=$1 ;;
    esac
    shift
done

find_file()
{
    for at in "$build/$1" "$build/runner/$1" "$build/kernels/$1" "$build/tests/gpu/$1" "$build/tests/cuda_host/$1" "$build/bin/$1" "$build/parts/$1"; do
        if [ -e "$at" ]; then echo "$at"; return 0; fi
    done
    return 1
}

program=$(find_file nightshift) || { echo "run.sh: there is no nightshift in '$build'" >&2; exit 2; }
if ! command -v nvidia-smi >/dev/null 2>&1 || ! nvidia-smi -L >/dev/null 2>&1; then host=yes; fi
if [ $host = yes ]; then
    module=$(find_file nightshift_cuda_host.so) || { echo "run.sh: there is no nightshift_cuda_host.so in '$build'" >&2; exit 2; }
    cases=$(find_file test_cases_cuda) || cases=
    rows=3000 bench_rows=4000 rounds=4 on="the host"
else
    module=$(find_file nightshift_cuda.so) || { echo "run.sh: there is no nightshift_cuda.so in '$build'" >&2; exit 2; }
    cases=$(find_file test_cases_gpu) || cases=
    rows=200000 bench_rows=${NIGHTSHIFT_GPU_ROWS:-10000000} rounds=20 on=$(nvidia-smi -L | head -n 1 | cut -c 1-60)
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/nightshift-gpu-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
NIGHTSHIFT_CUDA=$module NIGHTSHIFT_SITE=/dev/null OMP_WAIT_POLICY=passive OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export NIGHTSHIFT_CUDA NIGHTSHIFT_SITE OMP_WAIT_POLICY OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
failed=0
began=$(date +%s)

row() { printf '%-10s %-58s %s\n' "$1" "$2" "$3"; }
bad() { failed=1; row "$1" "$2" "FAILED: $3"; }
hash_of() { (cd "$1" && sha256sum ./* | sha256sum | cut -c 1-16); }
last_line() { tail -n 1 "$1" | cut -c 1-200; }

# cohort FILE ROWS, once
cohort() { [ -e "$1" ] || "$program" synth "$1" --rows "$2" --numbers "${3:-8}" --categories "${4:-3}" --outcomes --quiet >/dev/null 2>"$work/log" || bad data "synth" "$(last_line "$work/log")"; }

# job FILE COHORT MODEL-LINES LABEL-LINE
job()
{
    cat >"$1" <<END
name: gpu-check
data:
  cohort: [$2]
  id: encounter_id
  group: patient_id
  label: $4
  features: {exclude: [${5:-}]}
  split: {by: group, train: 0.7, valid: 0.1, test: 0.2}
model: {type: gbdt, rounds: $rounds, learning_rate: 0.1, $3}
train: {seed: 3, stop_after: $rounds}
score: {cohort: [$2]}
END
}

# train DEVICE JOB RUN RANKS WORDS…
train()
{
    device=$1 file=$2 run=$3 ranks=$4
    shift 4
    if [ "$ranks" = 1 ]; then
        "$program" train "$file" --set run.device="$device" --set run.out="$run" "$@" >"$work/out" 2>"$work/log"
    else
        "$program" run -n "$ranks" -- train "$file" --set run.device="$device" --set run.out="$run" "$@" >"$work/out" 2>"$work/log"
    fi
}

score()
{
    "$program" score "$2" --as-of 2026-11-20 --set run.device="$1" --set score.bundle="$3" --set score.out="$4" >"$work/out" 2>"$work/log"
}

# --- parts --------------------------------------------------------------------------------------------------------------

part_cases()
{
    if [ -z "$cases" ]; then row cases "the list of cases" "not built here"; return; fi
    if "$cases" >"$work/cases" 2>&1; then
        row cases "$(grep -c "the cpu's bytes" "$work/cases") cases" "the cpu's bytes"
    else
        bad cases "the list of cases" "$(grep -m 1 -E "other|ERROR|cuda on host" "$work/cases" | cut -c 1-160)"
    fi
}

# same NAME MODEL-LINES LABEL-LINE EXCLUDED RANKS…
same()
{
    name=$1 model=$2 label=$3 excluded=$4
    shift 4
    job "$work/$name.yaml" "$work/cohort.h5" "$model" "$label" "$excluded"
    train cpu "$work/$name.yaml" "$work/$name-cpu" 1 || { bad bytes "$name" "cpu: $(last_line "$work/log")"; return; }
    want=$(hash_of "$work/$name-cpu/bundle")
    score cpu "$work/$name.yaml" "$work/$name-cpu/bundle" "$work/$name-cpu.h5" || bad bytes "$name" "cpu: $(last_line "$work/log")"
    for ranks in "$@"; do
        if ! train cuda "$work/$name.yaml" "$work/$name-$ranks" "$ranks"; then
            bad bytes "$name, $ranks ranks" "$(last_line "$work/log")"
        elif [ "$(hash_of "$work/$name-$ranks/bundle")" != "$want" ]; then
            bad bytes "$name, $ranks ranks" "another bundle than the cpu's"
        else
            row bytes "$name, $ranks ranks: bundle" "the cpu's bytes ($want)"
        fi
    done
    if score cuda "$work/$name.yaml" "$work/$name-cpu/bundle" "$work/$name-cuda.h5" && cmp -s "$work/$name-cpu.h5" "$work/$name-cuda.h5"; then
        row bytes "$name: scores" "the cpu's bytes"
    else
        bad bytes "$name: scores" "differ, or: $(last_line "$work/log")"
    fi
}

part_bytes()
{
    cohort "$work/cohort.h5" $rows
    others="next_care, cost, calls"
    same binary "max_leaves: 31, row_sample: 0.8, column_sample: 0.8" '{column: readmitted, positive: ["yes"]}' "$others" 1 2
    same plain "max_leaves: 15" '{column: readmitted, positive: ["yes"]}' "$others" 1
    same multiclass "objective: multiclass, max_leaves: 8" '{column: next_care}' "readmitted, cost, calls" 1
    same regression "objective: regression, max_leaves: 15" '{column: cost}' "readmitted, next_care, calls" 1 2
    same poisson "objective: poisson, max_leaves: 15" '{column: calls}' "readmitted, next_care, cost" 1
    same quantile "objective: quantile, quantile: 0.9, max_leaves: 15" '{column: cost}' "readmitted, next_care, calls" 1 2
}

# refused NAME EXIT TEXT COMMAND…: ends with this code and one line that says this
refused()
{
    name=$1 code=$2 text=$3
    shift 3
    "$@" >"$work/out" 2>"$work/log"
    got=$?
    lines=$(grep -c '^nightshift: ' "$work/log")
    if [ $got -eq "$code" ] && [ "$lines" -eq 1 ] && grep -q "^nightshift: .*$text" "$work/log"; then
        row bad "$name" "exit $code, one line"
    else
        bad bad "$name" "exit $got, $lines lines: $(grep -m 1 '^nightshift: ' "$work/log" | cut -c 1-120)"
    fi
}

part_bad()
{
    cohort "$work/cohort.h5" $rows
    job "$work/bad.yaml" "$work/cohort.h5" "max_leaves: 15" '{column: readmitted, positive: ["yes"]}' "next_care, cost, calls"
    check="$program train $work/bad.yaml --set run.out=$work/bad"
    refused "no module" 2 "cannot be loaded" env NIGHTSHIFT_CUDA=/nowhere.so $check --set run.device=cuda
    refused "a file that is no module" 2 "device cuda: " env NIGHTSHIFT_CUDA="$0" $check --set run.device=cuda
    if env NIGHTSHIFT_CUDA=/nowhere.so "$program" train "$work/bad.yaml" --set run.out="$work/auto" --set run.device=auto >"$work/out" 2>"$work/log" &&
        grep -q 'device=cpu .*why=' "$work/log"; then
        row bad "auto without a GPU" "runs on the cpu and says why"
    else
        bad bad "auto without a GPU" "$(last_line "$work/log")"
    fi
    if [ $host != yes ]; then row bad "drivers, memory, a lost GPU" "only where kernels run on the host"; return; fi
    refused "no driver" 2 "no NVIDIA driver" env NIGHTSHIFT_CUDA_DRIVER=0 $check --set run.device=cuda
    refused "an old driver" 2 "needs 13.0 or newer" env NIGHTSHIFT_CUDA_DRIVER=old $check --set run.device=cuda
    refused "no GPU" 2 "no GPU that CUDA can use" env NIGHTSHIFT_CUDA_DEVICES=0 $check --set run.device=cuda
    refused "too little memory on the GPU" 1 "not enough memory" env NIGHTSHIFT_CUDA_BYTES=100000 $check --set run.device=cuda --set run.out="$work/small"
    refused "a GPU lost while training" 1 "GPU: " env NIGHTSHIFT_CUDA_LOST=90 $check --set run.device=cuda --set run.checkpoint_every=1s
    train cpu "$work/bad.yaml" "$work/whole" 1
    want=$(hash_of "$work/whole/bundle")
    if train cpu "$work/bad.yaml" "$work/bad" 1 && [ "$(hash_of "$work/bad/bundle")" = "$want" ]; then
        row bad "and the same run, on the cpu" "the bytes of a run that was never disturbed"
    else
        bad bad "and the same run, on the cpu" "$(last_line "$work/log")"
    fi
}

part_sanitizer()
{
    tool=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
    if [ $host = yes ]; then row sanitizer "compute-sanitizer" "no GPU here; tests/cuda_host stands in for it"; return; fi
    if [ ! -x "$tool" ]; then row sanitizer "compute-sanitizer" "is not on this machine"; return; fi
    if [ -z "$cases" ]; then row sanitizer "the list of cases" "not built here"; return; fi
    for kind in memcheck racecheck synccheck; do
        if NIGHTSHIFT_TEST_CASE=categories timeout 150 "$tool" --tool $kind --error-exitcode 9 "$cases" >"$work/log" 2>&1; then
            row sanitizer "$kind" "$(tail -n 1 "$work/log" | cut -c 1-100)"
        else
            bad sanitizer "$kind" "$(grep -m 1 -E 'ERROR|Error|not allowed|permission' "$work/log" | cut -c 1-120)"
        fi
    done
}

# One number of the summary that --json prints.
number() { sed -n "s/.*\"$1\": *\([0-9.]*\).*/\1/p" "$work/out"; }

part_bench()
{
    cohort "$work/bench.h5" "$bench_rows" 40 10
    for leaves in 63 255; do
        job "$work/bench.yaml" "$work/bench.h5" "max_leaves: $leaves" '{column: readmitted, positive: ["yes"]}' "next_care, cost, calls"
        for device in cuda cpu; do
            if train $device "$work/bench.yaml" "$work/bench-$device-$leaves" 1 --json; then
                row bench "$bench_rows x 50, $rounds rounds, $leaves leaves, $device" "$(number seconds) s from file to model"
            else
                bad bench "$leaves leaves, $device" "$(last_line "$work/log")"
            fi
        done
    done
    if [ $host = yes ]; then row bench "these times" "are those of kernels on the host: they say nothing about a GPU"; fi
}

part_ncu()
{
    tool=$(command -v ncu || echo /usr/local/cuda/bin/ncu)
    if [ $host = yes ]; then row ncu "hot kernels" "no GPU here"; return; fi
    if [ ! -x "$tool" ]; then row ncu "hot kernels" "ncu is not on this machine"; return; fi
    cohort "$work/cohort.h5" $rows
    job "$work/ncu.yaml" "$work/cohort.h5" "max_leaves: 63" '{column: readmitted, positive: ["yes"]}' "next_care, cost, calls"
    if timeout 300 "$tool" --kernel-name regex:'histogram|part|look|take_gradients|advance' --launch-count 40 --section SpeedOfLight "$program" train "$work/ncu.yaml" \
        --set run.device=cuda --set run.out="$work/ncu" >"$work/out" 2>"$work/log"; then
        grep -E '^ *[a-z_]+.*\(|Duration|Memory Throughput|Compute \(SM\)' "$work/out" | cut -c 1-110
        row ncu "hot kernels" "above"
    else
        bad ncu "hot kernels" "$(last_line "$work/log")"
    fi
}

row part what "$on"
case $part in
cases | bytes | bad | sanitizer | bench | ncu) "part_$part" ;;
all) for p in cases bytes bad sanitizer bench ncu; do "part_$p"; done ;;
*) echo "run.sh: say which part: cases, bytes, bad, sanitizer, bench, ncu or all" >&2; exit 2 ;;
esac
row "$part" "$(($(date +%s) - began)) s" "$([ $failed = 0 ] && echo "all well" || echo FAILED)"
exit $failed
