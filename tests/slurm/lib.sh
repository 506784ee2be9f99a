# What the tests on a real Slurm share. Sourced with PROGRAM DEVCLUSTER as $1 and $2; exit 77, which CTest takes for skipped, where Slurm
# is not installed. Every wait has a limit. The test runs in a fresh folder that is removed unless NIGHTSHIFT_KEEP is set.
set -u
LC_ALL=C
export LC_ALL
program=$1
devcluster=$2
test_name=$(basename "$0" .sh)

say() { printf '%s: %s\n' "$test_name" "$*"; }
fail()
{
    say "FAILED: $*"
    for log in "$folder"/*/submissions/*/*.log; do
        [ -e "$log" ] || continue
        echo "--- $log"
        tail -n 12 "$log"
    done
    squeue 2>/dev/null
    exit 1
}

is_mine=${NIGHTSHIFT_DEVCLUSTER:+yes} # named for this test: taken down at its end, also where an earlier test was killed
sh "$devcluster" status >/dev/null 2>&1
case $? in
0) ;;
77)
    say "Slurm is not installed (slurmctld slurmd slurm-client munge): skipped"
    exit 77
    ;;
*)
    sh "$devcluster" up ${devcluster_words:-} || exit $?
    is_mine=yes
    ;;
esac
eval "$(sh "$devcluster" env)"
record=$(dirname "$SLURM_CONF")/jobcomp
unset NIGHTSHIFT_AS_OF NIGHTSHIFT_SITE
NIGHTSHIFT_SITE=
export NIGHTSHIFT_SITE

folder=$(mktemp -d "${TMPDIR:-/tmp}/nightshift-slurm-XXXXXX") || exit 1
leave()
{
    code=$?
    trap - EXIT
    scancel --user="$(id -un)" 2>/dev/null
    scancel --full --signal=KILL --user="$(id -un)" 2>/dev/null
    [ -n "$is_mine" ] || wait_for 40 "an empty queue" queue_is_empty
    cd /
    [ -n "${NIGHTSHIFT_KEEP:-}" ] || rm -rf "$folder"
    [ -z "$is_mine" ] || NIGHTSHIFT_DEVCLUSTER=$(dirname "$SLURM_CONF") sh "$devcluster" down
    exit $code
}
trap leave EXIT
trap 'exit 1' INT TERM HUP
cd "$folder" || exit 1

queue_is_empty() { [ -z "$(squeue -h)" ]; }

# wait_for SECONDS WHAT COMMAND…
wait_for()
{
    until=$(($(date +%s) + $1))
    what=$2
    shift 2
    while ! "$@"; do
        if [ "$(date +%s)" -ge $until ]; then
            say "no $what in time"
            return 1
        fi
        sleep 0.2 # between two looks
    done
}

# field ID NAME: of scontrol's record
field() { scontrol show job -o "$1" 2>/dev/null | tr ' ' '\n' | sed -n "s/^$2=//p" | head -n 1; }
state() { field "$1" JobState; }
has_ended() { case $(state "$1") in COMPLETED | FAILED | CANCELLED | TIMEOUT | NODE_FAIL | OUT_OF_MEMORY | DEADLINE) ;; *) return 1 ;; esac; }
runs() { [ "$(state "$1")" = RUNNING ]; }
# must_end ID SECONDS CODE
must_end()
{
    wait_for "$2" "end of job $1 ($(state "$1"))" has_ended "$1" || fail "job $1 has not ended"
    found=$(field "$1" ExitCode)
    [ "$found" = "$3:0" ] || fail "job $1 ended with $found, not $3:0"
}
contains() { grep -q -e "$2" "$1" 2>/dev/null; }

# A training that lasts: rank 0 waits so many milliseconds in each round.
pace() { export NIGHTSHIFT_TEST_PACE="round:$1"; }

# job FILE NAME ROUNDS [LINES]: a job on cohort.h5, of two nodes with two ranks each
job()
{
    cat >"$1" <<END
name: $2
data: {cohort: [cohort.h5], id: encounter_id, group: patient_id, label: {column: readmitted, positive: ["yes"]}}
model: {rounds: $3, max_leaves: 7}
train: {seed: 1}
score: {cohort: ["night/{as_of}.h5"], out: "scores/{as_of}.h5"}
slurm: {nodes: 2, tasks_per_node: 2, cpus_per_task: 1, memory: 1500MiB, time: "00:20:00"}
run: {out: $2, threads: 1, checkpoint_every: 1s${4:+, $4}}
END
}

# reference NAME ROUNDS: what one rank makes of the same job, undisturbed, in NAME
reference()
{
    job "$1.yaml" "$1" "$2"
    (unset NIGHTSHIFT_TEST_PACE; "$program" train "$1.yaml" --quiet --set name=run >/dev/null) || fail "one rank cannot train"
}

# The same bytes: of the model, and of every other file of the bundle.
same_bundle() { diff -r "$1/bundle" "$2/bundle" >/dev/null || fail "the bundles of $1 and $2 differ"; }

# rounds RUN: rounds of the run so far; has_rounds RUN N
rounds() { wc -l 2>/dev/null <"$1/log.jsonl" || echo 0; }
has_rounds() { [ "$(rounds "$1")" -ge "$2" ]; }
restarts() { field "$1" Restarts; }
# A job that was put back is held until no node can take its new credential for the old one, some fifteen seconds here.
runs_again() { [ "$(restarts "$1")" -ge "$2" ] && runs "$1"; }

# submit WORDS…: one id, in $id
submit()
{
    id=$("$program" submit "$@" 2>err) || { cat err; fail "submit $*"; }
}

# The rounds at which lives of a run were stopped: all above 0 and below the last, each above the one before.
stopped_between()
{
    python3 - "$1/run.json" "$2" "$3" <<'END' || fail "lives of $1 did not go on from one another: $(cat "$1/run.json")"
import json, sys
lives = json.load(open(sys.argv[1]))["lives"]
stops = [life["rounds"] for life in lives if life.get("status") == "stopped"]
good = len(stops) >= int(sys.argv[3]) and all(0 < a < int(sys.argv[2]) for a in stops) and stops == sorted(set(stops))
sys.exit(not good)
END
}
