# Where several MPI libraries are installed side by side, CMake may find the launcher of one and the library of another:
# then every rank believes to be alone. This keeps MPIEXEC_EXECUTABLE to the launcher of the library built with.
include(CheckCSourceCompiles)

set(CMAKE_REQUIRED_LIBRARIES MPI::MPI_C)
check_c_source_compiles("#include <mpi.h>
#ifndef OPEN_MPI
#error another
#endif
int main(void) { return 0; }" NIGHTSHIFT_MPI_IS_OPEN_MPI)
check_c_source_compiles("#include <mpi.h>
#ifndef MPICH_VERSION
#error another
#endif
int main(void) { return 0; }" NIGHTSHIFT_MPI_IS_MPICH)
unset(CMAKE_REQUIRED_LIBRARIES)

function(nightshift_launcher_is OUT LAUNCHER WORDS)
  execute_process(COMMAND ${LAUNCHER} --version OUTPUT_VARIABLE said ERROR_VARIABLE said RESULT_VARIABLE result)
  string(TOUPPER "${said}" said)
  if(said MATCHES "${WORDS}")
    set(${OUT} TRUE PARENT_SCOPE)
  else()
    set(${OUT} FALSE PARENT_SCOPE)
  endif()
endfunction()

if(NIGHTSHIFT_MPI_IS_OPEN_MPI)
  set(words "OPEN MPI|OPENRTE|OPEN-MPI|PRRTE|PRTE")
  set(names mpirun.openmpi mpiexec.openmpi mpirun mpiexec)
elseif(NIGHTSHIFT_MPI_IS_MPICH)
  set(words "HYDRA|MPICH")
  set(names mpiexec.mpich mpiexec.hydra mpiexec mpirun)
endif()

if(words)
  nightshift_launcher_is(fits "${MPIEXEC_EXECUTABLE}" "${words}")
  if(NOT fits)
    get_filename_component(near "${MPI_C_COMPILER}" DIRECTORY)
    foreach(name ${names})
      unset(candidate CACHE)
      find_program(candidate ${name} HINTS ${near})
      if(candidate)
        nightshift_launcher_is(fits "${candidate}" "${words}")
      endif()
      if(fits)
        message(STATUS "MPI launcher: ${candidate}, since ${MPIEXEC_EXECUTABLE} is another MPI's")
        set(MPIEXEC_EXECUTABLE "${candidate}" CACHE FILEPATH "The launcher of the MPI built with" FORCE)
        break()
      endif()
    endforeach()
    unset(candidate CACHE)
  endif()
  if(NOT fits)
    message(WARNING "'${MPIEXEC_EXECUTABLE}' is not the launcher of the MPI library found; set MPIEXEC_EXECUTABLE. "
      "Tests on several ranks and 'nightshift run' need it.")
  endif()
  unset(words)
  unset(names)
endif()
