#!/bin/sh
# The demo: one made-up hospital, from cohort to scores, in under half a minute. Plain sh and awk.
#
#   sh jobs/examples/demo.sh [PROGRAM]     PROGRAM: the built nightshift, by default build/runner/nightshift
#
# Everything is written into ./demo, which is made anew. Every figure is computed on the way; exit 1 if a claim fails.
set -eu
LC_ALL=C
export LC_ALL

here=$(cd "$(dirname "$0")/../.." && pwd)
program=${1:-$here/build/runner/nightshift}
case $program in /*) ;; *) program=$PWD/$program ;; esac

stays=200000 patients=120000 rounds=100 kill_round=61 night=2026-11-20
duplicates=42 no_id=31 infinite=12
run_pid=

say() { printf '%s\n' "$*"; }

fail()
{
    say "demo: $*" >&2
    exit 1
}

# --- small tools -------------------------------------------------------------------------------------------------------

# shellcheck disable=SC2016
# One JSON object on stdin as lines "path.to.key value"; elements of a list count from 0.
flatten='
function text(    out, c)
{
    out = ""
    at++
    while ((c = substr(all, at, 1)) != "\"" && at <= length(all)) {
        if (c == "\\") { at++; c = substr(all, at, 1) }
        out = out c
        at++
    }
    at++
    return out
}
function blank() { while (index(" \t\r\n,:", substr(all, at, 1)) && at <= length(all)) at++ }
function value(path,    c, key, n, start)
{
    blank()
    c = substr(all, at, 1)
    if (c == "{" || c == "[") {
        at++
        n = 0
        for (;;) {
            blank()
            if (index("}]", substr(all, at, 1)) || at > length(all)) break
            if (c == "{") { key = text() } else { key = n++ }
            value(path == "" ? key : path "." key)
        }
        at++
    } else if (c == "\"") {
        print path " " text()
    } else {
        start = at
        while (!index(",}] \t\r\n", substr(all, at, 1)) && at <= length(all)) at++
        print path " " substr(all, start, at - start)
    }
}
{ all = all $0 "\n" }
END { at = 1; value("") }'

# get FILE PATH: one value of a JSON file; the demo ends where it is not there.
get()
{
    awk "$flatten" "$1" | awk -v path="$2" '$1 == path { sub(/^[^ ]* /, ""); print; found = 1; exit } END { exit !found }' ||
        fail "no '$2' in $1"
}

# calculate FORMAT EXPRESSION
calculate() { awk "BEGIN { printf \"$1\", $2 }"; }

# holds EXPRESSION: true where it is, in numbers
holds() { awk "BEGIN { exit !($1) }"; }

thousands() { printf '%s\n' "$1" | sed -e ':a' -e 's/\([0-9]\)\([0-9]\{3\}\)\($\|,\)/\1,\2\3/' -e 'ta'; }

# All files of a folder with their SHA-256, in the order of their names.
hashes() { (cd "$1" && find . -type f | sort | xargs sha256sum); }

short_hash() { sha256sum "$1" | cut -c1-8; }

# run NAME RANKS VERB WORDS…: the program's JSON goes to demo/NAME.json, its log to demo/NAME.log
run()
{
    name=$1 n_ranks=$2
    shift 2
    if [ "$n_ranks" -gt 1 ]; then set -- run -n "$n_ranks" "$@"; fi
    "$program" "$@" --json >"$name.json" 2>"$name.log" || {
        code=$?
        tail -n 3 "$name.log" >&2
        fail "'nightshift $*' left with $code (its log: demo/$name.log)"
    }
}

# Processes of the program that descend from a process, itself left out: the ranks that it started.
ranks_of()
{
    cat /proc/[0-9]*/stat 2>/dev/null | awk -v root="$1" -v name="($(basename "$program"))" '
        { parent[$1] = $4; if ($2 == name) mine[$1] = 1 }
        END {
            for (pid in mine) {
                if (pid == root) continue
                for (up = parent[pid]; up != "" && up > 1 && up != root; up = parent[up]) continue
                if (up == root) print pid
            }
        }'
}

# The last round in a run's log, 0 where there is none yet.
last_round() { awk -F'[:,}]' '/"round"/ { for (i = 1; i < NF; i++) if ($i ~ /"round"/) n = $(i + 1) } END { print n + 0 }' "$1" 2>/dev/null || say 0; }

leave()
{
    code=$?
    if [ -n "$run_pid" ]; then kill "$run_pid" 2>/dev/null || :; fi
    exit "$code"
}
trap leave EXIT
trap 'exit 1' INT TERM

# --- preparation -------------------------------------------------------------------------------------------------------

[ -x "$program" ] || fail "'$program' is not built; sh bootstrap.sh demo builds it first"
rm -rf demo
mkdir demo
cd demo

sed "s/ROUNDS/$rounds/" >job.yaml <<'END'
# The job of the demo: readmission within 30 days, on made-up patients.
name: demo-readmission
data:
  cohort: [cohort.h5]
  id: encounter_id
  group: patient_id
  time: admitted_at
  label: {column: readmitted, positive: ["yes"]}
  where: "age >= 18"
  features: {exclude: [true_risk]}
  split: {by: group, train: 0.7, valid: 0.1, test: 0.2}
model: {type: gbdt, rounds: ROUNDS, learning_rate: 0.1, max_leaves: 15}
train: {seed: 7}
evaluate: {subgroups: [sex]}
score:
  bundle: runs/undisturbed/bundle
  cohort: ["tonight/{as_of}/*.h5"]
  out: "scores/{as_of}.h5"
run: {out: runs/undisturbed}
END

say "Nightshift demo: $(thousands $stays) made-up hospital stays of $(thousands $patients) patients. All in ./demo"
mkdir -p "tonight/$night"
run synth 1 synth cohort.h5 --rows $stays --patients $patients --seed 1 --true-risk
run synth-night 1 synth "tonight/$night/stays.h5" --rows $stays --patients $patients --seed 2 \
    --duplicate-ids $duplicates --missing-ids $no_id --infinite $infinite

# --- 1: training -------------------------------------------------------------------------------------------------------

run train 2 train job.yaml
auroc=$(get train.json metrics.test.auroc)
low=$(get train.json metrics.test.auroc_low)
high=$(get train.json metrics.test.auroc_high)
best=$(get synth.json best_auroc)
printf '1  train, 2 ranks     %d rounds   %.1f s\n' "$(get train.json rounds)" "$(get train.json seconds)"
printf '   AUROC %.3f (%.3f to %.3f) on patients it never saw; %.3f is the best\n' "$auroc" "$low" "$high" "$best"
say "   any model could do: the true risks of made-up patients are known"
holds "$(get train.json rounds) == $rounds" || fail "not $rounds rounds"
holds "$low < $auroc && $auroc < $high && $auroc > 0.6" || fail "the AUROC is not what it should be"
holds "$low <= $best" || fail "a model cannot be better than the true risks"
holds "$auroc > $best - 0.04" || fail "the model is far from the true risks"

# --- 2: kill -9 --------------------------------------------------------------------------------------------------------

"$program" run -n 2 train job.yaml --set run.out=runs/killed --set run.checkpoint_every=0.2s >killed.out 2>killed.log &
run_pid=$!
while [ "$(last_round runs/killed/log.jsonl)" -lt $kill_round ]; do
    kill -0 $run_pid 2>/dev/null || fail "the training ended before round $kill_round (its log: demo/killed.log)"
    sleep 0.02
done
ranks=$(ranks_of $run_pid)
[ "$(printf '%s\n' "$ranks" | wc -w)" -eq 2 ] || fail "not two ranks to kill: $ranks"
# shellcheck disable=SC2086
kill -9 $ranks
code=0
wait $run_pid || code=$?
run_pid=
killed_at=$(last_round runs/killed/log.jsonl)
[ "$code" -ne 0 ] || fail "the run did not notice that its ranks were killed"
[ ! -e runs/killed/bundle ] || fail "the training ended before it could be killed"
printf '2  the same, with kill -9 on both ranks at round %d, continued on 3 ranks\n' "$killed_at"
run continued 3 train job.yaml --set run.out=runs/killed
[ "$(get continued.json resumed_from)" -ge 1 ] 2>/dev/null || fail "it began anew instead of continuing"
hashes runs/undisturbed/bundle >undisturbed.sha256
hashes runs/killed/bundle >killed.sha256
same="every byte the same"
cmp -s undisturbed.sha256 killed.sha256 || same="NOT THE SAME"
say "   model $(short_hash runs/killed/bundle/model.safetensors)   undisturbed $(short_hash runs/undisturbed/bundle/model.safetensors)   $same"
[ "$same" = "every byte the same" ] || fail "the bundles differ: compare demo/undisturbed.sha256 and demo/killed.sha256"

# --- 3: one night ------------------------------------------------------------------------------------------------------

run score 1 score job.yaml --as-of $night
run score-3 3 score job.yaml --as-of $night --set "score.out=scores/three-ranks/{as_of}.h5"
rows=$(get score.json rows)
scored=$(get score.json scored)
outside=$(get score.json outside)
rejected=$(get score.json rejected)
seconds=$(get score.json seconds)
ids_twice=$(get score.json reasons.id_duplicate)
ids_gone=$(get score.json reasons.id_missing)
endless=$(get score.json reasons.value_infinite)
say "3  score the night of $night     $(calculate '%.1f' "$seconds") s, $(thousands "$(calculate '%.0f' "int($rows / $seconds / 1000) * 1000")") rows a second"
say "   $(thousands "$rows") in = $(thousands "$scored") scored + $(thousands "$outside") outside the cohort + $(thousands "$rejected") rejected"
say "   rejected: id_duplicate $ids_twice, id_missing $ids_gone, value_infinite $endless"
same="every byte the same"
cmp -s "scores/$night.h5" "scores/three-ranks/$night.h5" || same="NOT THE SAME"
say "   1 rank or 3: scores $(short_hash "scores/$night.h5")   $same"
[ "$same" = "every byte the same" ] || fail "the score files differ"
holds "$rows == $stays && $rows == $scored + $outside + $rejected" || fail "rows were lost"
holds "$rejected == $ids_twice + $ids_gone + $endless && $ids_gone > 0 && $ids_twice > 0 && $endless > 0" ||
    fail "the rejected rows do not add up"

# --- 4: what it is for -------------------------------------------------------------------------------------------------

[ "$(get train.json metrics.test.capacity.1.percent)" = 5 ] || fail "no capacity table at 5 %"
found=$(get train.json metrics.test.capacity.1.sensitivity)
needed=$(get train.json metrics.test.capacity.1.nne)
say "4  what a ward would see: the 5 % at highest risk hold $(calculate '%.0f' "100 * $found") % of readmissions;"
say "   1 in $(calculate '%.1f' "$needed") of those flagged returns"
holds "$found > 0.05" || fail "the flagged rows hold no more readmissions than any others"
