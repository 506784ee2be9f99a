#!/bin/sh
# Same bytes, over everything that may not matter. Builds the program in several ways, trains, evaluates and scores, and
# compares the SHA-256 of every file in bundle/, of the evaluation, of the score file and of its manifest with those of one
# rank, one thread and one file. Prints a table; exit 1 where anything differs or fails.
#
#   sh tests/e2e/matrix.sh          a short version: two kinds of data, two builds; some minutes
#   sh tests/e2e/matrix.sh --all    the whole product; an hour or less
#
# Everything is made in a temporary folder ($TMPDIR) that is removed, unless something differs or NIGHTSHIFT_KEEP is set.
# The data are those of bytes/cohorts.sh; CI runs test_bytes.c, which takes a part of the same product.
set -eu
LC_ALL=C
export LC_ALL

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
all=no
case ${1:-} in
--all) all=yes ;;
'') ;;
*) echo "matrix.sh: unknown word '$1'; --all is the only one" >&2; exit 2 ;;
esac
rows=16000 night=2026-11-20
jobs="plain steep"
if [ $all = yes ]; then jobs="plain steep rare weights"; fi

# Root, few cores: as nightshift run does for its ranks; and a thread that waits must not take a core from another.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_WAIT_POLICY=passive NIGHTSHIFT_SITE=/dev/null
unset NIGHTSHIFT_CPU NIGHTSHIFT_TEST_FAULT 2>/dev/null || :

began=$(date +%s)
work=$(mktemp -d "${TMPDIR:-/tmp}/nightshift-matrix-XXXXXX")
table=$work/table differences=$work/differences
: >"$table"
: >"$differences"
n_runs=0

say() { printf '%s\n' "$*"; }
tell() { printf '%5d s  %s\n' $(($(date +%s) - began)) "$*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }
fail() { say "matrix.sh: $*" >&2; exit 1; }

# --- builds ------------------------------------------------------------------------------------------------------------

# build NAME TARGETS CMAKE_WORDS…: true where it could be built; then $work/build-NAME/runner/nightshift is there
build()
{
    folder=$work/build-$1 targets=$2 log=$work/build-$1.log
    shift 2
    if has ccache; then set -- "$@" -DCMAKE_C_COMPILER_LAUNCHER=ccache; fi
    if has ninja; then set -- "$@" -G Ninja; fi
    # shellcheck disable=SC2086
    if cmake -S "$root" -B "$folder" "$@" >"$log" 2>&1 &&
        cmake --build "$folder" --target $targets -j "$(nproc)" >>"$log" 2>&1; then return 0; fi
    tail -n 20 "$log" >&2
    return 1
}

program_of() { say "$work/build-$1/runner/nightshift"; }

# --- one run -----------------------------------------------------------------------------------------------------------

# run NAME PROGRAM JOB RANKS THREADS [WORDS OF TRAIN]: trains, evaluates and scores into $work/NAME; false where that fails.
# RANKS 0: the program without a launcher. $cohort and $nights are patterns of files.
run()
{
    to=$work/$1 with=$2 job=$3 n_ranks=$4 n_threads=$5
    shift 5
    mkdir -p "$to"
    set -- "$here/bytes/$job.yaml" --quiet --set "run.out=$to/run" --set "run.threads=$n_threads" \
        --set "data.cohort=[$cohort]" --set "score.cohort=[$nights]" --set "score.out=$to/scores.h5" "$@"
    if [ "$n_ranks" -eq 0 ]; then launch=; else launch="run -n $n_ranks"; fi
    # shellcheck disable=SC2086
    "$with" $launch train "$@" >"$to/log" 2>&1 && "$with" $launch evaluate "$@" >>"$to/log" 2>&1 &&
        "$with" $launch score "$@" --as-of "$night" >>"$to/log" 2>&1
}

hashes() { (cd "$work/$1" && find run/bundle run/evaluations scores.h5 scores.h5.manifest.json -type f | sort | xargs sha256sum); }

# compare NAME REFERENCE WHAT: notes what differs; the run's folder goes where nothing does
compare()
{
    n_runs=$((n_runs + 1))
    hashes "$1" >"$work/now" 2>/dev/null || :
    if [ "$(wc -l <"$work/now")" -ge 8 ] && cmp -s "$work/now" "$work/$2.hashes"; then
        rm -rf "${work:?}/$1"
        return 0
    fi
    kept=$1-$n_runs
    mv "$work/$1" "$work/$kept"
    {
        say "$3 (run $work/$kept, reference $2):"
        awk 'NR == FNR { want[$2] = $1; next }
            { if (want[$2] != $1) print "    differs: " $2; delete want[$2] }
            END { for (name in want) print "    lacks: " name }' "$work/$2.hashes" "$work/now"
        grep '^nightshift:' "$work/$kept/log" | sed 's/^/    /' || :
    } >>"$differences"
    return 1
}

# check WHAT REFERENCE RUN_WORDS…: runs and compares; adds to the cell of the table
check()
{
    what=$1 reference=$2
    shift 2
    run now-run "$@" || :
    cell_runs=$((cell_runs + 1))
    compare now-run "$reference" "$what" || cell_result=DIFFERS
}

# A row of the table is begun, gets one cell for each kind of data, and is ended. cell TEXT puts a text in place of a result.
begin_row() { row="| $1 | $2 |"; tell "$1: $2"; }
begin_cell() { cell_runs=0 cell_result=same; }
end_cell() { row="$row $cell_result ($cell_runs) |"; }
cell() { row="$row $1 |"; }
end_row() { say "$row" >>"$table"; }
text_row()
{
    begin_row "$1" "$2"
    for job in $jobs; do cell "$3"; done
    end_row
}

# The cohort of a job, as one file; seed 1 is in $work/seed1
use_cohort() { cohort=$work/seed$1/$2.h5 nights=$work/seed$1/night.h5; }

use_shape() { cohort="$work/shapes-$2/$1/*.h5" nights="$work/shapes-night/$1/*.h5"; }

# words of a further seed, so that not only rows but all random numbers are others
seed_words() { if [ "$1" -gt 1 ]; then say "--set train.seed=$((1000 * $1))"; fi; }

# --- axes --------------------------------------------------------------------------------------------------------------

make_data()
{
    seed=$1
    mkdir "$work/seed$seed"
    (cd "$work/seed$seed" && sh "$here/bytes/cohorts.sh" "$reference_program" "$recut" "$rows" "$seed") || fail "no cohorts"
    for job in $jobs; do
        use_cohort "$seed" "$job"
        # shellcheck disable=SC2046
        run "$job-$seed" "$reference_program" "$job" 0 1 $(seed_words "$seed") || { cat "$work/$job-$seed/log" >&2; fail "no reference for $job"; }
        hashes "$job-$seed" >"$work/$job-$seed.hashes"
        [ "$(wc -l <"$work/$job-$seed.hashes")" -eq 8 ] || fail "not eight files: $(cat "$work/$job-$seed.hashes")"
    done
}

# over_ranks SEED "RANKS…" "THREADS…"
over_ranks()
{
    begin_row "ranks x threads$([ "$1" -eq 1 ] || say ", seed $1")" "$(say "$2" | sed 's/ /, /g') x $(say "$3" | sed 's/ /, /g')"
    for job in $jobs; do
        use_cohort "$1" "$job"
        begin_cell
        for n in $2; do
            for t in $3; do
                # shellcheck disable=SC2046
                check "$job: seed $1, $n ranks, $t threads" "$job-$1" "$reference_program" "$job" "$n" "$t" $(seed_words "$1")
            done
        done
        end_cell
    done
    end_row
}

# over_build NAME TEXT: on 1 and 3 ranks
over_build()
{
    begin_row "build, on 1 and 3 ranks" "$2"
    for job in $jobs; do
        use_cohort 1 "$job"
        begin_cell
        for n in 0 3; do check "$job: $2, $n ranks" "$job-1" "$(program_of "$1")" "$job" "$n" 1; done
        end_cell
    done
    end_row
}

# one_build COMPILER FLAG MPI: builds and goes over it
one_build()
{
    compiler=$1 flag=$2 mpi=$3
    name=$compiler$flag-$mpi
    if [ "$mpi" = mpich ]; then library=MPICH; else library='Open MPI'; fi
    text="$compiler $flag, $library"
    if ! has "$compiler"; then text_row "build, on 1 and 3 ranks" "$text" "no $compiler here"; return; fi
    if ! has "mpicc.$mpi"; then text_row "build, on 1 and 3 ranks" "$text" "no $mpi here"; return; fi
    tell "building $text"
    # A build type that brings no flags of its own, else -O0 would stand before a -O3.
    if ! build "$name" nightshift -DCMAKE_C_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS="$flag" \
        -DNIGHTSHIFT_TESTS=OFF -DMPI_C_COMPILER="$(command -v "mpicc.$mpi")" -DMPIEXEC_EXECUTABLE="$(command -v "mpiexec.$mpi")"; then
        say "$text: cannot be built" >>"$differences"
        text_row "build, on 1 and 3 ranks" "$text" "DIFFERS (no build)"
        return
    fi
    "$(program_of "$name")" --version | grep -q "$library" || fail "the build for $library has another MPI"
    over_build "$name" "$text"
    rm -rf "${work:?}/build-$name"
}

over_processors()
{
    for level in baseline avx2 avx512; do
        if ! NIGHTSHIFT_CPU=$level "$reference_program" check "$here/bytes/plain.yaml" --set "data.cohort=$work/seed1/plain.h5" \
            >"$work/check" 2>&1; then
            grep -q 'which this processor has not' "$work/check" || fail "NIGHTSHIFT_CPU=$level: $(cat "$work/check")"
            text_row "NIGHTSHIFT_CPU, 1 and 3 ranks" $level "not on this processor"
            continue
        fi
        begin_row "NIGHTSHIFT_CPU, 1 and 3 ranks" $level
        NIGHTSHIFT_CPU=$level
        export NIGHTSHIFT_CPU
        for job in $jobs; do
            use_cohort 1 "$job"
            begin_cell
            for n in 0 3; do check "$job: $level, $n ranks" "$job-1" "$reference_program" "$job" "$n" 2; done
            end_cell
        done
        unset NIGHTSHIFT_CPU
        end_row
    done
}

# Without AVX and AVX2, on one rank: the launcher would start the ranks on this machine's processor.
over_old_processor()
{
    if [ "$(uname -m)" != x86_64 ] || ! has qemu-x86_64; then text_row "processor, 1 rank" Nehalem "no qemu-x86_64 here"; return; fi
    printf '#!/bin/sh\nexec qemu-x86_64 -cpu Nehalem "%s" "$@"\n' "$reference_program" >"$work/nehalem"
    chmod +x "$work/nehalem"
    "$work/nehalem" --version | grep -q 'cpu (baseline)' || fail "the older processor is none: $("$work/nehalem" --version)"
    begin_row "processor, 1 rank" "Nehalem (qemu-x86_64)"
    for job in $jobs; do
        use_cohort 1 "$job"
        begin_cell
        check "$job: Nehalem" "$job-1" "$work/nehalem" "$job" 0 2
        end_cell
    done
    end_row
}

text_of_shape()
{
    case $1 in
    five) say "five of unequal size and an empty one" ;;
    chunks) say "one, chunks of 777 rows" ;;
    packed) say "one, deflate 9" ;;
    unpacked) say "one, no filter, one chunk" ;;
    levels) say "one, other order of levels" ;;
    all) say "five and an empty one; each its own chunks, deflate and levels" ;;
    esac
}

# over_shapes "SHAPES…" "RANKS…"
over_shapes()
{
    for job in $jobs night; do
        n=$rows
        case $job in rare) n=$((rows * 4)) ;; night) n=$((rows / 2)) ;; esac
        sh "$here/bytes/shapes.sh" "$recut" "$work/seed1/$job.h5" $n "$work/shapes-$job" || fail "no shapes of $job"
    done
    for shape in $1; do
        begin_row "files, on $(say "$2" | sed 's/ / and /g; s/^0/1/') ranks" "$(text_of_shape "$shape")"
        for job in $jobs; do
            use_shape "$shape" "$job"
            begin_cell
            for n in $2; do check "$job: files $shape, $n ranks" "$job-1" "$reference_program" "$job" "$n" 1; done
            end_cell
        done
        end_row
    done
}

# 2,500 rows are three blocks of 1,024, the least that a rank can have.
over_few_blocks()
{
    begin_row "more ranks than blocks" "2,500 rows (3 blocks) on 4 and 7"
    for job in $jobs; do
        # One outcome in ten thousand rows: none among so few.
        if [ "$job" = rare ]; then cell -; continue; fi
        "$recut" "$work/seed1/$job.h5" "$work/small-$job.h5" --rows 0:2500 || fail "no small cohort"
        cohort=$work/small-$job.h5 nights=$work/small-$job.h5
        run "$job-small" "$reference_program" "$job" 0 1 || { cat "$work/$job-small/log" >&2; fail "no small reference for $job"; }
        hashes "$job-small" >"$work/$job-small.hashes"
        begin_cell
        for n in 4 7; do check "$job: 2,500 rows, $n ranks" "$job-small" "$reference_program" "$job" "$n" 1; done
        end_cell
    done
    end_row
}

# over_settings WORDS…: ways through the program that the jobs do not take; on 3 ranks from other files
over_settings()
{
    begin_row "other settings, on 3 ranks from other files" "$(say "$*" | sed 's/--set //g')"
    for job in $jobs; do
        use_cohort 1 "$job"
        run "$job-setting" "$reference_program" "$job" 0 1 "$@" || { cat "$work/$job-setting/log" >&2; fail "$job: not with $*"; }
        hashes "$job-setting" >"$work/$job-setting.hashes"
        rm -rf "$work/$job-setting"
        use_shape all "$job"
        begin_cell
        check "$job: $*" "$job-setting" "$reference_program" "$job" 3 2 "$@"
        end_cell
    done
    end_row
}

rounds_logged() { if [ -e "$work/now-run/run/log.jsonl" ]; then wc -l <"$work/now-run/run/log.jsonl"; else say 0; fi; }

# stop_once JOB RANKS: a training that is asked to stop after some rounds; it must leave with 75. False: it was done before it was asked
stop_once()
{
    mkdir -p "$work/now-run"
    before=$(rounds_logged)
    "$reference_program" run -n "$2" train "$here/bytes/$1.yaml" --quiet --set "run.out=$work/now-run/run" --set run.threads=1 \
        --set "data.cohort=[$cohort]" --set run.checkpoint_every=0 >>"$work/now-run/stop.log" 2>&1 &
    pid=$!
    while kill -0 $pid 2>/dev/null; do
        [ "$(rounds_logged)" -lt $((before + 3)) ] || break
        sleep 0.02
    done
    kill -TERM $pid 2>/dev/null || :
    code=0
    wait $pid || code=$?
    if [ $code -eq 0 ]; then return 1; fi
    [ $code -eq 75 ] || { say "$1: $2 ranks, asked to stop: exit $code, not 75" >>"$differences"; cell_result=DIFFERS; }
}

# kill_once JOB: a training on one rank that dies halfway through writing its third checkpoint
kill_once()
{
    code=0
    NIGHTSHIFT_TEST_FAULT='write:checkpoint/state.safetensors#3:torn:kill' "$reference_program" train "$here/bytes/$1.yaml" --quiet \
        --set "run.out=$work/now-run/run" --set run.threads=1 --set "data.cohort=[$cohort]" --set run.checkpoint_every=0 \
        >>"$work/now-run/stop.log" 2>&1 || code=$?
    [ $code -eq 137 ] || { say "$1: killed in a checkpoint: exit $code, not 137" >>"$differences"; cell_result=DIFFERS; }
}

# over_stops FIRST SECOND THIRD: ranks of three lives, the last on files cut otherwise
over_stops()
{
    begin_row "stopped and resumed" "TERM on $1, kill -9 in a checkpoint, TERM on $2, finished on $3 ranks from other files"
    for job in $jobs; do
        begin_cell
        use_cohort 1 "$job"
        tries=0 # on a busy machine a training may be done before this shell has seen its third round
        until stop_once "$job" "$1" && kill_once "$job" && stop_once "$job" "$2"; do
            rm -rf "$work/now-run"
            tries=$((tries + 1))
            if [ $tries -eq 5 ]; then say "$job: done each time before it was asked to stop" >>"$differences"; cell_result=DIFFERS; break; fi
        done
        use_shape all "$job"
        check "$job: stopped on $1, killed, stopped on $2, finished on $3" "$job-1" "$reference_program" "$job" "$3" 1
        end_cell
    done
    end_row
}

# The comparisons above can fail: another seed changes every file.
another_seed()
{
    begin_row "another seed: every file must differ" "train.seed 99"
    for job in $jobs; do
        use_cohort 1 "$job"
        run now-run "$reference_program" "$job" 0 1 --set train.seed=99 || fail "$job: no run with another seed"
        hashes now-run >"$work/now"
        equal=$(awk 'NR == FNR { want[$2] = $1; next } want[$2] == $1 { print "    equal: " $2 }' "$work/$job-1.hashes" "$work/now")
        rm -rf "$work/now-run"
        if [ -z "$equal" ]; then cell "differs"; continue; fi
        cell "SAME"
        printf "%s\n%s\n" "$job: with another seed:" "$equal" >>"$differences"
    done
    end_row
}

# The models of this numerics version, as every build and machine must make them.
known_models()
{
    begin_row "bytes/models.sha256" "numerics version $("$reference_program" --version | sed -n 's/.*numerics version \([0-9]*\).*/\1/p')"
    for job in $jobs; do
        hash=$(sed -n 's/ .*model.safetensors$//p' "$work/$job-1.hashes")
        if grep -q " $job $hash\$" "$here/bytes/models.sha256"; then cell same; continue; fi
        cell DIFFERS
        say "$job: model $hash is not in bytes/models.sha256" >>"$differences"
    done
    end_row
}

finish()
{
    code=$?
    if [ -s "$differences" ] || [ $code -ne 0 ]; then say "matrix.sh: all is kept in $work" >&2
    elif [ -z "${NIGHTSHIFT_KEEP:-}" ]; then rm -rf "$work"
    fi
    exit $code
}

# --- the whole ---------------------------------------------------------------------------------------------------------

trap finish EXIT
trap 'exit 130' INT TERM
tell "building the reference"
build reference "nightshift e2e_recut" -DCMAKE_BUILD_TYPE=Release || fail "cannot be built"
reference_program=$(program_of reference) recut=$work/build-reference/tests/e2e/e2e_recut
clang=clang
for name in clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14; do if has $name; then clang=$name; break; fi; done

tell "cohorts and references"
make_data 1
known_models
if [ $all = yes ]; then
    over_ranks 1 "1 2 3 4 7" "1 2"
    for mpi in openmpi mpich; do
        for compiler in gcc $clang; do
            for flag in -O0 -O3; do one_build "$compiler" "$flag" "$mpi"; done
        done
    done
    over_processors
    over_old_processor
    over_shapes "five chunks packed unpacked levels all" "0 3"
    over_few_blocks
    for seed in 2 3; do
        make_data "$seed"
        over_ranks "$seed" "1 3 7" "1 2"
    done
    over_settings --set train.stop_after=5 --set train.stop_metric=auroc --set model.gradient_bits=wide --set model.category_smoothing=0
    over_settings --set data.split.by=row --set model.max_bins=16 --set model.l1=0.5 --set model.max_depth=4 --set model.gradient_bits=narrow
    over_stops 1 3 2
    over_stops 3 2 7
else
    over_ranks 1 "2 7" "2"
    one_build "$clang" -O0 mpich
    over_processors
    over_old_processor
    over_shapes "all" "3"
    over_few_blocks
    over_settings --set data.split.by=row --set model.max_bins=16 --set model.gradient_bits=wide
    over_stops 3 2 1
fi
another_seed

say ""
say "$("$reference_program" --version | head -n 1); $(gcc --version | head -n 1); $($clang --version 2>/dev/null | head -n 1)"
say "$rows rows (rare: $((rows * 4))), scored: $((rows / 2)); in brackets the runs of train, evaluate and score that were compared"
say ""
row="| axis | values |" line="| --- | --- |"
for job in $jobs; do row="$row $job |" line="$line --- |"; done
printf "%s\n%s\n" "$row" "$line"
cat "$table"
say ""
if [ -s "$differences" ]; then
    cat "$differences"
    say "$n_runs runs compared: NOT ALL THE SAME; $(($(date +%s) - began)) s"
    exit 1
fi
say "$n_runs runs compared, 8 files each: all the same; $(($(date +%s) - began)) s"
