"""Training time beside other libraries: one command, one table.

    python train.py BUILD [--case NAME ...] [--threads 1 2] [--runs 5] [--scale 1.0] [--rounds 100] [--json FILE]
    python train.py BUILD --check recorded.json     a small case; fails where a ratio fell below half of what is recorded
    python train.py BUILD --record recorded.json    writes that file

BUILD is a build folder. Every run is a process of its own, runs are interleaved, the first of each is a warm-up; the table
has medians and (lowest-highest). README.md beside this file says what the columns are."""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

LEAVES = {"leaves31": 31, "leaves63": 63, "leaves255": 255}
CASES = {
    **{name: dict(rows=1_000_000, numbers=40, categories=10, leaves=n) for name, n in LEAVES.items()},
    "many_columns": dict(rows=200_000, numbers=400, categories=100, leaves=63),
    "many_rows": dict(rows=5_000_000, numbers=16, categories=4, leaves=63),
    "small": dict(rows=60_000, numbers=20, categories=5, leaves=31),
}
PEERS = ["lightgbm", "lightgbm_quantised", "xgboost", "catboost"]
LABEL, POSITIVE, RATE, BINS = "readmitted", "yes", 0.1, 255


# --- one run of a peer, in its own process ------------------------------------------------------------------------------


def read_table(path):
    """Number and category columns as float32 (missing NaN), label, which are categories, training and test rows."""
    import h5py
    import numpy as np

    columns, categories, y, part = [], [], None, None
    with h5py.File(path) as file:
        for name in sorted(file["columns"]):
            data = file["columns"][name]
            kind = data.attrs.get("kind")
            kind = kind.decode() if isinstance(kind, bytes) else kind
            if name == "part":
                part = data[:] == b"train"
            elif kind == "number":
                columns.append(data[:].astype(np.float32))
            elif kind == "category":
                codes = data[:]
                if name == LABEL:
                    y = (codes == [t.decode() for t in file["levels"][name][:]].index(POSITIVE)).astype(np.float32)
                    continue
                values = codes.astype(np.float32)
                values[codes < 0] = np.nan
                categories.append(len(columns))
                columns.append(values)
    return np.stack(columns, 1), y, categories, part


def auroc(y, score):
    import numpy as np

    _, rank, count = np.unique(score, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - (count - 1) / 2
    n1 = y.sum()
    return float((middle[rank][y > 0.5].sum() - n1 * (n1 + 1) / 2) / (n1 * (len(y) - n1)))


def fit(peer, x, y, categories, a, marks):
    """A function from rows to scores. marks gets the moment when bins are ready."""
    if peer.startswith("lightgbm"):
        import lightgbm

        p = dict(objective="binary", num_leaves=a.leaves, max_bin=BINS, learning_rate=RATE, num_threads=a.n_threads, verbose=-1,
                 min_data_in_leaf=20, min_sum_hessian_in_leaf=1e-3, lambda_l2=1.0)
        if peer.endswith("quantised"):
            p.update(use_quantized_grad=True, num_grad_quant_bins=4, quant_train_renew_leaf=True)
        data = lightgbm.Dataset(x, y, categorical_feature=categories, params=p).construct()
        marks.append((time.monotonic(), time.process_time()))
        return lightgbm.train(p, data, a.rounds).predict
    if peer == "xgboost":
        import xgboost

        kinds = ["c" if i in categories else "float" for i in range(x.shape[1])]
        data = xgboost.QuantileDMatrix(x, y, max_bin=BINS + 1, nthread=a.n_threads, enable_categorical=True, feature_types=kinds)
        p = dict(objective="binary:logistic", tree_method="hist", grow_policy="lossguide", max_leaves=a.leaves, max_depth=0,
                 max_bin=BINS + 1, eta=RATE, nthread=a.n_threads, min_child_weight=1e-3)
        marks.append((time.monotonic(), time.process_time()))
        model = xgboost.train(p, data, a.rounds)
        return lambda rows: model.predict(xgboost.DMatrix(rows, enable_categorical=True, feature_types=kinds))
    import catboost

    model = catboost.CatBoostClassifier(iterations=a.rounds, learning_rate=RATE, grow_policy="Lossguide", max_leaves=a.leaves,
                                        max_depth=16, border_count=BINS - 1, l2_leaf_reg=1.0, min_data_in_leaf=20,
                                        bootstrap_type="No", boosting_type="Plain", thread_count=a.n_threads,
                                        allow_writing_files=False, verbose=False)
    data = catboost.Pool(x, y)
    data.quantize(border_count=BINS - 1)
    marks.append((time.monotonic(), time.process_time()))
    model.fit(data)
    return lambda rows: model.predict_proba(rows)[:, 1]


def run_peer(a):
    """Memory: bins and rounds over all rows. File: reading, bins and rounds over the training part, then test AUROC."""
    __import__(a.peer.split("_")[0]), __import__("h5py")
    marks = [(time.monotonic(), time.process_time())]
    x, y, categories, part = read_table(a.cohort)
    train = slice(None) if a.way == "memory" else part
    x_train, y_train = x[train], y[train]
    if a.way == "memory":
        marks = [(time.monotonic(), time.process_time())]
    predict = fit(a.peer, x_train, y_train, categories, a, marks)
    marks.append((time.monotonic(), time.process_time()))
    out = {"all": marks[2][0] - marks[0][0], "rounds": marks[2][0] - marks[1][0], "rounds_cpu": marks[2][1] - marks[1][1],
           "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    if a.way == "file":
        out["auroc"] = auroc(y[~part], predict(x[~part]))
    print(json.dumps(out))


# --- one run of ours ----------------------------------------------------------------------------------------------------


def run_ours(a, cohort, case, way, n_threads, folder):
    if way == "memory":
        words = [f"{a.build}/tests/bench/bench_rounds", cohort, LABEL, POSITIVE, f"threads={n_threads}", f"rounds={a.rounds}",
                 f"leaves={case['leaves']}", f"bins={BINS}", f"rate={RATE}"]
        r = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        return {"all": r["count"] + r["bin"] + r["seal"] + r["train"], "rounds": r["train"], "rounds_cpu": r["train_cpu"],
                "peak_mb": r["peak_mb"]}
    job = f"{folder}/job.yaml"
    with open(job, "w") as file:
        file.write(f"""name: bench
data:
  cohort: [{cohort}]
  id: encounter_id
  label: {{column: {LABEL}, positive: ["{POSITIVE}"]}}
  features: {{exclude: [patient_id, admitted_at]}}
  split: {{by: column, column: part}}
model: {{type: gbdt, rounds: {a.rounds}, learning_rate: {RATE}, max_leaves: {case['leaves']}, max_bins: {BINS}}}
run: {{out: {folder}/run, threads: {n_threads}, checkpoint_every: 600s}}
""")
    begin = time.monotonic()
    words = [f"{a.build}/runner/nightshift", "train", job, "--restart", "--json", "--quiet"]
    done = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    text = done.stdout.read()
    _, status, usage = os.wait4(done.pid, 0)
    if status != 0:
        raise SystemExit(f"nightshift train failed with {os.waitstatus_to_exitcode(status)}")
    return {"all": time.monotonic() - begin, "auroc": json.loads(text)["metrics"]["test"]["auroc"],
            "peak_mb": usage.ru_maxrss / 1024}


# --- the table ----------------------------------------------------------------------------------------------------------


def make_cohort(a, name, case, folder):
    """A synthetic cohort with a column that puts one row in ten in the test part."""
    import h5py
    import numpy as np

    path = f"{folder}/{name}.h5"
    rows = int(case["rows"] * a.scale)
    subprocess.run([f"{a.build}/runner/nightshift", "synth", path, "--rows", str(rows), "--numbers", str(case["numbers"]),
                    "--categories", str(case["categories"]), "--quiet"], check=True, stdout=subprocess.DEVNULL)
    part = np.where(np.random.default_rng(1).random(rows) < 0.9, b"train", b"test").astype("S5")
    with h5py.File(path, "a") as file:
        data = file["columns"].create_dataset("part", data=part, chunks=(min(65536, rows),), compression=1)
        data.attrs["kind"] = "category"
    return path


def present(peers):
    found = []
    for peer in peers:
        words = [sys.executable, "-c", f"import {peer.split('_')[0]}"]
        if subprocess.run(words, stderr=subprocess.DEVNULL).returncode == 0:
            found.append(peer)
        else:
            print(f"{peer}: not installed, left out", file=sys.stderr)
    return found


def measure(a, name, case, ways, threads, folder):
    cohort = make_cohort(a, name, case, folder)
    who = ["nightshift"] + present(a.peer_list)
    results = {(w, t, p): [] for w in ways for t in threads for p in who}
    for run in range(a.runs + 1):
        for way, n_threads, peer in results:
            if peer == "nightshift":
                r = run_ours(a, cohort, case, way, n_threads, folder)
            else:
                words = [sys.executable, __file__, a.build, "--peer", peer, "--cohort", cohort, "--way", way,
                         "--n-threads", str(n_threads), "--rounds", str(a.rounds), "--leaves", str(case["leaves"])]
                r = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
            if run > 0 or a.runs == 0:
                results[way, n_threads, peer].append(r)
    os.remove(cohort)
    return results


def middle(runs, key):
    values = [r[key] for r in runs if key in r]
    return (statistics.median(values), min(values), max(values)) if values else None


def shown(value, digits=2):
    return "" if value is None else f"{value[0]:.{digits}f} ({value[1]:.{digits}f}-{value[2]:.{digits}f})"


def print_table(name, results):
    print(f"\n{name}\n{'from':7}{'threads':>8} {'':20}{'seconds':>22}{'of it rounds':>22}{'x ours':>8}{'peak MB':>9}{'AUROC':>9}")
    for (way, n_threads, peer), runs in results.items():
        ours = middle(results[way, n_threads, "nightshift"], "all")[0]
        all_seconds, area = middle(runs, "all"), middle(runs, "auroc")
        print(f"{way:7}{n_threads:>8} {peer:20}{shown(all_seconds):>22}{shown(middle(runs, 'rounds')):>22}"
              f"{all_seconds[0] / ours:>8.2f}{middle(runs, 'peak_mb')[0]:>9.0f}{'' if area is None else format(area[0], '.4f'):>9}",
              flush=True)


def ratios(results):
    """Seconds of processor time in the rounds, peer's over ours: less shaken than wall time on a busy machine."""
    ours = middle(results["memory", 1, "nightshift"], "rounds_cpu")[0]
    return {p: middle(r, "rounds_cpu")[0] / ours for (_, _, p), r in results.items() if p != "nightshift"}


def check(a, folder):
    a.runs, a.rounds, a.peer_list = 3, 20, PEERS[:3]
    got = ratios(measure(a, "small", CASES["small"], ["memory"], [1], folder))
    if a.record:
        with open(a.record, "w") as file:
            json.dump({p: round(r, 2) for p, r in got.items()}, file, indent=1)
            file.write("\n")
        return 0
    with open(a.check) as file:
        recorded = json.load(file)
    failed = 0
    for peer, ratio in got.items():
        low = ratio < 0.5 * recorded[peer]
        failed += low
        print(f"{peer}: {ratio:.2f} times our processor time, recorded {recorded[peer]:.2f}{': below half' if low else ''}")
    return 1 if failed else 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build")
    p.add_argument("--case", nargs="+", choices=CASES, default=list(CASES)[:-1])
    p.add_argument("--from", dest="ways", nargs="+", choices=["memory", "file"], default=["memory", "file"])
    p.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    p.add_argument("--peers", dest="peer_list", nargs="+", choices=PEERS, default=PEERS)
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--rounds", type=int, default=100)
    p.add_argument("--scale", type=float, default=1.0)
    p.add_argument("--json")
    p.add_argument("--check")
    p.add_argument("--record")
    for name in ("--peer", "--cohort", "--way"):  # one run of a peer: what this program calls itself with
        p.add_argument(name, help=argparse.SUPPRESS)
    p.add_argument("--n-threads", type=int, help=argparse.SUPPRESS)
    p.add_argument("--leaves", type=int, help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.peer:
        return run_peer(a)
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        if a.check or a.record:
            return check(a, folder)
        kept = {}
        for name in a.case:
            results = measure(a, name, CASES[name], a.ways, a.threads, folder)
            print_table(name, results)
            kept[name] = [{"from": w, "threads": t, "who": who, "runs": r} for (w, t, who), r in results.items()]
        if a.json:
            with open(a.json, "w") as file:
                json.dump(kept, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
