"""Importing CSV beside pandas.read_csv: one command, one table.

    python import.py BUILD [--mb 100] [--threads 1 2] [--runs 5] [--file MY.csv]

BUILD is a build folder. Three made tables of about --mb MB each, or the file given, are imported by `nightshift import`, packed
cohort file and all, and read by pandas.read_csv, which leaves the frame in memory. Every run is a process of its own, runs are
interleaved, the first of each is a warm-up; the table has medians and (lowest-highest)."""

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time


def make_tables(folder, n_bytes):
    """Categories; numbers of many forms; both, with texts in quotes, ids and times."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(7)

    def save(name, draw):
        path = f"{folder}/{name}.csv"
        draw(20000).to_csv(path, index=False)
        rows = int(20000 * n_bytes / os.path.getsize(path))
        draw(rows).to_csv(path, index=False)
        return path

    def words(n, levels, form):
        return pd.Series(np.array([form.format(i) for i in range(levels)])[(levels * rng.random(n) ** 3).astype(int)])

    def holes(values, share):
        return pd.Series(values).where(rng.random(len(values)) >= share)

    def categories(n):
        few = [words(n, 2 + i % 5, "level {}") for i in range(25)]
        return pd.concat(few + [words(n, 700, "{:03}.9"), words(n, 20, "ward {}")] + [rng_int(n, 15) for _ in range(8)], axis=1,
                         keys=[f"c{i}" for i in range(35)])

    def rng_int(n, most):
        return pd.Series(rng.integers(0, most, n))

    def numbers(n):
        columns = {"row": pd.Series(np.arange(n))}
        columns |= {f"lab{i}": holes(np.round(rng.gamma(2, 30, n), 1), 0.3) for i in range(6)}
        columns |= {f"dense{i}": pd.Series(np.char.mod("%.6f", rng.normal(size=n))) for i in range(4)}
        columns |= {f"count{i}": rng_int(n, 10 ** (2 * i + 1)) for i in range(3)}
        columns |= {f"flag{i}": rng_int(n, 2) for i in range(3)}
        columns |= {f"level{i}": pd.Series(np.char.mod("%.4g", rng.lognormal(3, 2, n))) for i in range(4)}
        return pd.DataFrame(columns)

    def mixed(n):
        times = pd.to_datetime(1_700_000_000 + rng.integers(0, 10**8, n), unit="s").strftime("%Y-%m-%dT%H:%M:%S")
        frame = pd.concat([numbers(n), categories(n).iloc[:, :12]], axis=1)
        return frame.assign(patient="p" + rng_int(n, n // 2 + 1).astype(str).str.zfill(8), at=times, diagnosis=words(n, 300, "unknown, type {}"))

    return [save("categories", categories), save("numbers", numbers), save("mixed", mixed)]


def made_tables(folder, n_bytes):
    """In a process of its own: the largest memory of a child counts that of its parent when it was forked."""
    with multiprocessing.Pool(1) as pool:
        return pool.apply(make_tables, (folder, n_bytes))


def run(words, env):
    began = time.monotonic()
    child = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        raise SystemExit(f"{words[0]} {words[1]} failed with {os.waitstatus_to_exitcode(status)}")
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def pandas_way(path):
    """What read_csv itself takes, without the time to start Python and import pandas."""
    code = ("import pandas, resource, time, sys; began, used = time.monotonic(), time.process_time(); "
            f"pandas.read_csv({path!r}, low_memory=False); "
            "print(time.monotonic() - began, time.process_time() - used, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)")
    return tuple(map(float, subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()))


def spread(values, form):
    return f"{statistics.median(values):{form}} ({min(values):{form}}-{max(values):{form}})"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build")
    p.add_argument("--mb", type=float, default=100)
    p.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--file")
    a = p.parse_args()
    print(f"{'table':12} {'MB':>5}  {'way':24} {'MB/s':>18}  {'cpu s':>6}  {'peak MB':>7}")
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        for path in [a.file] if a.file else made_tables(folder, a.mb * 1e6):
            size = os.path.getsize(path) / 1e6
            ways = {f"nightshift, {n} thread{'s' * (n > 1)}": n for n in a.threads} | {"pandas.read_csv": 0}
            results = {way: [] for way in ways}
            for round_number in range(a.runs + 1):
                for way, n in ways.items():
                    env = dict(os.environ, OMP_NUM_THREADS=str(n))
                    words = [f"{a.build}/runner/nightshift", "import", path, f"{folder}/out.h5", "--quiet"]
                    got = run(words, env) if n > 0 else pandas_way(path)
                    if n > 0:
                        os.unlink(f"{folder}/out.h5")
                    if round_number > 0:
                        results[way].append(got)
            for way, got in results.items():
                rates = [size / seconds for seconds, _, _ in got]
                print(f"{os.path.splitext(os.path.basename(path))[0][:12]:12} {size:5.0f}  {way:24} {spread(rates, '.0f'):>18}  "
                      f"{statistics.median(c for _, c, _ in got):6.2f}  {max(m for _, _, m in got):7.0f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
