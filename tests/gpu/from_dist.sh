#!/bin/sh
# from_dist.sh MAKE PROGRAM GPU-TESTS HOST-MODULE: the file of `bootstrap.sh dist` carries the checks of the cuda backend, they start from it
# alone, and say plainly that there is no GPU; with the kernels of the host put in they pass.
set -eu
LC_ALL=C
export LC_ALL
make=$1 program=$2 gpu_tests=$3 host_module=$4
scratch=$(mktemp -d "${TMPDIR:-/tmp}/nightshift-from-dist-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
fail() { printf 'from_dist.sh: %s\n' "$*" >&2; exit 1; }

if ! ldd "$program" | grep -q 'libmpi\.so\.40' || ! command -v orterun >/dev/null; then echo "from_dist.sh: skipped: PROGRAM was not built with Open MPI 4"; exit 77; fi
file=$(sh "$make" "$program" "$scratch/made" "$gpu_tests")
n_bytes=$(wc -c <"$file")
[ "$n_bytes" -le 41943040 ] || fail "it has $n_bytes bytes"
mkdir "$scratch/there"
tar -C "$scratch/there" -xzf "$file"
home=$scratch/there/$(basename "$file" .tar.gz)
cd "$scratch"
for part in nightshift_cuda.so test_cases_gpu rates_gpu; do [ -e "$home/parts/$part" ] || fail "it carries no $part"; done
if ! nvidia-smi -L >/dev/null 2>&1; then
    code=0
    env -i PATH=/usr/bin:/bin sh "$home/tests/gpu/run.sh" cases >out 2>&1 || code=$?
    [ $code = 2 ] && grep -q 'there is no GPU here' out || fail "run.sh without a GPU: exit $code: $(cat out)"
    code=0
    env -i PATH=/usr/bin:/bin "$home/bin/rates_gpu" >out 2>&1 || code=$?
    [ $code = 2 ] && grep -q '^nightshift: device cuda: ' out || fail "rates_gpu without a GPU: exit $code: $(cat out)"
    code=0
    env -i PATH=/usr/bin:/bin "$home/bin/test_cases_gpu" >out 2>&1 || code=$?
    [ $code != 0 ] && grep -q 'device cuda: ' out || fail "test_cases_gpu without a GPU: exit $code: $(cat out)"
fi
cp "$host_module" "$home/parts/nightshift_cuda_host.so"
env -i PATH=/usr/bin:/bin OMP_NUM_THREADS=2 sh "$home/tests/gpu/run.sh" bad --host >out 2>&1 || fail "from the file: $(cat out)"
cat out
echo "from_dist.sh: $n_bytes bytes"
