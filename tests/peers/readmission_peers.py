"""Nightshift beside XGBoost, LightGBM and scikit-learn on Diabetes-130: the same rows, columns and splits by patient.

    python tests/peers/readmission_peers.py [--program build/runner/nightshift] [--seeds 1 2 3 4 5] [--threads 2]

Imports the raw CSV, trains jobs/examples/readmission.yaml once for each seed, and each peer in every setting of SETTINGS; of
these the one with the lowest loss on the validation part counts. Every learner stops early on that part. Takes minutes.
Exit 77: data or packages are not here; 1: rows differ, or the claim at the end does not hold.
"""
import argparse
import os
import re
import sys
import tempfile
import time
import warnings

try:
    import lightgbm
    import numpy as np
    import pandas
    import sklearn
    import xgboost
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import log_loss, roc_auc_score
    from threadpoolctl import threadpool_limits

    import readmission
    from readmission import TEST, TRAIN, VALID
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

AT_LEAST, BEHIND_BEST = 0.672, 0.003
OURS = "the job's"

# Learning rate, rounds and patience are the job's for everyone. In the first setting so are the leaves and the shares of rows
# and columns, with the library's own defaults for categories; the others are what a user of it would try on such data:
# stronger penalties and smoothing, other trees.
SETTINGS = {
    "xgboost": [
        {"grow_policy": "lossguide", "max_leaves": OURS, "max_depth": 0, "subsample": OURS, "colsample_bytree": OURS},
        {"grow_policy": "lossguide", "max_leaves": OURS, "max_depth": 0, "subsample": OURS, "colsample_bytree": OURS,
         "lambda": 30, "min_child_weight": 10},
        {"max_depth": 4, "subsample": 0.8, "colsample_bytree": 0.5, "lambda": 30, "min_child_weight": 10,
         "max_cat_threshold": 16},
    ],
    "lightgbm": [
        {"num_leaves": OURS, "bagging_fraction": OURS, "bagging_freq": 1, "feature_fraction": OURS, "lambda_l2": 1},
        {"num_leaves": OURS, "bagging_fraction": OURS, "bagging_freq": 1, "feature_fraction": OURS, "lambda_l2": 1,
         "cat_smooth": 200, "max_cat_threshold": 256},
        {"num_leaves": 31, "bagging_fraction": 0.8, "bagging_freq": 1, "feature_fraction": 0.5, "lambda_l2": 10,
         "min_data_in_leaf": 100, "cat_l2": 30, "cat_smooth": 100},
    ],
    "sklearn": [
        {"max_leaf_nodes": OURS, "max_features": OURS},
        {"max_leaf_nodes": OURS, "max_features": OURS, "l2_regularization": 30, "min_samples_leaf": 100},
        {"max_leaf_nodes": 15, "max_features": 0.3, "l2_regularization": 100, "min_samples_leaf": 100},
    ],
}
OF_LEAVES = {"max_leaves", "num_leaves", "max_leaf_nodes"}
OF_ROWS = {"subsample", "bagging_fraction"}


def frame_of(table):
    return pandas.DataFrame({name: pandas.Categorical.from_codes(cells, table.levels[name]) if name in table.levels else cells
                             for name, cells in table.columns.items()})


class Task:
    """One split, and what the peers take over from the job."""

    def __init__(self, table, frame, seed, threads, job):
        def value(key):
            return float(re.search(r"\b%s: *(\S+)" % key, job).group(1))

        self.part, self.frame, self.all_y, self.seed, self.threads = table.parts(seed), frame, table.y, seed, threads
        self.learning_rate, self.rounds, self.stop_after = value("learning_rate"), int(value("rounds")), int(value("stop_after"))
        self.leaves, self.row_sample, self.column_sample = int(value("max_leaves")), value("row_sample"), value("column_sample")

    def x(self, part):
        return self.frame[self.part == part]

    def y(self, part):
        return self.all_y[self.part == part]

    def resolved(self, setting):
        return {k: v if v != OURS else self.leaves if k in OF_LEAVES else self.row_sample if k in OF_ROWS else self.column_sample
                for k, v in setting.items()}


def run_xgboost(task, setting):
    """Partitions of the levels, ordered by gradient at each node."""
    parts = [xgboost.DMatrix(task.x(p), task.y(p), enable_categorical=True) for p in (TRAIN, VALID, TEST)]
    params = {"eta": task.learning_rate, "objective": "binary:logistic", "seed": task.seed, "tree_method": "hist",
              "eval_metric": "logloss", "nthread": task.threads} | task.resolved(setting)
    model = xgboost.train(params, parts[TRAIN], task.rounds, evals=[(parts[VALID], "valid")], verbose_eval=False,
                          early_stopping_rounds=task.stop_after)
    best = model.best_iteration + 1
    return [model.predict(parts[p], iteration_range=(0, best)) for p in (VALID, TEST)] + [best]


def run_lightgbm(task, setting):
    """Partitions too, with smoothing, a penalty of their own and fewest rows a level."""
    params = {"learning_rate": task.learning_rate, "objective": "binary", "seed": task.seed, "num_threads": task.threads,
              "metric": "binary_logloss", "verbosity": -1} | task.resolved(setting)
    train = lightgbm.Dataset(task.x(TRAIN), task.y(TRAIN))
    model = lightgbm.train(params, train, task.rounds, [train.create_valid(task.x(VALID), task.y(VALID))],
                           callbacks=[lightgbm.early_stopping(task.stop_after, verbose=False)])
    return [model.predict(task.x(p)) for p in (VALID, TEST)] + [model.best_iteration]


def run_sklearn(task, setting):
    """Partitions of at most 255 levels a column: here the most frequent 250 of the training part, and one for all others."""
    codes = {}
    for name in task.frame.columns:
        if task.frame[name].dtype != "category":
            codes[name] = task.frame[name]
            continue
        code = task.frame[name].cat.codes.to_numpy().astype(float)
        known, count = np.unique(code[(task.part == TRAIN) & (code >= 0)], return_counts=True)
        known = known[np.argsort(-count, kind="stable")[:250]]
        place = {c: i for i, c in enumerate(known)}
        codes[name] = np.array([np.nan if c < 0 else place.get(c, len(known)) for c in code])
    x = np.column_stack(list(codes.values()))
    model = HistGradientBoostingClassifier(
        learning_rate=task.learning_rate, max_iter=task.rounds, early_stopping=True, scoring="loss", tol=0,
        n_iter_no_change=task.stop_after, random_state=task.seed,
        categorical_features=(task.frame.dtypes == "category").to_numpy(), **task.resolved(setting))
    with threadpool_limits(task.threads):
        model.fit(x[task.part == TRAIN], task.y(TRAIN), X_val=x[task.part == VALID], y_val=task.y(VALID))
        best = int(np.argmax(model.validation_score_[1:])) + 1 # it keeps all rounds; the others go back to the best
        last = []
        for p in (VALID, TEST):
            for round_, risk in enumerate(model.staged_predict_proba(x[task.part == p]), 1):
                if round_ == best:
                    last.append(risk[:, 1])
                    break
    return last + [best]


RUN = {"xgboost": run_xgboost, "lightgbm": run_lightgbm, "sklearn": run_sklearn}


def run_peer(name, task):
    """The best setting by validation loss: its test AUROC and the seconds of that one training."""
    tried = []
    for number, setting in enumerate(SETTINGS[name], 1):
        began = time.time()
        valid, test, rounds = RUN[name](task, setting)
        loss, area = log_loss(task.y(VALID), valid.astype(float)), roc_auc_score(task.y(TEST), test)
        tried.append((loss, area, time.time() - began))
        print("    %-10s %d  loss on valid %.5f  test AUROC %.4f  %4d rounds  %6.1f s" %
              (name, number, loss, area, rounds, tried[-1][2]), flush=True)
    return min(tried)[1:]


def print_table(rows):
    """rows[seed][learner] = (AUROC, seconds); the mean AUROC of each learner."""
    learners = ["nightshift"] + list(SETTINGS)
    print("\n" + "test AUROC, seconds".ljust(20) + "".join(name.rjust(18) for name in learners))
    for seed, row in rows.items():
        print(("seed %d" % seed).ljust(20) + "".join("%10.4f %6.1f s" % row[name] for name in learners))
    means = {name: np.mean([row[name] for row in rows.values()], axis=0) for name in learners}
    print("mean".ljust(20) + "".join("%10.4f %6.1f s" % tuple(means[name]) for name in learners))
    return {name: float(mean[0]) for name, mean in means.items()}


def compare(args, folder):
    program = os.path.abspath(args.program)
    readmission.make_cohort(program, args.data, folder)
    table = readmission.Table(folder)
    frame = frame_of(table)
    print("%d rows of %d patients; xgboost %s, lightgbm %s, scikit-learn %s" % (
        len(table.y), len(np.unique(table.group)), xgboost.__version__, lightgbm.__version__, sklearn.__version__))
    rows = {}
    for seed in args.seeds:
        metrics, job, seconds = readmission.train_and_score(program, folder, table, seed, ["--set", "run.threads=%d" % args.threads])
        print("seed %d: %s rows for train, valid, test, %s of them events: the same in both" % (seed, *(
            ", ".join(str(metrics["parts"][p][k]) for p in ("train", "valid", "test")) for k in ("rows", "events"))))
        print("    nightshift    loss on valid %.5f  test AUROC %.4f  %4d rounds  %6.1f s" % (
            metrics["valid"]["log_loss"], metrics["test"]["auroc"], metrics["best_round"], seconds), flush=True)
        rows[seed] = {"nightshift": (metrics["test"]["auroc"], seconds)}
        task = Task(table, frame, seed, args.threads, job)
        for name in SETTINGS:
            rows[seed][name] = run_peer(name, task)
    return print_table(rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default=os.path.join(readmission.ROOT, "build", "runner", "nightshift"))
    parser.add_argument("--data", default=readmission.DATA)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if not os.path.exists(os.path.join(args.data, readmission.CSV)):
        print("skipped: no %s in %s" % (readmission.CSV, args.data))
        return 77
    warnings.filterwarnings("ignore", category=FutureWarning)
    with tempfile.TemporaryDirectory() as folder:
        means = compare(args, folder)
    best = max(SETTINGS, key=means.get)
    gap = means["nightshift"] - means[best]
    holds = means["nightshift"] >= AT_LEAST and gap >= -BEHIND_BEST
    print("nightshift %.4f, best peer %s %.4f, difference %+.4f: at least %.3f and at most %.3f behind %s" % (
        means["nightshift"], best, means[best], gap, AT_LEAST, BEHIND_BEST, "holds" if holds else "DOES NOT HOLD"))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
