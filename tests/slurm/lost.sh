#!/bin/sh
# Ranks and nodes that are lost: the job ends within its limit, the log names the rank, the next life ends with the same bytes.
. "$(dirname "$0")/lib.sh"

"$program" synth cohort.h5 --rows 4000 --seed 3 --quiet >/dev/null || fail "no cohort"
reference one 40
pace 20

# lose NAME PHASE:STEP:RANK:SIGNAL: submits a run whose first life loses that rank
lose()
{
    job "$1.yaml" "$1" 40 "stall_limit: 8s"
    NIGHTSHIFT_TEST_SIGNAL=$2
    export NIGHTSHIFT_TEST_SIGNAL
    submit "$1.yaml" train --set name=run --set run.checkpoint_every=0
    unset NIGHTSHIFT_TEST_SIGNAL
    eval "$1=$id"
}

# came_back NAME ID: in a second life, with the same bytes
came_back()
{
    must_end "$2" 120 0
    [ "$(restarts "$2")" = 1 ] || fail "$1 had $(restarts "$2") restarts"
    contains "$1/submissions/1/train.log" 'event=requeue exit=76' || fail "$1 was not put back for a lost rank"
    same_bundle "$1" one
}

# named NAME RANK NODE PHASE: one line of the log, and one that ends the life
named()
{
    log=$1/submissions/1/train.log
    [ "$(grep -c "event=late rank=$2 node=$3 .*phase=$4" "$log")" = 1 ] || fail "$1: the log does not name rank $2 once"
    [ "$(grep -c "^nightshift: stuck .*rank $2 on $3: in phase '$4'" "$log")" = 1 ] || fail "$1: no line says why it ended"
}

lose killed round:10:2:9
lose reading read:0:0:19
lose middle round:12:1:19
lose saving checkpoint:7:3:19
lose first checkpoint:9:0:19
# shellcheck disable=SC2154
{
    came_back killed "$killed"
    came_back reading "$reading"
    came_back middle "$middle"
    came_back saving "$saving"
    came_back first "$first"
}
contains killed/submissions/1/train.log 'task 2: Killed' || fail "nobody says that rank 2 was killed"
named reading 0 n1 read
named middle 1 n1 round
named saving 3 n2 checkpoint
named first 0 n1 checkpoint

# --- a node's daemon is killed: Slurm gives the node up, and the job comes back when it is there again ---
job node.yaml node 40
pace 2000
submit node.yaml train --set name=run --set "slurm.setup=['[ ! -e $folder/fast ] || unset NIGHTSHIFT_TEST_PACE']"
wait_for 60 "first rounds" has_rounds node 3 || fail "the job does not run"
kill -9 "$(cat "$(dirname "$SLURM_CONF")/pids/n2")" || fail "no slurmd to kill"
is_down() { [ "$(sinfo -h -n n2 -p main -o %T | tr -d '*')" = down ]; }
wait_for 60 "node given up" is_down || fail "Slurm does not see that n2 is gone"
sh "$devcluster" up >/dev/null || fail "n2 does not come back"
: >fast
must_end "$id" 150 0
[ "$(restarts "$id")" -ge 1 ] || fail "the job was not put back"
same_bundle node one
say "passed"
