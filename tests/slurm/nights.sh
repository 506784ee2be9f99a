#!/bin/sh
# Five nights in a chain, one with a broken extract, one preempted: every good night appears once, whole; the bad one does not, and its
# code stands in Slurm's record. A checkpoint folder that is no good fails at once, and what waits for it leaves the queue.
. "$(dirname "$0")/lib.sh"

"$program" synth cohort.h5 --rows 4000 --seed 3 --quiet >/dev/null || fail "no cohort"
job run.yaml run 30
"$program" train run.yaml --quiet >/dev/null 2>&1 || fail "no model"
mkdir night
for day in 16 17 18 19 20; do
    "$program" synth night/2026-11-$day.h5 --rows 3000 --seed $day --quiet >/dev/null || fail "no night"
done
head -c 5000 night/2026-11-18.h5 >half && mv half night/2026-11-18.h5

pace 0
NIGHTSHIFT_TEST_PACE=score:6000 # each night takes a while, so that one can be caught
export NIGHTSHIFT_TEST_PACE
for day in 16 17 18 19 20; do
    partition=main
    [ $day != 19 ] || partition=spare
    submit run.yaml score --as-of 2026-11-$day --after --set slurm.partition=$partition --set slurm.nodes=1
    eval "night$day=$id"
done
submit_again() { "$program" submit run.yaml score --as-of 2026-11-21 >out 2>err; }
submit_again && fail "a night was queued beside others"
grep -q '^nightshift: the night of 2026-11-[12][0-9] of this run is still in the queue' err || { cat err; fail "the night before was not named"; }
# shellcheck disable=SC2154
{
    must_end "$night16" 150 0
    must_end "$night17" 150 0
    must_end "$night18" 150 3
    wait_for 90 "night to catch" runs "$night19" || fail "the fourth night does not run"
    wait_for 90 "scoring" contains run/submissions/4/score.log event=device || fail "the fourth night does not begin"
    sbatch --parsable -p main -N2 --exclusive -o /dev/null --wrap true >other || fail "no other job"
    must_end "$(cat other)" 150 0
    must_end "$night19" 150 0
    must_end "$night20" 150 0
    [ "$(restarts "$night19")" -ge 1 ] || fail "the fourth night was not preempted"
    # Slurm's record has a line for each life; that of one which was put back says PENDING and 0, since its script had not ended yet.
    lives() { grep "^JobId=$1 " "$record" | sed 's/.* JobState=\([A-Z]*\) .* ExitCode=\([0-9:]*\).*/\1 \2/' | tr '\n' ';'; }
    wait_for 10 "record of the bad night" contains "$record" "^JobId=$night18 "
    [ "$(lives "$night18")" = 'FAILED 3:0;' ] || fail "the record of the bad night is $(lives "$night18")"
    case $(lives "$night19") in 'PENDING 0:0;'*'COMPLETED 0:0;') ;; *) fail "the record of the preempted night is $(lives "$night19")" ;; esac
}
unset NIGHTSHIFT_TEST_PACE
for day in 16 17 19 20; do
    out=scores/2026-11-$day.h5
    grep -q "\"sha256\": \"$(sha256sum <$out | cut -d ' ' -f 1)\"" $out.manifest.json || fail "night $day is not whole"
    "$program" score run.yaml --as-of 2026-11-$day --set score.out=again.h5 --set run.out=elsewhere --set score.bundle=run/bundle --quiet >/dev/null 2>&1 ||
        fail "night $day cannot be scored again"
    cmp $out again.h5 || fail "night $day has other scores than one rank gives"
    rm -rf again.h5* elsewhere
done
ls scores | grep -q 2026-11-18 && fail "the broken night left something"
[ "$(ls scores | wc -l)" = 8 ] || fail "not four score files and their manifests: $(ls scores)"

# --- checkpoints that are no good ---
job torn.yaml torn 120
reference one 120
pace 50
"$program" submit torn.yaml --set name=run --set slurm.max_requeues=0 --set score.cohort= >ids 2>err || { cat err; fail "submit failed"; }
{ read -r first && read -r second; } <ids
wait_for 90 "rounds with two checkpoints" has_rounds torn 60 || fail "the job does not run"
scancel --signal=USR2 "$first"
must_end "$first" 150 75 # nobody puts it back: so it says, and what waits for it goes
wait_for 90 "end of the dependent job" has_ended "$second" || fail "a job waits for one that failed"
contains torn/submissions/1/train.log event=given_up || fail "the log does not say that it was given up"
unset NIGHTSHIFT_TEST_PACE

newest=$(ls torn/checkpoints | tail -n 1)
[ "$(ls torn/checkpoints | wc -l)" -ge 2 ] || fail "not two checkpoints"
cp -r torn flipped
size=$(wc -c <"torn/checkpoints/$newest/state.safetensors")
head -c $((size / 2)) "torn/checkpoints/$newest/state.safetensors" >half && mv half "torn/checkpoints/$newest/state.safetensors"
printf '\252' | dd of="flipped/checkpoints/$newest/state.safetensors" bs=1 seek=$((size - 100)) conv=notrunc 2>/dev/null
rm -rf flipped/submissions
cp -r torn bad
rm -rf bad/submissions bad/checkpoints && echo nothing >bad/checkpoints
for name in torn flipped bad; do
    "$program" submit torn.yaml --set name=run --set run.out=$name --set score.cohort= >$name.ids 2>err || { cat err; fail "submit of $name"; }
done
for name in torn flipped; do
    must_end "$(head -n 1 $name.ids)" 150 0
    must_end "$(tail -n 1 $name.ids)" 150 0
    grep -q "event=checkpoint passed_over=$newest " $name/submissions/*/train.log || fail "$name: nobody says that the newest checkpoint is bad"
    grep -q 'event=resume rounds=' $name/submissions/*/train.log || fail "$name: the one before was not used"
    same_bundle $name one
done
wait_for 90 "end of the bad chain" has_ended "$(head -n 1 bad.ids)" || fail "the bad checkpoint folder hangs"
[ "$(field "$(head -n 1 bad.ids)" ExitCode)" != 0:0 ] || fail "the bad checkpoint folder was passed over"
wait_for 90 "end of what waits for it" has_ended "$(tail -n 1 bad.ids)" || fail "a job waits for a bad one"
[ "$(grep -c '^nightshift: ' bad/submissions/1/train.log)" = 1 ] || fail "the bad checkpoint folder is not told in one line"
say "passed"
