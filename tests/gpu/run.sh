#!/bin/sh
# The checks of the cuda backend, one part at a time, each at most 8 minutes on a GPU machine. Makes its data itself.
#
#   sh run.sh PART [--build FOLDER] [--work FOLDER] [--job FILE.yaml] [--host]
#
#   cases      every operation case against the cpu's bytes
#   bytes      trainings and scorings of the program: bundles and scores against the cpu's, for every objective, with options, on 1, 2 and
#              4 ranks that share a GPU; killed on the GPU and resumed on the cpu, and the other way round; --job: a job of the site's too
#   bad        bad conditions: no driver, an old one, no GPU, too little memory, a GPU lost in the middle
#   sanitizer  compute-sanitizer (memcheck, racecheck, synccheck) on small cases, or plainly that this machine has not or allows it not
#   bench      the GPU's own rates; 10,000,000 x 50 with 63 and 255 leaves: time of the rounds, each kernel beside its floor, the share of
#              the time that kernels run, from file to model; scoring from device memory and from file to file
#   ncu        the hot kernels under ncu, or why not
#   all        all of these
#
# FOLDER of --build is a build folder (default: build beside this tree), or the folder that the file of `bootstrap.sh dist` unpacks to
# (default where this script lies in one). --work keeps data between parts. Without a GPU, or with --host, kernels run on the
# host (tests/cuda_host), small: the same commands, whose times then say nothing. Prints a table as each part ends; exit 1 where anything
# failed.
set -u
LC_ALL=C
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
build=$here/../../build
if [ -x "$here/../../bin/nightshift" ]; then build=$here/../..; fi
part= host=no keep= own_job=
while [ $# -gt 0 ]; do
    case $1 in
    --build) build=$2; shift ;;
    --work) keep=$2; shift ;;
    --job) own_job=$2; shift ;;
    --host) host=yes ;;
    -*) echo "run.sh: unknown word '$1'" >&2; exit 2 ;;
    *) part=$1 ;;
    esac
    shift
done

# bin before parts: what lies in bin brings its libraries.
find_file()
{
    for at in "$build/bin/$1" "$build/runner/$1" "$build/kernels/$1" "$build/tests/gpu/$1" "$build/tests/cuda_host/$1" "$build/parts/$1" "$build/$1"; do
        if [ -f "$at" ]; then echo "$at"; return 0; fi
    done
    return 1
}

program=$(find_file nightshift) || { echo "run.sh: there is no nightshift in '$build'" >&2; exit 2; }
if ! command -v nvidia-smi >/dev/null 2>&1 || ! nvidia-smi -L >/dev/null 2>&1; then host=yes; fi
if [ $host = yes ]; then
    module=$(find_file nightshift_cuda_host.so) || { echo "run.sh: there is no GPU here, and no nightshift_cuda_host.so in '$build'" >&2; exit 2; }
    cases=$(find_file test_cases_cuda) || cases=
    rates=$(find_file rates_cuda) || rates=
    rows=3000 bench_rows=1000 bench_rounds=2 rounds=4 many_rounds=24 ranks_sharing="2 4" on="the host"
    rates_size="1 10"
else
    module=$(find_file nightshift_cuda.so) || { echo "run.sh: there is no nightshift_cuda.so in '$build'" >&2; exit 2; }
    cases=$(find_file test_cases_gpu) || cases=
    rates=$(find_file rates_gpu) || rates=
    rows=200000 bench_rows=${NIGHTSHIFT_GPU_ROWS:-10000000} bench_rounds=100 rounds=20 many_rounds=1500 ranks_sharing="2 4"
    on=$(nvidia-smi -L | head -n 1 | cut -c 1-60)
    rates_size="2048 20000"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/nightshift-gpu-XXXXXX")
data=${keep:-$work}
mkdir -p "$data"
data=$(cd "$data" && pwd)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
NIGHTSHIFT_CUDA=$module NIGHTSHIFT_SITE=/dev/null OMP_WAIT_POLICY=passive OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export NIGHTSHIFT_CUDA NIGHTSHIFT_SITE OMP_WAIT_POLICY OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
failed=0
part_seconds=470
began=$(date +%s)

row() { printf '%-10s %-58s %s\n' "$1" "$2" "$3"; }
bad() { failed=1; row "$1" "$2" "FAILED: $3"; }
hash_of() { (cd "$1" && sha256sum ./* | sha256sum | cut -c 1-16); }
last_line() { tail -n 1 "$1" | cut -c 1-200; }
seconds_left() { echo $((began + part_seconds - $(date +%s))); }

# within COMMAND…: killed when the part's time is over
within()
{
    left=$(seconds_left)
    if [ "$left" -lt 5 ]; then echo "no time is left for it" >"$work/log"; return 124; fi
    timeout -k 10 "$left" "$@"
}

# cohort FILE ROWS [NUMBERS CATEGORIES], once
cohort() { [ -e "$1" ] || within "$program" synth "$1" --rows "$2" --numbers "${3:-8}" --categories "${4:-3}" --outcomes --quiet >/dev/null 2>"$work/log" || bad data "synth" "$(last_line "$work/log")"; }

# job FILE COHORT MODEL-LINES LABEL-LINE [EXCLUDED [ROUNDS [SPLIT]]]
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
  split: ${7:-"{by: group, train: 0.7, valid: 0.1, test: 0.2}"}
model: {type: gbdt, rounds: ${6:-$rounds}, learning_rate: 0.1, $3}
train: {seed: 3, stop_after: ${6:-$rounds}}
score: {cohort: [$2]}
END
}

# train DEVICE JOB RUN RANKS WORDS…
train()
{
    device=$1 file=$2 run=$3 ranks=$4
    shift 4
    if [ "$ranks" = 1 ]; then
        within "$program" train "$file" --set run.device="$device" --set run.out="$run" "$@" >"$work/out" 2>"$work/log"
    else
        within "$program" run -n "$ranks" -- train "$file" --set run.device="$device" --set run.out="$run" "$@" >"$work/out" 2>"$work/log"
    fi
}

score()
{
    within "$program" score "$2" --as-of 2026-11-20 --set run.device="$1" --set score.bundle="$3" --set score.out="$4" >"$work/out" 2>"$work/log"
}

# --- parts --------------------------------------------------------------------------------------------------------------

part_cases()
{
    if [ -z "$cases" ]; then row cases "the list of cases" "not built here"; return; fi
    if within "$cases" >"$work/cases" 2>&1; then
        row cases "$(grep -c "the cpu's bytes" "$work/cases") cases" "the cpu's bytes"
    else
        bad cases "the list of cases" "$(grep -m 1 -E "other|ERROR|cuda on host" "$work/cases" | cut -c 1-160)"
    fi
}

# compare_job NAME JOB RANKS…: bundles and scores of both devices
compare_job()
{
    name=$1 file=$2
    shift 2
    train cpu "$file" "$work/$name-cpu" 1 || { bad bytes "$name" "cpu: $(last_line "$work/log")"; return; }
    want=$(hash_of "$work/$name-cpu/bundle")
    score cpu "$file" "$work/$name-cpu/bundle" "$work/$name-cpu.h5" || bad bytes "$name" "cpu: $(last_line "$work/log")"
    for ranks in "$@"; do
        if ! train cuda "$file" "$work/$name-$ranks" "$ranks"; then
            bad bytes "$name, $ranks ranks" "$(last_line "$work/log")"
        elif [ "$(hash_of "$work/$name-$ranks/bundle")" != "$want" ]; then
            bad bytes "$name, $ranks ranks" "another bundle than the cpu's"
        elif ! grep -q '"fill_leaves"' "$work/$name-$ranks/run.json"; then
            bad bytes "$name, $ranks ranks" "run.json does not tell its launches"
        else
            row bytes "$name, $ranks ranks: bundle" "the cpu's bytes ($want)"
        fi
    done
    if score cuda "$file" "$work/$name-cpu/bundle" "$work/$name-cuda.h5" && cmp -s "$work/$name-cpu.h5" "$work/$name-cuda.h5"; then
        row bytes "$name: scores" "the cpu's bytes"
    else
        bad bytes "$name: scores" "differ, or: $(last_line "$work/log")"
    fi
}

# same NAME MODEL-LINES LABEL-LINE EXCLUDED RANKS…
same()
{
    name=$1
    job "$work/$name.yaml" "${same_cohort:-$data/cohort.h5}" "$2" "$3" "$4"
    shift 4
    compare_job "$name" "$work/$name.yaml" "$@"
}

# streamed WHAT: the job `plain` with rows, or bins too, on the host as if the GPU had too little memory: said, and the same bytes
streamed()
{
    NIGHTSHIFT_STREAM=$1
    export NIGHTSHIFT_STREAM
    if train cuda "$work/plain.yaml" "$work/plain-$1" 1 && [ "$(hash_of "$work/plain-$1/bundle")" = "$(hash_of "$work/plain-cpu/bundle")" ] &&
        grep -q "event=stream what=$1 " "$work/log"; then
        row bytes "plain, $1 streamed from the host" "the cpu's bytes"
    else
        bad bytes "plain, $1 streamed from the host" "other bytes, not said, or: $(last_line "$work/log")"
    fi
    unset NIGHTSHIFT_STREAM
}

# killed NAME FIRST SECOND: killed after a checkpoint on device FIRST, again on SECOND, ended on FIRST: the bytes of one that was not
killed()
{
    train cpu "$work/kill.yaml" "$work/kill-whole" 1
    if [ ! -d "$work/kill-whole/bundle" ]; then bad bytes "$1" "cpu: $(last_line "$work/log")"; return; fi
    seen=-1
    for device in "$2" "$3"; do
        "$program" train "$work/kill.yaml" --set run.device="$device" --set run.out="$work/kill-$2" --set run.checkpoint_every=0s >"$work/out" 2>"$work/log" &
        one=$!
        while kill -0 $one 2>/dev/null && [ "$(seconds_left)" -gt 5 ]; do
            newest=$(ls "$work/kill-$2/checkpoints" 2>/dev/null | grep '^[0-9]*$' | tail -n 1 | sed 's/^0*//')
            if [ "${newest:-0}" -gt "$seen" ] && [ "${newest:-0}" -gt 0 ]; then break; fi
            sleep 0.02
        done
        kill -KILL $one 2>/dev/null
        wait $one 2>/dev/null
        seen=${newest:-0}
        if [ -d "$work/kill-$2/bundle" ]; then row bytes "$1" "ended before it was killed: nothing was shown"; return; fi
    done
    if train "$2" "$work/kill.yaml" "$work/kill-$2" 1 && [ "$(hash_of "$work/kill-$2/bundle")" = "$(hash_of "$work/kill-whole/bundle")" ]; then
        row bytes "$1, from round $seen on" "the bytes of a run that was never disturbed"
    else
        bad bytes "$1" "other bytes, or: $(last_line "$work/log")"
    fi
}

part_bytes()
{
    cohort "$data/cohort.h5" $rows
    others="next_care, cost, calls"
    # shellcheck disable=SC2086
    same plain "max_leaves: 15" '{column: readmitted, positive: ["yes"]}' "$others" 1 $ranks_sharing
    streamed rows
    streamed bins
    same options "max_leaves: 31, row_sample: 0.8, column_sample: 0.8, column_sample_node: 0.7, l1: 0.1, max_depth: 6, max_bins: 63" \
        '{column: readmitted, positive: ["yes"]}' "$others" 1 2
    same multiclass "objective: multiclass, max_leaves: 8" '{column: next_care}' "readmitted, cost, calls" 1 2
    same regression "objective: regression, max_leaves: 15" '{column: cost}' "readmitted, next_care, calls" 1 2
    same poisson "objective: poisson, max_leaves: 15" '{column: calls}' "readmitted, next_care, cost" 1
    same quantile "objective: quantile, quantile: 0.9, max_leaves: 15" '{column: cost}' "readmitted, next_care, calls" 1 2
    same wide "gradient_bits: wide, max_leaves: 15" '{column: readmitted, positive: ["yes"]}' "$others" 1
    job "$work/kill.yaml" "$data/cohort.h5" "max_leaves: 15" '{column: readmitted, positive: ["yes"]}' "$others" $many_rounds
    killed "killed on the GPU, then on the cpu, ended on the GPU" cuda cpu
    killed "killed on the cpu, then on the GPU, ended on the cpu" cpu cuda
    if [ $host = no ]; then
        cohort "$data/million.h5" 1000000 40 10
        same_cohort=$data/million.h5
        same million "max_leaves: 63" '{column: readmitted, positive: ["yes"]}' "$others" 1 2
        same_cohort=
    fi
    if [ -n "$own_job" ]; then compare_job own "$own_job" 1 2; fi
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
    cohort "$data/cohort.h5" $rows
    job "$work/bad.yaml" "$data/cohort.h5" "max_leaves: 15" '{column: readmitted, positive: ["yes"]}' "next_care, cost, calls"
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
    refused "a GPU lost while training" 1 "GPU: " env NIGHTSHIFT_CUDA_LOST=220 $check --set run.device=cuda --set run.checkpoint_every=0s
    saved=$(ls "$work/bad/checkpoints" 2>/dev/null | grep '^[0-9]*$' | tail -n 1)
    if [ -n "$saved" ]; then row bad "its checkpoint stands" "of round $saved"; else bad bad "its checkpoint stands" "there is none"; fi
    train cpu "$work/bad.yaml" "$work/whole" 1
    want=$(hash_of "$work/whole/bundle")
    if train cpu "$work/bad.yaml" "$work/bad" 1 && [ "$(hash_of "$work/bad/bundle")" = "$want" ]; then
        row bad "and the same run, on the cpu" "the bytes of a run that was never disturbed"
    else
        bad bad "and the same run, on the cpu" "$(last_line "$work/log")"
    fi
}

# Tools load libraries of their own into a program, so it is started with the machine's libc where that will do.
as_is()
{
    file=$1
    shift
    real=$(dirname "$file")/../parts/$(basename "$file")
    if [ ! -x "$real" ]; then echo "$file"; return; fi
    mkdir -p "$work/lib"
    for library in "$(dirname "$real")"/*.so*; do
        case ${library##*/} in
        ld-linux* | libc.so* | libm.so* | libdl.so* | librt.so* | libpthread.so* | libresolv.so* | libutil.so*) ;;
        *) ln -sf "$library" "$work/lib/" ;;
        esac
    done
    LD_LIBRARY_PATH=$work/lib
    export LD_LIBRARY_PATH
    echo "$real"
}

# What tells that a tool was not allowed to look, rather than that it found something.
not_allowed() { grep -m 1 -iE 'not allowed|permission|ERR_NVGPUCTRPERM|not supported|Unable to|could not|cannot open shared' "$1" | cut -c 1-110; }

part_sanitizer()
{
    tool=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
    if [ $host = yes ]; then row sanitizer "compute-sanitizer" "needs a GPU; tests/cuda_host stands in for it"; return; fi
    if [ ! -x "$tool" ]; then row sanitizer "compute-sanitizer" "is not on this machine"; return; fi
    if [ -z "$cases" ]; then row sanitizer "the list of cases" "not built here"; return; fi
    real=$(as_is "$cases")
    if [ "$real" != "$cases" ]; then LD_LIBRARY_PATH=$work/lib; export LD_LIBRARY_PATH; fi
    for kind in memcheck racecheck synccheck; do
        for case in "categories" "multiclass, weights" "quantile, monotone" "sampled columns"; do
            NIGHTSHIFT_TEST_CASE=$case within "$tool" --tool $kind --error-exitcode 9 "$real" >"$work/log" 2>&1
            code=$?
            if [ $code = 0 ]; then
                row sanitizer "$kind: $case" "$(tail -n 1 "$work/log" | cut -c 1-80)"
            elif [ $code = 9 ]; then
                bad sanitizer "$kind: $case" "$(grep -m 1 -E '=========.*(Error|hazard|Invalid|Barrier)' "$work/log" | cut -c 1-120)"
            elif [ $code = 124 ]; then
                row sanitizer "$kind: $case" "no time was left"
            else
                row sanitizer "$kind: $case" "this machine does not allow it: $(not_allowed "$work/log")"
            fi
        done
    done
    unset LD_LIBRARY_PATH
}

# One number of the summary that --json prints; the sum of the rounds' seconds of a run.
number() { sed -n "s/.*\"$1\": *\([0-9.]*\).*/\1/p" "$work/out"; }
round_seconds() { sed -n 's/.*"seconds": *\([0-9.e-]*\).*/\1/p' "$1/log.jsonl" | awk '{ s += $1 } END { printf "%.3f", s }'; }

# kernels RUN LEAVES WALL: each kernel of a profiled run beside its floor. WALL: seconds of the same rounds, not profiled.
kernels()
{
    "$program" inspect "$1" 2>/dev/null >"$work/inspected"
    awk -v leaves="$2" -v wall="$3" -v trees="$bench_rounds" -v n="$n_train" -v v="$n_valid" -f "$here/floors.awk" "$work/rates" "$work/inspected"
}

part_bench()
{
    if [ -z "$rates" ]; then bad bench "the rates of this GPU" "rates_gpu is not there"; return; fi
    # shellcheck disable=SC2086
    within "$rates" $rates_size >"$work/rates" 2>"$work/log" || { bad bench "the rates of this GPU" "$(last_line "$work/log")"; return; }
    while read -r name value; do row bench "$name" "$value"; done <"$work/rates"
    cohort "$data/bench.h5" "$bench_rows" 40 10
    split="{by: row, train: 0.98, valid: 0.01, test: 0.01}"
    label='{column: readmitted, positive: ["yes"]}' others="next_care, cost, calls"
    for leaves in 63 255; do
        job "$work/bench.yaml" "$data/bench.h5" "max_leaves: $leaves" "$label" "$others" $bench_rounds "$split"
        what="$bench_rows x 50, $bench_rounds rounds, $leaves leaves"
        train cuda "$work/bench.yaml" "$work/bench-$leaves" 1 --json || { bad bench "$what" "$(last_line "$work/log")"; continue; }
        wall=$(round_seconds "$work/bench-$leaves")
        n_train=$(sed -n 's/.*event=table .* train=\([0-9]*\).*/\1/p' "$work/log") n_valid=$(sed -n 's/.*event=table .* valid=\([0-9]*\).*/\1/p' "$work/log")
        row bench "$what: rounds" "$wall s (at most $([ $leaves = 63 ] && echo 1.2 || echo 2.5))"
        row bench "$what: from file to model" "$(number seconds) s (at most 2.5, from a warm file, 16 cores)"
        NIGHTSHIFT_PROFILE=1
        export NIGHTSHIFT_PROFILE
        if train cuda "$work/bench.yaml" "$work/bench-$leaves-profiled" 1; then
            kernels "$work/bench-$leaves-profiled" $leaves "$wall"
            [ "$(hash_of "$work/bench-$leaves-profiled/bundle")" = "$(hash_of "$work/bench-$leaves/bundle")" ] || bad bench "$leaves leaves" "profiled: other bytes"
        else
            bad bench "$leaves leaves, profiled" "$(last_line "$work/log")"
        fi
        unset NIGHTSHIFT_PROFILE
    done
    # One stage of scoring overlaps the next: what the log names bounds it.
    for device in cuda cpu; do
        if score $device "$work/bench.yaml" "$work/bench-63/bundle" "$work/scores-$device.h5"; then
            cp "$work/log" "$work/scored-$device"
            row bench "scoring $bench_rows rows, 63 leaves, $device" "$(sed -n 's/.*event=stages //p' "$work/log")"
            row bench "scoring, from file to file, $device" "$(sed -n 's/.*event=end .* seconds=\([0-9.]*\).*/\1/p' "$work/log") s"
        else
            bad bench "scoring, $device" "$(last_line "$work/log")"
        fi
    done
    cmp -s "$work/scores-cuda.h5" "$work/scores-cpu.h5" && row bench "scores" "the cpu's bytes" || bad bench "scores" "differ"
    # From device memory: each row's values are read once, each visit of a node is 16 bytes of it from the nearest cache.
    kernel=$(sed -n 's/.*event=stages .* kernel_s=\([0-9.]*\).*/\1/p' "$work/scored-cuda" 2>/dev/null)
    [ -z "$kernel" ] || awk -v s="$kernel" -v n="$bench_rows" -v b="$(sed -n 's/^memory_bytes_per_s *//p' "$work/rates")" \
        'BEGIN { if (s > 0) printf "%-10s %-58s %.3g rows/s; the values alone, read once: %.3g\n", "bench", "scoring, from device memory", n / s, b / (50 * 4) }'
    job "$work/few.yaml" "$data/bench.h5" "max_leaves: 63" "$label" "$others" 3 "$split"
    if train cpu "$work/few.yaml" "$work/few-cpu" 1; then
        row bench "a round of the cpu, 63 leaves" "$(round_seconds "$work/few-cpu" | awk '{ printf "%.3f s", $1 / 3 }')"
    else
        row bench "a round of the cpu, 63 leaves" "$(last_line "$work/log")"
    fi
    if [ $host = yes ]; then row bench "these times" "are those of kernels on the host: they say nothing about a GPU"; fi
}

part_ncu()
{
    tool=$(command -v ncu || echo /usr/local/cuda/bin/ncu)
    if [ $host = yes ]; then row ncu "hot kernels" "needs a GPU"; return; fi
    if [ ! -x "$tool" ]; then row ncu "hot kernels" "ncu is not on this machine"; return; fi
    cohort "$data/ncu.h5" 1000000 40 10
    job "$work/ncu.yaml" "$data/ncu.h5" "max_leaves: 63" '{column: readmitted, positive: ["yes"]}' "next_care, cost, calls" 2
    real=$(as_is "$program")
    if [ "$real" != "$program" ]; then LD_LIBRARY_PATH=$work/lib; export LD_LIBRARY_PATH; fi
    for kernel in histogram_narrow part look_numbers look_categories take_gradients round_gradients take_leaves advance score; do
        if NIGHTSHIFT_GRAPHS=0 within "$tool" --kernel-name "$kernel" --launch-count 3 --section SpeedOfLight --section Occupancy --section MemoryWorkloadAnalysis \
            "$real" train "$work/ncu.yaml" --restart --set run.device=cuda --set run.out="$work/ncu" >"$work/out" 2>"$work/log"; then
            grep -E 'Duration|Memory Throughput|DRAM Throughput|Compute \(SM\) Throughput|L1/TEX Hit|Achieved Occupancy' "$work/out" | sed "s/^ */ncu        $kernel: /" | cut -c 1-110
            row ncu "$kernel" "above"
        else
            cat "$work/out" >>"$work/log"
            row ncu "$kernel" "this machine does not allow it: $(not_allowed "$work/log")"
        fi
    done
    unset LD_LIBRARY_PATH
}

row part what "$on"
run_part()
{
    began=$(date +%s)
    "part_$1"
    row "$1" "$(($(date +%s) - began)) s" "$([ $failed = 0 ] && echo "all well" || echo FAILED)"
}
case $part in
cases | bytes | bad | sanitizer | bench | ncu) run_part "$part" ;;
all) for p in cases bytes bad sanitizer bench ncu; do run_part $p; done ;;
*) echo "run.sh: say which part: cases, bytes, bad, sanitizer, bench, ncu or all" >&2; exit 2 ;;
esac
exit $failed
