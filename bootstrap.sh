#!/bin/sh
# Sets Nightshift up, builds it, tests it, shows it. Plain sh; see `sh bootstrap.sh` for the words it knows.
set -eu
LC_ALL=C
export LC_ALL
cd "$(dirname "$0")"

usage()
{
    cat <<'END'
sh bootstrap.sh demo     builds, then trains and scores a made-up hospital in ./demo, in under a minute
sh bootstrap.sh test     builds twice (release, and debug with sanitizers) and runs every test
sh bootstrap.sh build    builds build/runner/nightshift
sh bootstrap.sh dist     makes one file, build/dist/nightshift-….tar.gz, that runs on any x86-64 Linux with nothing installed

As root on Debian or Ubuntu, what is missing is installed with apt-get first, and named. Elsewhere nothing is installed:
one message says what is missing. A site's own compilers and libraries are found through
    CC, MPI_HOME or MPI_C_COMPILER, HDF5_ROOT, PKG_CONFIG_PATH, CMAKE_PREFIX_PATH
END
}

say() { printf '%s\n' "$*"; }
complain() { printf 'bootstrap.sh: %s\n' "$*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }
n_jobs() { nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2; }

scratch=$(mktemp -d "${TMPDIR:-/tmp}/nightshift-bootstrap.XXXXXX")
trap 'if [ -e "$scratch/policy-is-ours" ]; then rm -f /usr/sbin/policy-rc.d; fi; rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- what is there -----------------------------------------------------------------------------------------------------

# Each thing that may be missing, and what brings it: thing|what it is|apt|dnf|Spack|conda-forge
things='compiler|a C compiler and make|build-essential|gcc make|gcc gmake|c-compiler make
cmake|CMake 3.22 or newer|cmake|cmake|cmake|cmake
pkg-config|pkg-config|pkg-config|pkgconf-pkg-config|pkgconf|pkg-config
openmp|OpenMP for the C compiler|libomp-dev|libomp-devel|llvm-openmp|llvm-openmp
mpi|MPI: mpi.h, its library|libopenmpi-dev|openmpi-devel|openmpi|openmpi
launcher|the launcher of MPI (mpirun, mpiexec)|openmpi-bin|openmpi|openmpi|openmpi
hdf5|HDF5 1.10.7 or newer|libhdf5-dev|hdf5-devel|hdf5|hdf5
yaml|libyaml|libyaml-dev|libyaml-devel|libyaml|yaml
jansson|jansson|libjansson-dev|jansson-devel|jansson|jansson
sodium|libsodium|libsodium-dev|libsodium-devel|libsodium|libsodium
crypto|libcrypto of OpenSSL|libssl-dev|openssl-devel|openssl|openssl
deflate|libdeflate|libdeflate-dev|libdeflate-devel|libdeflate|libdeflate
zlib|zlib, for CSV packed with gzip|zlib1g-dev|zlib-devel|zlib|zlib
cmocka|cmocka|libcmocka-dev|libcmocka-devel|cmocka|cmocka
clang|clang with OpenMP, to compare compilers|clang libomp-dev|clang libomp-devel|llvm|clang llvm-openmp
mpich|MPICH, to compare MPI libraries|libmpich-dev mpich|mpich-devel|mpich|mpich
python|Python 3 with numpy and h5py|python3 python3-numpy python3-h5py|python3-numpy python3-h5py|py-numpy py-h5py|numpy h5py
venv|Python virtual environments|python3-venv|python3|python|python
symbols|symbols of the C library, for the leak checker|libc6-dbg|glibc-debuginfo|glibc|sysroot_linux-64
xz|xz|xz-utils|xz|xz|xz
h5repack|h5repack, which cures slow files|hdf5-tools|hdf5|hdf5|hdf5
qemu|qemu-x86_64, an older processor|qemu-user|qemu-user|qemu|
slurm|Slurm and munge, for a cluster of their own|slurmctld slurmd slurm-client munge|slurm-slurmctld slurm-slurmd slurm munge|slurm munge|
tzdata|the time zone database|tzdata|tzdata|tzdata|tzdata
debootstrap|debootstrap, to try things on a bare Debian|debootstrap|debootstrap|debootstrap|debootstrap'

# field THING NUMBER
field() { printf '%s\n' "$things" | awk -F'|' -v thing="$1" -v number="$2" '$1 == thing { print $number }'; }

# Asks CMake, as the build will ask it, so that a site's modules count. Prints the things that are not found.
probe_libraries()
{
    mkdir -p "$scratch/probe"
    cat >"$scratch/probe/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.22)
project(probe LANGUAGES C)
function(report thing found)
  if(NOT found)
    message(STATUS "missing: ${thing}")
  endif()
endfunction()
find_package(MPI QUIET COMPONENTS C)
report(mpi "${MPI_C_FOUND}")
if(MPI_C_FOUND)
  report(launcher "${MPIEXEC_EXECUTABLE}")
else()
  find_program(ANY_LAUNCHER NAMES mpirun mpiexec)
  report(launcher "${ANY_LAUNCHER}")
endif()
find_package(OpenMP QUIET COMPONENTS C)
report(openmp "${OpenMP_C_FOUND}")
find_package(HDF5 1.10.7 QUIET COMPONENTS C)
report(hdf5 "${HDF5_FOUND}")
find_package(PkgConfig QUIET)
report(pkg-config "${PKG_CONFIG_FOUND}")
find_package(ZLIB QUIET)
report(zlib "${ZLIB_FOUND}")
foreach(pair yaml:yaml-0.1 jansson:jansson sodium:libsodium crypto:libcrypto deflate:libdeflate cmocka:cmocka)
  string(REGEX REPLACE ":.*" "" thing ${pair})
  string(REGEX REPLACE ".*:" "" package ${pair})
  set(found FALSE)
  if(PKG_CONFIG_FOUND)
    pkg_check_modules(P_${thing} QUIET ${package})
    set(found ${P_${thing}_FOUND})
  endif()
  report(${thing} "${found}")
endforeach()
message(STATUS "probe: done")
END
    rm -rf "$scratch/probe/build"
    configure_words
    # shellcheck disable=SC2086
    cmake -S "$scratch/probe" -B "$scratch/probe/build" $words >"$scratch/probe.log" 2>&1 || :
    if grep -q '^-- probe: done' "$scratch/probe.log"; then
        sed -n 's/^-- missing: //p' "$scratch/probe.log"
    else
        say compiler
        probe_without_cmake
    fi
}

# Without CMake or a compiler only a rough look is possible; what it overlooks, the look after installing finds.
probe_without_cmake()
{
    if ! has mpicc && ! has "${MPI_C_COMPILER:-mpicc}" && [ ! -d "${MPI_HOME:-/nowhere}" ]; then say mpi; fi
    if ! has mpirun && ! has mpiexec; then say launcher; fi
    if has pkg-config; then
        for pair in yaml:yaml-0.1 jansson:jansson sodium:libsodium crypto:libcrypto deflate:libdeflate zlib:zlib cmocka:cmocka; do
            pkg-config --exists "${pair#*:}" || say "${pair%%:*}"
        done
    else
        say pkg-config
        for thing in yaml jansson sodium crypto deflate zlib cmocka; do say $thing; done
    fi
    if ! has h5cc && ! has h5pcc && [ ! -d "${HDF5_ROOT:-/nowhere}" ] &&
        ! { has pkg-config && { pkg-config --exists hdf5 || pkg-config --exists hdf5-serial; }; }; then say hdf5; fi
}

cmake_is_new_enough()
{
    has cmake || return 1
    cmake --version | awk 'NR == 1 { split($3, v, "."); exit !(v[1] > 3 || (v[1] == 3 && v[2] >= 22)) }'
}

# Words that configure a build: what CMake does not take from the environment by itself.
configure_words()
{
    words=
    if [ -n "${MPI_C_COMPILER:-}" ]; then words="-DMPI_C_COMPILER=$MPI_C_COMPILER"; fi
}

has_compiler() { { has "${CC:-cc}" || has gcc || has clang; } && { has make || has ninja; }; }

# The things that GOAL (build, demo, test) needs and that are not there.
missing_for()
{
    if ! has_compiler; then say compiler; fi
    if ! cmake_is_new_enough; then say cmake; fi
    if has_compiler && cmake_is_new_enough; then found=$(probe_libraries); else found=$(probe_without_cmake); fi
    for thing in $found; do
        case $thing:$1 in
        cmocka:build | cmocka:demo | launcher:build) ;;
        *) say "$thing" ;;
        esac
    done | sort -u
}

# Things without which some tests are skipped.
missing_for_all_tests()
{
    printf 'int main(void) { return 0; }\n' >"$scratch/empty.c"
    openmp=no
    for clang in clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14; do
        if has $clang && $clang -fopenmp -o "$scratch/empty" "$scratch/empty.c" 2>/dev/null; then openmp=yes; fi
    done
    [ $openmp = yes ] || say clang
    if ! has mpicc.mpich && ! { has mpichversion && has mpiexec.hydra; }; then say mpich; fi
    sh tests/find_python.sh numpy h5py >/dev/null 2>&1 || say python
    python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || say venv
    has xz || say xz
    if ! { has slurmctld && has slurmd && has sbatch && has munged; }; then say slurm; fi
    has h5repack || say h5repack
    [ "$(uname -m)" != x86_64 ] || has qemu-x86_64 || say qemu
    # Leaks of MPI libraries are known by names of functions inside of the C library.
    if [ -e /etc/debian_version ] && [ ! -d /usr/lib/debug/.build-id ]; then say symbols; fi
    [ -e "${TZDIR:-/usr/share/zoneinfo}/Europe/Vienna" ] || say tzdata
    if [ "$(id -u)" -eq 0 ] && ! has debootstrap; then say debootstrap; fi
}

# --- installing --------------------------------------------------------------------------------------------------------

may_install() { [ "$(id -u)" -eq 0 ] && has apt-get && [ -e /etc/debian_version ]; }

# names COLUMN THING…: package names, each once
names()
{
    column=$1
    shift
    for thing in "$@"; do field "$thing" "$column"; done | tr ' ' '\n' | awk '!seen[$0]++' | tr '\n' ' ' | sed 's/ $//'
}

# Packages of daemons (Slurm's, munge) start them when they are installed; the tests start their own. Debian's way to forbid it is a
# file, which is here for as long as apt-get runs.
policy=/usr/sbin/policy-rc.d
start_no_daemons()
{
    if [ -e $policy ]; then return 0; fi
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    : >"$scratch/policy-is-ours"
}

allow_daemons()
{
    if [ -e "$scratch/policy-is-ours" ]; then rm -f $policy "$scratch/policy-is-ours"; fi
}

install_things()
{
    packages=$(names 3 "$@")
    say "bootstrap.sh: installing with apt-get: $packages"
    DEBIAN_FRONTEND=noninteractive
    export DEBIAN_FRONTEND
    apt-get update -qq >"$scratch/apt.log" 2>&1 || complain "apt-get update failed; going on with the lists that are there"
    start_no_daemons
    # shellcheck disable=SC2086
    if ! apt-get install -y -qq --no-install-recommends $packages >"$scratch/apt.log" 2>&1; then
        tail -n 5 "$scratch/apt.log" >&2
        complain "apt-get install failed"
    fi
    allow_daemons
}

say_what_is_missing()
{
    list=
    for thing in "$@"; do list="$list${list:+; }$(field "$thing" 2)"; done
    cat >&2 <<END
bootstrap.sh: missing: $list
  Debian, Ubuntu   apt-get install $(names 3 "$@")
  Fedora, RHEL     dnf install $(names 4 "$@")
  Spack            spack install $(names 5 "$@")
  conda-forge      conda install -c conda-forge $(names 6 "$@")
  Already there as modules of this site? Load them, or point CMake at them, and run this again:
                   CC=gcc  MPI_HOME=DIR or MPI_C_COMPILER=DIR/bin/mpicc  HDF5_ROOT=DIR
                   PKG_CONFIG_PATH=DIR/lib/pkgconfig  CMAKE_PREFIX_PATH=DIR:DIR
END
}

# Everything that GOAL needs is there afterwards, or the script ends with 2.
ensure()
{
    missing=$(missing_for "$1")
    extra=
    if [ "$1" = test ]; then extra=$(missing_for_all_tests); fi
    if [ -n "$missing$extra" ] && may_install; then
        # shellcheck disable=SC2086
        install_things $missing $extra
        missing=$(missing_for "$1")
        if [ "$1" = test ]; then extra=$(missing_for_all_tests); fi
    fi
    if [ -n "$missing" ]; then
        # shellcheck disable=SC2086
        say_what_is_missing $missing $extra
        exit 2
    fi
    for thing in $extra; do complain "without $(field "$thing" 2) some tests are skipped"; done
}

# Python packages of the tests that read our files without us and of the comparisons with other libraries. From PyPI where
# it can be reached; without them those tests are skipped.
make_python_environment()
{
    environment=build/peers-venv
    if [ -e "$environment/complete" ]; then return 0; fi
    if ! python3 -c 'import venv, ensurepip' >/dev/null 2>&1; then return 0; fi
    mkdir -p build
    if [ ! -x "$environment/bin/pip" ]; then
        rm -rf "$environment"
        python3 -m venv "$environment" >"$scratch/venv.log" 2>&1 || { rm -rf "$environment"; return 0; }
    fi
    pip="$environment/bin/python -m pip install --quiet --disable-pip-version-check --retries 1 --timeout 15"
    if ! $pip numpy h5py safetensors >"$scratch/pip.log" 2>&1; then
        complain "PyPI is not in reach: tests that need the package safetensors are skipped"
        return 0
    fi
    # Without their dependencies: xgboost's are 300 MB for GPUs.
    if $pip pandas scikit-learn >"$scratch/pip.log" 2>&1 && $pip --no-deps xgboost lightgbm >"$scratch/pip.log" 2>&1; then
        : >"$environment/complete"
    else
        complain "not all of pandas, scikit-learn, xgboost, lightgbm came from PyPI: comparisons with them are skipped"
    fi
}

# --- building and testing ----------------------------------------------------------------------------------------------

# build PRESET ON|OFF: with or without the tests, which need cmocka
build()
{
    configure_words
    say "bootstrap.sh: building $1"
    # shellcheck disable=SC2086
    cmake --preset "$1" "-DNIGHTSHIFT_TESTS=$2" $words >"$scratch/configure.log" 2>&1 || { cat "$scratch/configure.log" >&2; return 1; }
    cmake --build --preset "$1" -j "$(n_jobs)" >"$scratch/build.log" 2>&1 || {
        grep -E -A 4 'error|Error|warning:' "$scratch/build.log" | head -n 60 >&2
        complain "the $1 build failed"
        return 1
    }
}

# The checks of the cuda backend that go with the file of `dist`: where nvcc and cmocka are.
build_gpu_checks()
{
    if [ ! -e build/runner/nightshift_cuda.so ] || ! pkg-config --exists cmocka; then return 0; fi
    # shellcheck disable=SC2086
    { cmake --preset release -DNIGHTSHIFT_TESTS=ON $words && cmake --build --preset release -j "$(n_jobs)" --target test_cases_gpu rates_gpu; } \
        >"$scratch/checks.log" 2>&1 || complain "the checks for GPUs could not be built, and are left out"
}

# run_tests FOLDER [WORDS…]: ctest's output also goes to FOLDER/tests.log
run_tests()
{
    folder=$1
    shift
    { ctest --test-dir "$folder" --output-on-failure --no-tests=error -j "$(n_jobs)" "$@" 2>&1 && echo 0 >"$scratch/code" ||
        echo 1 >"$scratch/code"; } | tee "$folder/tests.log"
    return "$(cat "$scratch/code")"
}

# Adds up the lines of ctest in the logs named: "N passed, N failed, N skipped".
count_tests()
{
    cat "$@" | awk '/^ *[0-9]+\/[0-9]+ Test +#/ {
            if (/\*\*\*Skipped/) skipped++; else if (/ Passed +[0-9.]+ sec/) passed++; else failed++
        }
        END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped; exit failed > 0 || passed == 0 }'
}

test_all()
{
    failed=
    # One machine needs no network libraries: ranks start faster, and the leak checker does not trip over their threads.
    OMPI_MCA_pml=${OMPI_MCA_pml:-ob1}
    export OMPI_MCA_pml
    mkdir -p build build-debug
    rm -f build/tests.log build-debug/tests.log
    make_python_environment
    if build release ON; then run_tests build || failed="$failed release"; else failed="$failed release-build"; fi
    # Whole programs, with sanitizers, would take most of an hour: the debug build runs the tests of single parts.
    if build debug ON; then
        run_tests build-debug -E e2e -LE 'e2e|peers' || failed="$failed debug"
    else
        failed="$failed debug-build"
    fi
    logs=
    for log in build/tests.log build-debug/tests.log; do if [ -e $log ]; then logs="$logs $log"; fi; done
    counts="0 passed, 0 failed, 0 skipped"
    # shellcheck disable=SC2086
    if [ -n "$logs" ]; then counts=$(count_tests $logs) || failed="$failed tests"; fi
    if [ -n "$failed" ]; then
        say "bootstrap.sh: FAILED ($(say "$failed" | tr ' ' '\n' | sort -u | tr '\n' ' ' | sed 's/^ //; s/ $//')): $counts"
        return 1
    fi
    say "bootstrap.sh: all is well: $counts"
}

case ${1:-} in
'' | help | -h | --help) usage ;;
build)
    ensure build
    build release OFF || exit 1
    say "bootstrap.sh: built build/runner/nightshift"
    ;;
dist)
    ensure demo
    build release OFF || exit 1
    build_gpu_checks
    sh cluster/dist/make.sh build/runner/nightshift build/dist build/tests/gpu
    ;;
demo)
    ensure demo
    build release OFF || exit 1
    sh jobs/examples/demo.sh build/runner/nightshift
    ;;
test)
    ensure test
    test_all
    ;;
*)
    complain "unknown word '$1'"
    usage >&2
    exit 2
    ;;
esac
