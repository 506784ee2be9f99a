#!/bin/sh
# The cohorts of the tests for equal bytes, into the current folder.
#
#   sh cohorts.sh NIGHTSHIFT E2E_RECUT ROWS [SEED]
#
#   plain.h5    ROWS rows: numbers with missing cells, categories of up to 1,500 levels
#   steep.h5    the same with a label that trees can foretell almost without error: log-odds far beyond 16
#   rare.h5     four times as many rows, one in ten thousand with the outcome
#   weights.h5  plain.h5 with weights over six orders of magnitude, some of them 0
#   small.h5    2,500 rows: three blocks of 1,024
#   night.h5    what all their models score: half as many rows, with rows that have no id, or another's, or an infinite value
set -eu
nightshift=$1 recut=$2 rows=$3 seed=${4:-1}

synth()
{
    name=$1
    shift
    "$nightshift" synth "made-$name.h5" --numbers 8 --categories 4 --quiet "$@" >/dev/null
    "$recut" "made-$name.h5" "$name.h5" --origin 1500
    rm "made-$name.h5"
}

synth plain --rows "$rows" --seed "$seed"
synth rare --rows $((rows * 4)) --seed $((seed + 100))
synth night --rows $((rows / 2)) --seed $((seed + 200)) --duplicate-ids 9 --missing-ids 7 --infinite 5
"$recut" plain.h5 steep.h5 --label steep
"$recut" plain.h5 weights.h5 --weights
"$recut" plain.h5 small.h5 --rows 0:2500
mv rare.h5 often.h5
"$recut" often.h5 rare.h5 --label rare
rm often.h5
