"""Which differences there are, and which of them somebody wants."""

import dataclasses
import fnmatch
import json

ABSENT = "absent"
TELLING_HEADERS = ("retry-after", "x-should-retry", "www-authenticate")  # worth a word on errors of one side too


@dataclasses.dataclass(frozen=True)
class Difference:
    config: str
    request: str
    field: str
    ours: object
    theirs: object


@dataclasses.dataclass(frozen=True)
class Wanted:
    """One entry of the list. Patterns as in a shell, several in a tuple.

    field           what differs (observe.py names what there is)
    why             a sentence
    source          the rule of the contract, or LiteLLM's defect
    config, request where; everywhere if not given
    ours, theirs    the values, where only these are wanted; a text is a pattern
    defect          Vorrang is wrong here, and it is known
    """

    field: object
    why: str
    source: str
    config: object = "*"
    request: object = "*"
    ours: object = "*"
    theirs: object = "*"
    defect: bool = False

    def covers(self, difference):
        return (
            _matches(difference.field, self.field)
            and _matches(difference.config, self.config)
            and _matches(difference.request, self.request)
            and _is_value(difference.ours, self.ours)
            and _is_value(difference.theirs, self.theirs)
        )


def _matches(text, patterns):
    patterns = patterns if isinstance(patterns, tuple) else (patterns,)
    return any(fnmatch.fnmatchcase(text, pattern.replace("[", "[[]")) for pattern in patterns)


def _is_value(value, wanted):
    if isinstance(wanted, tuple):
        return any(_is_value(value, each) for each in wanted)
    if isinstance(wanted, str):
        return _matches(shown(value), wanted)
    return value == wanted and type(value) is type(wanted)


def shown(value):
    return value if isinstance(value, str) else json.dumps(value)


def differences(config, request, ours, theirs):
    """Two observations side by side."""
    found = []
    for field in [*ours, *(name for name in theirs if name not in ours)]:
        pair = (ours.get(field, ABSENT), theirs.get(field, ABSENT))
        if not _are_same(field, *pair) and not _follows(field, ours, theirs):
            found.append(Difference(config, request, field, *pair))
    return found


def _are_same(field, ours, theirs):
    if field == "seconds":  # a second more or less is the machine's
        return abs(ours - theirs) < 2
    return ours == theirs and type(ours) is type(theirs)


def _follows(field, ours, theirs):
    """Whether it says nothing beyond another difference: where one side succeeds and the other fails,
    the status says that the answers are different ones; where one makes fewer attempts, their number
    says that what it would have sent is missing."""
    room, _, rest = field.partition(".")
    if room in ("body", "error", "stream", "content-type") or (room == "header" and rest not in TELLING_HEADERS):
        return _succeeded(ours) != _succeeded(theirs)
    number = rest.partition(".")[0]
    if room == "upstream" and number.isdigit():
        return int(number) >= min(ours["upstream.attempts"], theirs["upstream.attempts"])
    return False


def _succeeded(observed):
    return 200 <= observed.get("status", 0) < 300


class Verdict:
    """Sorts differences by the first entry that covers them."""

    def __init__(self, entries):
        self.entries = entries
        self.covered = {entry: [] for entry in entries}
        self.unwanted = []

    def judge(self, found):
        for difference in found:
            for entry in self.entries:
                if entry.covers(difference):
                    self.covered[entry].append(difference)
                    break
            else:
                self.unwanted.append(difference)

    def idle_entries(self, run, known):
        """Entries that cover nothing, though every file that they speak of was run; `known` are all
        files that there are."""
        return [
            entry
            for entry, found in self.covered.items()
            if not found and all(name in run for name in known if _matches(name, entry.config))
        ]
