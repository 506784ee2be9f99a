#!/bin/sh
# Starts a program of this folder with the libraries and the loader that came with it. The name it is called by says which one.
home=$(dirname "$(dirname "$(readlink -f "$0")")")
# Where Open MPI and PMIx find their parts here, instead of where they were built for. A process on its own needs no daemon.
OPAL_PREFIX=$home
OPAL_SYSCONFDIR=$home/etc/openmpi
PMIX_PREFIX=$home
PMIX_PKGLIBDIR=$home/parts/pmix
OMPI_MCA_ess_singleton_isolated=1
export OPAL_PREFIX OPAL_SYSCONFDIR PMIX_PREFIX PMIX_PKGLIBDIR OMPI_MCA_ess_singleton_isolated
# Without a way to other machines the launcher starts ranks on this one alone, instead of giving up.
if ! command -v ssh >/dev/null && ! command -v rsh >/dev/null; then
    OMPI_MCA_plm=${OMPI_MCA_plm:-isolated}
    export OMPI_MCA_plm
fi
name=$(basename "$0")
exec "$home/parts/ld-linux-x86-64.so.2" --library-path "$home/parts" --argv0 "$home/bin/$name" "$home/parts/$name" "$@"
