#ifndef NIGHTSHIFT_DATA_H5_H
#define NIGHTSHIFT_DATA_H5_H
/*
 * What the readers and writers of HDF5 files share: opening, attributes, texts, rows of a data set, and
 * messages that say in one line what HDF5 found. HDF5's own printing is off. All functions are local; one
 * thread at a time. `code` is the status that a failure gets: NS_EFORMAT for a cohort, NS_EVERIFY for a score
 * file, NS_EIO when writing.
 */
#ifndef H5_USE_110_API
#define H5_USE_110_API /* one set of names from HDF5 1.10 on */
#endif
#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"
#include "data/texts.h"

/* NS_OK where result >= 0; else "PATH: cannot DOING: what HDF5 found". To be called right after the HDF5
 * call. */
ns_status ns_hdf5_check(int64_t result, ns_status code, const char *path, const char *doing);

/* Turns HDF5's printing and its exit handler off. Every opening function here does it; before any other HDF5
   call, for the handler. */
void ns_h5_quiet(void);

/* Opens for reading, locking off, so that closing the file closes what is left open in it. Says what is wrong
   with the file: absent, unreadable, a folder, empty, not HDF5, truncated. Fails with code. */
ns_status ns_h5_open_read(hid_t *out, const char *path, ns_status code);

/* Creates (truncates) a file: object times off, library bounds V18; closing it closes what is left open in
   it. shown: the path for messages, where path is a temporary one. NS_EIO. */
ns_status ns_h5_create(hid_t *out, const char *path, const char *shown);

/* A property list without object times: H5P_GROUP_CREATE or H5P_DATASET_CREATE; -1 on failure. */
hid_t ns_h5_plain_list(hid_t list_class);

/* Whether an object has a link (an attribute) of that name; false on failure. */
bool ns_h5_has_link(hid_t object, const char *name);
bool ns_h5_has_attribute(hid_t object, const char *name);

/* A text attribute with one element; *out is malloc'ed, NULL and NS_OK where it is absent. Fails with code,
 * NS_ENOMEM. */
ns_status ns_h5_read_text_attribute(char **out, hid_t object, const char *name, const char *path,
                                    ns_status code);

/* An integer attribute with one element; *found false and NS_OK where it is absent. Fails with code. */
ns_status ns_h5_read_int_attribute(int64_t *out, bool *found, hid_t object, const char *name,
                                   const char *path, ns_status code);

/* Text of fixed length: HDF5 1.10 crashes where a bit of a reference to variable-length text is flipped.
 * NS_EIO. */
ns_status ns_h5_write_text_attribute(hid_t object, const char *name, const char *text, const char *path);
ns_status ns_h5_write_int_attribute(hid_t object, const char *name, int64_t value, const char *path);

/* The length of a one-dimensional data set or attribute space, -1 where it has another shape; closes space.
 */
int64_t ns_h5_length(hid_t space);

/* Closes a data space (-1: nothing) and keeps the reason of the failure before it. */
void ns_h5_close_space(hid_t space);

/* Rows [first, first + n) of a one-dimensional data set. n = 0 does nothing. */
herr_t ns_h5_read_rows(hid_t dataset, hid_t memory_type, int64_t first, int64_t n, void *rows);
herr_t ns_h5_write_rows(hid_t dataset, hid_t memory_type, int64_t first, int64_t n, const void *rows);

/* Appends the texts of rows [first, first + n), fixed or variable length, without padding. The type is a
   string. what: for messages, "column 'sex'". Fails with code, NS_ENOMEM. */
ns_status ns_h5_read_texts(ns_texts *out, hid_t dataset, int64_t first, int64_t n, const char *path,
                           const char *what, ns_status code);
ns_status ns_h5_read_attribute_texts(ns_texts *out, hid_t attribute, const char *path, const char *what,
                                     ns_status code);

/* Appends n fixed-length cells of `size` bytes that lie one after another, without their padding. NS_ENOMEM. */
ns_status ns_h5_append_cells(ns_texts *out, const void *cells, size_t size, H5T_str_t padding, int64_t n);

/* A fixed-length UTF-8 string type padded with zeros; -1 on failure. n_bytes >= 1. */
hid_t ns_h5_text_type(int64_t n_bytes);

/* Writes texts [from, from + n) into rows [first, first + n) of a data set of fixed-length strings. NS_EIO
   (also where a text is longer than the strings of the data set), NS_ENOMEM. */
ns_status ns_h5_write_texts(hid_t dataset, int64_t first, const ns_texts *texts, int64_t from, int64_t n,
                            const char *path, const char *what);

/* Names of columns hold any byte, names of links no '/': it stands as %2F. malloc'ed; NULL: no memory. */
char *ns_h5_encode_name(const char *prefix, const char *name);
void ns_h5_decode_name(char *name); /* in place */
#endif
