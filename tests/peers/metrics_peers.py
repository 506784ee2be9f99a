"""Golden numbers for tests/runner/test_metrics.c, from scikit-learn, scipy and numpy.

    python tests/peers/metrics_peers.py > tests/runner/metrics_golden.h

Rows are those of make_rows in tests/runner/metrics_rows.h: integers from splitmix64, so that both languages have the same.
"""
import numpy as np
import scipy
import sklearn
from scipy.optimize import brentq
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

CASES = [(1, 400, 20, 1), (2, 2000, 100000, 2), (3, 3000, 500, 3), (4, 113, 37, 1)]  # seed, rows, levels, power
MASK = (1 << 64) - 1


def splitmix(x):
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def make_rows(seed, n, levels, power):
    risk, label = np.zeros(n, np.float32), np.zeros(n, int)
    for i in range(n):
        r = (1 + splitmix(seed * 1000003 + 2 * i) % levels) / (levels + 2)
        risk[i] = np.float32(r)
        limit = 1.0
        for _ in range(power):
            limit *= r
        label[i] = splitmix(seed * 1000003 + 2 * i + 1) % 1048576 < int(limit * 1048576.0)
    return risk.astype(float), label


def delong(risk, label):
    """DeLong's variance by its definition, all pairs."""
    a, b = risk[label == 1], risk[label == 0]
    psi = (a[:, None] > b[None, :]) + 0.5 * (a[:, None] == b[None, :])
    return psi.mean(1).var(ddof=1) / len(a) + psi.mean(0).var(ddof=1) / len(b)


def calibration(risk, label):
    x = np.log(risk) - np.log1p(-risk)
    fit = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=500).fit(x[:, None], label)
    citl = brentq(lambda a: (label - 1 / (1 + np.exp(-(x + a)))).sum(), -20, 20, xtol=1e-13)
    return fit.intercept_[0], fit.coef_[0, 0], citl, label.sum() / risk.sum()


def ece(risk, label):
    bins = np.array([10 * (risk < r).sum() // len(risk) for r in risk])
    return sum(abs((risk - label)[bins == b].sum()) for b in range(10)) / len(risk)


def capacity(risk, label, percent):
    k = max(1, len(risk) * percent // 100)
    threshold = np.sort(risk)[-k]
    flagged = risk >= threshold
    return k, threshold, flagged.sum(), label[flagged].sum()


print("#ifndef NIGHTSHIFT_TESTS_RUNNER_METRICS_GOLDEN_H\n#define NIGHTSHIFT_TESTS_RUNNER_METRICS_GOLDEN_H")
print("/* Made by tests/peers/metrics_peers.py with scikit-learn %s, scipy %s, numpy %s. */" %
      (sklearn.__version__, scipy.__version__, np.__version__))
print('#include "tests/runner/metrics_rows.h"\n\n/* clang-format off */\nstatic const golden_case golden_cases[] = {')
for case in CASES:
    risk, label = make_rows(*case)
    numbers = [roc_auc_score(label, risk), delong(risk, label), average_precision_score(label, risk), log_loss(label, risk),
               brier_score_loss(label, risk), *calibration(risk, label), ece(risk, label)]
    caps = ", ".join("{%d, %.17g, %d, %d}" % capacity(risk, label, p) for p in (1, 5, 10))
    print("    {%d, %d, %d, %d, %d, {%s}, {%s}}," % (*case, label.sum(), ", ".join("%.17g" % v for v in numbers), caps))
print("};\n#endif")
