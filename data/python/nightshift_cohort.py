"""Nightshift's files from pandas: one file to copy beside your own code. Needs numpy, h5py and pandas (2 or 3).

    import pandas as pd
    from nightshift_cohort import write_cohort, read_cohort, read_scores, read_model

    stays = pd.read_parquet("stays.parquet")
    write_cohort(stays, "stays.h5", id="encounter_id", group="patient_id", time="admitted_at")
    scores = read_scores("scores/2026-11-20.h5")              # id, status, risk, and what score.keep names
    model = read_model("runs/readmission/bundle")
    risk = model.risks(stays)                                 # the program's own risks, to the last bit

What a column becomes, unless `kinds` says otherwise:

    pandas                                                      in the cohort
    numbers, nullable and Arrow numbers, decimals               number: float32, as the program computes; NaN is missing
    booleans                                                    number: 1, 0
    texts, categoricals                                         category; "" and missing values are missing
    times with a zone, times without (taken as UTC), dates      time: whole seconds since 1970 UTC
    the columns named by id and group                           id: int64 or text, with all its leading zeros

Anything else is refused. Every refusal is a ValueError of one sentence that names column and cure, and never a value.
"""
import collections
import contextlib
import hashlib
import json
import os
import struct
import tempfile
import warnings

import h5py
import numpy as np
import pandas as pd

__all__ = ["write_cohort", "read_cohort", "read_scores", "content_hash", "read_model", "Model"]

CHUNK_ROWS = 65536
MISSING_INT = np.iinfo(np.int64).min  # of an id or a time
KINDS = "number", "category", "id", "time"
STATUS = "scored", "outside_cohort", "id_missing", "id_duplicate", "value_infinite"
WHOLE_FLOAT32 = 2 ** 24  # whole numbers up to here are exact in float32
EPOCH_UNITS = {"s": 1, "ms": 10 ** 3, "us": 10 ** 6, "ns": 10 ** 9}


# --- from pandas to cells ---

# One column as a cohort holds it. kind number: cells are numbers of any width, NaN missing. category: integer codes into
# levels (UTF-8 bytes, ascending), -1 missing. id: int64, or fixed-length bytes, b"" missing. time: int64 seconds.
Column = collections.namedtuple("Column", "kind cells levels")


def _refuse(name, what):
    raise ValueError("column '%s': %s" % (name, what))


def _is_arrow(dtype):
    return isinstance(dtype, getattr(pd, "ArrowDtype", ()))


def _plain(series):
    """Arrow-backed and sparse columns as pandas' own dtypes, without a detour through floats."""
    dtype = series.dtype
    if isinstance(dtype, pd.SparseDtype):
        return pd.Series(np.asarray(series))
    if not _is_arrow(dtype):
        return series
    text = str(dtype.pyarrow_dtype)
    if text.startswith(("int", "uint")):
        return series.astype(text.replace("i", "I", 1) if text[0] == "i" else "UI" + text[2:])
    if text == "bool":
        return series.astype("boolean")
    if text in ("halffloat", "float", "double"):
        return pd.Series(series.to_numpy(dtype=np.float64, na_value=np.nan))
    if text.startswith("timestamp"):
        return pd.Series(series.array.__arrow_array__().to_pandas())
    return series.astype(object)  # texts, dictionaries, dates, decimals; what is none of them is seen by its cells


def _describe(series):
    """What the cells of a column are: number, whole, boolean, text, time, empty; or None."""
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _describe(_plain(pd.Series(dtype.categories))) if len(dtype.categories) > 0 else "empty"
    if isinstance(dtype, pd.DatetimeTZDtype) or pd.api.types.is_datetime64_dtype(dtype):
        return "time"
    if pd.api.types.is_bool_dtype(dtype):
        return "boolean"
    if pd.api.types.is_integer_dtype(dtype):
        return "whole"
    if pd.api.types.is_float_dtype(dtype):
        return "number"
    if isinstance(dtype, pd.StringDtype):
        return "text"
    if dtype != object:
        return None
    found = pd.api.types.infer_dtype(series, skipna=True)
    return {"string": "text", "integer": "whole", "floating": "number", "mixed-integer-float": "number", "decimal": "number",
            "boolean": "boolean", "datetime": "time", "datetime64": "time", "date": "time", "empty": "empty"}.get(found)


def _missing(series):
    return np.asarray(series.isna(), dtype=bool)


def _whole(name, series):
    """(int64 cells with 0 where missing, missing) of whole numbers, floats among them."""
    missing, dtype = _missing(series), series.dtype
    if dtype == object or isinstance(dtype, pd.CategoricalDtype):
        cells = np.array([0 if m else v for v, m in zip(series.astype(object), missing)] + [None], dtype=object)[:-1]
    elif isinstance(dtype, np.dtype):
        cells = np.where(missing, dtype.type(0), series.to_numpy())
    else:
        cells = series.to_numpy(dtype=dtype.numpy_dtype, na_value=0)
    if cells.dtype.kind == "f":
        if not (np.isfinite(cells) & (cells == np.floor(cells)) & (np.abs(cells) <= 2.0 ** 53)).all():
            _refuse(name, "holds numbers that are not whole, or too large to be exact, where whole numbers or texts belong")
    elif cells.dtype == object:
        if not all(float(v).is_integer() if isinstance(v, float) else True for v in cells):
            _refuse(name, "holds numbers that are not whole where whole numbers or texts belong")
        cells = np.array([int(v) for v in cells], dtype=object)
    if len(cells) > 0 and (cells.max() > np.iinfo(np.int64).max or cells.min() <= MISSING_INT):
        _refuse(name, "holds whole numbers beyond 64 bits; make them texts: .astype(str)")
    return cells.astype(np.int64), missing


def _texts(name, series):
    """(codes, levels): the different texts as UTF-8 in ascending order of bytes, -1 where missing or empty."""
    what = _describe(series)
    if what in ("whole", "number"):
        cells, missing = _whole(name, series)
        codes, values = pd.factorize(cells)
        codes = np.where(missing, -1, codes)
        texts = [str(v) for v in values]
    elif isinstance(series.dtype, pd.CategoricalDtype):
        codes = np.asarray(series.cat.codes, dtype=np.int64)
        texts = [str(v) for v in series.dtype.categories]
    else:
        codes, values = pd.factorize(series.array if what == "text" and series.dtype != object else series.astype(object).to_numpy())
        texts = [str(v) for v in values]
    try:
        levels = [t.encode("utf-8") for t in texts]
    except UnicodeEncodeError:
        _refuse(name, "holds a text that is not Unicode; read it again with its right encoding")
    if any(b"\0" in level for level in levels):
        _refuse(name, "holds a text with a NUL character")
    used = np.zeros(len(levels) + 1, dtype=bool)
    used[codes] = True  # the last place takes -1
    order = sorted((i for i in range(len(levels)) if used[i] and levels[i] != b""), key=lambda i: levels[i])
    place = np.full(len(levels) + 1, -1, dtype=np.int64)
    ordered = []
    for i in order:  # categories 1 and "1" of one column are one level
        if not ordered or ordered[-1] != levels[i]:
            ordered.append(levels[i])
        place[i] = len(ordered) - 1
    return place[codes], ordered


def _as_bytes(levels):
    """A list of UTF-8 texts as a fixed-length array."""
    return np.array(levels, dtype="S%d" % max([1] + [len(level) for level in levels]))


def _id(name, series):
    what = _describe(series)
    if what in ("whole", "number"):
        cells, missing = _whole(name, series)
        return Column("id", np.where(missing, MISSING_INT, cells), None)
    if what not in ("text", "empty"):
        _refuse(name, "an id is a text or a whole number; this is %s" % (what or series.dtype))
    codes, levels = _texts(name, series)
    return Column("id", _as_bytes(levels + [b""])[codes], None)


def _category(name, series):
    if _describe(series) not in ("text", "whole", "number", "boolean", "empty"):
        _refuse(name, "a category has texts or whole numbers; this is %s" % series.dtype)
    codes, levels = _texts(name, series)
    width = next(w for w in (np.int8, np.int16, np.int32, np.int64) if len(levels) <= np.iinfo(w).max)
    return Column("category", codes.astype(width), levels)


def _time(name, series):
    if _describe(series) not in ("time", "empty"):
        _refuse(name, "a time is a column of datetimes; convert it with pd.to_datetime, naming format and zone")
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(series.dtype.categories.dtype)
    if series.dtype == object:
        missing = _missing(series)
        try:
            cells = [pd.NaT if m else pd.Timestamp(v) for v, m in zip(series, missing)]
        except ValueError:
            _refuse(name, "holds dates that pandas cannot represent")
        cells = [t if t is pd.NaT or t.tzinfo is None else t.tz_convert("UTC").tz_localize(None) for t in cells]
        cells = np.array([np.datetime64("NaT") if t is pd.NaT else np.datetime64(t.as_unit("us").asm8) for t in cells], dtype="M8[us]")
    else:
        if isinstance(series.dtype, pd.DatetimeTZDtype):
            series = series.dt.tz_convert("UTC").dt.tz_localize(None)
        cells = series.to_numpy()
    per_second = EPOCH_UNITS[np.datetime_data(cells.dtype)[0]]
    ticks = cells.view(np.int64)
    seconds = np.where(np.isnat(cells), MISSING_INT, ticks // per_second)
    n_cut = int((~np.isnat(cells) & (ticks % per_second != 0)).sum())
    if n_cut > 0:
        warnings.warn("column '%s': %d times with parts of a second were cut to the second" % (name, n_cut), stacklevel=4)
    return Column("time", seconds, None)


def _number(name, series, infinite="keep"):
    what = _describe(series)
    if what not in ("whole", "number", "boolean", "empty"):
        _refuse(name, "a number is needed; this is %s" % (what or series.dtype))
    missing = _missing(series)
    if what == "boolean" and not missing.any():
        return Column("number", np.asarray(series, dtype=bool).astype(np.uint8), None)
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "iu":
        wide = cells = series.to_numpy()
    elif what == "whole":  # nullable: through int64, since float64 would round what float32 is to be checked for
        wide, missing = _whole(name, series)
        cells = np.where(missing, np.nan, wide.astype(np.float32)).astype(np.float32) if missing.any() else wide
    else:
        wide = np.array([np.nan if m else float(v) for v, m in zip(series.astype(object), missing)], dtype=np.float64) \
            if series.dtype.kind == "O" else series.to_numpy(dtype=np.float64, na_value=np.nan)
        with np.errstate(over="ignore"):
            cells = wide.astype(np.float32)
    known = wide[~missing]
    if known.dtype.kind == "f":
        n_infinite = int(np.isinf(known).sum())
        if n_infinite > 0 and infinite == "error":
            _refuse(name, "%d values are infinite; make them missing with infinite='missing', or keep them with infinite='keep'" % n_infinite)
        if n_infinite > 0 and infinite == "missing":
            cells = np.where(np.isinf(wide), np.float32(np.nan), cells)
        known = known[np.isfinite(known)]
    with np.errstate(over="ignore"):
        narrow = known.astype(np.float32)
    if not np.isfinite(narrow).all():
        _refuse(name, "holds numbers too large for float32, which the program computes with")
    if known.dtype.kind == "f":
        is_exact = (narrow == known).all() or not (known == np.floor(known)).all()
    else:  # whole numbers compare as such: a float64 of 2^60 + 1 would hide the difference
        is_exact = (np.abs(narrow) < 2.0 ** 63).all() and (narrow.astype(np.int64) == known).all()
    if not is_exact:
        _refuse(name, "holds whole numbers above %d that float32 cannot hold; they are names rather than amounts: "
                "kinds={'%s': 'id'}, or 'category'" % (WHOLE_FLOAT32, name))
    return Column("number", cells, None)


def _column(name, series, kind=None, infinite="keep"):
    """A column of a frame as cells of the kind, or of the kind that its dtype suggests."""
    series = _plain(series.reset_index(drop=True))
    if kind is None:
        what = _describe(series)
        if isinstance(series.dtype, pd.CategoricalDtype) and what is not None:
            kind = "category"
        else:
            kind = {"text": "category", "empty": "category", "time": "time", "number": "number", "whole": "number",
                    "boolean": "number"}.get(what)
        if kind is None:
            hint = {"timedelta64": "make it a number, such as .dt.total_seconds() / 3600", "period": "make it a time: .dt.to_timestamp()",
                    "complex": "split it into two numbers"}
            cure = next((h for key, h in hint.items() if str(series.dtype).startswith(key)),
                        "make its cells all texts, all numbers or all times, or drop it")
            _refuse(name, "dtype %s has no place in a cohort; %s" % (series.dtype, cure))
    if kind == "number":
        return _number(name, series, infinite)
    return {"category": _category, "id": _id, "time": _time}[kind](name, series)


# --- writing a cohort ---

def _check_frame(df, roles, kinds, notes):
    if not isinstance(df, pd.DataFrame):
        raise ValueError("a cohort is written from a DataFrame, not from %s" % type(df).__name__)
    if isinstance(df.columns, pd.MultiIndex):
        raise ValueError("the frame has several levels of column names; join them into one text each")
    if len(df.columns) == 0:
        raise ValueError("the frame has no columns")
    for number, name in enumerate(df.columns, 1):
        if not isinstance(name, str):
            raise ValueError("the name of column number %d is no text; df.columns = df.columns.map(str) makes it one" % number)
        if name in ("", ".", "..") or "\0" in name or "%2F" in name:
            raise ValueError("the name of column number %d is empty, '.' or '..', or holds NUL or '%%2F'; rename it" % number)
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("the name of column number %d is not Unicode; rename it" % number) from None
    if not df.columns.is_unique:
        twice = df.columns[df.columns.duplicated()][0]
        raise ValueError("two columns are called '%s'; rename one" % twice)
    for what, names in [(role, [name]) for role, name in roles.items() if name is not None] + list(notes.items()):
        for name in names:
            if name not in df.columns:
                raise ValueError("%s: the frame has no column '%s'" % (what, name))
    for name, kind in kinds.items():
        if kind not in KINDS:
            raise ValueError("kinds: column '%s': the kinds are %s" % (name, ", ".join(KINDS)))


def _text_attribute(thing, name, text):
    raw = text.encode("utf-8")
    thing.attrs.create(name, np.array(raw, dtype=h5py.string_dtype("utf-8", max(1, len(raw)))))


def _dataset(file, path, cells):
    """Chunked and compressed as the program does it; without object times, so that equal cells are equal bytes."""
    how = {"track_times": False}
    if len(cells) > 0:
        how.update(chunks=(min(len(cells), CHUNK_ROWS),), shuffle=True, compression="gzip", compression_opts=1)
    if cells.dtype.kind == "S":
        cells = cells.astype(h5py.string_dtype("utf-8", cells.dtype.itemsize))
    elif cells.dtype.byteorder == ">":
        cells = cells.astype(cells.dtype.newbyteorder("<"))
    return file.create_dataset(path, data=cells, **how)


def _sync(path, flags):
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_cohort(df, path, id=None, group=None, time=None, *, kinds=None, units=None, descriptions=None, infinite="error"):
    """Writes a frame as a cohort file; the index is not written, and may be of any kind.

    df            one row for each row of the cohort, in its order; 0 rows are legal
    path          appears whole or not at all: written under another name in the same folder, synced, renamed
    id, group     columns that name the row and the patient: whole numbers or texts, as they are ("007" keeps its zeros);
                  whole numbers that missing values made floats are whole again
    time          a column of datetimes; columns of datetimes are times with or without it
    kinds         {"unit_code": "category"}: the kind of a column where its dtype does not say it. number, category (whole
                  numbers become their decimal text), id, time
    units         {"sodium": "mmol/L"}, best in UCUM; descriptions: {"sodium": "first of the stay"}
    infinite      "error"; "missing": infinite numbers are written as missing; "keep": as they are

    The same frame gives the same bytes with one version of HDF5. ValueError in one sentence, with no value of a row in it,
    for what cannot be written: two columns of a name, a dtype without a kind, texts and numbers in one column, infinite
    numbers, whole numbers that float32 cannot hold. Times with parts of a second are cut, with a warning.
    """
    kinds, units, descriptions = dict(kinds or {}), dict(units or {}), dict(descriptions or {})
    roles = {"id": id, "group": group, "time": time}
    _check_frame(df, roles, kinds, {"kinds": kinds, "units": units, "descriptions": descriptions})
    if infinite not in ("error", "missing", "keep"):
        raise ValueError("infinite is 'error', 'missing' or 'keep'")
    for name, kind in ((id, "id"), (group, "id"), (time, "time")):
        if name is not None:
            kinds.setdefault(name, kind)
    if time is not None and kinds[time] != "time":
        raise ValueError("time: column '%s' has another role or kind already" % time)

    path = os.fspath(path)
    folder, last = os.path.split(os.path.abspath(path))
    handle, temporary = tempfile.mkstemp(prefix=".%s." % last, suffix=".tmp", dir=folder)
    os.close(handle)
    try:
        with h5py.File(temporary, "w") as file:
            file.attrs["nightshift_cohort"] = np.int64(1)
            file.attrs["n_rows"] = np.int64(len(df))
            for name in sorted(df.columns, key=lambda text: text.encode("utf-8")):
                column = _column(name, df[name], kinds.get(name), infinite)
                link = name.replace("/", "%2F")
                dataset = _dataset(file, "columns/" + link, column.cells)
                _text_attribute(dataset, "kind", column.kind)
                if name in units:
                    _text_attribute(dataset, "unit", units[name])
                if name in descriptions:
                    _text_attribute(dataset, "description", descriptions[name])
                if column.levels is not None:
                    _dataset(file, "levels/" + link, _as_bytes(column.levels))
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp gives 0600; the folder's own rules decide instead
        _sync(temporary, os.O_RDONLY)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync(folder, os.O_RDONLY)


# --- reading cohorts and scores ---

def _decode(value):
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _attribute(thing, name, otherwise=None):
    return _decode(thing.attrs[name]) if name in thing.attrs else otherwise


def _read_texts(dataset):
    return [_decode(t) for t in dataset[:].tolist()]


def _read_ids(cells):
    """int64, Int64 where some are missing, else texts with None."""
    if cells.dtype.kind in "iu":
        cells = cells.astype(cells.dtype.newbyteorder("="))
        missing = cells == MISSING_INT
        return pd.arrays.IntegerArray(np.where(missing, 0, cells).astype(np.int64), missing) if missing.any() else cells
    texts = np.array([_decode(t) for t in cells.tolist()] + [None], dtype=object)[:-1]
    return np.where(texts == "", None, texts)


def _read_column(file, root, name):
    """A column of /columns or /keep as pandas holds it."""
    dataset = file[root][name]
    kind = _attribute(dataset, "kind") or ("category" if dataset.dtype.kind in "SO" else "number")
    cells = dataset[:]
    if kind == "number":
        return cells.astype(cells.dtype.newbyteorder("="))  # pandas takes no other byte order
    if kind == "time":
        return pd.Series(np.where(cells == MISSING_INT, np.iinfo(np.int64).min, cells).astype(np.int64).view("M8[s]")).dt.tz_localize("UTC")
    if kind == "id":
        return _read_ids(cells)
    if cells.dtype.kind in "SO":
        codes, texts = pd.factorize(np.where(cells == b"", None, cells))
        return pd.Categorical.from_codes(codes, [_decode(t) for t in texts])
    if name in file.get("levels", {}):
        levels = _read_texts(file["levels"][name])
    elif "levels" in dataset.attrs:
        levels = [_decode(t) for t in dataset.attrs["levels"]]
    else:
        values = np.unique(cells[cells >= 0])
        levels, cells = [str(v) for v in values], np.where(cells < 0, -1, np.searchsorted(values, cells))
    return pd.Categorical.from_codes(np.where(cells < 0, -1, cells), levels)


def _open(path, mark, what):
    if not os.path.exists(path):
        raise ValueError("'%s' is not there" % os.fspath(path))
    try:
        file = h5py.File(path, "r")
    except OSError:
        raise ValueError("'%s' is not an HDF5 file, or not a whole one" % os.fspath(path)) from None
    version = int(file.attrs.get(mark, 0))
    if version == 1:
        return file
    file.close()
    raise ValueError("'%s' is no %s" % (os.fspath(path), what) if version == 0 else
                     "'%s' is a %s of version %d; this module reads version 1" % (os.fspath(path), what, version))


def read_cohort(path):
    """A cohort file as a frame, columns in bytewise order of their names: numbers as they are stored, categories as
    Categorical with the file's levels, ids as int64 (Int64 where some are missing) or texts with None, times as UTC datetimes.
    df.attrs["kinds"], ["units"] and ["descriptions"] are what write_cohort takes to write the same again."""
    with _open(path, "nightshift_cohort", "cohort") as file:
        links = sorted(file["columns"], key=lambda text: text.encode("utf-8"))
        names = [link.replace("%2F", "/") for link in links]
        df = pd.DataFrame({name: _read_column(file, "columns", link) for name, link in zip(names, links)},
                          index=pd.RangeIndex(int(file.attrs["n_rows"])))
        for note, attribute in (("kinds", "kind"), ("units", "unit"), ("descriptions", "description")):
            texts = {name: _attribute(file["columns"][link], attribute) for name, link in zip(names, links)}
            df.attrs[note] = {name: text for name, text in texts.items() if text is not None}
    return df


def read_scores(path):
    """A score file as a frame, one row for each row that was to be scored, in its order.

    id          int64 (Int64 where some are missing), or texts with None
    status      Categorical: scored, outside_cohort, id_missing, id_duplicate, value_infinite
    risk        float32, NaN where not scored; of several classes a column risk_CLASS each; or prediction
    and the columns of score.keep, of their own kinds (see read_cohort); one whose name is taken is called keep_NAME.
    df.attrs holds name, version, bundle_id, as_of, and reasons: how many rows have each status.
    ValueError: not a score file, not a whole one.
    """
    with _open(path, "nightshift_scores", "score file") as file:
        n_rows = int(file.attrs["n_rows"])
        columns = {"id": _read_ids(file["id"][:])}
        status = file["status"][:].astype(np.int64)
        names = list(STATUS) + ["status_%d" % s for s in range(len(STATUS), int(status.max(initial=0)) + 1)]
        columns["status"] = pd.Categorical.from_codes(status, names)
        if "risk" in file and file["risk"].ndim == 2:
            for k, label in enumerate(file["risk"].attrs["classes"]):
                columns["risk_" + _decode(label)] = file["risk"][:, k]
        for name in ("risk", "prediction"):
            if name in file and file[name].ndim == 1:
                columns[name] = file[name][:]
        for link in sorted(file.get("keep", {}), key=lambda text: text.encode("utf-8")):
            name = link.replace("%2F", "/")
            columns["keep_" + name if name in columns else name] = _read_column(file, "keep", link)
        if any(len(cells) != n_rows for cells in columns.values()):
            raise ValueError("'%s' is torn: its columns differ in length" % os.fspath(path))
        df = pd.DataFrame(columns, index=pd.RangeIndex(n_rows))
        df.attrs = {key: _attribute(file, key, "") for key in ("name", "version", "bundle_id", "as_of")}
        df.attrs["reasons"] = json.loads(_attribute(file, "reasons", "{}"))
    return df


def content_hash(path):
    """The content hash of a score file (data/README.md), which its manifest holds too, as hex."""
    with _open(path, "nightshift_scores", "score file") as file:
        ids, status, values = file["id"][:], file["status"][:], file["risk" if "risk" in file else "prediction"][:]
    values = values.reshape(len(status), -1)
    rows = np.zeros(len(status), dtype=[("id", "<u8"), ("status", "u1"), ("values", "<u4", (values.shape[1],))])
    if ids.dtype.kind in "iu":
        rows["id"] = ids.astype(np.int64).view(np.uint64)
    else:
        codes, texts = pd.factorize(ids.astype(object))
        words = [int.from_bytes(hashlib.blake2b(t, digest_size=32).digest()[:8], "little") if t else 0 for t in texts]
        rows["id"] = np.array(words + [0], dtype=np.uint64)[codes]
    rows["status"] = status
    rows["values"] = np.where(np.isnan(values), np.uint32(0x7FC00000), values.view(np.uint32))
    return hashlib.blake2b(rows.tobytes(), digest_size=32).hexdigest()


# --- models ---

SAFETENSORS = {"I64": "<i8", "I32": "<i4", "U32": "<u4", "U8": "u1", "F64": "<f8", "F32": "<f4"}

Feature = collections.namedtuple("Feature", "name kind cuts levels")
Feature.__doc__ = """One feature of a model: its column's name; "number" or "category"; the cuts of a number (a float32 array), bin b
holding cuts[b - 2] < x <= cuts[b - 1]; the levels of a category (a list of texts), bin 2 + i being levels[i]."""


def _read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    try:
        length, = struct.unpack_from("<Q", data)
        header = json.loads(data[8:8 + length])
        about = header.pop("__metadata__", {})
        tensors = {}
        for name, t in header.items():
            first, last = t["data_offsets"]
            tensors[name] = np.frombuffer(data[8 + length + first:8 + length + last], dtype=SAFETENSORS[t["dtype"]])
            if tensors[name].size != np.prod(t["shape"], dtype=np.int64):
                raise ValueError
    except (ValueError, KeyError, struct.error, UnicodeDecodeError):
        raise ValueError("'%s' is not a whole safetensors file" % path) from None
    return about, tensors


def _exp(x):
    """e^x as kernels/numerics.h has it, each step rounded to double."""
    x = np.minimum(np.maximum(x, -746.0), 710.0)
    k = np.rint(x * 1.4426950408889634)
    r = (x - k * float.fromhex("0x1.62e42feep-1")) - k * float.fromhex("0x1.a39ef35793c76p-33")
    p = 1.0 / 6227020800.0
    for n in (479001600, 39916800, 3628800, 362880, 40320, 5040, 720, 120, 24, 6, 2):
        p = p * r + 1.0 / n
    j = np.floor(k / 2)
    return (1.0 + (r + r * r * p)) * np.ldexp(1.0, j.astype(int)) * np.ldexp(1.0, (k - j).astype(int))


def _published_risk(probability):
    """float32, never 0 or 1."""
    return np.minimum(np.maximum(probability.astype(np.float32), np.float32(2.0 ** -24)), np.float32(1 - 2.0 ** -24))


LINKS = {"binary": "sigmoid", "multiclass": "softmax", "regression": "identity", "quantile": "identity", "poisson": "exp"}


class Model:
    """A tree model as runner/models/README.md describes it.

    about      metadata of the file: objective, link, k, base, n_trees, …
    objective  binary, multiclass, regression, poisson or quantile
    classes    multiclass: their texts in the order of outputs; else empty. Tree t belongs to output t modulo their number
    features   list of Feature, in the order of their numbers
    tensors    the arrays of the file by name
    """

    def __init__(self, path):
        self.about, self.tensors = _read_safetensors(path)
        if self.about.get("format") != "nightshift-gbdt":
            raise ValueError("'%s' is no tree model of Nightshift" % path)
        self.objective = self.about.get("objective")
        if self.about.get("format_version") != "1" or LINKS.get(self.objective, "") != self.about.get("link"):
            raise ValueError("'%s' is a model of a version or objective that this module does not know" % path)
        t = self.tensors
        self.classes = self._slices("class.byte_first", "class.bytes") if self.objective == "multiclass" else []
        self.n_outputs = max(1, len(self.classes))
        self.k, self.base = int(self.about["k"]), t["output.base"] if self.classes else np.array([int(self.about["base"])])
        names, levels = self._slices("feature.name_first", "feature.name_bytes"), self._slices("level.byte_first", "level.bytes")
        first, cut = t["level.first"], t["cut.first"]
        self.features = [Feature(name, "category" if t["feature.kind"][f] else "number", t["cut.values"][cut[f]:cut[f + 1]],
                                 levels[first[f]:first[f + 1]]) for f, name in enumerate(names)]
        self.n_trees = len(t["tree.first"]) - 1

    def _slices(self, first, raw):
        ends, text = self.tensors[first], self.tensors[raw].tobytes()
        return [text[ends[i]:ends[i + 1]].decode("utf-8") for i in range(len(ends) - 1)]

    def bins(self, df):
        """The bin of every row and feature, int64 [n_features, n_rows]. df: any frame that write_cohort takes and that has the
        model's columns; others are not looked at. ValueError names the column that lacks or is of another kind."""
        out = np.zeros((len(self.features), len(df)), dtype=np.int64)
        for f, feature in enumerate(self.features):
            if feature.name not in df:
                raise ValueError("the frame has no column '%s', which the model needs" % feature.name)
            column = _column(feature.name, df[feature.name], feature.kind)
            if feature.kind == "number":
                values = column.cells.astype(np.float32)
                out[f] = np.where(np.isnan(values), 0, 1 + np.searchsorted(feature.cuts, values, side="left"))
            else:
                bin_of = {text.encode("utf-8"): 2 + i for i, text in enumerate(feature.levels)}
                out[f] = np.array([bin_of.get(level, 1) for level in column.levels] + [0], dtype=np.int64)[column.cells]
        return out

    def margins(self, df, n_trees=None):
        """Base and leaves of the first n_trees trees (all of them unless given) summed in units of 2^-k: int64 [n_rows], of
        several classes [n_rows, n_classes]."""
        t, bins = self.tensors, self.bins(df)
        words = np.append(t["set.words"], np.uint32(0)).astype(np.int64)
        margin, row = np.tile(self.base.astype(np.int64), (len(df), 1)), np.arange(len(df))
        for tree, root in enumerate(t["tree.first"][:-1][:n_trees]):
            node = np.full(len(df), root)
            asks = t["node.feature"][node] >= 0
            while asks.any():
                at, bin = node[asks], bins[t["node.feature"][node[asks]], row[asks]]
                first = t["node.set"][at].astype(np.int64)
                word = words[np.clip(first + (bin >> 5), 0, len(words) - 1)]
                by_value = np.where(bin == 0, t["node.missing_left"][at] == 1, bin <= t["node.threshold"][at])
                left = np.where(first >= 0, (word >> (bin & 31) & 1) == 1, by_value)
                node[asks] = np.where(left, at + 1, root + t["node.right"][at])
                asks = t["node.feature"][node] >= 0
            margin[:, tree % self.n_outputs] += t["node.leaf"][node]
        return margin if self.classes else margin[:, 0]

    def risks(self, df, n_trees=None):
        """What the program writes into a score file, bit for bit, as float32: the risk of every row; of several classes
        [n_rows, n_classes]; the prediction of a regression, poisson or quantile model. Rows that the program would not score
        (an infinite value, outside of score.where) get one here all the same."""
        x = self.margins(df, n_trees).astype(np.float64) * 2.0 ** -self.k
        if self.objective == "binary":
            a = _exp(-np.abs(x))
            return _published_risk(np.where(x >= 0, 1.0, a) / (1.0 + a))
        if self.objective == "multiclass":
            terms, norm = _exp(x - x.max(axis=1, keepdims=True)), np.zeros(len(x))
            for c in range(self.n_outputs):  # in the order of classes, as the program adds them
                norm = norm + terms[:, c]
            return _published_risk(terms / norm[:, None])
        if self.objective == "poisson":
            return _exp(np.minimum(np.maximum(x, -30.0), 30.0)).astype(np.float32)
        most = float(np.finfo(np.float32).max)
        return np.minimum(np.maximum(x, -most), most).astype(np.float32)

    def importance(self):
        """A frame with one row for each feature: splits and their summed gain, the largest first."""
        t, n = self.tensors, len(self.features)
        at = t["node.feature"] >= 0
        out = pd.DataFrame({"feature": [f.name for f in self.features],
                            "splits": np.bincount(t["node.feature"][at], minlength=n),
                            "gain": np.bincount(t["node.feature"][at], weights=t["node.gain"][at], minlength=n)})
        return out.sort_values(["gain", "feature"], ascending=[False, True], ignore_index=True)

    def tree(self, number):
        """One tree (0 is the first) as a frame, a row for each node in preorder, the left child being the next row: feature (None
        for a leaf), cut (x <= cut goes left) or levels (a text in them goes left), missing_left, unseen_left, right (row of the
        right child), value (a leaf's: in log-odds of a binary model), rows (training rows), gain."""
        t, first = self.tensors, self.tensors["tree.first"]
        nodes = []
        for i in range(first[number], first[number + 1]):
            f = t["node.feature"][i]
            node = {"feature": None, "cut": np.nan, "levels": None, "missing_left": None, "unseen_left": None, "right": None,
                    "value": t["node.leaf"][i] * 2.0 ** -self.k, "rows": t["node.rows"][i], "gain": t["node.gain"][i]}
            if f >= 0:
                feature = self.features[f]
                node.update(feature=feature.name, right=int(t["node.right"][i]), value=np.nan)
                if feature.kind == "number":
                    node.update(missing_left=bool(t["node.missing_left"][i]))
                    bin = t["node.threshold"][i]
                    node["cut"] = feature.cuts[bin - 1] if 0 < bin <= len(feature.cuts) else np.nan
                else:
                    bits = [bool(t["set.words"][t["node.set"][i] + (b >> 5)] >> np.uint32(b & 31) & np.uint32(1))
                            for b in range(2 + len(feature.levels))]
                    node.update(missing_left=bits[0], unseen_left=bits[1],
                                levels=[text for text, is_left in zip(feature.levels, bits[2:]) if is_left])
            nodes.append(node)
        return pd.DataFrame(nodes)


def read_model(path):
    """The tree model of a bundle: path of its folder, or of model.safetensors. See Model."""
    path = os.fspath(path)
    if os.path.isdir(path):
        path = os.path.join(path, "model.safetensors")
    if not os.path.exists(path):
        raise ValueError("'%s' is not there" % path)
    return Model(path)
