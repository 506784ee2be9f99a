"""data/python/nightshift_cohort.py: what it writes, what it refuses, and round trips with the program.

    sh run.sh "numpy h5py pandas" test_cohort_module.py PROGRAM

Frames become cohorts, cohorts become frames, and what is promised to be equal is compared byte for byte: bundles, models,
content hashes of scores, risks.
"""
import datetime
import decimal
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import warnings

import h5py
import numpy as np
import pandas as pd

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data", "python"))
import nightshift_cohort as ns  # noqa: E402

MISSING = np.iinfo(np.int64).min
JOB = """
name: round
data:
  cohort: [%s]
  id: encounter_id
  group: patient_id
  time: admitted_at
  label: {column: readmitted, positive: ["yes"]}
  features: {exclude: ["cod?"]}
model: {type: gbdt, rounds: 12, max_leaves: 15, category_min_rows: 5}
score: {cohort: ["{as_of}.h5"], out: "scores-{as_of}.h5", keep: [%s], max_rejected: 0.5}
run: {out: %s}
"""


def nightshift(*words, code=0):
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    done = subprocess.run([sys.argv[1], *words, "--quiet", "--json"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == code, (words, done.returncode, done.stderr.decode())
    return json.loads(done.stdout) if done.stdout.strip() else None


def read(path):
    with open(path, "rb") as file:
        return file.read()


def cells_of(frame, name="x", **options):
    """How one column is written: kind, cells, levels."""
    ns.write_cohort(frame, "one.h5", **options)
    with h5py.File("one.h5") as file:
        cells = file["columns"][name]
        levels = [t.decode() for t in file["levels"][name][:]] if "levels" in file and name in file["levels"] else None
        return cells.attrs["kind"].decode(), cells[:], levels


def check(values, kind, cells, levels=None, **options):
    frame = values if isinstance(values, pd.DataFrame) else pd.DataFrame({"x": values})
    got = cells_of(frame, **options)
    want = np.array(cells)
    assert got[0] == kind, (got[0], kind, values)
    assert got[2] == levels, (got[2], levels)
    same = got[1] == want if got[1].dtype.kind == "S" else (got[1] == want) | ((got[1] != got[1]) & (want != want))
    assert len(got[1]) == len(want) and np.all(same), (got[1], want)


# --- kinds ---

def check_numbers():
    nan = np.nan
    for dtype in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", ">i4", ">f8", ">u2"):
        check(np.array([1, 0, 3], dtype=dtype), "number", [1, 0, 3])
    check([0.1, None, -0.0], "number", [np.float32(0.1), nan, 0])
    check([1e-50, 3.4e38, nan], "number", [0, np.float32(3.4e38), nan])
    for dtype in ("Int8", "Int64", "UInt16", "UInt64", "Float32", "Float64"):
        check(pd.array([1, None, 3], dtype=dtype), "number", [1, nan, 3])
        check(pd.array([1, 2, 3], dtype=dtype), "number", [1, 2, 3])
    check([True, False, True], "number", [1, 0, 1])
    check(pd.array([True, None, False], dtype="boolean"), "number", [1, nan, 0])
    check(pd.Series([True, None, False], dtype=object), "number", [1, nan, 0])
    check(pd.Series([1, None, 2.5], dtype=object), "number", [1, nan, 2.5])
    check([decimal.Decimal("2.5"), None, decimal.Decimal(3)], "number", [2.5, nan, 3])
    check(pd.arrays.SparseArray([0.0, 2.0, nan]), "number", [0, 2, nan])
    check([2 ** 24, -2 ** 24, 2 ** 25], "number", [2 ** 24, -2 ** 24, 2 ** 25])
    check([np.inf, 1.0, nan], "number", [nan, 1, nan], infinite="missing")
    check([np.inf, 1.0, -np.inf], "number", [np.inf, 1, -np.inf], infinite="keep")


def check_categories():
    check(["b", "a", None], "category", [1, 0, -1], ["a", "b"])
    check(["007", "", "07"], "category", [0, -1, 1], ["007", "07"])
    check(pd.array(["ü", None, "z"], dtype="string"), "category", [1, -1, 0], ["z", "ü"])
    check(pd.Categorical(["b", None, "a"], categories=["c", "b", "a"]), "category", [1, -1, 0], ["a", "b"])
    check(pd.Categorical([13, 2, None]), "category", [0, 1, -1], ["13", "2"])
    check(pd.Categorical([13.0, 2.0, None]), "category", [0, 1, -1], ["13", "2"])
    check([13, 2, 13], "category", [0, 1, 0], ["13", "2"], kinds={"x": "category"})
    check([13.0, 2.0, None], "category", [0, 1, -1], ["13", "2"], kinds={"x": "category"})
    check([True, False, True], "category", [1, 0, 1], ["False", "True"], kinds={"x": "category"})
    check([None, None], "category", [-1, -1], [])
    check(pd.DataFrame({"x": pd.Series([], dtype=object)}), "category", [], [])
    levels = ["code %05d" % i for i in range(80000)]
    order = np.random.default_rng(1).permutation(80000)
    check([levels[i] for i in order], "category", order, levels)
    check(pd.Categorical.from_codes(order, levels), "category", order, levels)


def check_ids():
    check([5, 7, -1], "id", [5, 7, -1], id="x")
    check([5.0, None, 7.0], "id", [5, MISSING, 7], id="x")
    check(pd.array([2 ** 53 + 1, None], dtype="Int64"), "id", [2 ** 53 + 1, MISSING], id="x")
    check([2 ** 62, 2 ** 62 + 1], "id", [2 ** 62, 2 ** 62 + 1], group="x")
    check(pd.Series([2 ** 62 + 1, None], dtype=object), "id", [2 ** 62 + 1, MISSING], id="x")
    check(["007", None, "7"], "id", [b"007", b"", b"7"], id="x")
    check(pd.Categorical(["P2", None, "P10"]), "id", [b"P2", b"", b"P10"], id="x")
    check(["Zoë", "a"], "id", ["Zoë".encode(), b"a"], kinds={"x": "id"})


def check_times():
    base = 1_700_000_000
    for unit in ("s", "ms", "us", "ns"):
        stamps = pd.to_datetime([base, base + 1], unit="s").astype("datetime64[%s]" % unit)
        check(stamps.append(pd.DatetimeIndex(["NaT"]).astype("datetime64[%s]" % unit)), "time", [base, base + 1, MISSING])
        check(stamps.tz_localize("UTC").tz_convert("America/New_York"), "time", [base, base + 1], time="x")
    check(np.array(["1969-12-31T23:59:59", "1600-01-01"], dtype="M8[s]"), "time", [-1, -11676096000])
    # twice 01:30 on one night
    berlin = pd.to_datetime(["2024-10-27T00:30Z", "2024-10-27T01:30Z"]).tz_convert("Europe/Berlin")
    check(berlin, "time", [1729989000, 1729992600])
    check([datetime.date(2024, 2, 29), None], "time", [1709164800, MISSING])
    mixed = [datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc),
             datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))]
    check(pd.Series(mixed, dtype=object), "time", [1709164800, 1709161200])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        check(pd.to_datetime(["1969-12-31T23:59:58.5", "2000-01-01T00:00:00.0"]), "time", [-2, 946684800])
    assert [str(w.message) for w in said] == ["column 'x': 1 times with parts of a second were cut to the second"]


def check_arrow():
    try:
        import pyarrow as pa
    except ImportError:
        print("no pyarrow: Arrow-backed columns are not looked at")
        return

    def column(values, kind):
        return pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(values, type=kind)])))

    check(column([1, None, 3], pa.int64()), "number", [1, np.nan, 3])
    check(column([1, 2, 3], pa.uint8()), "number", [1, 2, 3])
    check(column([1.5, None], pa.float64()), "number", [1.5, np.nan])
    check(column([1.5, None], pa.float32()), "number", [1.5, np.nan])
    check(column([True, None], pa.bool_()), "number", [1, np.nan])
    check(column([decimal.Decimal("1.5"), None], pa.decimal128(5, 2)), "number", [1.5, np.nan])
    check(column(["b", None, "a"], pa.string()), "category", [1, -1, 0], ["a", "b"])
    check(column(["b", None, "a"], pa.large_string()), "category", [1, -1, 0], ["a", "b"])
    check(column(["b", None, "a"], pa.dictionary(pa.int32(), pa.string())), "category", [1, -1, 0], ["a", "b"])
    check(column([2 ** 53 + 1, None], pa.int64()), "id", [2 ** 53 + 1, MISSING], id="x")
    check(column(["07", None], pa.string()), "id", [b"07", b""], id="x")
    for unit in ("s", "ms", "us", "ns"):
        moment = datetime.datetime(2024, 2, 29, 12)
        check(column([moment, None], pa.timestamp(unit)), "time", [1709208000, MISSING])
        check(column([moment.replace(tzinfo=datetime.timezone.utc), None], pa.timestamp(unit, "Asia/Tokyo")), "time",
              [1709208000, MISSING])
    check(column([datetime.date(2024, 2, 29), None], pa.date32()), "time", [1709164800, MISSING])
    frame = pd.DataFrame({"id": ["07", "08"], "when": pd.to_datetime(["2024-02-29", None], utc=True), "x": [1.5, np.nan]})
    frame.to_parquet("frame.parquet")
    for options in ({}, {"dtype_backend": "pyarrow"}, {"dtype_backend": "numpy_nullable"}):
        ns.write_cohort(pd.read_parquet("frame.parquet", **options), "parquet.h5", id="id")
        ns.write_cohort(frame, "frame.h5", id="id")
        assert read("parquet.h5") == read("frame.h5"), options
    print("Arrow-backed columns too")


# --- refusals ---

def refuses(says, frame, **options):
    """One sentence that says this and none of the frame's cells; no file, and nothing left behind."""
    before = sorted(os.listdir("."))
    try:
        ns.write_cohort(frame, "refused.h5", **options)
    except ValueError as error:
        text = str(error)
        assert says in text and "\n" not in text and "4711" not in text, text
        assert sorted(os.listdir(".")) == before
        return
    raise AssertionError("not refused: " + says)


def check_refusals():
    one = pd.DataFrame({"x": [1, 2]})
    refuses("two columns are called 'x'", pd.DataFrame([[1, 2]], columns=["x", "x"]))
    refuses("the name of column number 1 is no text", pd.DataFrame({4711: [1]}))
    refuses("several levels of column names", pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])))
    refuses("the name of column number 1 is empty", pd.DataFrame({"": [1]}))
    refuses("holds NUL or '%2F'", pd.DataFrame({"a%2Fb": [1]}))
    refuses("the frame has no columns", pd.DataFrame(index=[1, 2]))
    refuses("not from list", [1, 2])
    refuses("id: the frame has no column 'y'", one, id="y")
    refuses("kinds: the frame has no column 'y'", one, kinds={"y": "id"})
    refuses("units: the frame has no column 'y'", one, units={"y": "m"})
    refuses("the kinds are number, category, id, time", one, kinds={"x": "text"})
    refuses("infinite is 'error'", one, infinite="no")
    refuses("time: column 'x' has another role", one, id="x", time="x")
    refuses("column 'x': a time is a column of datetimes", one, time="x")
    refuses("column 'x': a time is a column of datetimes", pd.DataFrame({"x": ["2024-01-01 4711"]}), time="x")
    refuses("column 'x': 2 values are infinite", pd.DataFrame({"x": [np.inf, 1, -np.inf]}))
    refuses("column 'x': holds numbers too large for float32", pd.DataFrame({"x": [4711e200]}))
    refuses("column 'x': holds whole numbers above 16777216", pd.DataFrame({"x": [47110000001, 1]}))
    refuses("column 'x': holds whole numbers above 16777216", pd.DataFrame({"x": [47110000001.0, None]}))
    refuses("column 'x': holds whole numbers above 16777216", pd.DataFrame({"x": pd.array([2 ** 60 + 1, None], dtype="Int64")}))
    refuses("column 'x': holds numbers that are not whole", pd.DataFrame({"x": [4711.5, 1]}), id="x")
    refuses("column 'x': holds numbers that are not whole", pd.DataFrame({"x": [4711.5, 1]}), kinds={"x": "category"})
    refuses("column 'x': holds whole numbers beyond 64 bits", pd.DataFrame({"x": np.array([2 ** 63 + 4711], dtype="u8")}), id="x")
    refuses("column 'x': an id is a text or a whole number", pd.DataFrame({"x": [True]}), id="x")
    refuses("column 'x': a number is needed", pd.DataFrame({"x": ["4711"]}), kinds={"x": "number"})
    refuses("column 'x': holds a text with a NUL", pd.DataFrame({"x": ["4711\0"]}))
    refuses("column 'x': holds a text that is not Unicode", pd.DataFrame({"x": ["4711\ud800"]}, dtype=object))
    for cells in (["4711", 1], [b"4711"], [[4711]], [{"a": 4711}], [1j], pd.to_timedelta([4711], unit="s"),
                  pd.period_range("2024", periods=1, freq="D"), pd.interval_range(0, 4711, periods=1)):
        refuses("column 'x': dtype", pd.DataFrame({"x": cells}))
    ns.write_cohort(one, "kept.h5")
    before = read("kept.h5")
    try:
        ns.write_cohort(pd.DataFrame({"a": [1], "x": [1j]}), "kept.h5")
    except ValueError:
        pass
    assert read("kept.h5") == before
    for reader in (ns.read_scores, ns.read_cohort, ns.read_model):
        for path, says in (("nowhere.h5", "is not there"), (__file__, "is not")):
            try:
                reader(path)
            except ValueError as error:
                assert says in str(error) and "\n" not in str(error), error
            else:
                raise AssertionError(path)
    try:
        ns.read_scores("kept.h5")
    except ValueError as error:
        assert "is no score file" in str(error)


# --- the program ---

def frame_of_stays(n=6000, seed=1):
    """Every kind that the module writes, with missing values, in an index that is neither sorted nor unique."""
    random = np.random.default_rng(seed)
    age = random.integers(18, 95, n)
    frame = pd.DataFrame({
        "encounter_id": ["%08d" % (3 * i) for i in range(n)],
        "patient_id": pd.array(random.integers(0, n // 2, n), dtype="Int64"),
        "admitted_at": pd.to_datetime(1_700_000_000 + random.integers(0, 10 ** 8, n), unit="s", utc=True).tz_convert("Europe/Berlin"),
        "age": age,
        "lactate": np.where(random.random(n) < 0.3, np.nan, random.gamma(2, 1, n)),
        "stays": pd.array(np.where(random.random(n) < 0.1, None, random.integers(0, 9, n)), dtype="Int64"),
        "emergency": pd.array(np.where(random.random(n) < 0.1, None, random.random(n) < 0.5), dtype="boolean"),
        "ward": pd.Categorical(random.choice(["ICU", "07", "7", "Innere: Übergang", None], n)),
        "insurance/type": random.choice(["a", "b", ""], n),
        "code": random.choice(["c%05d" % i for i in range(3000)], n),
    }, index=random.integers(0, 100, n))
    risk = 1 / (1 + np.exp(3 - 0.03 * age - 0.5 * frame["lactate"].fillna(0).to_numpy()))
    frame["readmitted"] = np.where(random.random(n) < risk, "yes", "no")
    frame.loc[random.random(n) < 0.02, "patient_id"] = pd.NA
    return frame.astype({"ward": "category"})


ROLES = {"id": "encounter_id", "group": "patient_id", "time": "admitted_at"}


def train(cohort, run, keep="patient_id, ward"):
    with open(run + ".yaml", "w") as file:
        file.write(JOB % (cohort, keep, run))
    return nightshift("train", run + ".yaml")


def manifest(night):
    with open("scores-%s.h5.manifest.json" % night) as file:
        return file.read()


def check_frame_to_scores():
    frame = frame_of_stays()
    ns.write_cohort(frame, "stays.h5", **ROLES)
    about = nightshift("inspect", "stays.h5")
    assert about["n_rows"] == len(frame)
    assert {c["name"]: c["kind"] for c in about["columns"]} == {
        "encounter_id": "id", "patient_id": "id", "admitted_at": "time", "age": "number", "lactate": "number", "stays": "number",
        "emergency": "number", "ward": "category", "insurance/type": "category", "code": "category", "readmitted": "category"}
    bundle = train("stays.h5", "first")
    # the same rows from three files, cut where levels differ, with other dtypes
    other = frame.reset_index(drop=True).astype({"age": "float64", "ward": object, "code": "category", "stays": "Float64"})
    for i, part in enumerate((other[:1500], other[1500:1500], other[1500:])):
        ns.write_cohort(part, "cut%d.h5" % i, **ROLES)
    assert train("cut?.h5", "cut")["bundle_id"] == bundle["bundle_id"]

    tonight = frame_of_stays(3000, 2).drop(columns="readmitted")
    tonight.iloc[5, 0], tonight.iloc[7, 0] = None, tonight.iloc[6, 0]
    tonight.iloc[9, tonight.columns.get_loc("lactate")] = np.inf
    tonight["ward"] = tonight["ward"].cat.add_categories(["neu"]).fillna("neu")
    ns.write_cohort(tonight, "2026-11-20.h5", infinite="keep", **ROLES)
    report = nightshift("score", "first.yaml", "--as-of", "2026-11-20")
    scores = ns.read_scores("scores-2026-11-20.h5")
    assert len(scores) == 3000 and scores["status"].value_counts().to_dict() == {
        "scored": 2996, "id_duplicate": 2, "id_missing": 1, "value_infinite": 1, "outside_cohort": 0}
    assert scores.attrs["bundle_id"] == report["bundle_id"] and scores.attrs["as_of"] == "2026-11-20"
    assert scores.attrs["reasons"]["scored"] == report["scored"] == 2996
    assert scores["id"].isna().sum() == 1
    known = tonight["encounter_id"].notna().to_numpy()
    assert (scores["id"].to_numpy()[known] == tonight["encounter_id"].to_numpy()[known]).all()
    assert scores["patient_id"].dtype == "Int64" and (scores["patient_id"].to_numpy(dtype=float, na_value=-1) ==
                                                      tonight["patient_id"].to_numpy(dtype=float, na_value=-1)).all()
    assert (scores["ward"].astype(str).to_numpy() == tonight["ward"].astype(str).to_numpy()).all()
    assert ns.content_hash("scores-2026-11-20.h5") in manifest("2026-11-20")

    model = ns.read_model("first/bundle")
    risks, scored = model.risks(tonight), (scores["status"] == "scored").to_numpy()
    assert risks.dtype == scores["risk"].dtype == np.float32
    differ = int((risks.view("u4") != scores["risk"].to_numpy().view("u4"))[scored].sum())
    print("%d rows scored, %d distinct risks, %d differ from read_model's" % (scored.sum(), len(np.unique(risks)), differ))
    assert differ == 0 and len(np.unique(risks)) > 150 and scores["risk"].isna().sum() == 4
    assert (model.risks(tonight, n_trees=3) != risks).any()
    check_trees(model, tonight)


def walk(model, frame, row):
    """One row's margin from the frames of Model.tree, as a reader of them would find it."""
    total = model.base[0] * 2.0 ** -model.k
    for number in range(model.n_trees):
        tree, at = model.tree(number), 0
        while tree["feature"][at] is not None and tree["feature"][at] == tree["feature"][at]:
            value, node = frame[tree["feature"][at]].iloc[row], tree.loc[at]
            if pd.isna(value) or value == "":
                left = node["missing_left"]
            elif isinstance(node["levels"], list):
                known = model.features[[f.name for f in model.features].index(node["feature"])].levels
                left = value in node["levels"] if value in known else node["unseen_left"]
            else:
                left = np.float32(value) <= np.float32(node["cut"])
            at = at + 1 if left else int(node["right"])
        total += tree["value"][at]
    return total


def check_trees(model, frame):
    margins = model.margins(frame) * 2.0 ** -model.k
    for row in range(20):
        assert abs(walk(model, frame, row) - margins[row]) < 1e-9, row
    importance = model.importance()
    assert importance["splits"].sum() == (model.tensors["node.feature"] >= 0).sum() and importance["gain"].is_monotonic_decreasing


def check_objectives():
    """Scores of every objective as frames, and their bits again from the model."""
    frame = frame_of_stays(2500, 4)
    ns.write_cohort(frame, "2026-11-25.h5", **ROLES)
    for objective, label, more in (("multiclass", "ward", ""), ("regression", "lactate", ""), ("poisson", "stays", ""),
                                   ("quantile", "lactate", ", quantile: 0.9")):
        with open(objective + ".yaml", "w") as file:
            file.write("""
name: %s
data: {cohort: [2026-11-25.h5], id: encounter_id, group: patient_id, label: {column: %s}, features: {exclude: [code]}}
model: {objective: %s, rounds: 6, max_leaves: 15%s}
score: {cohort: ["{as_of}.h5"], out: "%s-{as_of}.h5"}
run: {out: %s}
""" % (objective, label, objective, more, objective, objective))
        nightshift("train", objective + ".yaml")
        nightshift("score", objective + ".yaml", "--as-of", "2026-11-25")
        out = "%s-2026-11-25.h5" % objective
        scores, model = ns.read_scores(out), ns.read_model(objective + "/bundle")
        names = ["risk_" + c for c in model.classes] if objective == "multiclass" else ["prediction"]
        want, got = scores[names].to_numpy(), model.risks(frame).reshape(len(frame), -1)
        assert objective != "multiclass" or model.classes == ["07", "7", "ICU", "Innere: Übergang"], model.classes
        assert want.dtype == got.dtype == np.float32 and want.shape == got.shape and (scores["status"] == "scored").all()
        differ = int((want.view("u4") != got.view("u4")).sum())
        print("%s: %d distinct values, %d differ" % (objective, len(np.unique(want)), differ))
        assert differ == 0 and len(np.unique(want)) > 20
        with open(out + ".manifest.json") as file:
            assert ns.content_hash(out) in file.read()


def check_readme():
    """The Python of data/README.md that needs this module, as it stands there."""
    with open(os.path.join(os.path.dirname(ns.__file__), "..", "README.md")) as file:
        blocks = re.findall(r"^```py\n(.*?)^```", file.read(), re.M | re.S)
    assert len(blocks) == 3
    names = {}
    exec(compile(blocks[0], "data/README.md", "exec"), names)
    stays = names["stays"]
    assert names["again"]["drg"].tolist() == ["470", "871", "470"] and names["again"].attrs["units"] == {"sodium": "mmol/L"}
    many = pd.concat([stays] * 200, ignore_index=True)
    many["encounter_id"], many["patient_id"] = np.arange(600), np.arange(600) // 2
    many["readmitted"] = np.where(np.arange(600) % 7 == 0, "yes", "no")
    ns.write_cohort(many, "many.h5", kinds={"drg": "category"}, **ROLES)
    with open("readmission.yaml", "w") as file:
        file.write("name: readmission\ndata: {cohort: [many.h5], id: encounter_id, group: patient_id, time: admitted_at,\n"
                   "  label: {column: readmitted, positive: [\"yes\"]}}\nmodel: {rounds: 3}\n"
                   "score: {cohort: [many.h5], out: \"scores/{as_of}.h5\"}\n")
    nightshift("train", "readmission.yaml")
    nightshift("score", "readmission.yaml", "--as-of", "2026-11-20")
    names["stays"] = stays.assign(drg=stays["drg"].astype(str))
    exec(compile(blocks[2], "data/README.md", "exec"), names)
    assert names["scores"]["risk"].notna().all() and len(names["risk"]) == 3 and len(names["gain"]) == 3
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return
    stays.to_parquet("stays.parquet")
    exec(compile(blocks[1], "data/README.md", "exec"), names)
    assert read("stays-000.h5") != b"" and ns.read_cohort("stays-000.h5")["encounter_id"].tolist() == ["0001", "0002", "0003"]


def rewrite(from_path, to_path):
    """A cohort written again by h5py alone: other widths, byte orders, chunks and string types, levels turned round."""
    with h5py.File(from_path) as old, h5py.File(to_path, "w") as new:
        for name in ("nightshift_cohort", "n_rows"):
            new.attrs[name] = old.attrs[name]
        for name, values in old["columns"].items():
            kind, cells = values.attrs["kind"], values[:]
            kind = kind.decode() if isinstance(kind, bytes) else kind
            if cells.dtype.kind == "S":
                cells = np.array([t.decode() for t in cells], dtype=object)
                made = new.create_dataset("columns/" + name, data=cells, dtype=h5py.string_dtype())
            elif kind == "category":
                levels = old["levels"][name].asstr()[:]
                turned = np.where(cells < 0, -1, len(levels) - 1 - cells)
                made = new.create_dataset("columns/" + name, data=turned.astype(">i4"), chunks=(777,), compression="gzip")
                new["levels/" + name] = [str(t) for t in levels[::-1]]
            else:
                wide = cells.astype(">f8") if kind == "number" else cells.astype(">i8")
                made = new.create_dataset("columns/" + name, data=wide, chunks=(1000,), fletcher32=True)
            made.attrs["kind"] = kind


def check_cohort_to_frame():
    """Cohorts of synth and import, through h5py and through frames: the same bundle, the same scores."""
    nightshift("synth", "synth.h5", "--rows", "5000", "--seed", "7")
    frame = frame_of_stays(4000, 3).drop(columns=["insurance/type"])
    frame["admitted_at"] = frame["admitted_at"].dt.tz_convert("UTC").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    frame.astype(object).to_csv("stays.csv", index=False)
    with open("schema.yaml", "w") as file:
        file.write("columns:\n  encounter_id: {kind: id}\n  patient_id: {kind: id}\n  emergency: {kind: category}\n  ward: {kind: category}\n")
    nightshift("import", "stays.csv", "csv.h5", "--schema", "schema.yaml")
    for source, keep in (("synth", "patient_id, unit, admitted_at, age"), ("csv", "patient_id, ward, admitted_at, age")):
        rewrite(source + ".h5", source + "-h5py.h5")
        back = ns.read_cohort(source + ".h5")
        ns.write_cohort(back, source + "-pandas.h5", **back.attrs)
        plain = back.copy()
        plain.attrs = {}
        ids = {name: kind for name, kind in back.attrs["kinds"].items() if kind == "id"} # a dtype does not tell it
        ns.write_cohort(plain, source + "-roles.h5", kinds=ids, units=back.attrs["units"],
                        descriptions=back.attrs["descriptions"], **ROLES)
        again = ns.read_cohort(source + "-pandas.h5")
        ns.write_cohort(again, source + "-again.h5", **again.attrs)
        assert read(source + "-pandas.h5") == read(source + "-again.h5") == read(source + "-roles.h5")
        assert {k: v for k, v in again.attrs["kinds"].items()} == back.attrs["kinds"]
        bundle = train(source + ".h5", source, keep)["bundle_id"]
        for way in ("h5py", "pandas"):
            assert train("%s-%s.h5" % (source, way), "%s-%s" % (source, way), keep)["bundle_id"] == bundle, way
            assert read("%s/bundle/model.safetensors" % source) == read("%s-%s/bundle/model.safetensors" % (source, way))
        hashes = set()
        for day, way in enumerate(("", "-h5py", "-pandas"), 1):
            night = "2026-11-2%d" % day
            os.link(source + way + ".h5", night + ".h5")
            nightshift("score", source + ".yaml", "--as-of", night)
            hashes.add(ns.content_hash("scores-%s.h5" % night))
            assert hashes.copy().pop() in manifest(night)
            scores = ns.read_scores("scores-%s.h5" % night)
            assert (scores["age"].to_numpy() == back["age"].to_numpy().astype(np.float32)).all()
            assert (scores["admitted_at"] == back["admitted_at"]).all() and str(scores["admitted_at"].dt.tz) == "UTC"
            assert (ns.read_model(source + "/bundle").risks(back).view("u4") == scores["risk"].to_numpy().view("u4")).all()
        assert len(hashes) == 1
        for night in ("2026-11-21", "2026-11-22", "2026-11-23"):
            for name in (night + ".h5", "scores-%s.h5" % night, "scores-%s.h5.manifest.json" % night):
                os.remove(name)
        print("%s: bundle %s and scores %s by the program, by h5py and by pandas" % (source, bundle[:8], hashes.pop()[:8]))


def check_bytes():
    """The same cells are the same bytes, a second later and from other dtypes; the file's rights are the folder's business."""
    frame = frame_of_stays(500)
    ns.write_cohort(frame, "a.h5", units={"lactate": "mmol/L"}, descriptions={"age": "Größe"}, **ROLES)
    time.sleep(1.1)
    other = frame[frame.columns[::-1]].reset_index().drop(columns="index").astype({"ward": object})
    ns.write_cohort(other, "b.h5", units={"lactate": "mmol/L"}, descriptions={"age": "Größe"}, **ROLES)
    assert read("a.h5") == read("b.h5")
    umask = os.umask(0)
    os.umask(umask)
    assert os.stat("a.h5").st_mode & 0o777 == 0o666 & ~umask
    empty = frame[:0]
    ns.write_cohort(empty, "empty.h5", **ROLES)
    assert nightshift("inspect", "empty.h5")["n_rows"] == 0 and len(ns.read_cohort("empty.h5")) == 0


def check_other_writers():
    """What a cohort may hold and write_cohort never writes: other byte orders, no kinds, levels as an attribute, or none."""
    with h5py.File("other.h5", "w") as file:
        file.attrs["nightshift_cohort"], file.attrs["n_rows"] = 1, 3
        made = {"a": np.array([1, 2, 3], ">f8"), "b": np.array([True, False, True]), "c": np.array([1, -1, 0], ">i2"),
                "d": np.array([11, -1, 13], ">i2"), "i": np.array([1, 2, MISSING], ">i8"), "s": np.array([b"x", b"", b"y"]),
                "t": np.array([0, MISSING, 5], ">i8"), "v": ["p", "q", ""]}
        for name, cells in made.items():
            file["columns/" + name] = cells
        for name, kind in {"c": "category", "d": "category", "i": "id", "t": "time"}.items():
            file["columns/" + name].attrs["kind"] = kind
        file["columns/c"].attrs["levels"] = ["u", "w"]
    frame = ns.read_cohort("other.h5")
    texts = {name: [None if pd.isna(v) else str(v) for v in frame[name]] for name in "cdsv"}
    assert texts == {"c": ["w", None, "u"], "d": ["11", None, "13"], "s": ["x", None, "y"], "v": ["p", "q", None]}, texts
    assert frame["a"].tolist() == [1, 2, 3] and frame["b"].tolist() == [1, 0, 1] and frame["i"].isna().tolist() == [False, False, True]
    assert frame["t"].isna().tolist() == [False, True, False] and frame["t"].iloc[2] == pd.Timestamp(5, unit="s", tz="UTC")
    ns.write_cohort(frame, "again.h5", **frame.attrs)
    about = nightshift("inspect", "again.h5"), nightshift("inspect", "other.h5")
    assert [c["kind"] for c in about[0]["columns"]] == [c["kind"] for c in about[1]["columns"]]


def main():
    print("pandas %s, h5py %s" % (pd.__version__, h5py.__version__))
    check_numbers()
    check_categories()
    check_ids()
    check_times()
    check_arrow()
    check_refusals()
    check_bytes()
    check_other_writers()
    check_frame_to_scores()
    check_cohort_to_frame()
    check_objectives()
    check_readme()


sys.argv[1] = os.path.abspath(sys.argv[1])
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    try:
        main()
    finally:
        os.chdir("/")
