"""Compares tests/peers/read_model.py with the risks that gbdt_probe wrote.

    python check_read_model.py GBDT_PROBE FOLDER
"""
import json
import os
import subprocess
import sys

import numpy as np

import read_model

probe, folder = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
subprocess.run([probe, folder], check=True)
with open(os.path.join(folder, "columns.json")) as file:
    columns = json.load(file)
numbers = ("Age", "crp", "flat")
columns = {k: np.array([np.nan if x is None else x for x in v], np.float32) if k in numbers else v for k, v in columns.items()}
want = np.fromfile(os.path.join(folder, "risks.f32"), np.float32)
got = read_model.score(os.path.join(folder, "model.safetensors"), columns)
differ = int((got.view(np.uint32) != want.view(np.uint32)).sum())
print("%d rows, %d distinct risks from %.3g to %.3g, %d differ" % (len(want), len(np.unique(want)), want.min(), want.max(), differ))
sys.exit(differ != 0 or got.dtype != np.float32 or len(got) != len(want) or len(np.unique(want)) < 1000)
