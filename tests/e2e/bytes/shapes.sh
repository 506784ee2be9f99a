#!/bin/sh
# One cohort in other shapes: every shape is a folder whose files are, in the order of their names, the rows of COHORT.h5.
#
#   sh shapes.sh E2E_RECUT COHORT.h5 ROWS OUT    ROWS: how many rows the cohort has
#
#   OUT/one       one file, as it is
#   OUT/five      five files of unequal size, one of a single row, and an empty one
#   OUT/chunks    chunks of 777 rows
#   OUT/packed    deflate 9
#   OUT/unpacked  no filter, one chunk
#   OUT/levels    level lists in another order
#   OUT/all       five files, an empty one and one that begins within a block of 1,024 rows; each with chunks, compression
#                 and level lists of its own, without the levels that its rows lack
set -eu
recut=$1 cohort=$2 rows=$3 out=$4
for shape in one five chunks packed unpacked levels all; do mkdir -p "$out/$shape"; done

cp "$cohort" "$out/one/a.h5"
"$recut" "$cohort" "$out/chunks/a.h5" --chunk 777
"$recut" "$cohort" "$out/packed/a.h5" --deflate 9
"$recut" "$cohort" "$out/unpacked/a.h5" --deflate 0 --chunk "$rows"
"$recut" "$cohort" "$out/levels/a.h5" --levels 5

# cut SHAPE WORDS_OF_EACH_FILE…: parts end after 7, 7 (and one row), 7 (nothing), 61, 64 and 100 parts of a hundred
cut()
{
    shape=$1
    first=0 n=0
    for end in $((rows * 7 / 100)) $((rows * 7 / 100 + 1)) $((rows * 7 / 100 + 1)) $((rows * 61 / 100)) \
        $((rows * 64 / 100)) "$rows"; do
        n=$((n + 1))
        shift
        # shellcheck disable=SC2086
        "$recut" "$cohort" "$out/$shape/$n.h5" --rows "$first:$end" $1
        first=$end
    done
}
cut five '' '' '' '' '' ''
cut all '--levels 1 --deflate 0' '--levels 2' '--levels 3' '--levels 4 --chunk 1000' '--levels 5 --deflate 9' \
    '--levels 6 --chunk 5000 --deflate 3'
