"""Cohorts as users of h5py write them: h5py_zoo.py FOLDER. fast-*.h5 must be read wholly past HDF5, any-*.h5 need not."""
import os
import sys

import h5py
import numpy as np

N = 3001


def cohort(name, columns, **options):
    with h5py.File(os.path.join(sys.argv[1], name), "w", **options) as f:
        f.attrs["nightshift_cohort"] = 1
        f.attrs["n_rows"] = N
        for key, (values, how) in columns.items():
            d = f.create_dataset("columns/" + key, data=values, **how)
            if key.startswith("cat"):
                d.attrs["kind"] = "category"
            if key.startswith("id"):
                d.attrs["kind"] = "id"
            if key.startswith("time"):
                d.attrs["kind"] = "time"


def tables(how):
    rng = np.random.default_rng(3)
    numbers = np.where(rng.random(N) < 0.3, np.nan, np.round(rng.gamma(2, 1, N), 2))
    out = {f"num_{t}": (numbers.astype(t), how) for t in ("f2", "f4", "f8", ">f4", ">f8")}
    out |= {f"whole_{t}": (rng.integers(0, 100, N).astype(t), how) for t in ("i1", "u1", "i2", ">i2", "u2", "i4", ">u4", "i8", "u8")}
    out["cat_codes"] = (rng.integers(-1, 5, N).astype("i2"), how)
    out["cat_text"] = (np.array(["a", "bb", "", "ccc"], dtype="S3")[rng.integers(0, 4, N)], how)
    out["flag"] = (rng.random(N) < 0.1, how)
    out["id_text"] = (np.array([f"p{i}" for i in range(N)], dtype="S8"), how)
    out["id_int"] = (np.arange(N), how)
    out["time"] = (1_700_000_000 + np.arange(N), how)
    out["time_f"] = (1.7e9 + np.arange(N) / 4, how)
    return out


gzip = dict(compression="gzip", shuffle=True)
cohort("fast-gzip.h5", tables(gzip))
cohort("fast-chunks.h5", tables(dict(gzip, chunks=(700,), compression_opts=9)))
cohort("fast-fletcher.h5", tables(dict(gzip, fletcher32=True)))
cohort("fast-sums.h5", tables(dict(fletcher32=True, chunks=(64,))))
cohort("fast-growing.h5", tables(dict(gzip, maxshape=(None,))))
cohort("fast-contiguous.h5", tables({}))
cohort("fast-v110.h5", tables(gzip), libver=("v110", "v110"))
cohort("fast-v108.h5", tables(dict(gzip, chunks=(100,))), libver=("v108", "v108"))
cohort("fast-block.h5", tables(gzip), userblock_size=512)
cohort("fast-order.h5", tables(gzip), track_order=True)
cohort("any-scale.h5", {"v": (np.arange(N) % 50, dict(scaleoffset=6))})
cohort("any-block-v110.h5", tables(gzip), userblock_size=512, libver=("v110", "v110"))
cohort("any-variable.h5", {"id": (np.array([f"p{i}" for i in range(N)], dtype=object), dict(dtype=h5py.string_dtype()))})
with h5py.File(os.path.join(sys.argv[1], "fast-deep.h5"), "w") as f:  # a tree of several levels
    f.attrs["nightshift_cohort"] = 1
    f.attrs["n_rows"] = 60000
    f.create_dataset("columns/v", data=np.arange(60000, dtype="f4") % 977, chunks=(4,), compression="gzip", shuffle=True)
    f.create_dataset("columns/w", data=np.arange(60000, dtype=">i4") % 977, chunks=(5,))
