#!/bin/sh
# A sweep of eight as a job array, one member of which fails: the others finish, the table says which failed and why, the winner and
# every byte are those of the same sweep without Slurm.
. "$(dirname "$0")/lib.sh"

"$program" synth cohort.h5 --rows 3000 --seed 1 --numbers 4 --categories 2 --outcomes --quiet >/dev/null || fail "no cohort"
# No class has as many rows as the fifth setting wants.
cat >eight.yaml <<'END'
name: run
data:
  cohort: [cohort.h5]
  id: encounter_id
  group: patient_id
  label: {column: next_care}
  features: {exclude: [cost, calls, readmitted]}
model: {objective: multiclass, rounds: 6}
sweep:
  grid: {model.category_min_rows: [1, 10, 20, 30, 3000, 40, 50, 60]}
slurm: {nodes: 1, tasks_per_node: 2, cpus_per_task: 1, memory: 900MiB}
run: {out: eight, threads: 1}
END
"$program" sweep eight.yaml --quiet --set run.out=alone >/dev/null 2>err
[ -e alone/sweep.json ] || { cat err; fail "no sweep without Slurm"; }
"$program" submit eight.yaml sweep >ids 2>err || { cat err; fail "submit failed"; }
{ read -r array && read -r gather; } <ids
wait_for 150 "end of the gathering job" has_ended "$gather" || fail "the sweep does not end"
must_end "$gather" 1 0
# The failure names the job file, which is the frozen one here.
for table in alone eight; do sed 's/"message": "[^ ]*: data/"message": "data/' $table/sweep.json >$table.json; done
cmp alone.json eight.json || fail "the table of the array is another"
python3 - eight/sweep.json <<'END' || fail "the table is wrong"
import json, sys
sweep = json.load(open(sys.argv[1]))
failed = [m for m in sweep["members"] if m["status"] == "failed"]
assert len(sweep["members"]) == 8 and len(failed) == 1 and sweep["best"], sweep
assert failed[0]["exit"] == 3 and "data.label.column" in failed[0]["message"], failed
END
for member in 0001 0002 0003 0004 0006 0007 0008; do
    diff -r alone/members/$member/bundle eight/members/$member/bundle >/dev/null || fail "member $member has other bytes"
done
[ "$(grep -c "^JobId=.* Name=run-sweep .*WorkDir=$folder.* ExitCode=3:0" "$record")" = 1 ] || fail "the record has not one member that failed"
contains eight/submissions/1/gather.log 'failed    0005 (setting 5), exit 3' || fail "the table in the log does not say why"
say "passed ($array)"
