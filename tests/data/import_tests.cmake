# From CSV to cohort: values, zones, the reader, the cells of a column, the packing of chunks, the import, and a zoo of ugly files.
nightshift_test(test_values SOURCES test_values.c LIBS data)
nightshift_test(test_zone SOURCES test_zone.c LIBS data)
nightshift_test(test_csv SOURCES test_csv.c LIBS data)
nightshift_test(test_cells SOURCES test_cells.c LIBS data)
nightshift_test(test_packer SOURCES test_packer.c LIBS data)
nightshift_test(test_import SOURCES test_import.c table_text.c LIBS data)
nightshift_test(test_csv_zoo SOURCES test_csv_zoo.c table_text.c LIBS data)
