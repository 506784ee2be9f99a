"""What train.py and score.py share: a cohort read as other libraries are given it, and what is said of several runs."""

import statistics
import subprocess
import sys


class Failed(Exception):
    """A run that gave no result; the text says why."""


def kind_of(data):
    kind = data.attrs.get("kind")
    return kind.decode() if isinstance(kind, bytes) else kind


def texts_of(file, name):
    """A column of texts, whether it is stored as such or by codes of levels; a missing one is empty."""
    import numpy as np

    data = file["columns"][name]
    if data.dtype.kind in "SO":
        return data.asstr()[:]
    return np.array([t.decode() for t in file["levels"][name][:]] + [""])[data[:]]


def read_features(file, skip):
    """Number and category columns but those to skip, by name: float32 each, categories by their codes, missing NaN; which are categories."""
    import numpy as np

    columns, categories = [], []
    for name in sorted(file["columns"]):
        data = file["columns"][name]
        kind = kind_of(data)
        if name in skip or kind not in ("number", "category"):
            continue
        cells = data[:]
        values = cells.astype(np.float32)
        if kind == "category":
            values[cells < 0] = np.nan
            categories.append(len(columns))
        columns.append(values)
    return columns, categories


def output_of(words, **more):
    """What a program prints; Failed where it fails, with the last line of what it says then."""
    done = subprocess.run(words, capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise Failed(f"exit {done.returncode}: {(done.stderr.strip().splitlines() or ['nothing said'])[-1][:200]}")
    return done.stdout


def present(peers, module_of):
    """Those of the peers whose module is installed; a line for each of the others."""
    found = []
    for peer in peers:
        if subprocess.run([sys.executable, "-c", f"import {module_of(peer)}"], stderr=subprocess.DEVNULL).returncode == 0:
            found.append(peer)
        else:
            print(f"{peer}: not installed, left out", file=sys.stderr)
    return found


def middle(values):
    """Median, least and most; None of nothing."""
    return (statistics.median(values), min(values), max(values)) if values else None


def shown(value, digits=2):
    return "" if value is None else f"{value[0]:.{digits}f} ({value[1]:.{digits}f}-{value[2]:.{digits}f})"
