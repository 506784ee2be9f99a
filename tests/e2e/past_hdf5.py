"""Cohorts that hold one and the same table: past_hdf5.py FOLDER HELPER. fast-*.h5 must be read wholly past HDF5; slow-*.h5 are not,
and a command that the log names cures them; HELPER is the folder of nightshift_cohort.py, which writes fast-helper.h5 if pandas is there."""
import os
import sys

import h5py
import numpy as np

folder, helper = sys.argv[1:]
N = 5000
rng = np.random.default_rng(7)
risk = rng.random(N)
lab = np.where(rng.random(N) < 0.3, np.nan, np.round(10 * risk + rng.random(N), 1)).astype("f4")
table = {
    "stay": np.arange(N, dtype="i8"),
    "patient": np.arange(N, dtype="i8") // 2,
    "lab": lab,
    "age": rng.integers(18, 90, N).astype("f4"),
    "unit": rng.integers(-1, 3, N).astype("i1"),
    "died": (rng.random(N) < 0.1 + 0.8 * risk).astype("i1"),
}
kinds = {"stay": "id", "patient": "id", "unit": "category", "died": "category"}
levels = {"unit": ["cardiology", "medicine", "surgery"], "died": ["no", "yes"]}
gzip = dict(compression="gzip", shuffle=True)


def cohort(name, how, put=None, **options):
    """how: options of every data set; put(file, key, values): writes column lab instead."""
    with h5py.File(os.path.join(folder, name), "w", **options) as f:
        f.attrs["nightshift_cohort"] = 1
        f.attrs["n_rows"] = N
        for key, values in table.items():
            if put is not None and key == "lab":
                put(f, "columns/" + key, values)
            else:
                f.create_dataset("columns/" + key, data=values, **how)
            if key in kinds:
                f["columns/" + key].attrs["kind"] = kinds[key]
        for key, names in levels.items():
            f.create_dataset("levels/" + key, data=np.array(names, dtype="S"))


def external(f, key, values):
    f.create_dataset(key, data=values, external=os.path.join(folder, "lab.raw"))


def virtual(f, key, values):
    with h5py.File(os.path.join(folder, "source.h5"), "w") as other:
        other.create_dataset("v", data=values)
    layout = h5py.VirtualLayout(shape=values.shape, dtype=values.dtype)
    layout[:] = h5py.VirtualSource(os.path.join(folder, "source.h5"), "v", shape=values.shape)
    f.create_virtual_dataset(key, layout)


def n_bit(f, key, values):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((1000,))
    plist.set_filter(h5py.h5z.FILTER_NBIT, h5py.h5z.FLAG_MANDATORY)
    space = h5py.h5s.create_simple(values.shape)
    h5py.h5d.create(f.require_group("columns").id, b"lab", h5py.h5t.IEEE_F32LE, space, plist)
    f[key][...] = values


def large_chunk(f, key, values):
    d = f.create_dataset(key, shape=(N,), maxshape=(None,), dtype="f4", chunks=(17 << 20,), compression="gzip")
    d[...] = values


def listed_anew(f, key, values):
    f.create_dataset(key, data=values, chunks=(2,))


cohort("fast-gzip.h5", gzip)
cohort("fast-plain.h5", {})
cohort("fast-fletcher.h5", dict(gzip, fletcher32=True, compression_opts=9))
cohort("fast-v110.h5", gzip, libver=("v110", "v110"))
cohort("slow-external.h5", gzip, external)
cohort("slow-virtual.h5", gzip, virtual)
cohort("slow-nbit.h5", gzip, n_bit)
cohort("slow-large.h5", gzip, large_chunk)
cohort("slow-index.h5", gzip, listed_anew, libver=("v110", "v110"))
try:
    import pandas as pd
except ImportError:
    sys.exit(0)
sys.path.insert(0, helper)
from nightshift_cohort import write_cohort  # noqa: E402

frame = pd.DataFrame(table)
for key, names in levels.items():
    frame[key] = pd.Categorical.from_codes(table[key], names)
write_cohort(frame, os.path.join(folder, "fast-helper.h5"), id="stay", group="patient")
with open(os.path.join(folder, "table.csv"), "w") as out:
    frame.to_csv(out, index=False)
