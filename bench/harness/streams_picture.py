"""Draws how late streams.py found events: `streams_picture.py FOUND.json PICTURE.svg`. Needs matplotlib."""
import json
import statistics
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import curves  # noqa: E402
import matplotlib.pyplot as plt  # noqa: E402
import svg  # noqa: E402

colours = {"no proxy": "#888888", "nginx": "#66ccee", "vorrang": "#4477aa"}
aim_ms = 5


def rounds_of(results, name):
    """{streams: rounds} of what was measured."""
    return {int(count): found["rounds"] for count, found in results[name].items() if found["rounds"]}


def by_streams(axes, results, figure):
    """The median over the rounds of a figure that `figure` takes from each; no point where it is none in one of them,
    since an event never came."""
    for name, colour in colours.items():
        found = {count: list(map(figure, rounds)) for count, rounds in sorted(rounds_of(results, name).items())}
        shown = {count: statistics.median(values) for count, values in found.items() if None not in values}
        axes.plot(list(shown), list(shown.values()), marker="o", markersize=4, color=colour, label=name)
    counts = sorted({count for name in colours for count in rounds_of(results, name)})
    axes.set_xscale("log")
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.minorticks_off()
    axes.set_xlabel("streams at once")
    curves.plain(axes)


def middle_round(rounds):
    """The one whose p99 is the median; what never came is later than all."""
    return sorted(rounds, key=lambda each: (each["late"]["p99"] is None, each["late"]["p99"] or 0))[len(rounds) // 2]


def main():
    document = json.loads(Path(sys.argv[1]).read_text())
    results = document["results"]["paced"]
    most = max(results["vorrang"], key=int)
    svg.use_words()
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.8))
    for name, colour in colours.items():
        rounds = results[name][most]["rounds"]
        if rounds:
            curves.draw(left, middle_round(rounds)["late"]["curve"], color=colour, label=name)
    curves.limit(left, aim_ms, "aim at p99")
    curves.finish(left, f"ms from when it was due, {int(most):,} streams")
    left.legend(frameon=False, fontsize=9)
    by_streams(middle, results, lambda each: each["late"]["p99"] and each["late"]["p99"] / 1000)
    middle.set_yscale("log")
    middle.set_ylabel("ms from when it was due, p99")
    curves.limit(middle, aim_ms, "aim")
    by_streams(right, results, lambda each: each["between_us"] or None)
    right.set_ylim(0)
    right.set_ylabel("its processor for an event, µs")
    figure.text(0.5, 0.01, document["circumstances"]["command"], ha="center", fontsize=9)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    svg.save(figure, Path(sys.argv[2]))


if __name__ == "__main__":
    main()
