#!/bin/sh
# import as it is called: pipes, gzip, several files, --append, --max-bad, --write-schema; the files it leaves and their names.
#
#   import.sh PROGRAM
set -eu
program=$1
folder=$(mktemp -d "${TMPDIR:-/tmp}/nightshift-import-XXXXXX")
trap 'rm -rf "$folder"' EXIT
cd "$folder"

failed=0
fail()
{
    echo "import.sh: $*" >&2
    failed=1
}
# expect CODE TEXT WORDS…: the exit code, and a line of the output that holds TEXT
expect()
{
    code=$1 text=$2
    shift 2
    got=0
    "$program" "$@" >said 2>&1 </dev/null || got=$?
    [ "$got" -eq "$code" ] || { fail "$*: exit $got, not $code"; cat said >&2; }
    grep -qF -- "$text" said || { fail "$*: no \"$text\""; cat said >&2; }
    ! grep -q SECRET said || fail "$*: shows a value"
}
same() { cmp -s "$1" "$2" || fail "$1 and $2 differ"; }
absent() { for file in "$@"; do [ ! -e "$file" ] || fail "$file is there"; done; }

awk 'BEGIN { print "id,age,ward,at"; for (i = 1; i <= 5000; i++) printf "%d,%d,W%d,2026-01-%02dT%02d:00\n", 700000000 + i, i % 90, i % 7, i % 28 + 1, i % 24 }' >plain.csv
gzip -c plain.csv >packed 2>/dev/null || cp plain.csv packed

# one table by three ways, and by the schema that the first one wrote
expect 0 "imported 5000 rows, 4 columns to a.h5" import plain.csv a.h5 --write-schema s.yaml
expect 0 "imported 5000 rows" import packed b.h5
"$program" import - c.h5 <plain.csv >said 2>&1 || fail "standard input"
expect 0 "as said" import plain.csv d.h5 --schema s.yaml
for file in b.h5 c.h5 d.h5; do same a.h5 $file; done
for threads in 1 3; do
    OMP_NUM_THREADS=$threads "$program" import plain.csv t.h5 >said 2>&1
    same a.h5 t.h5
done
expect 2 "is there already" import plain.csv e.h5 --write-schema s.yaml
grep -qF "  age: {kind: number}" s.yaml || fail "s.yaml says nothing of age"

# two files are one table; a third goes beside it, a fourth beside that, and both are of its kinds
printf 'age,id,ward,at\n7,1,W9,2026-03-01T00:00\n' >more.csv
expect 0 "imported 5001 rows" import plain.csv more.csv two.h5
expect 0 "imported 1 rows, 4 columns to two_0002.h5" import more.csv two.h5 --append
expect 0 "two_0003.h5" import more.csv two.h5 --append
printf 'age,id,ward,at\nSECRET,1,W9,2026-03-01T00:00\n' >bad.csv
expect 3 "bad.csv line 2: column 'age' is not a plain decimal number" import bad.csv two.h5 --append
expect 3 "no such file" import more.csv nothing.h5 --append
absent two_0004.h5 nothing.h5 nothing_0002.h5

# bad lines: none allowed, too many, few enough; a clean import takes the old rejects away
{ head -n 2000 plain.csv; echo SECRET; } >ugly.csv
expect 3 "ugly.csv line 2001: has 1 field, the header has 4" import ugly.csv u.h5
expect 3 "more than --max-bad allows" import ugly.csv u.h5 --max-bad 0.01%
absent u.h5 u.rejects.csv
expect 0 "1 bad lines were left out; they stand in u.rejects.csv" import ugly.csv u.h5 --max-bad 0.1%
grep -qxF '"ugly.csv",2001,"has 1 field, the header has 4","SECRET"' u.rejects.csv || fail "u.rejects.csv"
expect 0 "imported 5000 rows" import plain.csv u.h5 --max-bad 1
absent u.rejects.csv
same a.h5 u.h5

# what cannot be meant
expect 2 "--max-bad" import plain.csv x.h5 --max-bad many
expect 2 "--max-bad" import plain.csv x.h5 --max-bad 101%
expect 2 "--max-bad" import plain.csv x.h5 --max-bad -1
expect 2 "--encoding: 'ebcdic' is neither utf8 nor latin1" import plain.csv x.h5 --encoding ebcdic
expect 2 "standard input can be read only once" import - - x.h5
printf 'columns:\n  at: {kind: time, zone: Europe/Wien}\n' >zone.yaml
expect 2 "zone.yaml:2: column 'at': zone 'Europe/Wien' is not in the time zone database" import plain.csv x.h5 --schema zone.yaml
absent x.h5

# nothing but what was asked for
ls -A | grep -vxE 'plain.csv|packed|more.csv|bad.csv|ugly.csv|s.yaml|zone.yaml|said|(a|b|c|d|t|u|two|two_0002|two_0003).h5' >left || :
[ ! -s left ] || [ "$(cat left)" = left ] || { fail "left behind:"; cat left >&2; }
exit $failed
