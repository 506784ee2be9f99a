# The synthetic cohort, and what inspect says of files and folders.
nightshift_test(test_synth SOURCES test_synth.c LIBS runner m)
nightshift_test(test_inspect SOURCES test_inspect.c LIBS runner)
