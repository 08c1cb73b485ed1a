"""Draws what micro.py found: `micro_picture.py FOUND.json PICTURE.svg`. Needs matplotlib."""
import json
import statistics
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402
import svg  # noqa: E402

colour = "#4477aa"
bars = {
    "nothing": "the harness itself",
    "window/1000": "enter a grant in a window of 1,000",
    "choice/1/10": "choose among 10 deployments",
    "push_and_pop/10": "into line and out, 10 wait",
    "push_and_pop/100000": "into line and out, 100,000 wait",
    "head": "read a head of 18 fields",
    "body/1000": "check a body of 1 KB",
    "grants/batch:1/waiting:0/process_time/real_time": "one grant by messages",
    "body/100000": "check a body of 100 KB",
    "body/1000000": "check a body of 1 MB",
}


def main():
    document = json.loads(Path(sys.argv[1]).read_text())
    svg.use_words()
    figure, axes = plt.subplots(figsize=(8.5, 4.2))
    found = [(words, statistics.median(1e9 / each for each in document["results"][name]["items_per_second"]))
             for name, words in bars.items() if name in document["results"]]  # fmt: skip
    found.sort(key=lambda each: each[1], reverse=True)
    axes.barh(range(len(found)), [time for _, time in found], color=colour)
    for place, (_, time) in enumerate(found):
        axes.text(time * 1.1, place, f"{time:,.0f} ns" if time < 1e4 else f"{time / 1000:,.0f} µs", va="center", fontsize=9)
    axes.set_yticks(range(len(found)), [words for words, _ in found])
    axes.set_xscale("log")
    axes.set_xlim(0.5, max(time for _, time in found) * 8)
    axes.set_xlabel("nanoseconds on one core")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.text(0.5, 0.01, document["circumstances"]["command"], ha="center", fontsize=9)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    svg.save(figure, Path(sys.argv[2]))


if __name__ == "__main__":
    main()
