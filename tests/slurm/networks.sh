#!/bin/sh
# Two nodes with host names and networks of their own, and the cable of one pulled in the middle of a round: the run ends within its
# limit, says so, goes back into the queue, and ends with the same bytes when the node is there again. Needs root.
devcluster_words=--networks
. "$(dirname "$0")/lib.sh"

"$program" synth cohort.h5 --rows 3000 --seed 3 --quiet >/dev/null || fail "no cohort"
reference one 60
job run.yaml run 60 "stall_limit: 8s"
pace 300
submit run.yaml train --set name=run --set "slurm.setup=['[ ! -e $folder/fast ] || unset NIGHTSHIFT_TEST_PACE']"
wait_for 60 "first rounds" has_rounds run 5 || fail "the job does not run"
grep -q '"node": "n1"\|"host": "n1"' run/run.json || fail "the nodes have not names of their own"
ip link set nsdevcluster2 down || fail "no cable to pull"
log=run/submissions/1/train.log
wait_for 60 "end of the first life" contains "$log" 'event=requeue exit=76\|DUE TO NODE FAILURE' || fail "the run hangs on a dead network"
: >fast
ip link set nsdevcluster2 up || fail "the cable does not go in again"
[ "$(grep -c 'event=late .*phase=round' "$log")" = 1 ] || fail "nobody says where the run was stuck"
[ "$(grep -c '^nightshift: stuck for' "$log")" = 1 ] || fail "no line says why it ended"
must_end "$id" 180 0
same_bundle run one
say "passed"
