#!/bin/sh
# Makes the golden files of a numerics version, once; README.md says when. Nothing that is there is written again.
#
#   sh make.sh vN NIGHTSHIFT E2E_RECUT [JOB…]
#
#   vN          the folder below this one, with its job files JOB.yaml
#   NIGHTSHIFT  a program of numerics version N
#   E2E_RECUT   tests/e2e/e2e_recut of the same build
#   JOB         without .yaml; all jobs of vN where none is named
#
# Leaves train.h5 and night.h5 (kept where they are there), and for each job JOB/ (the bundle), JOB.h5 (the scores of
# night.h5) and a line in models.txt: job, SHA-256 of its model, content hash of its scores.
set -eu
LC_ALL=C
export LC_ALL NIGHTSHIFT_SITE=/dev/null OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_WAIT_POLICY=passive
umask 022

fail() { echo "make.sh: $*" >&2; exit 1; }
[ $# -ge 3 ] || fail "how: sh make.sh vN NIGHTSHIFT E2E_RECUT [JOB…]"
version=$1 nightshift=$2 recut=$3
shift 3
cd "$(dirname "$0")/$version" || fail "there is no folder '$version'"
found=$("$nightshift" --version | sed -n 's/.*numerics version \([0-9]*\).*/v\1/p')
[ "$found" = "$version" ] || fail "$nightshift is of numerics version ${found#v}: it cannot make $version"
if [ $# -eq 0 ]; then
    for file in *.yaml; do
        [ -e "$file" ] || fail "$version has no job files: copy those of the last version"
        set -- "$@" "${file%.yaml}"
    done
fi
for job in "$@"; do
    [ -e "$job.yaml" ] || fail "there is no $version/$job.yaml"
    if [ -e "$job" ] || [ -e "$job.h5" ]; then fail "$version/$job was made already; golden files are made once"; fi
done

work=$(mktemp -d "${TMPDIR:-/tmp}/nightshift-golden-XXXXXX")
trap 'rm -rf "$work"' EXIT

# run VERB WORDS…: what it says is shown only where it fails
run() { "$nightshift" "$@" --quiet >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "$version was not made whole"; }; }

# cohort NAME WORDS…: numbers with missing cells, categories of up to 600 levels, weights over six orders of magnitude
cohort()
{
    name=$1
    shift
    [ ! -e "$name.h5" ] || return 0
    outcomes=$("$nightshift" synth --help | sed -n 's/^ *\(--outcomes\).*/\1/p') # version 1 had but one outcome
    # shellcheck disable=SC2086
    run synth "$work/$name.h5" --numbers 6 --categories 3 $outcomes "$@"
    "$recut" "$work/$name.h5" "$work/$name-whole.h5" --origin 600 --weights --deflate 9
    mv "$work/$name-whole.h5" "$name.h5"
}
cohort train --rows 2600 --seed 401
cohort night --rows 300 --seed 402 --duplicate-ids 4 --missing-ids 3 --infinite 2

for job in "$@"; do
    run train "$job.yaml" --set "run.out=$work/$job"
    run score "$job.yaml" --set "run.out=$work/$job" --set "score.out=$work/$job.h5" --as-of 2026-11-20
    run verify "$work/$job/bundle" --gold night.h5 --expect "$work/$job.h5"
    model=$(sha256sum "$work/$job/bundle/model.safetensors")
    content=$(sed -n 's/^ "content": "\(.*\)",*$/\1/p' "$work/$job.h5.manifest.json")
    chmod -R u=rwX,go=rX "$work/$job/bundle" "$work/$job.h5"
    mv "$work/$job/bundle" "$job"
    mv "$work/$job.h5" "$job.h5"
    echo "$job ${model%% *} $content" >>models.txt
done
sort -o models.txt models.txt
du -sk . | sed "s/^\([0-9]*\).*/$version: \1 KiB/"
