#!/bin/sh
# A run that is told to stop, in every way that Slurm has, saves, goes back into the queue and ends with the bytes of one undisturbed.
. "$(dirname "$0")/lib.sh"

"$program" synth cohort.h5 --rows 4000 --seed 3 --quiet >/dev/null || fail "no cohort"
job run.yaml run 160
job short.yaml short 300
reference one 160
reference two 300

# --- a time limit too short: a minute, of which the first look of Slurm at its clock leaves at most half; judged below ---
pace 200
submit short.yaml train --set name=run --set slurm.time=1 --quiet
short=$id

# --- scontrol requeue, scancel --signal=TERM, a job that needs the nodes ---
pace 100
submit run.yaml train --set name=run --set slurm.partition=spare --set slurm.gpus_per_node=2 --set run.device=cpu
wait_for 90 "first rounds" has_rounds run 3 || fail "the job does not run"
scontrol requeue "$id" || fail "scontrol requeue"
wait_for 90 "second life" runs_again "$id" 1 || fail "no second life"
at=$(rounds run)
wait_for 90 "rounds of the second life" has_rounds run $((at + 5)) || fail "the second life does not go on"
scancel --signal=TERM "$id" || fail "scancel --signal=TERM"
wait_for 90 "third life" runs_again "$id" 2 || fail "no third life"
at=$(rounds run)
wait_for 90 "rounds of the third life" has_rounds run $((at + 5)) || fail "the third life does not go on"
# GPUs, so that this run has to go, and not the other one.
sbatch --parsable -p main -N2 --gpus-per-node=1 -o /dev/null --wrap true >other || fail "no other job"
must_end "$(cat other)" 150 0
must_end "$id" 200 0
[ "$(restarts "$id")" -ge 3 ] || fail "only $(restarts "$id") restarts"
stopped_between run 160 3
same_bundle run one
contains run/submissions/1/train.log 'event=requeue exit=75' || fail "the log has no requeue"

# --- the one that had too little time ---
must_end "$short" 300 0
[ "$(restarts "$short")" -ge 2 ] || fail "the short job had only $(restarts "$short") restarts"
stopped_between short 300 2
same_bundle short two
say "passed"
