"""The naive model: what one `inlet load` of these lines into an empty lake, with one thread and one cut, must leave
there: tables, columns with their Iceberg types, cells, _rescued, and dead letters with their reasons.

Written from DESIGN's rules over Python dicts, row by row, with no shapes, levels or encodings. JSON is Python's own
parser; numbers are kept as text (class Number), for integers must stay exact and rescued ones as they were sent."""
import json
import re
import sys
from decimal import Decimal

sys.setrecursionlimit(20000)  # Python's json asks it of deep, good records
DEPTH_MAX, RECORD_MAX, TABLES_MAX = 1000, 10 << 20, 1000
COLUMNS, STRUCT_FIELDS, PLACE_DEPTH, NAME_BYTES = 1000, 200, 16, 128
OURS = {"event_uuid": "string", "event_name": "string", "created_at": "double", "created_datetime": "string",
        "event_type": "string", "event_subtype": "string", "event_time": "timestamptz", "_arrived_at": "timestamptz",
        "_shard": "string", "_sequence": "string", "_rescued": "string"}
KEYS = ("event_uuid", "event_name", "created_at")
KINDS = ("boolean", "long", "double", "string")


class Number(str):
    @property
    def integer(self):
        return not set(self) & set(".eE")

    def __repr__(self):
        return f"Number({str(self)})"


def members(pairs):
    """The last of equal keys wins, and stands where the last stood."""
    out = {}
    for k, v in pairs:
        out.pop(k, None)
        out[k] = v
    return out


def not_json(text):
    raise ValueError(text)


DECODER = json.JSONDecoder(object_pairs_hook=members, parse_int=Number, parse_float=Number, parse_constant=not_json)


def too_deep(line):
    """Does it open more than 1,000 levels before anything is wrong with it? Asked of deep records only."""
    depth = 0
    for m in re.finditer(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', line):
        c = m.group()[:1]
        depth += c in b"[{"
        depth -= c in b"]}"
        if depth > DEPTH_MAX:
            return True
    return False


def parse(line):
    """(value, None), or (None, the reason)."""
    if too_deep(line):
        return None, "nesting_too_deep"
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return None, "invalid_utf8"
    try:
        value = DECODER.decode(text)
    except ValueError:
        return None, "invalid_json"
    return value, None


def unsafe(text):
    return any(c == "\0" or 0xd800 <= ord(c) < 0xe000 for c in text)


def instant(sent):
    """created_at -> (double, exact, microseconds, text), or the reason."""
    quoted = not isinstance(sent, Number)
    if not re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", sent):
        return "invalid_created_at"
    mantissa, _, exponent = sent.lower().partition("e")
    exponent = max(min(int(exponent or 0), 10**6), -10**6)
    fraction = len(mantissa.partition(".")[2])
    zero = not set(mantissa) & set("123456789")
    if zero:
        exponent = 0
    elif sent[0] == "-" or exponent > 400:
        return "created_at_out_of_range"
    places = max(fraction - exponent, 0)
    digits = int(mantissa.replace(".", "")) if exponent <= 0 or fraction - exponent >= 0 else \
        int(mantissa.replace(".", "")) * 10**(exponent - fraction)
    whole = digits // 10**places
    unit = 0 if whole < 10**11 else 3 if whole < 10**14 else 6 if whole < 10**17 else 9
    places_all = places + unit
    second, part = divmod(digits, 10**places_all)
    if second >= 253402300800:
        return "created_at_out_of_range"
    number = float(Decimal(sent)) if not zero else 0.0
    exact = not quoted and (zero or (number < 1e21 and places <= 1100 and Decimal(f"{number:.{places}f}") == Decimal(sent)))
    import datetime
    at = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=second)
    text = f"{at.year:04d}-{at.month:02d}-{at.day:02d}T{at:%H:%M:%S}"
    if places_all:
        text += "." + str(part).zfill(places_all)[:43]
    micros = second * 10**6 + (part * 10**6) // 10**places_all
    return number, exact, micros, text + "Z"


def safe_name(data, most):
    def one(c):
        c = chr(c)
        return c.lower() if c.isascii() and c.isalnum() else "_"
    if len(data) <= most:
        return "".join(map(one, data)) or "_"
    h = 0xcbf29ce484222325
    for b in data:
        h = ((h ^ b) * 0x100000001b3) % 2**64
    return "".join(map(one, data[:most - 9])) + f"_{(h ^ h >> 32) % 2**32:08x}"


def split_name(name):
    """(type, subtype, table), or None."""
    data = name.encode("utf-8", "surrogatepass")
    if not 0 < len(data) <= 1024 or data[:1] == b":" or any(ord(c) < 32 or 0x7f <= ord(c) < 0xa0 for c in name):
        return None
    parts = name.split(":")
    first = parts[0].encode("utf-8")
    table = safe_name(first, 64)
    if table.startswith("inlet_"):
        table = "e_" + safe_name(first, 62)
    return parts[0], parts[1] or None if len(parts) > 1 else None, table


class Place:
    """A key below a struct, or the element of a list."""

    def __init__(self, key, up, kind):
        self.key, self.up, self.kind = key, up, kind  # kind: scalar, struct, list
        self.children, self.kinds, self.merge, self.inexact = {}, [], False, False
        self.depth = up.depth + 1 if up else 0
        self.name = None

    def in_list(self):
        return self.up.kind == "list"

    def leaves(self):
        return len(self.kinds) + sum(c.leaves() for c in self.children.values())


def kind_of(v):
    if isinstance(v, bool):
        return "boolean"
    if isinstance(v, Number):
        return "long" if v.integer else "double"
    return "string" if isinstance(v, str) else "struct" if isinstance(v, dict) else "list"


def storable(v):
    """May it make a column?"""
    if isinstance(v, Number):
        return -2**63 <= int(v) < 2**63 if v.integer else abs(float(v)) != float("inf")
    if isinstance(v, str):
        return not unsafe(v)
    return v is not None and v != {} and v != []


def holds(n):
    return int(float(n)) == n


def column_name(key):
    return "".join(c.lower() if c.isascii() and c.isalnum() else "_" for c in key)[:511] or "_"


def pointer(path):
    return "".join("/" + str(p).replace("~", "~0").replace("/", "~1") for p in path)


class Table:
    def __init__(self):
        self.root = Place("", None, "struct")
        self.rows = {}
        self.met = {}     # by event name: places and kinds that have a column
        self.n_leaves = 0

    # ---- growing

    def child(self, up, key, value):
        c = up.children.get(key)
        if c or not storable(value):
            return c
        within = (self.n_leaves < COLUMNS and len(up.children) < COLUMNS and
                  (up is self.root or len(up.children) < STRUCT_FIELDS) and up.depth < PLACE_DEPTH and
                  len(key.encode("utf-8")) <= NAME_BYTES)
        name = "element" if up.kind == "list" else column_name(key)
        if not within or (up.kind != "list" and self.taken(up, name)):
            return None
        kind = kind_of(value)
        c = up.children[key] = Place(key, up, kind if kind in ("struct", "list") else "scalar")
        c.name = name
        if c.kind == "scalar":
            c.kinds.append(kind)
            self.n_leaves += 1
        return c

    def taken(self, up, name):
        """Also by the siblings that a column may come to need."""
        others = [c.name for c in up.children.values()]
        return (name in others or any(name == f"{o}_{k}" or o == f"{name}_{k}" for o in others for k in KINDS) or
                (up is self.root and name in OURS))

    def allow(self, c, kind):
        if kind not in c.kinds:
            widens = kind == "double" and c.kinds == ["long"] and not c.inexact
            if self.n_leaves >= COLUMNS or (c.in_list() and not widens):
                return False
            c.kinds.append(kind)
            self.n_leaves += 1
            if "long" in c.kinds and "double" in c.kinds:
                c.merge = True
        return True

    # ---- one event

    def event(self, event, name):
        self.seen = self.met.setdefault(name, set())
        rescued = {}
        cells = self.struct(self.root, {k: v for k, v in event.items() if k not in KEYS}, [], rescued) or {}
        return cells, rescued

    def has_leaf(self, c):
        return any(c is p or self.below(c, p) for p, _ in self.seen)

    @staticmethod
    def below(c, p):
        while p:
            if p is c:
                return True
            p = p.up
        return False

    def struct(self, place, value, path, rescued):
        """The cells of a struct by (place, kind), or None where nothing was stored."""
        before, out = len(rescued), {}
        for key, v in value.items():
            if v is None:
                continue
            c = None if unsafe(key) else self.child(place, key, v)
            if c:
                self.put(c, v, path + [key], rescued, out)
            else:
                rescued[pointer(path + [key])] = v
        if not out and len(rescued) == before and place is not self.root:
            rescued[pointer(path)] = {}
        return out or None

    def put(self, c, v, path, rescued, out):
        """Into out[(c, kind)], or to rescued."""
        kind = kind_of(v)
        if kind == c.kind == "struct":
            inner = self.struct(c, v, path, rescued)
            if inner is not None:
                out[c, "struct"] = inner
            return
        if kind == c.kind == "list":
            inner = self.list(c, v, path, rescued)
            if inner is not None:
                out[c, "list"] = inner
            return
        stored = self.scalar(c, kind, v) if c.kind == "scalar" and kind in KINDS and storable(v) else None
        if stored:
            self.seen.add((c, stored[0]))
            out[c, stored[0]] = stored[1]
        else:
            rescued[pointer(path)] = v

    def scalar(self, c, kind, v):
        """(kind, cell), or None."""
        if kind == "long":
            n = int(v)
            if c.in_list() and "double" in c.kinds and "long" not in c.kinds and holds(n):
                return "double", float(n)
            if c.in_list() and not holds(n):
                if c.merge or c.kinds != ["long"]:
                    return None
            if not holds(n):
                c.inexact = True
            return ("long", n) if self.allow(c, "long") else None
        if not self.allow(c, kind):
            return None
        return kind, v if kind in ("boolean", "string") else float(v)

    def list(self, place, value, path, rescued):
        fresh, before = not self.has_leaf(place), dict(rescued)
        plain = value and kind_of(value[0]) in KINDS and storable(value[0])
        if fresh and not plain and not self.opens(place, value):
            rescued[pointer(path)] = value
            return None
        out = []
        for i, v in enumerate(value):
            c = self.element(place, v)
            cell = {}
            if v is not None:
                if c:
                    self.put(c, v, path + [i], rescued, cell)
                else:
                    rescued[pointer(path + [i])] = v
            if not cell and i == 0 and not self.has_leaf(place):
                rescued.clear()
                rescued.update(before)
                rescued[pointer(path)] = value
                return None
            out.append(next(iter(cell.items()), None))
        return out

    def opens(self, place, value):
        """A column of the list that there is, or that its elements make, says where the nulls were."""
        leaf = self.leaf(place) or self.learn(place, value) and self.leaf(place)
        if leaf:
            self.seen.add((leaf, leaf.kinds[0]))
        return bool(leaf)

    def leaf(self, place):
        return place if place.kinds else next(filter(None, map(self.leaf, place.children.values())), None)

    def learn(self, place, value):
        """Makes the places of a value down to its first scalar that can be stored."""
        if kind_of(value) != place.kind if place.kind in ("struct", "list") else kind_of(value) in ("struct", "list"):
            return False
        if place.kind == "scalar":
            return storable(value) and kind_of(value) in place.kinds
        for key, v in value.items() if place.kind == "struct" else enumerate(value):
            if v is None or place.kind == "struct" and unsafe(key):
                continue
            c = self.child(place, key, v) if place.kind == "struct" else self.element(place, v)
            if c and self.learn(c, v):
                return True
        return False

    def element(self, place, value):
        return next(iter(place.children.values()), None) or self.child(place, "", value)

    # ---- what the table then is

    def targets(self, c):
        """{kind: (column name, type)} of a scalar place."""
        plain = c.kinds[0]
        if c.merge and plain in ("long", "double"):
            plain = "double"
        kinds = [k for k in c.kinds if not (k == "long" and c.merge and not c.inexact)]
        return {k: c.name if k == plain else f"{c.name}_{k}" for k in kinds}

    def fields(self, place):
        """{column name: type text, or a dict of a struct's, or [a list's]}"""
        out = {}
        for c in place.children.values():
            if c.kind == "scalar":
                out.update({name: k for k, name in self.targets(c).items()})
            elif c.leaves():
                inner = self.fields(c)
                out[c.name] = inner if c.kind == "struct" else [inner["element"]]
        return out

    def cells(self, fields, stored):
        """A struct's cells by column name, all of them."""
        out = dict.fromkeys(fields)
        for (c, kind), v in (stored or {}).items():
            name, v = self.cell(fields, c, kind, v)
            out[name] = v
        return out

    def cell(self, fields, c, kind, v):
        if kind == "struct":
            return c.name, self.cells(fields[c.name], v)
        if kind == "list":
            of = [None if e is None else self.cell({"element": fields[c.name][0]}, *e[0], e[1])[1] for e in v]
            return c.name, of
        if kind == "long" and c.merge and holds(v):
            kind, v = "double", float(v)
        return self.targets(c)[kind], v


class Lake:
    """Feed it lines; then look at tables, dead and duplicates."""

    def __init__(self):
        self.tables, self.dead, self.duplicates, self.seen = {}, [], 0, set()

    def load(self, data):
        data = data.removeprefix(b"\xef\xbb\xbf")
        for line in data.split(b"\n"):
            line = line.removesuffix(b"\r")
            if line.strip(b" \t\r"):
                self.line(line)
        return self

    def line(self, line):
        event, why = (None, "record_too_large") if len(line) > RECORD_MAX else parse(line)
        if not why and not isinstance(event, dict):
            why = "not_an_object"
        if not why:
            why = self.judge(event)
        if why:
            self.dead.append((why, line))

    def judge(self, e):
        uuid, name, at = map(e.get, KEYS)
        if uuid is None:
            return "missing_event_uuid"
        if kind_of(uuid) != "string" or unsafe(uuid) or not 0 < len(uuid.encode()) <= 256:
            return "invalid_event_uuid"
        if name is None:
            return "missing_event_name"
        if kind_of(name) != "string" or unsafe(name):
            return "invalid_event_name"
        if at is None:
            return "missing_created_at"
        if kind_of(at) not in ("long", "double", "string"):
            return "invalid_created_at"
        time = instant(at)
        if isinstance(time, str):
            return time
        parts = split_name(name)
        if not parts:
            return "invalid_event_name"
        kind, subtype, table = parts
        if table not in self.tables and len(self.tables) >= TABLES_MAX:
            return "too_many_tables"
        if uuid in self.seen:
            self.duplicates += 1
            return None
        self.seen.add(uuid)
        t = self.tables.setdefault(table, Table())
        number, exact, micros, text = time
        stored, rescued = t.event(e, name)
        if not exact:
            rescued["/created_at"] = at
        t.rows[uuid] = ({"event_uuid": uuid, "event_name": name, "created_at": number, "created_datetime": text,
                         "event_type": kind, "event_subtype": subtype, "event_time": micros, "_shard": None,
                         "_sequence": None}, stored, rescued)
        return None

    def schema(self, table):
        t = self.tables[table]
        return {**OURS, **t.fields(t.root)}

    def rows(self, table):
        """{event_uuid: (cells by column name, rescued)}; _arrived_at and _rescued are not among the cells."""
        t = self.tables[table]
        fields = t.fields(t.root)
        return {u: ({**envelope, **t.cells(fields, stored)}, rescued) for u, (envelope, stored, rescued) in t.rows.items()}


def plain(line):
    """An event as Python's json gives it, whatever its depth."""
    return json.loads(line)
