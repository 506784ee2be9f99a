"""Training of trees on 1, 2 and 4 ranks of one thread each, and what follows for larger machines.

    python tests/bench/scale.py BUILD [--rows N] [--columns N] [--rounds N] [--runs N] [--json FILE]
    python tests/bench/scale.py --derive [--rate R] [--wire W] [--host H] [--latency L]

BUILD is a build folder of type Release. Runs of all numbers of ranks are interleaved; the least of each time stands in the table, since
other work on the machine only ever adds. --derive needs no build: it evaluates the formulas of cluster/README.md, "How runs scale".
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile

RANKS = (1, 2, 4)


def environment():
    words = {
        "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "OMPI_MCA_hwloc_base_binding_policy": "none", "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
        "OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_MCA_pml": "ob1", "OMP_WAIT_POLICY": "passive",
    }
    return {**words, **os.environ}


def measure(build, rows, columns, rounds, runs):
    results = {n: [] for n in RANKS}
    with tempfile.TemporaryDirectory(prefix="nightshift-scale-") as folder:
        cohort = os.path.join(folder, "cohort.h5")
        program = os.path.join(build, "runner", "nightshift")
        n_categories = columns // 5
        subprocess.run([program, "synth", cohort, "--rows", str(rows), "--numbers", str(columns - n_categories), "--categories",
                        str(n_categories), "--quiet"], check=True, stdout=subprocess.DEVNULL, env=environment())
        bench = os.path.join(build, "tests", "bench", "bench_rounds")
        for _ in range(runs):
            for n in RANKS:
                out = subprocess.run(["mpirun", "-n", str(n), bench, cohort, "readmitted", "yes", "threads=1", f"rounds={rounds}"],
                                     check=True, capture_output=True, text=True, env=environment(), timeout=1800)
                results[n].append(json.loads(out.stdout))
    return results


def table(results, rounds):
    if len({r["hash"] for runs in results.values() for r in runs}) != 1:
        sys.exit("scale: the trees differ with the number of ranks")
    rows = []
    alone = None
    for n in RANKS:
        wall = min(r["train"] for r in results[n]) / rounds
        cpu = min(r["train_cpu"] for r in results[n]) / rounds
        alone = alone or (wall, cpu)
        rows.append({"ranks": n, "wall_ms": 1e3 * wall, "cpu_ms": 1e3 * cpu, "sent_mb": min(r["sent_mb"] for r in results[n]) / rounds,
                     "wall_share": alone[0] / (n * wall), "cpu_share": alone[1] / (n * cpu)})
    print("| ranks | ms a tree | CPU ms a tree and rank | MB sent a tree and rank | of perfect, wall | of perfect, CPU |")
    print("| --- | --- | --- | --- | --- | --- |")
    for r in rows:
        print("| {ranks} | {wall_ms:.1f} | {cpu_ms:.1f} | {sent_mb:.2f} | {wall_share:.2f} | {cpu_share:.2f} |".format(**r))
    return rows


def derive(rate, wire, host, latency, rows=1e9, columns=200, leaves=31, bins=256, passes=3.0, per_node=8):
    """Seconds a tree for 8, 64 and 512 ranks: (ranks, work, sending now, sending with a sum inside of each node first)."""
    cells = columns * bins
    n_bytes = 8 * 3 * cells * (1 + (leaves - 1))
    out = []
    for n in (8, 64, 512):
        work = rows * columns * passes / (n * rate)
        nodes = max(1, n // per_node)
        staged = 2 * n_bytes * per_node / host
        across = 2 * n_bytes * (n - 1) / n * per_node / wire if nodes > 1 else 0.0
        waits = leaves * latency * math.log2(n)
        first_inside = 2 * n_bytes / host + (2 * n_bytes * (nodes - 1) / nodes / wire if nodes > 1 else 0.0) + waits
        out.append((n, work, staged + across + waits, first_inside))
    return n_bytes, out


def print_derived(rate, wire, host, latency):
    n_bytes, rows = derive(rate, wire, host, latency)
    print(f"{n_bytes / 1e6:.1f} MB a tree and rank")
    print("| GPUs | work, ms | sending, ms | ms a tree | of perfect | summed in the node first, ms | of perfect |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for n, work, sending, inside in rows:
        print(f"| {n} | {1e3 * work:.1f} | {1e3 * sending:.1f} | {1e3 * (work + sending):.1f} | {work / (work + sending):.2f} | "
              f"{1e3 * (work + inside):.1f} | {work / (work + inside):.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?")
    parser.add_argument("--rows", type=int, default=500000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json")
    parser.add_argument("--derive", action="store_true")
    parser.add_argument("--rate", type=float, default=1e11, help="cells that one GPU counts into histograms in a second")
    parser.add_argument("--wire", type=float, default=50e9, help="bytes a second between nodes")
    parser.add_argument("--host", type=float, default=200e9, help="bytes a second through a node's memory")
    parser.add_argument("--latency", type=float, default=5e-6, help="seconds of one step of a reduction")
    words = parser.parse_args()
    if words.build:
        rows = table(measure(words.build, words.rows, words.columns, words.rounds, words.runs), words.rounds)
        if words.json:
            with open(words.json, "w", encoding="utf-8") as to:
                json.dump(rows, to, indent=1)
    elif not words.derive:
        parser.error("needs a build folder, or --derive")
    if words.derive:
        print_derived(words.rate, words.wire, words.host, words.latency)


if __name__ == "__main__":
    main()
