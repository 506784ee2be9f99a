"""Diabetes-130 as jobs/examples/readmission.yaml sees it: the cohort from the raw CSV, Nightshift's run on it, and its rows and
parts computed once more from the ids alone, with numpy, h5py and hashlib.
"""
import hashlib
import json
import os
import re
import struct
import subprocess
import time

import h5py
import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXAMPLES = os.path.join(ROOT, "jobs", "examples")
DATA = os.path.join(os.path.dirname(ROOT), "shared", "data", "diabetes130") # beside the checkout
CSV = "diabetic_data.csv.xz"
ID, GROUP, LABEL, POSITIVE = "encounter_id", "patient_nbr", "readmitted", "<30"
TRAIN, VALID, TEST = range(3)


class Different(Exception):
    """What is computed here and what Nightshift says are not the same."""


def nightshift(program, folder, words, read=subprocess.DEVNULL):
    """One command in a folder: its JSON and its seconds."""
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    began = time.time()
    done = subprocess.run([program, *words, "--json", "--quiet"], cwd=folder, env=env, stdin=read, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout), time.time() - began


def make_cohort(program, data, folder):
    """xzcat CSV | nightshift import - diabetes.h5 --schema …, and the example's job beside it; what import reports."""
    unpacked = subprocess.Popen(["xzcat", os.path.join(data, CSV)], stdout=subprocess.PIPE)
    schema = os.path.join(EXAMPLES, "diabetes.schema.yaml")
    report, _ = nightshift(program, folder, ["import", "-", "diabetes.h5", "--schema", schema], unpacked.stdout)
    if unpacked.wait() != 0:
        raise Different("xzcat ends with %d" % unpacked.returncode)
    with open(os.path.join(EXAMPLES, "readmission.yaml")) as file:
        text = file.read()
    with open(os.path.join(folder, "readmission.yaml"), "w") as file:
        file.write(text)
    return report


class Table:
    """The rows that the job's `where` keeps. columns[name] is codes for the names in levels, else float32."""

    def __init__(self, folder):
        with open(os.path.join(folder, "readmission.yaml")) as file:
            outside = re.search(r"^ *where: *\"discharge_disposition_id not in \(([\d, ]+)\)\"", file.read(), re.M).group(1)
        with h5py.File(os.path.join(folder, "diabetes.h5")) as file:
            self.columns = {name: file["columns"][name][:] for name in file["columns"]}
            self.levels = {name: [t.decode() for t in file["levels"][name][:]] for name in file["levels"]}
        self.kept = ~np.isin(self.texts("discharge_disposition_id"), [w.strip() for w in outside.split(",")])
        self.ids = self.columns.pop(ID)
        self.y = (self.texts(LABEL) == POSITIVE)[self.kept].astype(int)
        del self.columns[LABEL]
        self.columns = {name: cells[self.kept] for name, cells in self.columns.items()}
        self.group = self.columns.pop(GROUP)

    def texts(self, name):
        return np.array(self.levels[name] + [""])[self.columns[name]]

    def parts(self, seed, train=0.7, valid=0.1):
        """The part of every row: data/split.h and data/hash.h, with hashlib."""
        def blake2b(text):
            return hashlib.blake2b(text, digest_size=32).digest()

        part_of = {}
        for group in np.unique(self.group):
            low, high = struct.unpack("<QQ", blake2b(b"%d" % group)[:16])
            u, = struct.unpack("<Q", blake2b(struct.pack("<QQQ", seed, high, low))[:8])
            part_of[group] = TRAIN if u < int(train * 2.0 ** 64) else VALID if u < int((train + valid) * 2.0 ** 64) else TEST
        return np.array([part_of[group] for group in self.group])


def auroc(y, risk):
    """Pairs of a case and a non-case in which the case has the higher risk; a tie counts half."""
    _, at, count = np.unique(risk, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2
    cases = int(y.sum())
    return (rank[at[y == 1]].sum() - cases * (cases + 1) / 2) / (cases * (len(y) - cases))


def train_and_score(program, folder, table, seed, more=()):
    """Trains the job and scores the whole cohort: the metrics of the bundle, the job as resolved, seconds of the training.
    Raises Different unless rows, events, parts and AUROC computed here are those of metrics.json."""
    out = "seed-%d" % seed
    words = ["readmission.yaml", "--set", "train.seed=%d" % seed, "--set", "run.out=" + out, *more]
    report, seconds = nightshift(program, folder, ["train", *words])
    metrics = report["metrics"]
    nightshift(program, folder, ["score", *words, "--set", "score.out=%s.h5" % out, "--as-of", "2000-01-01"])
    with h5py.File(os.path.join(folder, out + ".h5")) as file:
        if not (file["id"][:] == table.ids).all() or not ((file["status"][:] == 0) == table.kept).all():
            raise Different("seed %d: the rows scored are not those that `where` keeps" % seed)
        risk = file["risk"][:][table.kept]
    part = table.parts(seed)
    for name, p in (("train", TRAIN), ("valid", VALID), ("test", TEST)):
        mine = {"rows": int((part == p).sum()), "events": int(table.y[part == p].sum())}
        if mine != metrics["parts"][name]:
            raise Different("seed %d, %s: %s here, %s in metrics.json" % (seed, name, mine, metrics["parts"][name]))
    mine = auroc(table.y[part == TEST], risk[part == TEST])
    if not abs(mine - metrics["test"]["auroc"]) < 1e-12:
        raise Different("seed %d: AUROC %.15f here, %.15f in metrics.json" % (seed, mine, metrics["test"]["auroc"]))
    with open(os.path.join(folder, out, "bundle", "job.yaml")) as file:
        return metrics, file.read(), seconds
