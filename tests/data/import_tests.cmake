# From CSV to cohort: values, the reader, the cells of a column, the import.
nightshift_test(test_values SOURCES test_values.c LIBS data)
nightshift_test(test_csv SOURCES test_csv.c LIBS data)
nightshift_test(test_cells SOURCES test_cells.c LIBS data)
nightshift_test(test_import SOURCES test_import.c LIBS data)
