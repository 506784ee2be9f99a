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
contains dry '^#SBATCH --nodes=1$' && contains dry '^#SBATCH --cpus-per-task=2$' && grep -qE '^#SBATCH --mem=([5-9]|1[0-4])[0-9][0-9]M$' dry || fail "sizes are not the plan's"
refused 2 "would need" "$program" submit run.yaml train --set slurm.nodes= --set slurm.memory=1MiB
refused 2 "as_of" "$program" submit run.yaml --set name=run
refused 2 "not one of" "$program" submit run.yaml everything
refused 2 "is not a date" "$program" submit run.yaml score --as-of tomorrow
refused 2 "run.time_zone" "$program" submit run.yaml score --as-of today --set run.time_zone=Mars/Base
refused 2 "slurm.time" "$program" submit run.yaml train --set slurm.time=soon
refused 3 "cohort" "$program" submit run.yaml train --set data.cohort=nothing.h5
[ ! -e run ] || fail "what was refused left something"
refused 2 "sbatch refused" "$program" submit run.yaml train --set slurm.partition=nowhere
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
