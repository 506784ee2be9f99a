#!/bin/sh
# Ranks that come late out of the first fence of MPI_Init, each in its turn: the program waits for them, started by hand and as a job.
# Arguments after the usual two: a program that does not wait, and the library that makes a rank late (late_rank.c).
. "$(dirname "$0")/lib.sh"
first_message=$3
late_rank=$4

"$program" synth cohort.h5 --rows 200 --seed 3 --quiet >/dev/null || fail "no cohort"
# step RANK COMMAND…: on two nodes, two ranks on each
step()
{
    rank=$1
    shift
    timeout 90 srun --quiet -N2 --ntasks-per-node=2 --cpu-bind=none --mpi=pmix env NIGHTSHIFT_TEST_LATE="$rank" LD_PRELOAD="$late_rank" "$@" >out 2>&1
}

# What the remedy is for. A Slurm whose fences hold needs none, and is no failure.
unset SLURM_PMIX_FENCE
if step 3 "$first_message"; then say "this Slurm's fences hold by themselves"; else say "without a remedy: $(grep -o -m 1 'Segmentation fault' out || tail -n 1 out)"; fi
for late in 0 1 2 3; do
    step $late "$program" inspect cohort.h5 --quiet || { cat out; fail "rank $late was late, and the program did not wait"; }
    contains out 'cohort of 200 rows' || { cat out; fail "rank $late was late: no answer"; }
done
SLURM_PMIX_FENCE=ring
export SLURM_PMIX_FENCE
for late in 0 3; do step $late "$first_message" && contains out sum=6 || { cat out; fail "rank $late was late, and the ring did not wait"; }; done
unset SLURM_PMIX_FENCE

job run.yaml run 2
submit run.yaml train --set "slurm.setup=['export NIGHTSHIFT_TEST_LATE=2 LD_PRELOAD=$late_rank']"
must_end "$id" 90 0
[ "$(restarts "$id")" = 0 ] || fail "the job was put back"
say "passed"
