"""Nightshift beside XGBoost, LightGBM and scikit-learn on Diabetes-130: the same rows, columns and splits by patient.

    python tests/peers/readmission_peers.py [--program build/runner/nightshift] [--seeds 1 2 3 4 5] [--threads 2]

Imports the raw CSV, trains jobs/examples/readmission.yaml once for each seed, and each peer in every setting of SETTINGS;
of these the one with the lowest loss on the validation part counts. Rows and parts are computed here once more, from the ids
alone, and must be those of Nightshift. Exit 77: data or packages are not here; 1: rows differ, or a claim does not hold.
"""
import argparse
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import time

try:
    import h5py
    import lightgbm
    import numpy as np
    import pandas
    import sklearn
    import xgboost
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import log_loss, roc_auc_score
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXAMPLES = os.path.join(ROOT, "jobs", "examples")
ID, GROUP, LABEL, POSITIVE = "encounter_id", "patient_nbr", "readmitted", "<30"
TRAIN, VALID, TEST = range(3)
AT_LEAST, BEHIND_BEST = 0.672, 0.003

# Learning rate, rounds and patience are those of the job, for everyone. The first setting of each has the job's leaves,
# samples and penalties, as far as the library knows them; the others are what its own users would try on such data.
SETTINGS = {
    "xgboost": [
        {"grow_policy": "lossguide", "max_leaves": "ours", "max_depth": 0, "subsample": "ours", "colsample_bytree": "ours",
         "lambda": 1, "min_child_weight": 2},
        {"grow_policy": "lossguide", "max_leaves": "ours", "max_depth": 0, "subsample": "ours", "colsample_bytree": "ours",
         "lambda": 10, "min_child_weight": 10},
        {"max_depth": 4, "subsample": 0.8, "colsample_bytree": 0.5, "lambda": 10, "min_child_weight": 10,
         "max_cat_threshold": 16},
    ],
    "lightgbm": [
        {"num_leaves": "ours", "bagging_fraction": "ours", "bagging_freq": 1, "feature_fraction": "ours", "lambda_l2": 1,
         "min_data_in_leaf": 20, "cat_l2": 10, "cat_smooth": 10},
        {"num_leaves": "ours", "bagging_fraction": "ours", "bagging_freq": 1, "feature_fraction": "ours", "lambda_l2": 1,
         "min_data_in_leaf": 20, "cat_l2": 10, "cat_smooth": 200, "max_cat_threshold": 256},
        {"num_leaves": 31, "bagging_fraction": 0.8, "bagging_freq": 1, "feature_fraction": 0.5, "lambda_l2": 10,
         "min_data_in_leaf": 100, "cat_l2": 30, "cat_smooth": 100},
    ],
    "sklearn": [
        {"max_leaf_nodes": "ours", "max_features": "ours", "l2_regularization": 1, "min_samples_leaf": 20},
        {"max_leaf_nodes": "ours", "max_features": "ours", "l2_regularization": 30, "min_samples_leaf": 100},
        {"max_leaf_nodes": 31, "max_features": 1.0, "l2_regularization": 10, "min_samples_leaf": 100},
    ],
}


class Table:
    """The cohort's rows that the job's `where` keeps."""

    def __init__(self, path, outside):
        with h5py.File(path) as file:
            columns = {name: file["columns"][name][:] for name in file["columns"]}
            levels = {name: [t.decode() for t in file["levels"][name][:]] for name in file["levels"]}
        disposition = np.array(levels["discharge_disposition_id"] + [""])[columns["discharge_disposition_id"]]
        self.kept = ~np.isin(disposition, outside)
        self.ids = columns.pop(ID)
        self.group = columns.pop(GROUP)[self.kept]
        self.y = (np.array(levels[LABEL] + [""])[columns.pop(LABEL)] == POSITIVE)[self.kept].astype(int)
        frame = {}
        for name, values in columns.items():
            values = values[self.kept]
            frame[name] = pandas.Categorical.from_codes(values, levels[name]) if name in levels else values
        self.x = pandas.DataFrame(frame)
        self.categories = [name for name in frame if name in levels]

    def parts(self, seed, train, valid):
        """The part of every row: data/split.h and data/hash.h, with hashlib."""
        def blake2b(text):
            return hashlib.blake2b(text, digest_size=32).digest()

        def limit(fraction):
            return int(fraction * 2.0 ** 64)

        part_of = {}
        for group in np.unique(self.group):
            low, high = struct.unpack("<QQ", blake2b(b"%d" % group)[:16])
            u, = struct.unpack("<Q", blake2b(struct.pack("<QQQ", seed, high, low))[:8])
            part_of[group] = TRAIN if u < limit(train) else VALID if u < limit(train + valid) else TEST
        return np.array([part_of[group] for group in self.group])


def nightshift(program, folder, words, read=subprocess.DEVNULL):
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    began = time.time()
    done = subprocess.run([program, *words, "--json", "--quiet"], cwd=folder, env=env, stdin=read, stdout=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit("nightshift %s: exit %d" % (words[0], done.returncode))
    return json.loads(done.stdout), time.time() - began


def make_cohort(program, data, folder):
    unpacked = subprocess.Popen(["xzcat", os.path.join(data, "diabetic_data.csv.xz")], stdout=subprocess.PIPE)
    nightshift(program, folder, ["import", "-", "diabetes.h5", "--schema", os.path.join(EXAMPLES, "diabetes.schema.yaml")],
               unpacked.stdout)
    if unpacked.wait() != 0:
        sys.exit("xzcat: exit %d" % unpacked.returncode)
    with open(os.path.join(EXAMPLES, "readmission.yaml")) as from_, open(os.path.join(folder, "job.yaml"), "w") as to:
        to.write(from_.read())


def run_ours(program, folder, table, seed, threads):
    """Trains and scores; the risks of the rows kept, and the metrics that the bundle states."""
    out = "seed-%d" % seed
    words = ["job.yaml", "--set", "train.seed=%d" % seed, "--set", "run.out=%s/%s" % (folder, out),
             "--set", "run.threads=%d" % threads]
    report, seconds = nightshift(program, folder, ["train", *words])
    nightshift(program, folder, ["score", *words, "--set", "score.out=%s/%s.h5" % (folder, out), "--as-of", "2000-01-01"])
    with h5py.File(os.path.join(folder, out + ".h5")) as file:
        if not (file["id"][:] == table.ids).all() or not ((file["status"][:] == 0) == table.kept).all():
            sys.exit("seed %d: the rows that Nightshift scored are not those that `where` keeps" % seed)
        risk = file["risk"][:][table.kept]
    return risk, report["metrics"], seconds


def check_rows(table, part, risk, metrics, seed):
    """Rows, events and AUROC, computed here from raw ids, labels and scores, are what metrics.json says."""
    for name, p in (("train", TRAIN), ("valid", VALID), ("test", TEST)):
        mine = {"rows": int((part == p).sum()), "events": int(table.y[part == p].sum())}
        if mine != metrics["parts"][name]:
            sys.exit("seed %d, %s: %s here, %s in metrics.json" % (seed, name, mine, metrics["parts"][name]))
    auroc = roc_auc_score(table.y[part == TEST], risk[part == TEST])
    if not abs(auroc - metrics["test"]["auroc"]) < 1e-12:
        sys.exit("seed %d: AUROC %.15f here, %.15f in metrics.json" % (seed, auroc, metrics["test"]["auroc"]))


def resolved(setting, ours, factor):
    """A setting with the job's own values filled in."""
    of_leaves = ("max_leaves", "num_leaves", "max_leaf_nodes")
    of_rows = ("subsample", "bagging_fraction")
    return {k: v if v != "ours" else int(ours["max_leaves"]) if k in of_leaves else float(ours["row_sample"]) if k in of_rows
            else float(ours["column_sample"]) for k, v in setting.items()} | factor


def run_xgboost(table, part, setting, ours, seed, threads):
    parts = [xgboost.DMatrix(table.x[part == p], table.y[part == p], enable_categorical=True) for p in range(3)]
    params = resolved(setting, ours, {"eta": ours["learning_rate"], "objective": "binary:logistic", "seed": seed,
                                      "tree_method": "hist", "eval_metric": "logloss", "nthread": threads})
    model = xgboost.train(params, parts[TRAIN], ours["rounds"], [(parts[VALID], "valid")], verbose_eval=False,
                          early_stopping_rounds=ours["stop_after"])
    best = (0, model.best_iteration + 1)
    return model.predict(parts[VALID], iteration_range=best), model.predict(parts[TEST], iteration_range=best), best[1]


def run_lightgbm(table, part, setting, ours, seed, threads):
    params = resolved(setting, ours, {"learning_rate": ours["learning_rate"], "objective": "binary", "seed": seed,
                                      "num_threads": threads, "metric": "binary_logloss", "verbosity": -1})
    train = lightgbm.Dataset(table.x[part == TRAIN], table.y[part == TRAIN], categorical_feature=table.categories)
    valid = train.create_valid(table.x[part == VALID], table.y[part == VALID])
    model = lightgbm.train(params, train, ours["rounds"], [valid],
                           callbacks=[lightgbm.early_stopping(ours["stop_after"], verbose=False)])
    return model.predict(table.x[part == VALID]), model.predict(table.x[part == TEST]), model.best_iteration


def run_sklearn(table, part, setting, ours, seed, threads):
    """At most 255 levels a column are taken: the most frequent of the training part, and one for all others."""
    x = table.x.copy()
    for name in table.categories:
        frequent = x.loc[part == TRAIN, name].value_counts()
        frequent = frequent[frequent > 0].index[:250]
        x[name] = x[name].cat.add_categories("other levels").where(x[name].isna() | x[name].isin(frequent), "other levels")
        x[name] = x[name].cat.remove_unused_categories()
    params = resolved(setting, ours, {"learning_rate": ours["learning_rate"], "max_iter": ours["rounds"], "random_state": seed})
    model = HistGradientBoostingClassifier(categorical_features="from_dtype", early_stopping=True, scoring="loss", tol=0,
                                           n_iter_no_change=ours["stop_after"], **params)
    model.fit(x[part == TRAIN], table.y[part == TRAIN], X_val=x[part == VALID], y_val=table.y[part == VALID])
    best = int(np.argmax(model.validation_score_[1:])) + 1 # the library keeps all rounds: the best is taken, as for the others
    valid, test = ([r[:, 1] for r, _ in zip(model.staged_predict_proba(x[part == p]), range(best))][-1] for p in (VALID, TEST))
    return valid, test, best


def run_peer(name, table, part, ours, seed, threads):
    """The best setting by validation loss: its test AUROC, its number, its rounds, and seconds of that one training."""
    run = {"xgboost": run_xgboost, "lightgbm": run_lightgbm, "sklearn": run_sklearn}[name]
    tried = []
    for number, setting in enumerate(SETTINGS[name], 1):
        began = time.time()
        valid, test, rounds = run(table, part, setting, ours, seed, threads)
        seconds = time.time() - began
        tried.append((log_loss(table.y[part == VALID], np.asarray(valid, float)),
                      roc_auc_score(table.y[part == TEST], test), number, rounds, seconds))
        print("    %-10s setting %d: loss on valid %.5f, test AUROC %.4f, %4d rounds, %.1f s" %
              (name, number, tried[-1][0], tried[-1][1], rounds, seconds), flush=True)
    return min(tried)


def job_settings(folder):
    """What the peers take over from the job, as Nightshift resolved it; a job file is YAML, an echo of it simpler."""
    with open(folder) as file:
        text = file.read()

    def value(key):
        return re.search(r"\b%s: *\"?([^\s,}\"]+)" % key, text).group(1)

    return {"learning_rate": float(value("learning_rate")), "rounds": int(value("rounds")),
            "stop_after": int(value("stop_after")), "max_leaves": int(value("max_leaves")),
            "row_sample": float(value("row_sample")), "column_sample": float(value("column_sample"))}


def print_table(seeds, rows):
    """rows[seed][learner] = (AUROC, seconds)"""
    learners = list(rows[seeds[0]])
    print("\n" + "test AUROC (seconds)".ljust(22) + "".join(l.rjust(16) for l in learners))
    for seed in seeds:
        print(("seed %d" % seed).ljust(22) + "".join("%9.4f (%4.1f)" % rows[seed][l] for l in learners))
    means = {l: float(np.mean([rows[s][l][0] for s in seeds])) for l in learners}
    print("mean".ljust(22) + "".join("%9.4f (%4.1f)" % (means[l], np.mean([rows[s][l][1] for s in seeds])) for l in learners))
    return means


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default=os.path.join(ROOT, "build", "runner", "nightshift"))
    parser.add_argument("--data", default=os.path.join(os.path.dirname(ROOT), "shared", "data", "diabetes130"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if not os.path.exists(os.path.join(args.data, "diabetic_data.csv.xz")):
        print("skipped: no diabetic_data.csv.xz in %s (UCI data set 296)" % args.data)
        return 77
    with tempfile.TemporaryDirectory() as folder:
        make_cohort(os.path.abspath(args.program), args.data, folder)
        with open(os.path.join(folder, "job.yaml")) as file:
            where = re.search(r"^ *where: *\"discharge_disposition_id not in \(([\d, ]+)\)\"", file.read(), re.M).group(1)
        table = Table(os.path.join(folder, "diabetes.h5"), [w.strip() for w in where.split(",")])
        print("%d rows, %d patients; xgboost %s, lightgbm %s, scikit-learn %s" % (
            len(table.y), len(np.unique(table.group)), xgboost.__version__, lightgbm.__version__, sklearn.__version__))
        rows = {}
        for seed in args.seeds:
            risk, metrics, seconds = run_ours(os.path.abspath(args.program), folder, table, seed, args.threads)
            ours = job_settings(os.path.join(folder, "seed-%d" % seed, "bundle", "job.yaml"))
            part = table.parts(seed, 0.7, 0.1)
            check_rows(table, part, risk, metrics, seed)
            print("seed %d: train %d, valid %d, test %d rows, events %d, %d, %d, the same in both" % (
                seed, *(metrics["parts"][p][k] for k in ("rows", "events") for p in ("train", "valid", "test"))))
            print("    nightshift: loss on valid %.5f, test AUROC %.4f, %d rounds, %.1f s" % (
                metrics["valid"]["log_loss"], metrics["test"]["auroc"], metrics["best_round"], seconds), flush=True)
            rows[seed] = {"nightshift": (metrics["test"]["auroc"], seconds)}
            for name in SETTINGS:
                best = run_peer(name, table, part, ours, seed, args.threads)
                rows[seed][name] = (best[1], best[4])
    means = print_table(args.seeds, rows)
    best = max((means[l], l) for l in SETTINGS)
    gap = means["nightshift"] - best[0]
    print("Nightshift %.4f, best peer %s %.4f, difference %+.4f" % (means["nightshift"], best[1], best[0], gap))
    holds = means["nightshift"] >= AT_LEAST and gap >= -BEHIND_BEST
    print("claim (mean at least %.3f, at most %.3f behind the best peer): %s" % (
        AT_LEAST, BEHIND_BEST, "holds" if holds else "DOES NOT HOLD"))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
