"""Events of every nasty kind, as lines of bytes: what json.dumps cannot write is written by hand."""
import json
import random
import uuid

KEYS = ["k", "K", "n", "amount", "amount_double", "amount_string", "user", "tags", "items", "a.b", "a b", "a_b", "", " ", "~", "/", "~1", "a/b",
        'q"t', "back\\slash", "tab\there", "event_type", "event_time", "_shard", "_rescued", "_sequence", "EVENT_TYPE", "element", "list",
        "key", "ключ", "鍵", "clé", "😀", "\0", "\ud800", "x" * 128, "x" * 129, "é" * 64, "123", "_", "__proto__", "select", "k_long",
        "created_datetime", "Event_Uuid"]
STRINGS = ["", " ", "text", "é", "€", "😀", "a\nb", '"', "\\", "/", "\x7f", "\u2028", "\ufeff", "\ufffd", "\uffff", "NaN", "null", "1", "true", "x" * 40,
           "2026-01-01T00:00:00Z", "\0", "a\0b", "\ud800", "\udc00\ud800", "\x01\x1f", "y" * 3000]
NUMBERS = ["0", "-0", "1", "-1", "7", "42", "9007199254740992", "9007199254740993", "-9007199254740993", "9223372036854775807",
           "-9223372036854775808", "9223372036854775808", "-9223372036854775809", "99999999999999999999", "18446744073709551616", "1e999",
           "-1e999", "0.1e-400", "-0.0", "0.0", "1.0", "0.1", "0.5", "1e3", "1E+2", "1.5e-7", "1.7976931348623157e308", "1.7976931348623159e308",
           "2.2250738585072014e-308", "4.9e-324", "2e-324", "0.30000000000000004", "123456789012345678.5", "3.141592653589793238462643383279",
           "1e22", "1e23", "8.5e-1", "100000000000000000000.0", "0e5", "0.000000000000000000000000000000000001"]
TIMES = ["1700000000", "1700000000.0", "1700000000.25", "1700000000.9512355", "1699999999.999999999", "1700000000123", "1700000000123456",
         "1700000000123456789", "1.7e9", "17000000001e-1", '"1700000000"', '"1700000000.5"', "0", "-0", "0.000001", "253402300799",
         "253402300799.999999", "1700086400", "1700000000.10000000000000001", "99999999999", "100000000000", "99999999999999", "1700000000.125"]
BAD_TIMES = ["-1", "-0.5", "true", "null", '""', '"now"', '" 1"', "[]", "{}", "1e999", "1e30", "253402300800", "1e18446744073709551616"]
NAMES = ["a", "a:x", "a:y", "b:x:deep", "A:x", "b", "c:", "c::z", "weird name!:é", "inlet_dead_letters:x", "ключ", "t" * 70, "t" * 69 + "u",
         "d:😀", "0", "_", "s e:l"]
BAD_NAMES = ["", ":x", "\x01", "a\x7f", "n" * 1025, "a:\x85", "a:b\n"]


class Nasty:
    def __init__(self, seed, keys=None, depth=4, repeats=True):
        self.r = random.Random(seed)
        self.keys = self.r.sample(KEYS, keys or self.r.randrange(4, 16))
        self.depth, self.repeats = depth, repeats
        self.names = self.r.sample(NAMES, self.r.randrange(1, 5))
        self.times = self.r.sample(TIMES, 6)

    def space(self):
        return self.r.choice(["", "", "", "", "", " ", "\t", "  "])

    def string(self, text):
        r = self.r
        out = json.dumps(text, ensure_ascii=r.random() < 0.3)
        if "\ud800" in text or "\udc00" in text:
            out = json.dumps(text)
        if r.random() < 0.1:
            out = '"' + "".join(f"\\u{ord(c):04x}" if c < "\ud800" else json.dumps(c)[1:-1] for c in text) + '"'
        return out

    def value(self, depth=0):
        r = self.r
        kind = r.randrange(11 if depth < self.depth else 7)
        if kind == 0:
            return r.choice(["true", "false", "null"])
        if kind in (1, 2):
            return r.choice([str(r.randrange(100)), str(r.randrange(100)), r.choice(NUMBERS)])
        if kind == 3:
            return r.choice([repr(r.random()), r.choice(NUMBERS), f"{r.randrange(10**6) / 100}"])
        if kind in (4, 5):
            return self.string(r.choice(STRINGS))
        if kind == 6:
            return r.choice(["null", "[]", "{}", "1", '"s"'])
        if kind in (7, 8):
            return self.list(depth)
        return self.object([(self.key(), self.value(depth + 1)) for _ in range(r.randrange(5))])

    def list(self, depth):
        r, n = self.r, self.r.randrange(5)
        if r.random() < 0.5:  # elements alike, perhaps with null
            one = r.choice([lambda: str(r.randrange(9)), lambda: repr(r.random()), lambda: self.string(r.choice(STRINGS)),
                            lambda: r.choice(["1", "2.5", "9007199254740993"]),
                            lambda: self.object([("k", str(r.randrange(9)))])])
            items = [one() if r.random() < 0.85 else "null" for _ in range(n)]
        else:
            items = [self.value(depth + 1) for _ in range(n)]
        return "[" + ",".join(self.space() + i + self.space() for i in items) + "]"

    def key(self):
        return self.r.choice(self.keys)

    def object(self, pairs):
        if not self.repeats:
            pairs = list(dict(pairs).items())
        return "{" + ",".join(f"{self.space()}{self.string(k)}{self.space()}:{self.space()}{v}{self.space()}" for k, v in pairs) + "}"

    def event(self, **fixed):
        r = self.r
        pairs = [("event_uuid", self.string(str(uuid.UUID(int=r.getrandbits(128))))), ("event_name", self.string(r.choice(self.names))),
                 ("created_at", r.choice(self.times))]
        pairs = [(k, fixed.get(k, v)) for k, v in pairs]
        for _ in range(r.randrange(7)):
            pairs.append((self.key(), self.value()))
        if r.random() < 0.3:
            r.shuffle(pairs)
        return self.object(pairs)

    def bad(self):
        """No event, in one way or another; or, where the damage did none, an event."""
        r = self.r
        kind = r.randrange(9)
        if kind == 0:
            return self.event(event_uuid=r.choice(["null", '""', "1", "[]", '"' + "u" * 257 + '"', '"\\u0000"', '"\\ud800"'])).encode()
        if kind == 1:
            return self.event(event_name=r.choice(["null", "1", "{}", '"\\ud800"', self.string(r.choice(BAD_NAMES))])).encode()
        if kind == 2:
            return self.event(created_at=r.choice(BAD_TIMES)).encode()
        if kind == 3:
            return r.choice([b"nonsense", b"[1]", b"17", b'"text"', b"null", b"{", b"}", b"[" * 2000, b'{"a":' * 1200, b"nul", b"\xff", b"{}", b"NaN"])
        return mutate(r, self.event().encode("utf-8", "surrogatepass"))

    def lines(self, n, bad=0.05, again=0.03):
        out = []
        for _ in range(n):
            if out and self.r.random() < again:
                out.append(self.r.choice(out))
            elif self.r.random() < bad:
                out.append(self.bad())
            else:
                out.append(self.event().encode("utf-8", "surrogatepass"))
        return out


PIECES = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"0", b"-", b"+", b".", b"e", b"E", b"null", b"true", b"NaN", b"Infinity", b"-Infinity", b"\x00",
          b"\x1f", b"\x7f", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\\u", b"\\ud83d", b"\\u00", b"\\x", b"/*x*/", b"'", b" ", b"\t",
          b"\x0b", b"\xc2\xa0", b"\xef\xbb\xbf", b"01", b"1.", b".5", b"1e", b",,", b"tru", b"\\u12G4", b"\r", b"\xe2\x80\xa8", b"\\'", b"\\/"]


def mutate(r, line):
    """One to three small changes, none of which makes a new line."""
    for _ in range(r.choice([1, 1, 1, 2, 3])):
        at = r.randrange(len(line) + 1)
        kind = r.randrange(6)
        if kind == 0:
            line = line[:at] + r.choice(PIECES) + line[at:]
        elif kind == 1:
            line = line[:at] + line[at + r.choice([1, 1, 1, 2, 5]):]
        elif kind == 2:
            line = line[:at] + bytes([r.choice([b for b in range(256) if b != 10])]) + line[at + 1:]
        elif kind == 3:
            line = line[:at]
        elif kind == 4:
            other = r.randrange(len(line) + 1)
            line = line[:at] + line[other:other + r.randrange(12)] + line[at:]
        else:
            line = line[:at] + r.choice(PIECES) + line[at + 1:]
    return line
