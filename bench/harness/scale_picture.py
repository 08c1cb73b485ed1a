"""Draws what scale.py found: `scale_picture.py FOUND.json PICTURE.svg`. Needs matplotlib."""
import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402
import svg  # noqa: E402

colour = "#4477aa"


def panel(axes, points, title, what):
    values = [each[0] for each in points]
    axes.plot(values, [each[1] for each in points], marker="o", markersize=4, color=colour)
    if max(values) > 2:
        axes.set_xscale("log")
    else:
        axes.set_xticks(values)
    axes.set_ylim(0, max(each[1] for each in points) * 1.2)
    axes.set_title(title, fontsize=10)
    axes.set_ylabel(what)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def main():
    document = json.loads(Path(sys.argv[1]).read_text())
    svg.use_words()
    figure, rows = plt.subplots(2, 3, figsize=(10, 5.4))
    names = {"waiting": "waiting tickets", "groups": "groups", "deployments": "deployments of a group"}
    for axes, (axis, points) in zip(rows[0], document["results"]["grants"].items()):
        panel(axes, [(value, time / 1000) for value, time, _ in points], names[axis], "µs for a grant")
    for axes, (axis, points) in zip(rows[1], document["results"]["requests"].items()):
        panel(axes, points, axis, "requests/s")
    figure.text(0.5, 0.01, document["circumstances"]["command"], ha="center", fontsize=9)
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    svg.save(figure, Path(sys.argv[2]))


if __name__ == "__main__":
    main()
