"""An alarm, no measure of speed: small runs beside other libraries, and what was recorded of them.

    python recorded.py BUILD check [training scoring reading]     fails where a ratio fell below half of what recorded.json says
    python recorded.py BUILD record [training scoring reading]    writes them into recorded.json

Ratios are of processor time on one thread, another's over ours: less shaken than wall time on a busy machine. A library that is
not installed is left out, with a line."""

import argparse
import json
import os
import sys
import tempfile

import peers
import score
import train
from peers import Failed, output_of

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "recorded.json")
TREES = (100,)


def training(build, folder):
    """{case: {library: ratio}}, of rounds from memory."""
    a = argparse.Namespace(build=build, runs=1, rounds=15, scale=1.0, limit=600, verbose=False, peer_list=["lightgbm", "lightgbm_quantised", "xgboost"])
    return {case: train.ratios(train.measure(a, case, ["memory"], [1], folder)[0]) for case in train.SMALL}


def scoring(build, folder):
    """{"100 trees, from memory": {library: ratio}}; from a file to a score file too."""
    words = [build, "--rows", "60000", "--train-rows", "20000", "--runs", "2", "--limit", "600", "--peers", "lightgbm", "xgboost"]
    a = score.arguments().parse_args(words)
    a.folder, out = folder, {}
    a.peer_list = peers.present(a.peer_list, score.PEERS.get)
    score.make_cohorts(a)
    for a.n_trees in TREES:
        found = score.measure(a, score.fit_all(a), 1)
        for way, key in (("memory", "memory_cpu"), ("file", "file_cpu")):
            out[f"{a.n_trees} trees, from {way}"] = {
                who: score.ratio(r, found["nightshift"], key) for who, r in found.items() if who != "nightshift"}
    return out


def reading(build, folder):
    """{"gzip 1": {"H5Dread": ratio}}, of a cohort's columns."""
    out = {}
    for gzip in (1, 6):
        table = output_of([f"{build}/tests/bench/bench_read", "300000", "10", str(gzip)], cwd=folder)
        line = next(line for line in table.splitlines() if line.startswith("chunks") and line.split()[2] == "1")
        out[f"gzip {gzip}"] = {"H5Dread": float(line.split()[-2])}
    return out


PARTS = {"training": training, "scoring": scoring, "reading": reading}


def check(part, got, recorded):
    """Whether nothing fell below half; a line for each ratio."""
    good = True
    for case, ratios in got.items():
        for who, ratio in ratios.items():
            known = recorded.get(part, {}).get(case, {}).get(who)
            low = known is not None and ratio < 0.5 * known
            good = good and not low
            print(f"{part}, {case}: {who} takes {ratio:.2f} times our processor time, recorded {known}{': below half' if low else ''}", flush=True)
    return good


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build")
    p.add_argument("what", choices=["check", "record"])
    p.add_argument("part", nargs="*", choices=[[], *PARTS], default=[])
    a = p.parse_args()
    good, recorded = True, {}
    if os.path.exists(FILE):
        with open(FILE) as file:
            recorded = json.load(file)
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        for part in a.part or PARTS:
            try:
                got = PARTS[part](a.build, folder)
            except Failed as why:
                raise SystemExit(f"recorded.py: {part}: {why}") from None
            if a.what == "record":
                recorded[part] = {case: {who: round(ratio, 2) for who, ratio in ratios.items()} for case, ratios in got.items()}
            else:
                good = check(part, got, recorded) and good
    if a.what == "record":
        with open(FILE, "w") as file:
            json.dump(recorded, file, indent=1)
            file.write("\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
