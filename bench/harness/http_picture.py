"""Draws what proxies.py found: `http_picture.py FOUND.json PICTURE.svg`. Needs matplotlib."""
import json
import statistics
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402
import svg  # noqa: E402

colours = {"nginx": "#888888", "haproxy": "#66ccee", "vorrang": "#4477aa"}


def main():
    results = json.loads(Path(sys.argv[1]).read_text())["results"]
    opened = results["open"]
    svg.use_words()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
    for place, (name, colour) in enumerate(colours.items()):
        rates = [each["per_second"] / 1000 for each in results[name]]
        left.bar(place, statistics.median(rates), color=colour)
        left.plot([place] * len(rates), rates, ".", color="black", markersize=4)
        middle = [statistics.median(each["all"][figure] for each in opened[name]) / 1000 for figure in ("p50", "p99", "p999")]
        right.plot(range(3), middle, marker="o", color=colour, label=name)
    left.set_xticks(range(len(colours)), list(colours))
    left.set_ylabel("thousand requests/s, closed loop")
    right.set_xticks(range(3), ["p50", "p99", "p99.9"])
    right.set_yscale("log")
    right.set_ylabel("ms from when it was due, open loop")
    right.legend(frameon=False)
    for axes in (left, right):
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.text(0.5, 0.01, "./dev bench http", ha="center", fontsize=9)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    svg.save(figure, Path(sys.argv[2]))


if __name__ == "__main__":
    main()
