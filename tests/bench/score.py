"""Scoring time beside other libraries: one command, one table.

    python score.py BUILD [--trees 100 1000] [--threads 1 2] [--rows 1000000] [--runs 5] [--peers NAME ...] [--no-file]

BUILD is a build folder. All models have trees of the same number of leaves, each library's own, trained on the same small
cohort; all score the same rows. README.md beside this file says what the columns are."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

LABEL, POSITIVE = "readmitted", "yes"
PEERS = ["lightgbm", "xgboost", "xgboost_dmatrix", "tl2cgen", "treelite", "onnxruntime"]


def read_table(path, label=False):
    """Columns as float32, row by row, categories by their codes; with label the outcome too."""
    import h5py
    import numpy as np

    columns, y = [], None
    with h5py.File(path) as file:
        for name in sorted(file["columns"]):
            data = file["columns"][name]
            kind = data.attrs.get("kind")
            kind = kind.decode() if isinstance(kind, bytes) else kind
            if name == LABEL:
                if label:
                    y = (data[:] == [t.decode() for t in file["levels"][name][:]].index(POSITIVE)).astype(np.float32)
            elif kind == "number":
                columns.append(data[:].astype(np.float32))
            elif kind == "category":
                codes = data[:]
                values = codes.astype(np.float32)
                values[codes < 0] = np.nan
                columns.append(values)
        ids = file["columns"]["encounter_id"][:]
    return np.stack(columns, 1), y, ids


# --- one peer, in its own process -----------------------------------------------------------------------------------------


def train(a, folder):
    """The models of LightGBM and XGBoost, and what others make of LightGBM's."""
    import lightgbm
    import xgboost

    x, y, _ = read_table(f"{folder}/train.h5", label=True)
    p = dict(objective="binary", num_leaves=a.leaves, learning_rate=0.1, verbose=-1, min_data_in_leaf=20)
    lightgbm.train(p, lightgbm.Dataset(x, y), a.n_trees).save_model(f"{folder}/lightgbm.{a.n_trees}.txt")
    p = dict(objective="binary:logistic", tree_method="hist", grow_policy="lossguide", max_leaves=a.leaves, max_depth=0, eta=0.1)
    xgboost.train(p, xgboost.DMatrix(x, y), a.n_trees).save_model(f"{folder}/xgboost.{a.n_trees}.ubj")


def predictor(peer, a, n_features):
    model = f"{a.folder}/lightgbm.{a.n_trees}.txt"
    if peer == "lightgbm":
        import lightgbm

        booster = lightgbm.Booster(model_file=model)
        return lambda x: booster.predict(x, num_threads=a.n_threads)
    if peer.startswith("xgboost"):
        import xgboost

        booster = xgboost.Booster({"nthread": a.n_threads}, model_file=f"{a.folder}/xgboost.{a.n_trees}.ubj")
        if peer == "xgboost":
            return booster.inplace_predict
        return lambda x: booster.predict(xgboost.DMatrix(x, nthread=a.n_threads))
    if peer == "onnxruntime":
        import lightgbm
        import onnxmltools
        import onnxruntime
        from onnxmltools.convert.common.data_types import FloatTensorType

        path = f"{a.folder}/lightgbm.{a.n_trees}.onnx"
        if not os.path.exists(path):
            made = onnxmltools.convert_lightgbm(lightgbm.Booster(model_file=model), zipmap=False,
                                                initial_types=[("x", FloatTensorType([None, n_features]))])
            with open(path, "wb") as file:
                file.write(made.SerializeToString())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = a.n_threads
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return lambda x: session.run(["probabilities"], {"x": x})
    import treelite

    loaded = treelite.frontend.load_lightgbm_model(model)
    if peer == "treelite":
        return lambda x: treelite.gtil.predict(loaded, x, nthread=a.n_threads)
    import tl2cgen

    path = f"{a.folder}/lightgbm.{a.n_trees}.so"
    if not os.path.exists(path):
        tl2cgen.export_lib(loaded, toolchain="gcc", libpath=path, params={"parallel_comp": 2})
    library = tl2cgen.Predictor(path, nthread=a.n_threads)
    return lambda x: library.predict(tl2cgen.DMatrix(x))


def run_peer(a):
    """From memory: rows to risks. From a file: h5py into float32 rows, risks, and a file of ids and risks."""
    import h5py

    path = f"{a.folder}/tonight.h5"
    x, _, _ = read_table(path)
    predict = predictor(a.peer, a, x.shape[1])
    predict(x[:1000])
    memory, whole, cpu = [], [], []
    for run in range(a.runs + 1):
        begin = time.monotonic()
        predict(x)
        memory.append(time.monotonic() - begin)
    del x
    for run in range(0 if a.no_file else a.runs):
        begin, begin_cpu = time.monotonic(), time.process_time()
        rows, _, ids = read_table(path)
        risk = predict(rows)
        with h5py.File(f"{a.folder}/peer.h5", "w") as file:
            file["id"] = ids
            file["risk"] = risk[0][:, 1] if isinstance(risk, list) else risk.reshape(-1)
        whole.append(time.monotonic() - begin)
        cpu.append(time.process_time() - begin_cpu)
    print(json.dumps({"memory": memory[1:], "file": whole, "cpu": cpu}))


# --- ours -------------------------------------------------------------------------------------------------------------------


def job(a, folder, n_trees, n_threads):
    path = f"{folder}/{n_trees}.yaml"
    with open(path, "w") as file:
        file.write(f"""name: bench
data:
  cohort: [{folder}/train.h5]
  id: encounter_id
  label: {{column: {LABEL}, positive: ["{POSITIVE}"]}}
  features: {{exclude: [patient_id, admitted_at]}}
  split: {{by: row, train: 0.8, valid: 0.1, test: 0.1}}
model: {{type: gbdt, rounds: {n_trees}, learning_rate: 0.1, max_leaves: {a.leaves}}}
score: {{cohort: [{folder}/tonight.h5], out: {folder}/scores.h5, max_rejected: 1}}
run: {{out: {folder}/run{n_trees}, threads: {n_threads}}}
""")
    return path


def nightshift(a, *words):
    return subprocess.run([f"{a.build}/runner/nightshift", *words, "--quiet"], check=True, stdout=subprocess.DEVNULL)


def run_ours(a, folder, n_trees, n_threads):
    words = [f"{a.build}/tests/bench/bench_scoring", f"{folder}/run{n_trees}/bundle", f"{folder}/tonight.h5", str(n_threads), "1"]
    out = {"memory": json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)["seconds"], "file": [], "cpu": []}
    path = job(a, folder, n_trees, n_threads)
    if not a.no_file:
        for name in os.listdir(folder):
            if name.startswith("scores.h5"):
                os.remove(f"{folder}/{name}")
        begin, before = time.monotonic(), os.times()
        nightshift(a, "score", path)
        after = os.times()
        out["file"].append(time.monotonic() - begin)
        out["cpu"].append(after.children_user + after.children_system - before.children_user - before.children_system)
    return out


# --- the table --------------------------------------------------------------------------------------------------------------


def call_self(a, folder, n_trees, *words):
    out = subprocess.run([sys.executable, __file__, a.build, "--folder", folder, "--n-trees", str(n_trees), "--leaves", str(a.leaves),
                          "--runs", "1", *(["--no-file"] if a.no_file else []), *words], capture_output=True, text=True)
    if out.returncode != 0:
        print(f"{' '.join(words)}: left out: {out.stderr.strip().splitlines()[-1][:150]}", file=sys.stderr)
        return None
    return json.loads(out.stdout.splitlines()[-1]) if out.stdout.strip() else None


def shown(values):
    return f"{statistics.median(values):.3f} ({min(values):.3f}-{max(values):.3f})" if values else ""


def times(values, ours):
    return f"{statistics.median(values) / statistics.median(ours):.1f}" if values else ""


def measure(a, folder, n_trees):
    nightshift(a, "train", job(a, folder, n_trees, 2))
    call_self(a, folder, n_trees, "--fit")
    print(f"\n{n_trees} trees of {a.leaves} leaves, {a.rows} rows\n{'threads':>7} {'':16}{'from memory':>22}{'x ours':>8}{'file to file':>24}{'x ours':>8}"
          f"{'of it processor':>24}{'x ours':>8}")
    for n_threads in a.threads:
        found = {}
        for _ in range(a.runs):  # a busy minute meets them all
            for way in ["nightshift", *a.peers]:
                if way in found and found[way] is None:
                    continue
                r = run_ours(a, folder, n_trees, n_threads) if way == "nightshift" else \
                    call_self(a, folder, n_trees, "--peer", way, "--n-threads", str(n_threads))
                known = found.setdefault(way, {"memory": [], "file": [], "cpu": []})
                if r is None:
                    found[way] = None
                else:
                    for key in known:
                        known[key] += r[key]
        ours = found["nightshift"]
        for way, r in found.items():
            if r is not None:
                print(f"{n_threads:>7} {way:16}{shown(r['memory']):>22}{times(r['memory'], ours['memory']):>8}{shown(r['file']):>24}"
                      f"{times(r['file'], ours['file']):>8}{shown(r['cpu']):>24}{times(r['cpu'], ours['cpu']):>8}", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build")
    p.add_argument("--trees", type=int, nargs="+", default=[100, 1000])
    p.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    p.add_argument("--rows", type=int, default=1_000_000)
    p.add_argument("--numbers", type=int, default=40)
    p.add_argument("--categories", type=int, default=10)
    p.add_argument("--leaves", type=int, default=31)
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    p.add_argument("--no-file", action="store_true", help="from memory only")
    for name in ("--peer", "--folder"):  # what this program calls itself with
        p.add_argument(name, help=argparse.SUPPRESS)
    p.add_argument("--n-trees", type=int, help=argparse.SUPPRESS)
    p.add_argument("--n-threads", type=int, help=argparse.SUPPRESS)
    p.add_argument("--fit", action="store_true", help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.fit:
        return train(a, a.folder)
    if a.peer:
        return run_peer(a)
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        for name, rows, seed in (("train", 100_000, 1), ("tonight", a.rows, 2)):
            nightshift(a, "synth", f"{folder}/{name}.h5", "--rows", str(rows), "--seed", str(seed), "--numbers", str(a.numbers),
                       "--categories", str(a.categories))
        for n_trees in a.trees:
            measure(a, folder, n_trees)
    return 0


if __name__ == "__main__":
    sys.exit(main())
