"""The Python of data/README.md, run as it stands there, and held against what the program makes of its files.

    sh run.sh "numpy h5py" test_data_readme.py PROGRAM
"""
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile

import h5py
import numpy as np

README = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data", "README.md")
JOB = """
name: readme
data:
  cohort: [cohort.h5]
  id: encounter_id
  group: patient_id
  label: {column: readmitted}
model: {type: gbdt, rounds: 5}
score: {cohort: ["{as_of}.h5"], out: "scores-{as_of}.h5"}
run: {out: run}
"""


def nightshift(*words):
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    done = subprocess.run([sys.argv[1], *words, "--quiet", "--json"], check=True, env=env, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def run_blocks():
    """All blocks in order, in one namespace, in the current folder."""
    with open(README) as file:
        blocks = re.findall(r"^```python\n(.*?)^```", file.read(), re.M | re.S)
    assert len(blocks) >= 5, "data/README.md has %d blocks of Python" % len(blocks)
    names, said = {}, io.StringIO()
    with contextlib.redirect_stdout(said):
        for number, block in enumerate(blocks, 1):
            exec(compile(block, "data/README.md, block %d" % number, "exec"), names)
    print("%d blocks; they print: %s" % (len(blocks), said.getvalue().strip()))
    assert "rows, mean age" in said.getvalue()
    return names


def check_cohorts():
    about = nightshift("inspect", "cohort.h5")
    assert about["kind"] == "cohort" and about["n_rows"] == 1000
    kinds = {c["name"]: c["kind"] for c in about["columns"]}
    assert kinds == {"encounter_id": "id", "patient_id": "id", "admitted_at": "time", "age": "number", "lactate": "number",
                     "sex": "category", "readmitted": "number"}, kinds
    with open("job.yaml", "w") as file:
        file.write(JOB)
    assert nightshift("train", "job.yaml")["metrics"]["table"]["rows"] == 1000
    with open("matrix.yaml", "w") as file:
        file.write("name: matrix\ndata: {cohort: [matrix.h5], layout: matrix, label: {column: y}}\n"
                   "model: {type: gbdt, rounds: 5, min_rows: 5}\n")
    assert nightshift("train", "matrix.yaml")["metrics"]["table"]["rows"] == 100


def make_text_ids():
    """The same rows with ids as text, one of them missing and two alike: rows without a score."""
    with h5py.File("cohort.h5") as from_, h5py.File("2026-11-21.h5", "w") as to:
        for name in from_:
            from_.copy(name, to)
        to.attrs.update(from_.attrs)
        texts = np.array(["stay %d" % i for i in range(1000)], dtype="S12")
        texts[3], texts[7] = b"", texts[5]
        del to["columns/encounter_id"]
        to["columns/encounter_id"] = texts
        to["columns/encounter_id"].attrs["kind"] = "id"


def check_night(names, night, n_scored):
    report = nightshift("score", "job.yaml", "--as-of", night)
    ids, risk, status, about, reasons = names["read_scores"]("scores-%s.h5" % night)
    assert len(ids) == len(risk) == len(status) == 1000 and about["as_of"] == night and about["name"] == "readme"
    assert about["bundle_id"] == report["bundle_id"]
    assert (status == 0).sum() == reasons["scored"] == report["scored"] == n_scored
    assert (np.isnan(risk) == (status != 0)).all()
    with open("scores-%s.h5.manifest.json" % night) as file:
        manifest = file.read()
    wanted = names["content_hash"]("scores-%s.h5" % night)
    assert wanted in manifest, "the content hash of README.md is not in the manifest"
    print("%s: %d of 1000 rows scored, content %s" % (night, n_scored, wanted[:8]))


def main():
    names = run_blocks()
    check_cohorts()
    os.link("cohort.h5", "2026-11-20.h5")
    make_text_ids()
    check_night(names, "2026-11-20", 1000)
    check_night(names, "2026-11-21", 997)


sys.argv[1] = os.path.abspath(sys.argv[1])
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    try:
        main()
    finally:
        os.chdir("/")
