#!/bin/sh
# A cluster that is put up, used and taken down beside another: by root, and by an ordinary user where this is root. What is stopped is
# what was started, and nothing is left.
. "$(dirname "$0")/lib.sh"

others=$(sh "$devcluster" status | awk '$1 ~ /^(munged|slurmctld|n1|n2)$/ { print $2 }')
[ "$(echo "$others" | wc -l)" = 4 ] || fail "not four daemons: $others"

# try_out NAME COMMAND…: as whom
try_out()
{
    mine=$folder/$1
    shift
    NIGHTSHIFT_DEVCLUSTER=/tmp/nightshift-devcluster-$$ # sockets want short paths
    export NIGHTSHIFT_DEVCLUSTER
    "$@" sh "$devcluster" up >"$mine" || fail "'$*' cannot put it up"
    "$@" sh "$devcluster" up >"$mine" && contains "$mine" 'is up already' || fail "'$*': a second 'up' is no 'up already'"
    (
        eval "$(sh "$devcluster" env)"
        "$@" timeout 60 srun --quiet -N2 --ntasks-per-node=2 --mpi=pmix "$first_message" >"$mine" 2>&1
    ) || { cat "$mine"; fail "'$*' cannot run a step there"; }
    contains "$mine" sum=6 || fail "'$*': the step said nothing"
    "$@" sh "$devcluster" status >"$mine" || fail "'$*': no status"
    pids=$(awk '$1 ~ /^(munged|slurmctld|n1|n2)$/ { print $2 }' "$mine")
    "$@" sh "$devcluster" down >"$mine" || fail "'$*' cannot take it down"
    [ ! -e "$NIGHTSHIFT_DEVCLUSTER" ] || fail "'$*': its folder stayed"
    for pid in $pids; do # one that has ended may still wait to be collected, and has no words then
        tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "$NIGHTSHIFT_DEVCLUSTER/" && fail "'$*': process $pid stayed"
    done
    sh "$devcluster" status >/dev/null && fail "'$*': down, and yet up"
    "$@" sh "$devcluster" down | grep -q 'is not up' || fail "'$*': a second 'down' complains"
}

first_message=$3
SLURM_PMIX_FENCE=ring
export SLURM_PMIX_FENCE
chmod 755 "$folder"
try_out own env
if [ "$(id -u)" = 0 ] && command -v runuser >/dev/null && runuser -u nobody -- test -x "$first_message"; then
    try_out ordinary runuser -u nobody --
else
    say "no ordinary user to try it as"
fi
for pid in $others; do [ -e "/proc/$pid" ] || fail "the other cluster's process $pid is gone"; done
eval "$(NIGHTSHIFT_DEVCLUSTER=$(dirname "$SLURM_CONF") sh "$devcluster" env)"
timeout 10 sinfo >/dev/null || fail "the other cluster does not answer"
# A folder of somebody else's is left alone.
mkdir foreign
NIGHTSHIFT_DEVCLUSTER=$folder/foreign sh "$devcluster" down >out 2>&1 && fail "a foreign folder was taken for its own"
[ -e foreign ] || fail "a foreign folder was removed"
sh "$devcluster" sideways >out 2>&1 && fail "an unknown word passed"
say "passed"
