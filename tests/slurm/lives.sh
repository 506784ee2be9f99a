#!/bin/sh
# A run that is told to stop, in every way that Slurm has, saves, goes back into the queue and ends with the bytes of one undisturbed.
. "$(dirname "$0")/lib.sh"

"$program" synth cohort.h5 --rows 4000 --seed 3 --quiet >/dev/null || fail "no cohort"
job run.yaml run 160
job short.yaml short 300
reference one 160
reference two 300

# --- scontrol requeue, scancel --signal=TERM, a job that needs the nodes ---
pace 100
submit run.yaml train --set name=run --set slurm.partition=spare
wait_for 60 "first rounds" has_rounds run 3 || fail "the job does not run"
scontrol requeue "$id" || fail "scontrol requeue"
wait_for 60 "second life" runs_again "$id" 1 || fail "no second life"
at=$(rounds run)
wait_for 60 "rounds of the second life" has_rounds run $((at + 5)) || fail "the second life does not go on"
scancel --signal=TERM "$id" || fail "scancel --signal=TERM"
wait_for 60 "third life" runs_again "$id" 2 || fail "no third life"
at=$(rounds run)
wait_for 60 "rounds of the third life" has_rounds run $((at + 5)) || fail "the third life does not go on"
sbatch --quiet --parsable -p main -N2 --exclusive -o /dev/null --wrap true >other || fail "no other job"
must_end "$(cat other)" 90 0
must_end "$id" 120 0
[ "$(restarts "$id")" -ge 3 ] || fail "only $(restarts "$id") restarts"
stopped_between run 160 3
same_bundle run one
contains run/submissions/1/train.log 'event=requeue exit=75' || fail "the log has no requeue"

# --- a time limit too short: a minute, of which the first look of Slurm at its clock leaves at most half ---
pace 200
submit short.yaml train --set name=run --set slurm.time=1 --quiet
short=$id
must_end "$short" 240 0
[ "$(restarts "$short")" -ge 2 ] || fail "the short job had only $(restarts "$short") restarts"
stopped_between short 300 2
same_bundle short two
say "passed"
