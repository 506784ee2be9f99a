#!/bin/sh
# Runs README's first job as it stands there: its job file and its commands, in order, on a table such as it describes.
#
#   readme.sh README.md PROGRAM
set -eu
readme=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
program=$2
folder=$(mktemp -d "${TMPDIR:-/tmp}/nightshift-readme-XXXXXX")
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir bin
ln -s "$program" bin/nightshift
PATH=$folder/bin:$PATH
export PATH

# section: the part about the first job; block KIND: what stands between its ```KIND and ```
section() { sed -n '/^## A first job/,/^## Installing/p' "$readme"; }
block() { section | awk -v fence="\`\`\`$1" '$0 == fence { inside = 1; next } $0 == "```" { inside = 0 } inside'; }

# 4,000 stays of 2,500 patients with the columns that README shows; older patients and those with earlier stays return more.
head=$(block csv | head -n 1)
awk -v head="$head" 'BEGIN {
    srand(4)
    print head
    split("cardiology surgery medicine oncology", unit, " ")
    for (i = 0; i < 4000; i++) {
        age = 16 + int(80 * rand()); prior = int(6 * rand() * rand())
        risk = 1 / (1 + exp(4 - age / 40 - prior / 2))
        printf "%d,P%04d,%d,%s,%s,%s,%d,%s\n", 100001 + i, int(2500 * rand()), age, (rand() < 0.5 ? "female" : "male"),
            unit[1 + int(4 * rand())], (rand() < 0.1 ? "" : 130 + int(15 * rand())), prior, (rand() < risk ? "yes" : "no")
    }
}' >stays.csv
block "yaml schema" >stays.schema.yaml
block yaml >readmission.yaml
block sh >commands.sh
[ "$(grep -c nightshift commands.sh)" -ge 5 ] || { echo "readme: its commands were not found"; exit 1; }
sh -eux commands.sh

for file in model.safetensors job.yaml metrics.json profile.json manifest.json; do
    [ -s "runs/readmission/bundle/$file" ] || { echo "readme: no $file in the bundle"; exit 1; }
done
[ -s scores/2026-11-20.h5 ] || { echo "readme: no scores"; exit 1; }
for day in 17 18 19 20; do
    [ -s scores/2026-11-$day.h5.manifest.json ] || { echo "readme: the night of $day is not done"; exit 1; }
done
[ "$(grep -c 'event=end exit=0 .*as_of=2026-11-' nightly.log)" = 4 ] || { echo "readme: the log does not say four nights"; exit 1; }
block "yaml site" >site.yaml
NIGHTSHIFT_SITE=$folder/site.yaml nightshift score readmission.yaml --as-of 2026-11-20 2>site.log
[ "$(grep -c '^{.*}$' site.log)" = "$(wc -l <site.log)" ] || { echo "readme: its site file does not make the log JSON"; exit 1; }
if python3 -c 'import h5py' 2>/dev/null; then
    { block python; echo 'assert len(risk) == 4000 and (status == 0).sum() > 3000 and (risk[status == 0] > 0).all()'; } >look.py
    python3 look.py
fi
echo "readme: every command did what it says"
