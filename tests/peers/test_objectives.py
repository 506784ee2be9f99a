"""Objectives against others: scores bit for bit by read_model.py, metrics by scikit-learn, quality beside LightGBM.

    sh run.sh "numpy h5py safetensors sklearn lightgbm" test_objectives.py PROGRAM

On a synthetic cohort whose truth is known, by the jobs of jobs/examples: same rows in training, validation and test part, the same
settings, early stopping on. Ours may be at most one per cent worse in the loss of the test part.
"""
import json
import os
import subprocess
import sys
import tempfile

import h5py
import lightgbm
import numpy as np
import sklearn.metrics as sk

import read_model
from cohort_columns import read_columns

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "jobs", "examples")
SETTINGS = ["model.rounds=120", "train.stop_after=20", "model.learning_rate=0.08", "model.max_leaves=15", "model.gradient_bits=auto"]
ROWS = 12000
ROWS_BIT_BY_BIT = 1000


def nightshift(*words):
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    subprocess.run([sys.argv[1], *words, "--quiet"], check=True, env=env, stdout=subprocess.DEVNULL)


def near(name, got, want, allowed=1e-9):
    assert abs(got - want) <= allowed * (1 + abs(want)), (name, got, want)


def check_class_metrics(test, y, p, names):
    near("log_loss", test["log_loss"], sk.log_loss(y, p / p.sum(axis=1, keepdims=True), labels=range(len(names))), 1e-6)
    near("accuracy", test["accuracy"], sk.accuracy_score(y, p.argmax(axis=1)))
    near("brier", test["brier"], ((p - np.eye(len(names))[y]) ** 2).sum(axis=1).mean())
    near("auroc_macro", test["auroc_macro"], np.mean([sk.roc_auc_score(y == c, p[:, c]) for c in range(len(names))]))
    for c, entry in enumerate(test["classes"]):
        assert entry["class"] == names[c]
        near("auroc", entry["auroc"], sk.roc_auc_score(y == c, p[:, c]))
        near("auprc", entry["auprc"], sk.average_precision_score(y == c, p[:, c]))
        near("observed_expected", entry["calibration"]["observed_expected"], (y == c).sum() / p[:, c].sum())
    matrix = sk.confusion_matrix(y, p.argmax(axis=1))
    hidden = 0
    for a in range(len(names)):
        for b in range(len(names)):
            if test["confusion"][a][b] is None:
                hidden += 1
            else:
                assert test["confusion"][a][b] == matrix[a, b]
    assert hidden < matrix.size


def check_number_metrics(test, y, p):
    near("mae", test["mae"], sk.mean_absolute_error(y, p))
    near("mean_observed", test["mean_observed"], y.mean())
    if "rmse" in test:
        near("rmse", test["rmse"], np.sqrt(sk.mean_squared_error(y, p)))
        near("r2", test["r2"], sk.r2_score(y, p))
        near("bias", test["bias"], (p - y).mean())
        near("correlation", test["correlation"], np.corrcoef(y, p)[0, 1])
        slope, intercept = np.polyfit(p, y, 1)
        near("slope", test["calibration"]["slope"], slope, 1e-7)
        near("intercept", test["calibration"]["intercept"], intercept, 1e-5)
    if "pinball_loss" in test:
        near("pinball", test["pinball_loss"], sk.mean_pinball_loss(y, p, alpha=test["quantile"]))
        near("coverage", test["coverage"], (y <= p).mean())
    if "deviance" in test:
        near("deviance", test["deviance"], sk.mean_poisson_deviance(y, p))
        near("explained", test["deviance_explained"], sk.d2_tweedie_score(y, p, power=1))
        near("observed_expected", test["observed_expected"], y.sum() / p.sum())


def parts_of(patients):
    """Any division by patient will do, as long as both sides have the same: it stands in a column of the cohort."""
    draw = np.random.default_rng(5).random(len(np.unique(patients)))[np.unique(patients, return_inverse=True)[1]]
    return np.where(draw < 0.7, "train", np.where(draw < 0.8, "valid", "test"))


def matrix_of(columns, names):
    """For LightGBM: categories as codes, -1 where missing."""
    out, categories = [], []
    for i, name in enumerate(names):
        column = columns[name]
        if isinstance(column, list):
            levels = sorted({t for t in column if t is not None})
            code = {t: k for k, t in enumerate(levels)}
            out.append(np.array([np.nan if t is None else code[t] for t in column]))
            categories.append(i)
        else:
            out.append(column.astype(np.float64))
    return np.stack(out, axis=1), categories


def lightgbm_predictions(objective, x, categories, y, part, n_classes):
    params = {"objective": objective, "num_leaves": 15, "learning_rate": 0.08, "min_data_in_leaf": 20, "lambda_l2": 1.0, "verbosity": -1,
              "num_threads": 2, "seed": 1, "max_bin": 255, "deterministic": True}
    if objective == "quantile":
        params["alpha"] = 0.9
    if n_classes > 1:
        params["num_class"] = n_classes
    train = lightgbm.Dataset(x[part == "train"], y[part == "train"], categorical_feature=categories)
    valid = train.create_valid(x[part == "valid"], y[part == "valid"])
    model = lightgbm.train(params, train, 120, valid_sets=[valid], callbacks=[lightgbm.early_stopping(20, verbose=False)])
    return model.predict(x[part == "test"])


def main():
    nightshift("synth", "stays.h5", "--rows", str(ROWS), "--seed", "3", "--outcomes", "--true-risk")
    columns = read_columns("stays.h5")
    with h5py.File("stays.h5", "r+") as file:
        part = parts_of(file["columns/patient_id"][:])
        file["columns/part"] = part.astype("S5")
        file["columns/part"].attrs["kind"] = "category"
    outcomes = {"readmitted", "next_care", "cost", "calls", "part"}
    names = [n for n in columns if n not in outcomes and not n.startswith("true_")]
    x, categories = matrix_of(columns, names)
    cases = [("care", "multiclass", "next_care"), ("cost", "regression", "cost"), ("cost-p90", "quantile", "cost"), ("calls", "poisson", "calls")]
    for job, objective, label in cases:
        settings = [w for s in SETTINGS for w in ("--set", s)]
        settings += ["--set", "data.cohort=stays.h5", "--set", "score.cohort=stays.h5", "--set", "run.out=" + job,
                     "--set", "data.split.by=column", "--set", "data.split.column=part", "--set", "score.out=%s.h5" % job]
        nightshift("train", os.path.join(EXAMPLES, job + ".yaml"), *settings)
        nightshift("score", os.path.join(EXAMPLES, job + ".yaml"), *settings)
        with open(job + "/bundle/metrics.json") as file:
            metrics = json.load(file)
        test = metrics["test"]
        with h5py.File(job + ".h5") as file:
            data = file["risk"] if objective == "multiclass" else file["prediction"]
            ours = data[:]
            classes = [t.decode() if isinstance(t, bytes) else t for t in data.attrs["classes"]] if objective == "multiclass" else []
        some = {name: column[:ROWS_BIT_BY_BIT] for name, column in columns.items()}
        got, want = read_model.score(job + "/bundle/model.safetensors", some), ours[:ROWS_BIT_BY_BIT]
        differ = int((got.view(np.uint32) != want.view(np.uint32)).sum())
        assert got.shape == want.shape and differ == 0, (job, differ)
        y = np.array([classes.index(t) for t in columns[label]]) if classes else columns[label].astype(np.float64)
        mine, truth = ours[part == "test"].astype(np.float64), y[part == "test"]
        assert test["n"] == len(truth)
        peer = lightgbm_predictions(objective, x, categories, y, part, len(classes))
        if objective == "multiclass":
            check_class_metrics(test, truth, mine, classes)
            best = np.stack([columns["true_" + c][part == "test"] for c in classes], axis=1).astype(np.float64)
            loss = lambda p: sk.log_loss(truth, p / p.sum(axis=1, keepdims=True), labels=range(p.shape[1]))
        else:
            check_number_metrics(test, truth, mine)
            mean = columns["true_calls" if label == "calls" else "true_cost"][part == "test"].astype(np.float64)
            best = mean * (0.4 + 1.2 * 0.9) if objective == "quantile" else mean
            loss = {"regression": lambda p: np.sqrt(sk.mean_squared_error(truth, p)), "poisson": lambda p: sk.mean_poisson_deviance(truth, p),
                    "quantile": lambda p: sk.mean_pinball_loss(truth, p, alpha=0.9)}[objective]
        a, b, c = loss(mine), loss(peer), loss(best)
        print("%-10s loss %.6g   LightGBM %.6g   the truth %.6g   %d rounds" % (objective, a, b, c, metrics["best_round"]))
        assert c < a and a <= 1.01 * b, (job, a, b)


sys.argv[1] = os.path.abspath(sys.argv[1])
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    try:
        main()
    finally:
        os.chdir("/")
