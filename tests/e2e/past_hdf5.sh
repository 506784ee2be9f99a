#!/bin/sh
# Which files are read wholly past HDF5, as run.json says it: those that `import` and `synth` write, the Python helper, and h5py
# with gzip and shuffle. Others are named in the log, and the command that stands there cures them. All hold one table, so the
# bundles are equal.
#
#   past_hdf5.sh PROGRAM
#
# Exit 77 (skipped) without a Python with h5py, or without h5repack; what could be tried was, and had to be right.
set -eu
LC_ALL=C
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
program=$1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_WAIT_POLICY=passive NIGHTSHIFT_SITE=/dev/null
unset NIGHTSHIFT_READ NIGHTSHIFT_TEST_FAULT 2>/dev/null || :
folder=$(mktemp -d "${TMPDIR:-/tmp}/nightshift-past-hdf5-XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM
cd "$folder"

fail() { echo "past_hdf5: $*"; cat log 2>/dev/null || :; exit 1; }

cat >job.yaml <<'END'
name: past-hdf5
data: {cohort: [table.h5], id: stay, group: patient, label: {column: died, positive: ["yes"]}, split: {by: group, train: 0.6, valid: 0.2, test: 0.2}}
model: {rounds: 5}
run: {out: run, threads: 2}
END

# share COHORT: trains; prints what share of the bytes went past HDF5, as run.json has it. The log is in ./log, the bundle's
# manifest in ./manifest.
share()
{
    rm -rf run
    "$program" train job.yaml --set "data.cohort=[$1]" >out 2>log || fail "$1: no training"
    cp run/bundle/manifest.json manifest
    sed -n 's/.*"past_hdf5": \([0-9.]*\).*/\1/p' run/run.json
}

# all_fast COHORT: every byte went past HDF5, and no file is named
all_fast()
{
    found=$(share "$1")
    [ "$found" = 1.0 ] || fail "$1: $found of the bytes went past HDF5, not 1.0"
    if grep -q event=slow_file log; then fail "$1 is named as slow"; fi
}

"$program" synth synth.h5 --rows 3000 --quiet >out 2>log || fail "no synth"
"$program" train job.yaml --set "data.cohort=[synth.h5]" --set data.id=encounter_id --set data.group=patient_id \
    --set data.label.column=readmitted >out 2>log || fail "synth.h5: no training"
grep -q '"past_hdf5": 1.0' run/run.json || fail "synth.h5: not wholly past HDF5"

python=$(sh "$here/../find_python.sh" numpy h5py pandas 2>/dev/null) || python=$(sh "$here/../find_python.sh" numpy h5py) || { echo "past_hdf5: synth only, no Python with numpy and h5py"; exit 77; }
"$python" "$here/past_hdf5.py" "$folder" "$here/../../data/python"
all_fast fast-gzip.h5
cp manifest first
if [ -e table.csv ]; then # made where pandas is
    printf 'columns:\n  stay: {kind: id}\n  patient: {kind: id}\n' >schema.yaml
    "$program" import table.csv fast-import.h5 --schema schema.yaml --quiet >out 2>log || fail "no import"
fi
for file in fast-*.h5; do
    all_fast "$file"
    cmp -s manifest first || fail "$file: another bundle than that of fast-gzip.h5"
done

missing=
for file in slow-*.h5; do
    found=$(share "$file")
    cmp -s manifest first || fail "$file: another bundle than that of fast-gzip.h5"
    [ "$found" != 1.0 ] || fail "$file: wholly past HDF5, so it shows nothing"
    [ "$(grep -c event=slow_file log)" = 1 ] || fail "$file: not named once"
    cure=$(sed -n 's/.*event=slow_file .* cure="\(h5repack .*\) OUT.h5".*/\1/p' log)
    [ -n "$cure" ] || fail "$file: no command in $(grep event=slow_file log)"
    if ! command -v h5repack >/dev/null 2>&1; then missing=yes; continue; fi
    rm -f cured.h5
    $cure cured.h5 >out 2>&1 || { cat out; fail "$file: '$cure cured.h5' failed"; }
    all_fast cured.h5
    cmp -s manifest first || fail "$file: another bundle after '$cure'"
done
if [ -n "$missing" ]; then echo "past_hdf5: the cures were not tried, h5repack (package hdf5-tools) is not installed"; exit 77; fi
echo "past_hdf5: $(ls fast-*.h5 | wc -l) files wholly past HDF5, $(ls slow-*.h5 | wc -l) named and cured; one bundle"
