"""The columns of a cohort as read_model.py takes them, by data/README.md alone."""
import h5py
import numpy as np


def kind_of(values):
    kind = values.attrs["kind"]
    return kind.decode() if isinstance(kind, bytes) else kind


def read_columns(path):
    """What read_model.score takes: numbers as float32, categories as texts, None where missing."""
    columns = {}
    with h5py.File(path) as file:
        for name, values in file["columns"].items():
            if kind_of(values) == "number":
                columns[name] = values[:].astype(np.float32)
            elif kind_of(values) == "category":
                levels = [t.decode() for t in file["levels"][name][:]] + [None] # the code -1 is missing
                columns[name] = [levels[code] for code in values[:]]
    return columns
