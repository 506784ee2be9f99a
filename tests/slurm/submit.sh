#!/bin/sh
# A job as users submit it: four ranks on two nodes make what one rank makes; what is frozen; what is refused, each in one line.
. "$(dirname "$0")/lib.sh"

"$program" synth cohort.h5 --rows 6000 --seed 3 --quiet >/dev/null || fail "no cohort"
mkdir night && cp cohort.h5 night/2026-11-20.h5
job run.yaml run 12

# refused CODE TEXT COMMAND…: one line that begins "nightshift:" and holds the text
refused()
{
    code=$1 text=$2
    shift 2
    "$@" >out 2>err
    found=$?
    [ $found = "$code" ] || { cat err; fail "'$*' ended with $found, not $code"; }
    grep '^nightshift: ' err >line
    [ "$(wc -l <line)" = 1 ] || { cat err; fail "'$*' said $(wc -l <line) lines"; }
    contains line "$text" || { cat err; fail "'$*' did not say '$text'"; }
}

# --- what can be seen without queueing anything ---
"$program" submit run.yaml --as-of 2026-11-20 --dry-run --quiet >dry || fail "no dry run"
[ ! -e run ] || fail "a dry run left something"
for words in '#SBATCH --nodes=2' '#SBATCH --ntasks-per-node=2' '#SBATCH --requeue' '#SBATCH --open-mode=append' '#SBATCH --signal=USR2@60' \
    '#SBATCH --time=00:20:00' '#SBATCH --mem=1500M' 'srun --mpi=pmix --kill-on-bad-exit=1 --gpu-bind=none' ' score .* --as-of 2026-11-20'; do
    contains dry "$words" || fail "the script has no '$words'"
done
[ "$(grep -c '^#!/bin/sh' dry)" = 3 ] || fail "not three scripts"
"$program" submit run.yaml score --as-of 2026-11-20 --dry-run --quiet --set slurm.launcher='mpiexec -n 4' --set 'slurm.extra=["--constraint=a b", "comment=x"]' \
    --set 'slurm.setup=["module load x"]' --set slurm.partition=spare >dry || fail "no dry run of options"
for words in '^mpiexec -n 4 ' '^#SBATCH --constraint=a b' '^#SBATCH --comment=x' '^module load x' '^#SBATCH --partition=spare'; do
    contains dry "$words" || fail "options: the script has no '$words'"
done
# Sizes from the plan: CPUs are the node's share, memory what four ranks need, nodes the fewest.
"$program" submit run.yaml train --dry-run --quiet --set slurm.nodes= --set slurm.memory= --set slurm.cpus_per_task= --set run.threads=0 >dry || fail "no plan"
contains dry '^#SBATCH --nodes=1$' && contains dry '^#SBATCH --cpus-per-task=4$' && grep -qE '^#SBATCH --mem=([5-9]|1[0-4])[0-9][0-9]M$' dry || fail "sizes are not the plan's"
# A night's memory: of its cohort's rows where it is there; more where nobody can tell.
memory_of() { sed -n 's/^#SBATCH --mem=\([0-9]*\)M$/\1/p' dry; }
"$program" submit run.yaml score --as-of 2026-11-20 --dry-run --quiet --set slurm.memory= >dry || fail "no plan of a night"
[ "$(memory_of)" -ge 600 ] && [ "$(memory_of)" -le 900 ] || fail "a small night asks for $(memory_of) MB on a node of two ranks"
"$program" submit run.yaml score --as-of 2026-11-25 --dry-run --quiet --set slurm.memory= --set data.cohort=to-come.h5 >dry || fail "no plan of a night to come"
[ "$(memory_of)" -ge 2000 ] || fail "a night that nobody knows asks for $(memory_of) MB"
# GPUs: a rank for each, and all of a node's visible to all of its ranks.
"$program" submit run.yaml train --dry-run --quiet --set slurm.gpus_per_node=2 --set slurm.tasks_per_node= >dry || fail "no plan with GPUs"
contains dry '^#SBATCH --gpus-per-node=2$' && contains dry '^#SBATCH --ntasks-per-node=2$' && contains dry '^srun .*--gpu-bind=none' || fail "no GPUs are asked for"
refused 2 "has 1200 members, and a job array of this Slurm at most 1000" "$program" submit run.yaml sweep --set sweep.seeds=600 --set sweep.folds=2
refused 2 "would need" "$program" submit run.yaml train --set slurm.nodes= --set slurm.memory=1MiB
refused 2 "as_of" "$program" submit run.yaml --set name=run
refused 2 "not one of" "$program" submit run.yaml everything
refused 2 "is not a date" "$program" submit run.yaml score --as-of tomorrow
refused 2 "run.time_zone" "$program" submit run.yaml score --as-of today --set run.time_zone=Mars/Base
refused 2 "slurm.time" "$program" submit run.yaml train --set slurm.time=soon
refused 3 "cohort" "$program" submit run.yaml train --set data.cohort=nothing.h5
# Every night.
"$program" submit run.yaml score --nightly "30 3 * * *" --quiet >lines 2>err || { cat err; fail "no lines for cron"; }
contains lines "^30 3 \* \* \* $program submit $folder/run.yaml score --as-of yesterday" && contains lines '^#SCRON ' || { cat lines; fail "not the lines of a night"; }
contains err event=daylight_saving && fail "03:30 is warned of"
"$program" submit run.yaml score --nightly "30 2 * * *" >lines 2>err && contains err event=daylight_saving || fail "02:30 is not warned of"
refused 2 "is not a time as cron takes it" "$program" submit run.yaml score --nightly "30 25 * * *"
[ ! -e run ] || fail "what was refused left something"
refused 2 "sbatch refused" "$program" submit run.yaml train --set slurm.partition=nowhere
refused 2 "sbatch refused the job: Requested node" "$program" submit run.yaml train --set slurm.gpus_per_node=3
refused 2 "cannot start 'sbatch'" env PATH=/nowhere "$program" submit run.yaml train
rm -r run/submissions/programs && rmdir run/submissions run || fail "what sbatch refused left more than a program"

# --- the same bytes ---
"$program" submit run.yaml --as-of 2026-11-20 >ids 2>err || { cat err; fail "submit failed"; }
[ "$(wc -l <ids)" = 3 ] || fail "not three ids"
{ read -r first && read -r second && read -r third; } <ids
[ "$first" -lt "$second" ] && [ "$second" -lt "$third" ] || fail "ids are not in order"
contains run/submissions/1/submission.json "$third" || fail "no id on record"
refused 2 "still in the queue as Slurm job $first" "$program" submit run.yaml --as-of 2026-11-20
# A slip of the pen, a new program and a new site file change nothing in the queue.
sed -i 's/rounds: 12/rounds: 3/' run.yaml
must_end "$first" 120 0
must_end "$second" 60 0
must_end "$third" 60 0
job one.yaml run 12 # the same name: it is in the bundle's manifest
"$program" train one.yaml --quiet --set run.out=one >/dev/null || fail "one rank cannot train"
"$program" score one.yaml --quiet --set run.out=one --set score.out=one.h5 --as-of 2026-11-20 >/dev/null || fail "one rank cannot score"
same_bundle run one
cmp scores/2026-11-20.h5 one.h5 || fail "the scores differ"
grep -q '"ranks": 4' run/run.json || fail "not four ranks"
[ -e run/evaluations/test/metrics.json ] || fail "nothing was evaluated"
ls run/submissions/1/code.* 2>/dev/null && fail "a code file stayed"
"$program" submit run.yaml score --as-of 2026-11-20 --json --quiet >again 2>/dev/null && contains again '"as_of":"2026-11-20"' || fail "no JSON"
must_end "$(sed 's/.*"id":\([0-9]*\).*/\1/' again)" 60 0
contains run/submissions/2/score.log already_scored || fail "the night was scored twice"

# --- GPUs, as far as Slurm has part in them: simulated ones of the program, on a Slurm that counts device files ---
if [ -n "${5:-}" ]; then
    NIGHTSHIFT_CUDA=$5 NIGHTSHIFT_CUDA_DEVICES=2 NIGHTSHIFT_NVML=$6 "$program" submit run.yaml train --quiet --set run.out=gpu --set run.device=cuda \
        --set slurm.gpus_per_node=2 --set slurm.tasks_per_node= >ids 2>err || { cat err; fail "submit with GPUs"; }
    must_end "$(cat ids)" 90 0
    "$program" train run.yaml --quiet --set run.out=cpu >/dev/null || fail "one rank cannot train"
    same_bundle gpu cpu
    grep -q '"gpus": 2' gpu/run.json && grep -q '"gpu_energy_j"' gpu/run.json || fail "the GPUs of one host were not counted: $(grep -A9 '"gpus"' gpu/run.json)"
else
    say "without simulated GPUs"
fi

# --- started wrongly ---
refused 2 "srun --mpi=pmix" timeout 60 srun -n3 --mpi=none "$program" inspect cohort.h5
refused 2 "SLURM_NTASKS is 5" timeout 60 srun -n2 --mpi=pmix env SLURM_NTASKS=5 "$program" inspect cohort.h5
cp "$program" other && printf x >>other
printf '0 %s inspect cohort.h5\n1 %s inspect cohort.h5\n' "$program" "$folder/other" >two
refused 2 "the programs" timeout 60 srun -n2 --mpi=pmix --multi-prog two
refused 2 "one process" timeout 60 srun -n2 --mpi=pmix "$program" submit run.yaml train
# A shell in a step of its own, as srun --pty gives it, is one process.
timeout 60 srun -n1 --mpi=none "$program" inspect cohort.h5 --quiet >out || fail "no single task without PMIx"
say "passed"
