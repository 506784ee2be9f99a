"""Training time beside other libraries: one command, one table.

    python train.py BUILD [--case NAME ...] [--threads 1 2] [--runs 5] [--scale 1.0] [--rounds 100] [--json FILE]

BUILD is a build folder. Every run is a process of its own, runs are interleaved, the first of each is a warm-up; the tables
have medians and (lowest-highest), the last one has every case beside what is asked of it. A library that is missing or fails
is left out, with a line. README.md beside this file says what the columns are."""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

import peers
from peers import Failed, output_of, shown

LEAVES = {"leaves31": 31, "leaves63": 63, "leaves255": 255}
CASES = {
    **{name: dict(rows=1_000_000, numbers=40, categories=10, leaves=n) for name, n in LEAVES.items()},
    "many_columns": dict(rows=200_000, numbers=400, categories=100, leaves=63),
    "many_rows": dict(rows=5_000_000, numbers=16, categories=4, leaves=63),
    "five_classes": dict(rows=500_000, numbers=24, categories=6, leaves=31, classes=5),
    "diabetes130": dict(leaves=31, label="readmitted", positive="<30", group="patient_nbr", name="encounter_id"),
    "small": dict(rows=60_000, numbers=20, categories=5, leaves=31),
    "small_classes": dict(rows=20_000, numbers=12, categories=3, leaves=31, classes=5),
}
SMALL = [name for name in CASES if name.startswith("small")] # those that recorded.py measures
PEERS = ["lightgbm", "lightgbm_quantised", "xgboost", "catboost"]
LABEL, POSITIVE, RATE, BINS = "readmitted", "yes", 0.1, 255
# What is asked: times the fastest other's seconds, by way; AUROC behind the best other at most; the rest of a peak, in bytes.
ASKED = {"memory": 1.5, "file": 2.0}
AUROC_BEHIND, PEAK_BASE = 0.001, 256 << 20
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


# --- one run of a peer, in its own process ------------------------------------------------------------------------------


def label_of(case):
    return case.get("label", "class5" if case.get("classes") else LABEL)


def read_table(path, case):
    """Number and category columns as float32 (missing NaN), label, which are categories, training and test rows."""
    import h5py
    import numpy as np

    with h5py.File(path) as file:
        columns, categories = peers.read_features(file, ("part", label_of(case)))
        part = file["columns"]["part"][:] == b"train"
        label = peers.texts_of(file, label_of(case))
    y = np.unique(label, return_inverse=True)[1] if case.get("classes") else (label == case.get("positive", POSITIVE)).astype(np.float32)
    return np.stack(columns, 1), y, categories, part


def auroc(y, score):
    """Of two classes; of more the mean over each class against the others."""
    import numpy as np

    if score.ndim == 2:
        return float(np.mean([auroc((y == c).astype(np.float32), score[:, c]) for c in range(score.shape[1])]))
    _, rank, count = np.unique(score, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - (count - 1) / 2
    n1 = y.sum()
    return float((middle[rank][y > 0.5].sum() - n1 * (n1 + 1) / 2) / (n1 * (len(y) - n1)))


def fit(peer, x, y, categories, a, case, marks):
    """A function from rows to scores. marks gets the moment when bins are ready."""
    classes = case.get("classes")
    if peer.startswith("lightgbm"):
        import lightgbm

        p = dict(objective="binary", num_leaves=case["leaves"], max_bin=BINS, learning_rate=RATE, num_threads=a.n_threads, verbose=-1,
                 min_data_in_leaf=20, min_sum_hessian_in_leaf=1e-3, lambda_l2=1.0)
        if classes:
            p.update(objective="multiclass", num_class=classes)
        if peer.endswith("quantised"):
            p.update(use_quantized_grad=True, num_grad_quant_bins=4, quant_train_renew_leaf=True)
        data = lightgbm.Dataset(x, y, categorical_feature=categories, params=p).construct()
        marks.append((time.monotonic(), time.process_time()))
        return lightgbm.train(p, data, a.rounds).predict
    if peer == "xgboost":
        import xgboost

        kinds = ["c" if i in categories else "float" for i in range(x.shape[1])]
        data = xgboost.QuantileDMatrix(x, y, max_bin=BINS + 1, nthread=a.n_threads, enable_categorical=True, feature_types=kinds)
        p = dict(objective="binary:logistic", tree_method="hist", grow_policy="lossguide", max_leaves=case["leaves"], max_depth=0,
                 max_bin=BINS + 1, eta=RATE, nthread=a.n_threads, min_child_weight=1e-3)
        if classes:
            p.update(objective="multi:softprob", num_class=classes)
        marks.append((time.monotonic(), time.process_time()))
        model = xgboost.train(p, data, a.rounds)
        return lambda rows: model.predict(xgboost.DMatrix(rows, enable_categorical=True, feature_types=kinds))
    import catboost

    model = catboost.CatBoostClassifier(iterations=a.rounds, learning_rate=RATE, grow_policy="Lossguide", max_leaves=case["leaves"],
                                        max_depth=16, border_count=BINS - 1, l2_leaf_reg=1.0, min_data_in_leaf=20,
                                        bootstrap_type="No", boosting_type="Plain", thread_count=a.n_threads,
                                        loss_function="MultiClass" if classes else "Logloss",
                                        allow_writing_files=False, verbose=False)
    data = catboost.Pool(x, y)
    data.quantize(border_count=BINS - 1)
    marks.append((time.monotonic(), time.process_time()))
    model.fit(data)
    return lambda rows: model.predict_proba(rows) if classes else model.predict_proba(rows)[:, 1]


def run_peer(a):
    """Memory: bins and rounds over all rows. File: reading, bins and rounds over the training part, then test AUROC."""
    __import__(a.peer.split("_")[0]), __import__("h5py")
    case = CASES[a.one_case]
    marks = [(time.monotonic(), time.process_time())]
    x, y, categories, part = read_table(a.cohort, case)
    train = slice(None) if a.way == "memory" else part
    x_train, y_train = x[train], y[train]
    if a.way == "memory":
        marks = [(time.monotonic(), time.process_time())]
    predict = fit(a.peer, x_train, y_train, categories, a, case, marks)
    marks.append((time.monotonic(), time.process_time()))
    out = {"all": marks[2][0] - marks[0][0], "rounds": marks[2][0] - marks[1][0], "rounds_cpu": marks[2][1] - marks[1][1],
           "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    if a.way == "file":
        out["auroc"] = auroc(y[~part], predict(x[~part]))
    print(json.dumps(out))


# --- one run of ours ----------------------------------------------------------------------------------------------------


def run_ours(a, cohort, case, way, n_threads, folder):
    if way == "memory":
        positive = "*" if case.get("classes") else case.get("positive", POSITIVE)
        words = [f"{a.build}/tests/bench/bench_rounds", cohort, label_of(case), positive, f"threads={n_threads}",
                 f"rounds={a.rounds}", f"leaves={case['leaves']}", f"bins={BINS}", f"rate={RATE}"]
        r = json.loads(output_of(words))
        return {"all": r["count"] + r["bin"] + r["seal"] + r["train"], "rounds": r["train"], "rounds_cpu": r["train_cpu"],
                "peak_mb": r["peak_mb"]}
    job = f"{folder}/job.yaml"
    label = f"{{column: {label_of(case)}}}" if case.get("classes") else \
        f"{{column: {label_of(case)}, positive: [\"{case.get('positive', POSITIVE)}\"]}}"
    with open(job, "w") as file:
        file.write(f"""name: bench
data:
  cohort: [{cohort}]
  id: {case.get('name', 'encounter_id')}
  label: {label}
{f"  group: {case['group']}" if 'group' in case else '  # each row for itself: the part column parts patients'}
  split: {{by: column, column: part}}
model: {{type: gbdt, objective: {'multiclass' if case.get('classes') else 'binary'}, rounds: {a.rounds}, learning_rate: {RATE}, max_leaves: {case['leaves']}, max_bins: {BINS}}}
run: {{out: {folder}/run, threads: {n_threads}, checkpoint_every: 600s}}
""")
    begin = time.monotonic()
    words = [f"{a.build}/runner/nightshift", "train", job, "--restart", "--json", "--quiet"]
    done = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    text = done.stdout.read()
    _, status, usage = os.wait4(done.pid, 0)
    done.returncode = os.waitstatus_to_exitcode(status)
    if done.returncode != 0:
        raise Failed(f"nightshift train: exit {done.returncode}")
    seconds, test = time.monotonic() - begin, json.loads(text)["metrics"]["test"]
    with open(f"{folder}/run/run.json") as file:
        stages = json.load(file)["lives"][-1]["stages"]
    return {"all": seconds, "rounds": stages["train"], "auroc": test["auroc_macro" if case.get("classes") else "auroc"],
            "peak_mb": usage.ru_maxrss / 1024, "stages": stages}


# --- cohorts ------------------------------------------------------------------------------------------------------------


def add_part(path, case):
    """A column that puts one row in ten in the test part; all rows of a patient where the case names the patient."""
    import h5py
    import numpy as np

    with h5py.File(path, "a") as file:
        columns = file["columns"]
        rows, who = len(columns[case.get("name", "encounter_id")]), None
        if "group" in case:
            _, who = np.unique(columns[case["group"]][:], return_inverse=True)
        drawn = np.random.default_rng(1).random(rows if who is None else who.max() + 1) < 0.9
        part = np.where(drawn if who is None else drawn[who], b"train", b"test").astype("S5")
        columns.create_dataset("part", data=part, chunks=(min(65536, rows),), compression=1).attrs["kind"] = "category"
        if case.get("classes"): # a fifth of the stays in each class, by what they cost
            cost = columns["cost"][:]
            edges = np.nanquantile(cost, np.arange(1, case["classes"]) / case["classes"])
            label = np.array([f"c{i}" for i in range(case["classes"])], "S2")[np.searchsorted(edges, np.nan_to_num(cost))]
            columns.create_dataset("class5", data=label, chunks=(min(65536, rows),), compression=1).attrs["kind"] = "category"
            for name in ("cost", "calls", "next_care", "readmitted"):
                del columns[name]
    return rows


def make_cohort(a, name, case, folder):
    """The case's cohort and its rows and features; None where its data are not here."""
    path = f"{folder}/{name}.h5"
    program = f"{a.build}/runner/nightshift"
    if name == "diabetes130":
        source = os.path.join(a.data or os.path.join(os.path.dirname(ROOT), "shared", "data", "diabetes130"), "diabetic_data.csv.xz")
        if not os.path.exists(source):
            return None
        unpacked = subprocess.Popen(["xzcat", source], stdout=subprocess.PIPE)
        output_of([program, "import", "-", path, "--schema", f"{ROOT}/jobs/examples/diabetes.schema.yaml", "--quiet"], stdin=unpacked.stdout)
        if unpacked.wait() != 0:
            raise Failed(f"xzcat ends with {unpacked.returncode}")
    else:
        rows = int(case["rows"] * a.scale)
        output_of([program, "synth", path, "--rows", str(rows), "--numbers", str(case["numbers"]), "--categories", str(case["categories"]),
                   "--quiet"] + (["--outcomes"] if case.get("classes") else []))
    rows = add_part(path, case)
    import h5py

    with h5py.File(path) as file:
        kinds = [d.attrs.get("kind") for n, d in file["columns"].items() if n not in ("part", label_of(case))]
    return path, rows, sum(k in ("number", "category", b"number", b"category") for k in kinds)


# --- measuring ----------------------------------------------------------------------------------------------------------


def run_one(a, name, cohort, way, n_threads, who, folder):
    if who == "nightshift":
        return run_ours(a, cohort, CASES[name], way, n_threads, folder)
    words = [sys.executable, __file__, a.build, "--peer", who, "--cohort", cohort, "--way", way, "--n-threads", str(n_threads),
             "--rounds", str(a.rounds), "--one-case", name]
    try:
        return json.loads(output_of(words, timeout=a.limit).splitlines()[-1])
    except (subprocess.TimeoutExpired, json.JSONDecodeError, IndexError) as why:
        raise Failed(type(why).__name__) from None


def measure(a, name, ways, threads, folder):
    """{(way, threads, who): [runs]}, rows and features; None where the case's data are not here."""
    made = make_cohort(a, name, CASES[name], folder)
    if made is None:
        return None
    cohort, rows, features = made
    results = {(w, t, p): [] for w in ways for t in threads for p in ["nightshift"] + peers.present(a.peer_list, lambda p: p.split('_')[0])}
    for run in range(a.runs + 1):
        for way, n_threads, who in list(results):
            began = time.monotonic()
            try:
                r = run_one(a, name, cohort, way, n_threads, who, folder)
            except Failed as why:
                if who == "nightshift":
                    raise
                print(f"{name}, from {way}, {n_threads} threads: {who} fails, left out: {why}", file=sys.stderr, flush=True)
                del results[way, n_threads, who]
                continue
            if a.verbose:
                print(f"{name} run {run} from {way}, {n_threads} threads: {who} {r['all']:.2f} s ({time.monotonic() - began:.0f} s in all)",
                      file=sys.stderr, flush=True)
            if run > 0 or a.runs == 0:
                results[way, n_threads, who].append(r)
    os.remove(cohort)
    return results, rows, features


def middle(runs, key):
    return peers.middle([r[key] for r in runs if key in r])


def print_table(name, results, rows, features, a):
    print(f"\n{name}: {rows} rows x {features} features, {CASES[name]['leaves']} leaves, {a.rounds} rounds\n"
          f"{'from':7}{'threads':>8} {'':20}{'seconds':>22}{'of it rounds':>22}{'x ours':>8}{'peak MB':>9}{'AUROC':>9}")
    for (way, n_threads, peer), runs in results.items():
        ours = middle(results[way, n_threads, "nightshift"], "all")[0]
        all_seconds, area = middle(runs, "all"), middle(runs, "auroc")
        print(f"{way:7}{n_threads:>8} {peer:20}{shown(all_seconds):>22}{shown(middle(runs, 'rounds')):>22}"
              f"{all_seconds[0] / ours:>8.2f}{middle(runs, 'peak_mb')[0]:>9.0f}{'' if area is None else format(area[0], '.4f'):>9}",
              flush=True)


def verdicts(name, results, rows, features):
    """One line a way and number of threads: the fastest other over ours, AUROC, peak, each with what is asked."""
    lines = []
    for way, n_threads, who in results:
        others = {p: runs for (w, t, p), runs in results.items() if (w, t) == (way, n_threads) and p != "nightshift"}
        if who != "nightshift" or not others:
            continue
        ours = results[way, n_threads, who]
        fastest = min(others, key=lambda p: middle(others[p], "all")[0])
        ratio = middle(others[fastest], "all")[0] / middle(ours, "all")[0]
        line = {"case": name, "from": way, "threads": n_threads, "ratio": ratio, "asked": ASKED[way], "beside": fastest, "good": ratio >= ASKED[way]}
        if way == "file":
            best = max(middle(runs, "auroc")[0] for runs in others.values())
            peak, lowest = middle(ours, "peak_mb")[0], min(middle(runs, "peak_mb")[0] for runs in others.values())
            most = (rows * (2 * features + 64) + PEAK_BASE) / (1 << 20)
            line.update(auroc_behind=best - middle(ours, "auroc")[0], peak_mb=peak, lowest_mb=lowest, most_mb=most)
            asked_of_auroc = name == "diabetes130" or line["auroc_behind"] <= AUROC_BEHIND
            line["good"] = line["good"] and asked_of_auroc and peak <= lowest and peak <= most
        lines.append(line)
    return lines


def print_verdicts(lines):
    print(f"\n{'case':14}{'from':7}{'threads':>8}{'ratio':>8}{'asked':>7} {'beside':20}{'AUROC behind':>13}{'peak MB':>9}{'lowest':>8}{'allowed':>8}")
    for v in lines:
        rest = f"{v['auroc_behind']:>13.4f}{v['peak_mb']:>9.0f}{v['lowest_mb']:>8.0f}{v['most_mb']:>8.0f}" if "peak_mb" in v else " " * 38
        print(f"{v['case']:14}{v['from']:7}{v['threads']:>8}{v['ratio']:>8.2f}{v['asked']:>7.1f} {v['beside']:20}{rest}{'' if v['good'] else '  not reached'}")


def ratios(results):
    """Seconds of processor time in the rounds, peer's over ours: less shaken than wall time on a busy machine."""
    ours = middle(results["memory", 1, "nightshift"], "rounds_cpu")[0]
    return {p: middle(r, "rounds_cpu")[0] / ours for (_, _, p), r in results.items() if p != "nightshift"}


def measure_all(a, folder):
    kept, lines = {}, []
    for name in a.case:
        began = time.monotonic()
        made = measure(a, name, a.ways, a.threads, folder)
        if made is None:
            print(f"\n{name}: its data are not here, skipped", flush=True)
            continue
        results, rows, features = made
        print_table(name, results, rows, features, a)
        print(f"{name}: took {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
        lines += verdicts(name, results, rows, features)
        kept[name] = {"rows": rows, "features": features, "rounds": a.rounds,
                      "results": [{"from": w, "threads": t, "who": who, "runs": r} for (w, t, who), r in results.items()]}
        if a.json: # after each case: what was measured is kept whatever comes next
            with open(a.json, "w") as file:
                json.dump({"cases": kept, "verdicts": lines}, file, indent=1)
    print_verdicts(lines)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build")
    p.add_argument("--case", nargs="+", choices=CASES, default=[name for name in CASES if name not in SMALL])
    p.add_argument("--from", dest="ways", nargs="+", choices=["memory", "file"], default=["memory", "file"])
    p.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    p.add_argument("--peers", dest="peer_list", nargs="+", choices=PEERS, default=PEERS)
    p.add_argument("--runs", type=int, default=5, help="counted runs after the warm-up; 0 counts the warm-up alone")
    p.add_argument("--rounds", type=int, default=100)
    p.add_argument("--scale", type=float, default=1.0, help="of the rows of synthetic cases")
    p.add_argument("--data", help="folder of diabetic_data.csv.xz; default ../shared/data/diabetes130 beside the checkout")
    p.add_argument("--limit", type=float, default=3600, help="seconds after which a run of another library has failed")
    p.add_argument("--verbose", action="store_true", help="a line on stderr after each run")
    p.add_argument("--json")
    for name in ("--peer", "--cohort", "--way", "--one-case"):  # one run of a peer: what this program calls itself with
        p.add_argument(name, help=argparse.SUPPRESS)
    p.add_argument("--n-threads", type=int, help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.peer:
        return run_peer(a)
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        try:
            measure_all(a, folder)
        except Failed as why:
            raise SystemExit(f"train.py: {why}") from None
    return 0


if __name__ == "__main__":
    sys.exit(main())
