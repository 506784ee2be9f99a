"""Every risk of two nights, bit for bit: `nightshift score` against read_model.py, which knows only the file format.

    sh run.sh "numpy h5py safetensors" test_read_model.py PROGRAM

The first night is the cohort of the training; the second has what a model meets later: levels it never saw, level tables in
another order, more missing values, and numbers at, just below and just above the model's own cuts.
"""
import os
import re
import subprocess
import sys
import tempfile

import h5py
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

import read_model
from cohort_columns import kind_of, read_columns

JOB = """
name: peers
data:
  cohort: [train.h5]
  id: encounter_id
  group: patient_id
  label: {column: readmitted, positive: ["yes"]}
model: {type: gbdt, rounds: 40, learning_rate: 0.3, max_leaves: 31, max_bins: 100, row_sample: 0.7, column_sample: 0.8}
train: {seed: 5}
score: {cohort: ["{as_of}.h5"], out: "scores-{as_of}.h5"}
run: {out: run}
"""
NIGHTS = "2026-11-20", "2026-11-21"
MODEL = "run/bundle/model.safetensors"


def nightshift(*words):
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    subprocess.run([sys.argv[1], *words, "--quiet"], check=True, env=env, stdout=subprocess.DEVNULL)


def make_strange(path, cuts):
    """Changes a cohort into one that a model has never seen the like of."""
    random = np.random.default_rng(7)
    with h5py.File(path, "r+") as file:
        for name, values in file["columns"].items():
            cells = values[:]
            if kind_of(values) == "number" and len(cuts[name]) > 0:
                at = random.choice(cuts[name], len(cells))
                beside = np.nextafter(at, random.choice(np.float32([-np.inf, np.inf]), len(cells)))
                strange = np.where(random.random(len(cells)) < 0.5, at, beside)
                strange[random.random(len(cells)) < 0.2] = np.nan
                strange[:6] = 3e38, -3e38, 0.0, -0.0, 1e-45, np.nan
                values[:] = np.where(random.random(len(cells)) < 0.3, strange, cells)
                values[:6] = strange[:6]
            elif kind_of(values) == "category":
                texts = file["levels"][name][:].astype("S32")
                order = random.permutation(len(texts))
                code = np.append(np.argsort(order), -1)[cells]
                code[random.random(len(code)) < 0.1] = -1
                texts = texts[order]
                texts[0] = "nie gesehen: Übergang".encode()
                values[:] = code
                del file["levels"][name]
                file["levels"][name] = texts


def check_night(night, columns):
    """Compares all rows; the risks."""
    with h5py.File("scores-%s.h5" % night) as file:
        want, status = file["risk"][:], file["status"][:]
    got = read_model.score(MODEL, columns)
    assert want.dtype == got.dtype == np.float32 and len(want) == len(got)
    scored, distinct = int((status == 0).sum()), len(np.unique(want))
    differ = int((got.view(np.uint32) != want.view(np.uint32)).sum())
    print("%s: %d rows, %d scored, %d distinct risks from %.3g to %.3g, %d differ" % (
        night, len(want), scored, distinct, want.min(), want.max(), differ))
    assert scored == len(want) >= 10000 and distinct > 1000 and differ == 0
    return want


def check_sees_a_change(columns, risk):
    """One leaf moved by 2^-14 must be seen, in those rows only that reach it."""
    with safe_open(MODEL, framework="numpy") as file:
        about, tensors = file.metadata(), {name: file.get_tensor(name).copy() for name in file.keys()}
    leaves = np.flatnonzero(tensors["node.feature"] < 0)
    widest = leaves[np.argmax(tensors["node.rows"][leaves])]
    tensors["node.leaf"][widest] += 1 << (int(about["k"]) - 14)
    save_file(tensors, "altered.safetensors", about)
    differ = int((read_model.score("altered.safetensors", columns) != risk).sum())
    print("one leaf altered: %d rows differ" % differ)
    assert 0 < differ < len(risk)


def check_reader():
    with open(read_model.__file__) as file:
        text = file.read()
    assert len(text.splitlines()) < 60
    modules = {m.split(".")[0] for m in re.findall(r"^\s*(?:import|from)\s+([\w.]+)", text, re.M)}
    assert modules == {"numpy", "safetensors"}, modules


def main():
    check_reader()
    nightshift("synth", "train.h5", "--rows", "15000", "--seed", "5", "--missing", "0.15", "--categories", "6")
    with open("job.yaml", "w") as file:
        file.write(JOB)
    nightshift("train", "job.yaml")
    with safe_open(MODEL, framework="numpy") as file:
        first, names = file.get_tensor("feature.name_first"), file.get_tensor("feature.name_bytes").tobytes()
        names = [names[first[f]:first[f + 1]].decode() for f in range(len(first) - 1)]
        ends, cuts = file.get_tensor("cut.first"), file.get_tensor("cut.values")
        cuts = {name: cuts[ends[f]:ends[f + 1]] for f, name in enumerate(names)}
        assert (file.get_tensor("node.set") >= 0).any() and (file.get_tensor("node.missing_left") == 1).any()
    os.rename("train.h5", NIGHTS[0] + ".h5")
    nightshift("synth", NIGHTS[1] + ".h5", "--rows", "12000", "--seed", "6", "--missing", "0.05", "--categories", "6")
    with h5py.File(NIGHTS[1] + ".h5") as file:
        cuts = {name: cuts.get(name, []) for name in file["columns"]}
    make_strange(NIGHTS[1] + ".h5", cuts)
    for night in NIGHTS:
        nightshift("score", "job.yaml", "--as-of", night)
        columns = read_columns(night + ".h5")
        risk = check_night(night, columns)
    check_sees_a_change(columns, risk)


sys.argv[1] = os.path.abspath(sys.argv[1])
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    try:
        main()
    finally:
        os.chdir("/")
