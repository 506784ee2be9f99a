"""The example job on the real table: import from the raw CSV, rows and parts as computed here, and a quick model that is as good
as it should be. The comparison with other libraries is readmission_peers.py.

    sh run.sh "numpy h5py" test_readmission.py PROGRAM [FOLDER OF THE CSV]

Exit 77 where the data are not here.
"""
import os
import shutil
import sys
import tempfile

import numpy as np

import readmission

# Coarser steps than the job's own: a fifth of the time, and a little less AUROC. One thread: two that wait for each other are ten
# times slower where other tests want the same cores.
QUICK = ["--set", "model.learning_rate=0.12", "--set", "model.rounds=80", "--set", "train.stop_after=20",
         "--set", "run.threads=1"]
AT_LEAST = 0.66


def main(program, data):
    if not os.path.exists(os.path.join(data, readmission.CSV)):
        print("skipped: no %s in %s" % (readmission.CSV, data))
        return 77
    if shutil.which("xzcat") is None:
        print("skipped: no xzcat: install xz-utils")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        report = readmission.make_cohort(program, data, folder)
        assert report["exit"] == 0
        table = readmission.Table(folder)
        # What the data's own description says of the table.
        assert len(table.ids) == 101766 and len(np.unique(table.ids)) == 101766
        assert 90000 < len(table.y) < 101766 and 11000 < table.y.sum() <= 11357
        metrics, _, seconds = readmission.train_and_score(program, folder, table, 1, QUICK)
    print("%d rows, seed 1: AUROC %.4f on %d test rows, %d rounds, %.1f s" % (
        len(table.y), metrics["test"]["auroc"], metrics["test"]["n"], metrics["best_round"], seconds))
    assert metrics["table"]["outside"] == 101766 - len(table.y)
    assert metrics["test"]["auroc"] >= AT_LEAST
    return 0


sys.exit(main(os.path.abspath(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else readmission.DATA))
