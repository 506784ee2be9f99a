"""Scoring time beside other libraries: one command, one table.

    python score.py BUILD [--trees 100 1000] [--threads 1 2] [--rows 1000000] [--runs 5] [--peers NAME ...] [--no-file] [--json FILE]

BUILD is a build folder. All models have trees of the same number of leaves; treelite, TL2cgen and ONNX Runtime score LightGBM's,
the others one of their own, trained on the same small cohort; all score the same rows. Each run is a process of its own, runs of
all are interleaved; the tables have medians and (lowest-highest), the last one what is asked. README.md beside this file says
what the columns are."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import peers
from peers import Failed, middle, output_of, shown

LABEL, POSITIVE = "readmitted", "yes"
PEERS = {  # and the modules that they need
    "lightgbm": "lightgbm", "xgboost": "xgboost", "xgboost_dmatrix": "xgboost", "catboost": "catboost", "catboost_symmetric": "catboost",
    "tl2cgen": "tl2cgen, treelite", "treelite": "treelite", "onnxruntime": "onnxruntime, onnxmltools",
}
OF_LIGHTGBM = ("tl2cgen", "treelite", "onnxruntime")
# Times the fastest other's seconds, by way.
ASKED = {"memory": 3.0, "file": 5.0}


# --- one peer, in its own process -----------------------------------------------------------------------------------------


def read_table(path, layout="C", label=False):
    """Features as float32, [rows, columns] row by row ("C") or column by column ("F"); with label the outcome too; ids."""
    import h5py
    import numpy as np

    with h5py.File(path) as file:
        columns, _ = peers.read_features(file, (LABEL,))
        y = (peers.texts_of(file, LABEL) == POSITIVE).astype(np.float32) if label else None
        ids = file["columns"]["encounter_id"][:]
    return np.stack(columns, 1) if layout == "C" else np.stack(columns).T, y, ids


def layout_of(peer):
    """As each is fastest."""
    return "F" if peer.startswith("catboost") else "C"


def model_of(peer, a):
    kind = "lightgbm" if peer in OF_LIGHTGBM else peer.split("_dmatrix")[0]
    return f"{a.folder}/{kind}.{a.n_trees}"


def train(peer, a):
    """Makes the peer's model, where it is not there: on one thread, so that it is the same anywhere."""
    path = model_of(peer, a)
    if os.path.exists(path):
        return
    x, y, _ = read_table(f"{a.folder}/train.h5", label=True)
    if peer in ("lightgbm", *OF_LIGHTGBM):
        import lightgbm

        p = dict(objective="binary", num_leaves=a.leaves, learning_rate=0.1, verbose=-1, min_data_in_leaf=20, num_threads=a.n_threads)
        lightgbm.train(p, lightgbm.Dataset(x, y), a.n_trees).save_model(path)
    elif peer.startswith("xgboost"):
        import xgboost

        p = dict(objective="binary:logistic", tree_method="hist", grow_policy="lossguide", max_leaves=a.leaves, max_depth=0, eta=0.1,
                 nthread=a.n_threads)
        xgboost.train(p, xgboost.DMatrix(x, y), a.n_trees).save_model(f"{path}.ubj")
        os.rename(f"{path}.ubj", path)
    else:
        import catboost

        growth = dict(depth=max(1, (a.leaves - 1).bit_length())) if peer.endswith("symmetric") else \
            dict(grow_policy="Lossguide", max_leaves=a.leaves, max_depth=16)
        model = catboost.CatBoostClassifier(iterations=a.n_trees, learning_rate=0.1, thread_count=a.n_threads, verbose=False,
                                            allow_writing_files=False, **growth)
        model.fit(x, y).save_model(path)


def predictor(peer, a, n_features):
    """A function from rows to the risks of each."""
    model = model_of(peer, a)
    if peer == "lightgbm":
        import lightgbm

        booster = lightgbm.Booster(model_file=model)
        return lambda x: booster.predict(x, num_threads=a.n_threads)
    if peer.startswith("xgboost"):
        import xgboost

        with open(model, "rb") as file:
            booster = xgboost.Booster({"nthread": a.n_threads}, model_file=bytearray(file.read()))
        if peer == "xgboost":
            return booster.inplace_predict
        return lambda x: booster.predict(xgboost.DMatrix(x, nthread=a.n_threads))
    if peer.startswith("catboost"):
        import catboost

        trees = catboost.CatBoost().load_model(model)
        return lambda x: trees.predict(x, prediction_type="Probability", thread_count=a.n_threads)[:, 1]
    if peer == "onnxruntime":
        return onnx_predictor(model, a, n_features)
    import treelite

    loaded = treelite.frontend.load_lightgbm_model(model)
    if peer == "treelite":
        return lambda x: treelite.gtil.predict(loaded, x, nthread=a.n_threads).reshape(-1)
    import tl2cgen

    path = f"{model}.so"
    if not os.path.exists(path):
        tl2cgen.export_lib(loaded, toolchain="gcc", libpath=path, params={"parallel_comp": 2})
    library = tl2cgen.Predictor(path, nthread=a.n_threads)
    return lambda x: library.predict(tl2cgen.DMatrix(x)).reshape(-1)


def onnx_predictor(model, a, n_features):
    import onnxruntime

    path = f"{model}.onnx"
    if not os.path.exists(path):
        import lightgbm
        import onnxmltools
        from onnxmltools.convert.common.data_types import FloatTensorType

        made = onnxmltools.convert_lightgbm(lightgbm.Booster(model_file=model), zipmap=False,
                                            initial_types=[("x", FloatTensorType([None, n_features]))])
        with open(path, "wb") as file:
            file.write(made.SerializeToString())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = a.n_threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(["probabilities"], {"x": x})[0][:, 1]


def timed(work):
    begin, begin_cpu = time.monotonic(), time.process_time()
    work()
    return time.monotonic() - begin, time.process_time() - begin_cpu


def run_peer(a):
    """From memory: rows to risks. From a file: h5py into float32 rows, risks, and a file of ids and risks."""
    import h5py

    path = f"{a.folder}/tonight.h5"
    x, _, _ = read_table(path, layout_of(a.peer))
    predict = predictor(a.peer, a, x.shape[1])
    out = {"rows": len(predict(x[:len(x) // 10]))}  # the warm-up
    out["memory"], out["memory_cpu"] = timed(lambda: predict(x))
    del x

    def whole():
        rows, _, ids = read_table(path, layout_of(a.peer))
        risk = predict(rows)
        with h5py.File(f"{a.folder}/peer.h5", "w") as file:
            file["id"], file["risk"] = ids, risk

    if not a.no_file:
        out["file"], out["file_cpu"] = timed(whole)
    print(json.dumps(out))


# --- ours -------------------------------------------------------------------------------------------------------------------


def job(a, n_threads):
    path = f"{a.folder}/{a.n_trees}.yaml"
    with open(path, "w") as file:
        file.write(f"""name: bench
data:
  cohort: [{a.folder}/train.h5]
  id: encounter_id
  label: {{column: {LABEL}, positive: ["{POSITIVE}"]}}
  features: {{exclude: [patient_id, admitted_at]}}
  split: {{by: row, train: 0.8, valid: 0.1, test: 0.1}}
model: {{type: gbdt, rounds: {a.n_trees}, learning_rate: 0.1, max_leaves: {a.leaves}}}
score: {{cohort: [{a.folder}/tonight.h5], out: {a.folder}/scores.h5, max_rejected: 1}}
run: {{out: {a.folder}/run{a.n_trees}, threads: {n_threads}}}
""")
    return path


def nightshift(a, *words):
    output_of([f"{a.build}/runner/nightshift", *words, "--quiet"])


def run_ours(a, n_threads):
    words = [f"{a.build}/tests/bench/bench_scoring", f"{a.folder}/run{a.n_trees}/bundle", f"{a.folder}/tonight.h5", str(n_threads), "1"]
    r = json.loads(output_of(words))
    out = {"memory": r["seconds"][0], "memory_cpu": r["cpu"][0]}
    path = job(a, n_threads)
    if not a.no_file:
        for name in os.listdir(a.folder):
            if name.startswith("scores.h5"):
                os.remove(f"{a.folder}/{name}")
        begin, before = time.monotonic(), os.times()
        nightshift(a, "score", path)
        after = os.times()
        out["file"] = time.monotonic() - begin
        out["file_cpu"] = after.children_user + after.children_system - before.children_user - before.children_system
    return out


# --- measuring --------------------------------------------------------------------------------------------------------------


def call_self(a, n_threads, *words):
    """This program as a process of its own, that trains or scores with one peer."""
    more = ["--no-file"] if a.no_file else []
    out = output_of([sys.executable, __file__, a.build, "--folder", a.folder, "--n-trees", str(a.n_trees), "--leaves", str(a.leaves),
                     "--n-threads", str(n_threads), *more, *words], timeout=a.limit)
    return json.loads(out.splitlines()[-1]) if out.strip() else None


def make_cohorts(a):
    for name, rows, seed in (("train", a.train_rows, 1), ("tonight", a.rows, 2)):
        nightshift(a, "synth", f"{a.folder}/{name}.h5", "--rows", str(rows), "--seed", str(seed), "--numbers", str(a.numbers),
                   "--categories", str(a.categories))


def fit_all(a):
    """Trains all models of a.n_trees trees; the peers that could."""
    nightshift(a, "train", job(a, 2))
    found = []
    for peer in a.peer_list:
        try:
            call_self(a, 2, "--fit", peer)
            found.append(peer)
        except (Failed, subprocess.TimeoutExpired) as why:
            print(f"{peer}: left out: {why}", file=sys.stderr, flush=True)
    return found


def measure(a, fitted, n_threads):
    """{who: {way: [seconds]}}: runs interleaved, so that a busy minute meets them all."""
    found = {who: {} for who in ["nightshift", *fitted]}
    for _ in range(a.runs):
        for who in list(found):
            try:
                r = run_ours(a, n_threads) if who == "nightshift" else call_self(a, n_threads, "--peer", who)
            except (Failed, subprocess.TimeoutExpired) as why:
                if who == "nightshift":
                    raise
                print(f"{who}, {a.n_trees} trees, {n_threads} threads: left out: {why}", file=sys.stderr, flush=True)
                del found[who]
                continue
            for key, value in r.items():
                found[who].setdefault(key, []).append(value)
    return found


def ratio(r, ours, key):
    return middle(r[key])[0] / middle(ours[key])[0] if r.get(key) else None


def print_table(a, found, n_threads):
    print(f"\n{a.n_trees} trees of {a.leaves} leaves, {a.rows} rows, {n_threads} thread{'s' if n_threads > 1 else ''}\n"
          f"{'':20}{'from memory':>22}{'x ours':>8}{'file to file':>24}{'x ours':>8}{'of it processor':>24}{'x ours':>8}")
    for who, r in found.items():
        line = f"{who:20}"
        for key, room in (("memory", 22), ("file", 24), ("file_cpu", 24)):
            times = ratio(r, found["nightshift"], key)
            line += f"{shown(middle(r.get(key, [])), 3):>{room}}{'' if times is None else format(times, '.1f'):>8}"
        print(line.rstrip(), flush=True)


def verdicts(a, found, n_threads):
    """One line a way: the fastest other over ours, beside what is asked; with trees of any shape, and with symmetric ones too."""
    lines = []
    for way, asked in ASKED.items():
        times = {who: ratio(r, found["nightshift"], way) for who, r in found.items() if who != "nightshift" and r.get(way)}
        for others in ({w: t for w, t in times.items() if w != "catboost_symmetric"}, {w: t for w, t in times.items() if w == "catboost_symmetric"}):
            if others:
                fastest = min(others, key=others.get)
                lines.append({"trees": a.n_trees, "from": way, "threads": n_threads, "ratio": others[fastest], "asked": asked, "beside": fastest})
    return lines


def print_verdicts(lines):
    print(f"\n{'trees':>6} {'from':7}{'threads':>8}{'ratio':>8}{'asked':>7} beside")
    for v in lines:
        print(f"{v['trees']:>6} {v['from']:7}{v['threads']:>8}{v['ratio']:>8.2f}{v['asked']:>7.1f} {v['beside']}"
              f"{'' if v['ratio'] >= v['asked'] else '  not reached'}")


def measure_all(a):
    results, lines = [], []
    a.peer_list = peers.present(a.peer_list, PEERS.get)
    make_cohorts(a)
    for a.n_trees in a.trees:
        fitted = fit_all(a)
        for n_threads in a.threads:
            found = measure(a, fitted, n_threads)
            print_table(a, found, n_threads)
            lines += verdicts(a, found, n_threads)
            results.append({"trees": a.n_trees, "threads": n_threads, "leaves": a.leaves, "rows": a.rows, "results": found})
            if a.json:  # what was measured is kept whatever comes next
                with open(a.json, "w") as file:
                    json.dump({"tables": results, "verdicts": lines}, file, indent=1)
    print_verdicts(lines)


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build")
    p.add_argument("--trees", type=int, nargs="+", default=[100, 1000])
    p.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    p.add_argument("--rows", type=int, default=1_000_000)
    p.add_argument("--train-rows", type=int, default=100_000)
    p.add_argument("--numbers", type=int, default=40)
    p.add_argument("--categories", type=int, default=10)
    p.add_argument("--leaves", type=int, default=31)
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--peers", dest="peer_list", nargs="+", choices=PEERS, default=list(PEERS))
    p.add_argument("--no-file", action="store_true", help="from memory only")
    p.add_argument("--limit", type=float, default=3600, help="seconds after which a run of another library has failed")
    p.add_argument("--json")
    for name in ("--peer", "--fit", "--folder"):  # what this program calls itself with
        p.add_argument(name, help=argparse.SUPPRESS)
    p.add_argument("--n-trees", type=int, help=argparse.SUPPRESS)
    p.add_argument("--n-threads", type=int, default=1, help=argparse.SUPPRESS)
    return p


def main():
    a = arguments().parse_args()
    if a.fit:
        return train(a.fit, a)
    if a.peer:
        return run_peer(a)
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as a.folder:
        try:
            measure_all(a)
        except Failed as why:
            raise SystemExit(f"score.py: {why}") from None
    return 0


if __name__ == "__main__":
    sys.exit(main())
