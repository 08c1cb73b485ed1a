"""The table, and the page of the documentation that holds the list."""

import pathlib

from verdict import ABSENT, shown

CUT = 70
PAGE = pathlib.Path(__file__).resolve().parent.parent.parent / "docs" / "litellm.md"
BEGIN, END = "<!-- wanted begin -->\n", "<!-- wanted end -->\n"


def tell(verdict, names, known, each):
    """Prints what differs. True if all of it is wanted, and all that is wanted differs."""
    if each:
        for entry, found in verdict.covered.items():
            for difference in found:
                print(f"{'known defect' if entry.defect else 'wanted'}: {line(difference)}")
    print(f"{'entry':60} {'times':>5}  for example")
    for entry, found in verdict.covered.items():
        if found:
            print(f"{'DEFECT ' if entry.defect else ''}{short(entry.why, 60):60} {len(found):5}  {line(found[0])}")
    for difference, places in grouped(verdict.unwanted).items():
        field, ours, theirs = difference
        print(f"NOT LISTED {field}: Vorrang {short(ours)}, LiteLLM {short(theirs)}  ({len(places)}: {'; '.join(places[:4])})")
    idle = verdict.idle_entries(names, known)
    for entry in idle:
        print(f"COVERS NOTHING {entry.field} in {entry.config}, {entry.request}: {entry.why}")
    listed = sum(map(len, verdict.covered.values()))
    defects = sum(len(found) for entry, found in verdict.covered.items() if entry.defect)
    print(f"{listed} differences are listed ({defects} of them known defects), {len(verdict.unwanted)} are not; "
          f"{len(idle)} entries cover nothing")
    return not verdict.unwanted and not idle


def line(difference):
    return (f"{difference.config}, {difference.request}: {difference.field}: "
            f"Vorrang {short(shown(difference.ours))}, LiteLLM {short(shown(difference.theirs))}")


def grouped(differences):
    found = {}
    for each in differences:
        key = (each.field, shown(each.ours), shown(each.theirs))
        found.setdefault(key, []).append(f"{each.config}: {each.request}")
    return found


def short(text, length=CUT):
    return text if len(text) <= length else text[: length - 1] + "…"


# The page of the documentation ----------------------------------------------------------------


def page_with(text, topics):
    """The page with the list between its marks."""
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"docs/litellm.md lacks its marks {BEGIN.strip()} and {END.strip()}")
    return before + BEGIN + listed(topics) + END + after


def listed(topics):
    """Every entry, as tables."""
    parts = []
    for name, entries in topics:
        parts.append(f"\n### {name}\n\n| where | what | Vorrang | LiteLLM | why | after |\n|---|---|---|---|---|---|\n")
        for entry in entries:
            cells = [where(entry), names(entry.field), values(entry.ours), values(entry.theirs), entry.why, entry.source]
            parts.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n")
    return "".join(parts) + "\n"


def where(entry):
    if entry.config == "*" and entry.request == "*":
        return "everywhere"
    named = [f"`{each}`" if "*" in each else f"*{each}*" for each in as_tuple(entry.request)]
    requests = "" if entry.request == "*" else ": " + ", ".join(named)
    return ("all files" if entry.config == "*" else ", ".join(as_tuple(entry.config))) + requests


def names(patterns):
    return ", ".join(f"`{pattern}`" for pattern in as_tuple(patterns))


def values(wanted):
    """What is expected there; nothing where it may be anything."""
    if wanted == "*":
        return ""
    return ", ".join(ABSENT if each == ABSENT else f"`{each}`" if each else "empty" for each in as_tuple(wanted))


def as_tuple(one_or_more):
    return one_or_more if isinstance(one_or_more, tuple) else (one_or_more,)


def write_docs(topics):
    PAGE.write_text(page_with(PAGE.read_text(encoding="utf-8"), topics), encoding="utf-8")
