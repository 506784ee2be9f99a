# Evaluation, training profile and the tree model's file. Their sources are compiled here once more, as a library of their own.
include(${CMAKE_SOURCE_DIR}/runner/metrics_sources.cmake)
list(TRANSFORM NIGHTSHIFT_METRICS_SOURCES PREPEND ${CMAKE_SOURCE_DIR}/runner/ OUTPUT_VARIABLE metrics_under_test_sources)
add_library(metrics_under_test STATIC ${metrics_under_test_sources})
target_link_libraries(metrics_under_test PUBLIC nightshift_flags kernels data jobs cluster PkgConfig::JANSSON m)

nightshift_test(test_exact SOURCES test_exact.c LIBS metrics_under_test)
nightshift_test(test_json SOURCES test_json.c LIBS metrics_under_test)
nightshift_test(test_metrics SOURCES test_metrics.c LIBS metrics_under_test golden_recorded)
nightshift_test(test_metrics_gather SOURCES test_metrics_gather.c LIBS metrics_under_test RANKS 1 2 3)
nightshift_test(test_measure SOURCES test_measure.c LIBS metrics_under_test RANKS 1 2 3)
nightshift_test(test_profile SOURCES test_profile.c LIBS metrics_under_test)
nightshift_test(test_gbdt_outputs SOURCES test_gbdt_outputs.c random_model.c LIBS metrics_under_test)
nightshift_test(test_gbdt_file SOURCES test_gbdt_file.c random_model.c LIBS metrics_under_test)

# tests/peers/read_model.py against a plain walk in C; skipped where that Python has no numpy and safetensors.
add_executable(gbdt_probe gbdt_probe.c random_model.c)
target_link_libraries(gbdt_probe PRIVATE metrics_under_test PkgConfig::CMOCKA)
set(NIGHTSHIFT_PEERS_PYTHON python3 CACHE STRING "A Python with numpy, h5py, safetensors and the peers")
add_test(NAME read_model COMMAND ${NIGHTSHIFT_PEERS_PYTHON} ${CMAKE_SOURCE_DIR}/tests/peers/check_read_model.py
  $<TARGET_FILE:gbdt_probe> ${CMAKE_CURRENT_BINARY_DIR}/read_model)
set_tests_properties(read_model PROPERTIES TIMEOUT 120 SKIP_RETURN_CODE 77 ENVIRONMENT PYTHONDONTWRITEBYTECODE=1)
