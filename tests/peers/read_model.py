"""The risks or predictions of a Nightshift tree model, to the last bit, with numpy and safetensors alone.

score("model.safetensors", {"age": float32 array, "unit": ["ICU", None, ...], ...}) -> float32 array [rows] or [rows, classes].
NaN and None are missing. runner/models/README.md describes the file.
"""
import numpy as np
from safetensors import safe_open


def exp(x):
    """e^x as kernels/numerics.h has it."""
    x = np.minimum(np.maximum(x, -746.0), 710.0)
    k = np.rint(x * 1.4426950408889634)
    r = (x - k * float.fromhex("0x1.62e42feep-1")) - k * float.fromhex("0x1.a39ef35793c76p-33")
    p = 1.0 / 6227020800.0
    for n in (479001600, 39916800, 3628800, 362880, 40320, 5040, 720, 120, 24, 6, 2):
        p = p * r + 1.0 / n
    j = np.floor(k / 2)
    return (1.0 + (r + r * r * p)) * np.ldexp(1.0, j.astype(int)) * np.ldexp(1.0, (k - j).astype(int))


def bins_of(model, f, column):
    """Feature f's bin of every row."""
    if model["feature.kind"][f] == 0:
        cuts = model["cut.values"][model["cut.first"][f]:model["cut.first"][f + 1]]
        values = np.asarray(column, dtype=np.float32)
        return np.where(np.isnan(values), 0, 1 + np.searchsorted(cuts, values, side="left"))
    ends, text = model["level.byte_first"], model["level.bytes"].tobytes()
    first, last = model["level.first"][f], model["level.first"][f + 1]
    bin_of = {text[ends[i]:ends[i + 1]]: 2 + i - first for i in range(first, last)}
    return np.array([0 if t is None else bin_of.get(t.encode(), 1) for t in column])


def score(path, columns):
    with safe_open(path, framework="numpy") as file:
        about, model = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    ends, text = model["feature.name_first"], model["feature.name_bytes"].tobytes()
    names = [text[ends[f]:ends[f + 1]].decode() for f in range(int(about["n_features"]))]
    bins = np.stack([bins_of(model, f, columns[name]) for f, name in enumerate(names)]).astype(np.int64)
    words = np.append(model["set.words"], np.uint32(0)).astype(np.int64)
    base = model["output.base"] if "output.base" in model else [int(about["base"])] # one for each output
    margin = np.tile(np.array(base, dtype=np.int64), (bins.shape[1], 1))
    row = np.arange(bins.shape[1])
    for tree, root in enumerate(model["tree.first"][:-1]):
        node = np.full(bins.shape[1], root)
        while (model["node.feature"][node] >= 0).any():
            split, bin = model["node.feature"][node] >= 0, bins[model["node.feature"][node], row]
            first_word = model["node.set"][node].astype(np.int64)
            word = words[np.minimum(first_word + (bin >> 5), len(words) - 1)]
            by_value = np.where(bin == 0, model["node.missing_left"][node] == 1, bin <= model["node.threshold"][node])
            left = np.where(first_word >= 0, word >> (bin & 31) & 1 == 1, by_value)
            node = np.where(split, np.where(left, node + 1, root + model["node.right"][node]), node)
        margin[:, tree % len(base)] += model["node.leaf"][node]
    m, link, most = margin.astype(np.float64) * 2.0 ** -int(about["k"]), about["link"], np.finfo(np.float32).max
    if link in ("identity", "exp"):
        return (np.clip(m, -most, most) if link == "identity" else exp(np.clip(m, -30, 30)))[:, 0].astype(np.float32)
    a = exp(-np.abs(m)) if link == "sigmoid" else exp(m - m.max(axis=1, keepdims=True))
    risk = np.where(m >= 0, 1.0, a) / (1.0 + a) if link == "sigmoid" else a / np.cumsum(a, axis=1)[:, -1:]
    return np.clip(risk[:, 0] if link == "sigmoid" else risk, 2.0 ** -24, 1 - 2.0 ** -24).astype(np.float32)
