#!/usr/bin/env python3
"""Writes what is made from the code's table of settings: the tables in docs/configuration.md, between
`<!-- settings NAME -->` and `<!-- end of settings -->`, and deploy/schema/vorrang.schema.json.

    scripts/settings_reference.py [--tool build/release/config/vorrang_settings_reference] [--check]
"""

import argparse
import difflib
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "configuration.md"
SCHEMA = ROOT / "deploy" / "schema" / "vorrang.schema.json"
TABLE = re.compile(r"(<!-- settings (\w+) -->\n).*?(<!-- end of settings -->\n)", re.DOTALL)
# Every section of the file has to be on the page.
SECTIONS = set(
    "top model litellm_params model_info router_settings litellm_settings general_settings vorrang_settings"
    " key alias retry_policy allowed_fails_policy unsupported providers".split()
)


def wanted(tool):
    """What each file should hold: {path: text}."""

    def made(what):
        return subprocess.run([tool, what], check=True, capture_output=True, text=True).stdout

    page = PAGE.read_text(encoding="utf-8")
    found = [match.group(2) for match in TABLE.finditer(page)]
    if sorted(found) != sorted(SECTIONS):
        wrong = sorted(SECTIONS.symmetric_difference(found)) or "some twice"
        sys.exit(f"{PAGE.name}: the tables are not those of the sections: {wrong}")
    page = TABLE.sub(lambda match: match.group(1) + "\n" + made(match.group(2)) + "\n" + match.group(3), page)
    return {PAGE: page, SCHEMA: made("schema")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tool", default=str(ROOT / "build/release/config/vorrang_settings_reference"))
    parser.add_argument("--check", action="store_true", help="writes nothing; status 1 where a file differs")
    options = parser.parse_args()
    different = False
    for path, text in wanted(options.tool).items():
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if old == text:
            continue
        different = True
        name = str(path.relative_to(ROOT))
        if options.check:
            lines = difflib.unified_diff(old.splitlines(), text.splitlines(), name, "as made", lineterm="", n=0)
            print("\n".join(lines))
            print(f"{name} is not what the code says: run scripts/settings_reference.py", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    return 1 if options.check and different else 0


if __name__ == "__main__":
    sys.exit(main())
