"""Draws what peers.py found: `peers_picture.py FOUND.json PICTURE.svg`. Needs matplotlib."""
import json
import statistics
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402
import svg  # noqa: E402

base = "no proxy"
colours = {"1": "#88ccee", "64": "#4477aa", "512": "#223355"}
good, bad = "#4477aa", "#cc6677"
floor_ms = 0.01  # less than this is not told apart from nothing


def later(found, name, count):
    """The median over the rounds of how much later the median answer was."""
    pairs = zip(found[name]["load"][count], found[base]["load"][count]) if base in found else ()
    values = [(one["p50_us"] - other["p50_us"]) / 1000 for one, other in pairs if one["requests"] and other["requests"]]
    return statistics.median(values) if values else None


def bars_of_latency(axes, found):
    names = [name for name in found if name != base]
    for place, count in enumerate(colours):
        values = [later(found, name, count) for name in names]
        at = [number + (place - 1) * 0.27 for number in range(len(names))]
        shown = [(x, max(y, floor_ms)) for x, y in zip(at, values) if y is not None]
        label = f"{count} connection" + "s" * (count != "1")
        axes.bar([x for x, _ in shown], [y for _, y in shown], 0.25, color=colours[count], label=label)
    axes.set_yscale("log")
    axes.set_ylim(floor_ms)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("later by, ms (median)")
    axes.legend(frameon=False, fontsize=9, loc="upper left")


def bars_of_slot(axes, found):
    names = list(found)
    for number, name in enumerate(names):
        rounds = found[name]["rounds"]
        answered, most = (statistics.median(each[what] for each in rounds) for what in ("answered", "at_once"))
        refused = statistics.median(sum(each["refused"].values()) for each in rounds)
        wrong, pairs = (sum(each[what] for each in rounds) for what in ("inversions", "pairs"))
        order = f"{wrong / pairs:.1%} of the pairs wrong" if pairs else "nobody waited"
        axes.barh(number, answered, color=good, label="answered" if number == 0 else None)
        axes.barh(number, refused, left=answered, color=bad, label="refused" if number == 0 else None)
        axes.text(answered + refused + 2, number, f"{most:.0f} at once, {order}", va="center", fontsize=9)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 185)
    axes.set_xticks(range(0, 101, 25))
    axes.set_xlabel("requests for one slot")
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, 1.13), ncols=2)


def caption(document):
    facts = document["circumstances"]
    versions = "; ".join(facts[name] for name in ("nginx", "haproxy", "smg", "litellm", "portkey", "vorrang") if name in facts)
    versions = versions.replace(" - https://haproxy.org/", "").replace("nginx version: ", "")
    absent = {name: reason for what in document["results"].values() for name, reason in what["missing"].items()}
    if absent:
        versions += "\nnot measured, or not all of it: " + ", ".join(absent)
    return (f"./dev bench peers, commit {facts['commit']}, {facts['date']}, busy before {facts['busy before']}\n"
            f"{facts['cores']} cores, {facts['processor']}; {facts['system']}\n{facts['load']}\n{versions}")  # fmt: skip


def draw(document):
    svg.use_words()
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(9, 8.4), facecolor="white")
    bars_of_latency(top, document["results"]["speed"]["found"])
    bars_of_slot(bottom, document["results"]["slot"]["found"])
    for axes in (top, bottom):
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.text(0.01, 0.01, caption(document), fontsize=7, va="bottom", linespacing=1.4)
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    return figure


def main():
    svg.save(draw(json.loads(Path(sys.argv[1]).read_text())), Path(sys.argv[2]))


if __name__ == "__main__":
    main()
