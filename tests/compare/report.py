"""The table, and the page of the documentation that holds the list."""

from verdict import shown

CUT = 70


def tell(verdict, names, complete, each):
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
    idle = verdict.idle_entries(names, complete)
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
