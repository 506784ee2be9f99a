#!/bin/sh
# sh cluster/dist/make.sh PROGRAM FOLDER [GPU-TESTS]: one file, FOLDER/nightshift-VERSION-x86_64.tar.gz, that runs on any x86-64 Linux from
# 3.2 on, wherever it is unpacked and whatever is installed there: the program, its libraries, libc and the loader, Open MPI's
# launcher with its plugins and texts, and each part's licence. Made on Debian, by root or not. The last line is the file's path.
# GPU-TESTS is a folder with test_cases_gpu and rates_gpu (tests/gpu of a build): with them and the module goes tests/gpu/run.sh, the
# checks of the cuda backend, so that the file is all that a GPU machine needs.
set -eu
LC_ALL=C
export LC_ALL
program=$(readlink -f "$1")
folder=$2
gpu_tests=${3:-}
root=$(cd "$(dirname "$0")/../.." && pwd)

fail() { printf 'make.sh: %s\n' "$*" >&2; exit 1; }

[ -x "$program" ] || fail "there is no program '$1'"
[ "$(uname -m)" = x86_64 ] || fail "only x86-64 is known here"
command -v orterun >/dev/null && command -v ompi_info >/dev/null || fail "Open MPI's orterun and ompi_info are not there (openmpi-bin)"
ldd "$program" | grep -q 'libmpi\.so\.40' || fail "'$1' was not built with Open MPI 4"

# "Nightshift 0.1.0, …": the name of the folder inside
version=$("$program" --version | sed -n '1s/^nightshift \([0-9.]*\),.*/\1/p')
[ -n "$version" ] || fail "'$1' does not say its version"
name=nightshift-$version-x86_64
scratch=$(mktemp -d "${TMPDIR:-/tmp}/nightshift-dist.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
home=$scratch/$name
mkdir -p "$home/bin" "$home/parts/pmix" "$home/etc/openmpi" "$home/licences" "$home/share"

# --- Open MPI: its plugins, but those that only OpenSHMEM or a fabric's own libraries need -------------------------------------

plugins=$(ompi_info --parsable --path pkglibdir | sed -n 's/^path:pkglibdir://p' | head -n 1)
texts=$(ompi_info --parsable --path pkgdatadir | sed -n 's/^path:pkgdatadir://p' | head -n 1)
prefix=$(ompi_info --parsable --path prefix | sed -n 's/^path:prefix://p' | head -n 1)
[ -d "$plugins" ] && [ -d "$texts" ] || fail "Open MPI's plugins are not where ompi_info says"
# OPAL_PREFIX replaces the prefix it was built for; what is below keeps its place.
inside() { printf '%s' "$home${1#"$prefix"}"; }
mkdir -p "$(inside "$plugins")" "$(inside "$texts")"
for plugin in "$plugins"/mca_*.so; do
    case ${plugin##*/mca_} in
    btl_ofi* | btl_openib* | mtl_ofi* | mtl_psm* | pml_ucx* | osc_ucx* | atomic_* | memheap_* | scoll_* | spml_* | sshmem_*) continue ;;
    *monitoring* | vprotocol_* | crs_* | pmix_flux* | schizo_flux* | schizo_jsm* | ras_gridengine* | ras_simulator*) continue ;;
    esac
    cp -L "$plugin" "$(inside "$plugins")/"
done
cp -L "$texts"/*.txt "$(inside "$texts")/"
printf 'btl_base_warn_component_unused = 0\n' >"$home/etc/openmpi/openmpi-mca-params.conf"

# --- PMIx, through which Slurm starts ranks: its plugins -----------------------------------------------------------------------

pmix=$(ldd "$(inside "$plugins")/mca_pmix_ext3x.so" | sed -n 's|.*=> \(.*\)/libpmix\.so[^ ]* .*|\1|p')
pmix=$(dirname "$(readlink -f "$pmix/libpmix.so.2")")/pmix
[ -d "$pmix" ] || pmix=$(dirname "$(find /usr/lib -name 'mca_*.so' -path '*pmix/*' -print -quit)")
cp -L "$pmix"/*.so "$home/parts/pmix/"

# --- the programs and every library that any of this names --------------------------------------------------------------------

cp -L "$program" "$home/parts/nightshift"
cp -L "$(command -v orterun)" "$home/parts/mpirun"
module=$(dirname "$program")/nightshift_cuda.so
checks=
if [ -e "$module" ]; then
    cp -L "$module" "$home/parts/"
    for check in test_cases_gpu rates_gpu; do
        if [ -z "$gpu_tests" ] || [ ! -x "$gpu_tests/$check" ]; then continue; fi
        cp -L "$gpu_tests/$check" "$home/parts/"
        checks="$checks $check"
    done
fi

# CUDA's libraries and the driver's are those of the machine.
find "$home" -type f \( -name '*.so' -o -path '*/parts/nightshift' -o -path '*/parts/mpirun' -o -name '*_gpu' \) -exec ldd {} + |
    sed -n 's/^\t[^ ]* => \(\/[^ ]*\) (.*/\1/p; s/^\t\(\/[^ ]*ld-linux[^ ]*\) (.*/\1/p' | sort -u |
    grep -vE '/lib(cuda|cudart|nccl|nvidia-[a-z]*)\.so' >"$scratch/libraries"
while read -r library; do cp -L "$library" "$home/parts/"; done <"$scratch/libraries"
[ -x "$home/parts/ld-linux-x86-64.so.2" ] || fail "the loader is not among the libraries"
find "$home/parts" -type f \( -name '*.so*' -o -name nightshift -o -name mpirun -o -name '*_gpu' \) ! -name 'ld-linux*' -exec strip --strip-unneeded {} + 2>/dev/null
chmod 755 "$home/parts/nightshift" "$home/parts/mpirun" "$home/parts/ld-linux-x86-64.so.2"

for starter in nightshift mpirun $checks; do
    cp "$root/cluster/dist/start.sh" "$home/bin/$starter"
    chmod 755 "$home/bin/$starter"
done

if [ -n "$checks" ]; then
    mkdir -p "$home/tests/gpu"
    cp "$root/tests/gpu/run.sh" "$root/tests/gpu/floors.awk" "$home/tests/gpu/"
fi

# --- papers and helpers --------------------------------------------------------------------------------------------------------

cp "$root/LICENSE" "$root/README.md" "$home/"
cp -R "$root/jobs/examples" "$home/share/examples"
cp "$root/data/python/nightshift_cohort.py" "$home/share/"
{
    sed 's|.*/||' "$scratch/libraries" | while read -r file; do dpkg-query -S "*/$file" 2>/dev/null | head -n 1 | sed 's/:.*//'; done
    echo openmpi-bin
} | sort -u | while read -r package; do
    if [ -e "/usr/share/doc/$package/copyright" ]; then cp -L "/usr/share/doc/$package/copyright" "$home/licences/$package"; fi
done

# --- one file: the same bytes from the same parts ------------------------------------------------------------------------------

mkdir -p "$folder"
find "$home" -exec touch -h -d @0 {} +
file=$folder/$name.tar.gz
tar -C "$scratch" --sort=name --owner=0 --group=0 --numeric-owner --format=gnu -cf - "$name" | gzip -9n >"$file.part"
mv "$file.part" "$file"
printf '%s\n' "$file"
