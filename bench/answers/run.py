"""make answers: the measurements behind the README's answers. Writes build/answers/answers.md and answers.json.

  ONLY=duplicates,formats (a selection)  SCALE=10 (ten times fewer events, for a look)"""
import json
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import duplicates  # noqa: E402
import formats  # noqa: E402
import partitioning  # noqa: E402
import scale  # noqa: E402
from common import OUT, say  # noqa: E402

QUESTIONS = {
    "duplicates": ("How are duplicates handled?", duplicates),
    "partitioning": ("How is the data partitioned?", partitioning),
    "formats": ("What format?", formats),
    "scale": ("What changes at 1000 times fewer or more events?", scale),
}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    only = [o for o in os.environ.get("ONLY", "").split(",") if o]
    unknown = [o for o in only if o not in QUESTIONS]
    if unknown:
        sys.exit(f"answers: ONLY={','.join(unknown)}: there are {', '.join(QUESTIONS)}")
    factor = int(os.environ.get("SCALE", 1))
    kept = OUT / "answers.json"
    results = json.loads(kept.read_text()) if kept.exists() else {}
    for name, (title, module) in QUESTIONS.items():
        if only and name not in only:
            continue
        say(f"answers: {title}")
        began = time.monotonic()
        results[name] = module.run(factor) | {"scale": factor}
        kept.write_text(json.dumps(results, indent=1))
        print(f"\n## {title}\n\n{module.show(results[name])}\n", flush=True)
        say(f"answers: {name} took {time.monotonic() - began:.0f} s")
    text = "\n".join(f"## {title}\n\n{module.show(results[name])}\n" for name, (title, module) in QUESTIONS.items() if name in results)
    (OUT / "answers.md").write_text(text)
    for f in OUT.glob("events-*.ndjson"):
        f.unlink()
    say(f"answers: {(OUT / 'answers.md').relative_to(OUT.parents[1])} and answers.json")


main()
