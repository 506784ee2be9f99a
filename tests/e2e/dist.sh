#!/bin/sh
# sh dist.sh here|debian11 PROGRAM MAKE: the file that `bootstrap.sh dist` makes of PROGRAM, used by somebody who has nothing else.
#   here      unpacked into a folder with a blank in its name, with an empty environment, as an ordinary user where root runs this
#   debian11  in a bare Debian 11 (older libc, no MPI, no HDF5) that debootstrap makes; needs root; 77 where it cannot be made
# Each makes a cohort, trains on two ranks, scores, and compares the bytes with those of PROGRAM.
set -eu
LC_ALL=C
export LC_ALL
where=$1
program=$(readlink -f "$2")
make=$(readlink -f "$3")
most_bytes=41943040

scratch=$(mktemp -d "${TMPDIR:-/tmp}/nightshift-dist.XXXXXX")
trap 'rm -rf --one-file-system "$scratch"' EXIT
chmod 755 "$scratch"

fail() { printf 'dist.sh: %s\n' "$*" >&2; exit 1; }
failed() { cat "$1/errors" >&2; fail "$2"; }
skip() { printf 'dist.sh: skipped: %s\n' "$*"; exit 77; }

if ! ldd "$program" | grep -q 'libmpi\.so\.40' || ! command -v orterun >/dev/null; then skip "PROGRAM was not built with Open MPI 4"; fi
if ldd "$program" | grep -q 'lib[au]san'; then skip "a program with sanitizers is not given away"; fi

# The whole use of it, as a script for any shell: FOLDER is where to work, then the program.
cat >"$scratch/use.sh" <<'END'
set -eu
cd "$1"
program=$2
exec 2>errors
"$program" synth stays.h5 --rows 20000 --seed 5 --quiet >log
cat >job.yaml <<'JOB'
name: stays
data: {cohort: [stays.h5], id: encounter_id, group: patient_id, label: {column: readmitted, positive: ["yes"]}}
model: {type: gbdt, rounds: 12}
score: {cohort: [stays.h5], out: scores.h5}
run: {out: run}
JOB
"$program" run -n 2 train job.yaml --quiet >>log
"$program" score job.yaml --as-of 2026-11-20 --quiet >scored
"$program" verify run/bundle --quiet >>log
sha256sum <run/bundle/model.safetensors
grep '^  content' scored
END

mkdir "$scratch/built"
sh "$scratch/use.sh" "$scratch/built" "$program" >"$scratch/want" || failed "$scratch/built" "PROGRAM itself fails"

file=$(sh "$make" "$program" "$scratch/made")
n_bytes=$(wc -c <"$file")
[ "$n_bytes" -le $most_bytes ] || fail "$file has $n_bytes bytes, more than $most_bytes"
folder=$(basename "$file" .tar.gz)

compare()
{
    cmp "$scratch/want" "$scratch/got" || fail "other bytes than those of the built program"
    printf 'dist.sh: %s: the same model and scores; %s bytes\n' "$where" "$n_bytes"
}

# as_user COMMAND…: as an ordinary user where this is root
as_user() { if [ "$(id -u)" -eq 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; else "$@"; fi; }

case $where in
here)
    mkdir "$scratch/a site" "$scratch/work"
    tar -C "$scratch/a site" -xzf "$file"
    chmod 777 "$scratch/work"
    as_user env -i PATH=/usr/bin:/bin sh "$scratch/use.sh" "$scratch/work" "$scratch/a site/$folder/bin/nightshift" >"$scratch/got" ||
        failed "$scratch/work" "it does not run"
    compare
    # A request to stop reaches its ranks, and the same command goes on.
    cd "$scratch/built"
    nightshift="$scratch/a site/$folder/bin/nightshift"
    set -- run -n 2 train job.yaml --quiet --set run.out=stopped --set model.rounds=100000 --set train.stop_after=100000 --set run.checkpoint_every=1s
    "$nightshift" "$@" >log 2>errors &
    run=$!
    # shellcheck disable=SC2016
    timeout 120 sh -c 'until ls stopped/checkpoints 2>/dev/null | grep -q "^[0-9]"; do kill -0 $1 || exit 1; sleep 0.1; done' sh $run ||
        { kill $run; failed . "it makes no checkpoint"; }
    kill -TERM $run
    code=0
    wait $run || code=$?
    [ $code -eq 75 ] || failed . "asked to stop it ends with $code"
    # By another name and from another folder it still finds its parts.
    ln -s "$scratch/a site/$folder/bin/nightshift" "$scratch/nightshift"
    (cd / && env -i PATH=/usr/bin:/bin "$scratch/nightshift" --version | grep -q '^nightshift [0-9]') || fail "a link to it does not run"
    ;;
debian11)
    [ "$(id -u)" -eq 0 ] || skip "only root can make a Debian 11"
    command -v debootstrap >/dev/null || skip "debootstrap is not there"
    unshare -m true 2>/dev/null || skip "mounts are not allowed"
    root=$scratch/root
    debootstrap --variant=minbase bullseye "$root" "${NIGHTSHIFT_DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$scratch/log" 2>&1 || {
        tail -n 2 "$scratch/log"
        skip "debootstrap does not reach Debian"
    }
    tar -C "$root/opt" -xzf "$file"
    mkdir "$root/work"
    chmod 777 "$root/work"
    cp "$scratch/use.sh" "$root/"
    # shellcheck disable=SC2016
    unshare -m --propagation private sh -eu -c '
        mount -t proc proc "$1/proc"
        mount --bind /sys "$1/sys"
        mount -t tmpfs -o mode=755 tmpfs "$1/dev"
        mkdir -m 1777 "$1/dev/shm"
        for device in null zero urandom random; do : >"$1/dev/$device"; mount --bind "/dev/$device" "$1/dev/$device"; done
        exec chroot --userspec=1234:1234 "$1" /usr/bin/env -i PATH=/usr/bin:/bin HOME=/work sh /use.sh /work "/opt/$2/bin/nightshift"
    ' sh "$root" "$folder" >"$scratch/got" || failed "$root/work" "it does not run on Debian 11"
    [ ! -e "$root/usr/bin/mpirun" ] || fail "that Debian is not bare"
    compare
    ;;
*) fail "here or debian11, not '$where'" ;;
esac
