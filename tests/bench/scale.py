"""Training of trees on 1, 2 and 4 ranks of one thread each, and what follows for larger machines.

    python tests/bench/scale.py BUILD [--rows N] [--columns N] [--rounds N] [--runs N] [--json FILE]
    python tests/bench/scale.py BUILD --beside-threads [--rows N] …
    python tests/bench/scale.py --derive [--rate R] [--wire W] [--host H] [--latency L]

BUILD is a build folder of type Release. Runs of all numbers of ranks are interleaved; the least of each time stands in the table, since
other work on the machine only ever adds. --beside-threads measures two ranks of one thread beside one rank of two, and what they send
beside the formula of cluster/README.md; it fails where that does not hold. --derive needs no build: it evaluates the formulas of cluster/README.md, "How runs scale".
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile

RANKS = (1, 2, 4)
MOST_SLOWER = 1.1  # two ranks of one thread, beside one rank of two


def environment():
    words = {
        "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "OMPI_MCA_hwloc_base_binding_policy": "none", "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
        "OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_MCA_pml": "ob1", "OMP_WAIT_POLICY": "passive",
    }
    return {**words, **os.environ}


def measure(build, rows, columns, rounds, runs, ways):
    """{(ranks, threads): [runs]} of the ways."""
    results = {way: [] for way in ways}
    with tempfile.TemporaryDirectory(prefix="nightshift-scale-") as folder:
        cohort = os.path.join(folder, "cohort.h5")
        program = os.path.join(build, "runner", "nightshift")
        n_categories = columns // 5
        subprocess.run([program, "synth", cohort, "--rows", str(rows), "--numbers", str(columns - n_categories), "--categories",
                        str(n_categories), "--quiet"], check=True, stdout=subprocess.DEVNULL, env=environment())
        bench = os.path.join(build, "tests", "bench", "bench_rounds")
        for _ in range(runs):
            for n, threads in ways:
                out = subprocess.run(["mpirun", "-n", str(n), bench, cohort, "readmitted", "yes", f"threads={threads}", f"rounds={rounds}"],
                                     check=True, capture_output=True, text=True, env=environment(), timeout=1800)
                results[n, threads].append(json.loads(out.stdout))
    if len({r["hash"] for runs in results.values() for r in runs}) != 1:
        sys.exit("scale: the trees differ with the number of ranks")
    return results


def beside_threads(results, rounds):
    print("| ranks x threads | ms a tree: median (least to most) | of it processor, all ranks | MB sent a tree and rank | by the formula |")
    print("| --- | --- | --- | --- | --- |")
    rows, holds = [], True
    for (n, threads), runs in results.items():
        wall = [1e3 * r["train"] / rounds for r in runs]
        cpu = statistics.median(1e3 * n * r["train_cpu"] / rounds for r in runs)
        sent, least, most = (runs[0][key] / rounds for key in ("sent_mb", "least_mb", "most_mb"))
        holds = holds and least <= sent <= most
        rows.append({"ranks": n, "threads": threads, "wall_ms": statistics.median(wall), "cpu_ms": cpu, "sent_mb": sent})
        print(f"| {n} x {threads} | {statistics.median(wall):.1f} ({min(wall):.1f} to {max(wall):.1f}) | {cpu:.1f} | {sent:.3f} | {least:.3f} to {most:.3f} |")
    slower = rows[1]["wall_ms"] / rows[0]["wall_ms"]
    print(f"two ranks of one thread take {slower:.2f} times as long as one rank of two; asked: at most {MOST_SLOWER}"
          f"{'' if slower <= MOST_SLOWER else ', not reached'}")
    if not holds:
        sys.exit("scale: what was sent is not what the formula of cluster/README.md says")
    return rows


def table(results, rounds):
    results = {n: runs for (n, _), runs in results.items()}
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
    parser.add_argument("--beside-threads", action="store_true")
    parser.add_argument("--derive", action="store_true")
    parser.add_argument("--rate", type=float, default=1e11, help="cells that one GPU counts into histograms in a second")
    parser.add_argument("--wire", type=float, default=50e9, help="bytes a second between nodes")
    parser.add_argument("--host", type=float, default=200e9, help="bytes a second through a node's memory")
    parser.add_argument("--latency", type=float, default=5e-6, help="seconds of one step of a reduction")
    words = parser.parse_args()
    if words.build:
        ways = [(1, 2), (2, 1)] if words.beside_threads else [(n, 1) for n in RANKS]
        results = measure(words.build, words.rows, words.columns, words.rounds, words.runs, ways)
        rows = beside_threads(results, words.rounds) if words.beside_threads else table(results, words.rounds)
        if words.json:
            with open(words.json, "w", encoding="utf-8") as to:
                json.dump(rows, to, indent=1)
    elif not words.derive:
        parser.error("needs a build folder, or --derive")
    if words.derive:
        print_derived(words.rate, words.wire, words.host, words.latency)


if __name__ == "__main__":
    main()
