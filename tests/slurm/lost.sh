#!/bin/sh
# Ranks and nodes that are lost: the job ends within its limit, the log names the rank, the next life ends with the same bytes.
. "$(dirname "$0")/lib.sh"

"$program" synth cohort.h5 --rows 4000 --seed 3 --quiet >/dev/null || fail "no cohort"
reference one 40
pace 20

# lose NAME PHASE:STEP:RANK:SIGNAL: submits a run whose first life loses that rank
lose()
{
    job "$1.yaml" "$1" 40 "stall_limit: 10s"
    NIGHTSHIFT_TEST_SIGNAL=$2
    export NIGHTSHIFT_TEST_SIGNAL
    submit "$1.yaml" train --set name=run --set run.checkpoint_every=0
    unset NIGHTSHIFT_TEST_SIGNAL
    eval "$1=$id"
}

# came_back NAME ID: in a second life (or a later one: on a machine that starves a rank for long, it is lost too), with the same bytes
came_back()
{
    must_end "$2" 200 0
    [ "$(restarts "$2")" -ge 1 ] && [ "$(restarts "$2")" -le 3 ] || fail "$1 had $(restarts "$2") restarts"
    contains "$1/submissions/1/train.log" 'event=requeue exit=76' || fail "$1 was not put back for a lost rank"
    same_bundle "$1" one
}

# named NAME RANK NODE PHASE: one line of the first life's log, and one that ends it
named()
{
    log=$1.first
    sed '/event=requeue/q' "$1/submissions/1/train.log" >"$log"
    [ "$(grep -c "event=late rank=$2 node=$3 .*phase=$4" "$log")" = 1 ] || fail "$1: the log does not name rank $2 once"
    [ "$(grep -c "^nightshift: stuck .*rank $2 on $3: in phase '$4'" "$log")" = 1 ] || fail "$1: no line says why it ended"
}

# A rank that is killed; and each of the first, a middle one and the last stopped while it reads, in a round, in a checkpoint.
lose killed round:10:2:9
for rank in 0 1 3; do
    lose "read$rank" read:0:$rank:19
    lose "round$rank" round:12:$rank:19
    lose "checkpoint$rank" checkpoint:7:$rank:19
done
# shellcheck disable=SC2154
came_back killed "$killed"
contains killed/submissions/1/train.log 'task 2: Killed' || fail "nobody says that rank 2 was killed"
for rank in 0 1 3; do
    node=n1
    [ $rank -lt 2 ] || node=n2
    for phase in read round checkpoint; do
        eval "id=\$$phase$rank"
        # shellcheck disable=SC2154
        came_back $phase$rank "$id"
        named $phase$rank $rank $node $phase
    done
done

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
