"""The roles allow the calls that the program's source makes, each of them and no other. Terraform is not needed for this."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What the worker never does: the producer's call, and what Terraform, or an operator with `inlet init`, makes beforehand.
OTHERS = {"kinesis:PutRecords", "glue:CreateDatabase", "dynamodb:CreateTable"}
CALLS = {
    "kinesis": ("src/source/kinesis*.c", r'(?:call|ask)\(\w+, "([A-Z]\w+)", '),
    "glue": ("src/catalog/glue.c", r'call\(g, (?:\w+ \? )?"([A-Z]\w+)"(?: : "([A-Z]\w+)")?'),
    "dynamodb": ("src/lease/dynamodb.c", r'call\((?:of\(s\)|d|d->service), "([A-Z]\w+)"'),
}


def called():
    out = set()
    for service, (files, pattern) in CALLS.items():
        for path in ROOT.glob(files):
            out |= {f"{service}:{name}" for found in re.finditer(pattern, path.read_text()) for name in found.groups() if name}
    return out


def granted(text):
    return {a for a in re.findall(r'"((?:kinesis|glue|dynamodb):\w+)"', text)}


def test_worker():
    made = called()
    assert OTHERS <= made and len(made) > 12, made  # else the patterns above no longer find the calls
    assert granted((ROOT / "infra/modules/worker/locals.tf").read_text()) == made - OTHERS


def test_lambda():
    """The same without leases; the event source reads with the function's role, by DescribeStream too."""
    want = {a for a in called() - OTHERS if not a.startswith("dynamodb:")} | {"kinesis:DescribeStream"}
    assert granted((ROOT / "infra/modules/lambda/main.tf").read_text()) == want
