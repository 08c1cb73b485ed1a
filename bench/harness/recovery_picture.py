"""Draws what recovery.py found: `recovery_picture.py FOUND.json PICTURE.svg`. Needs matplotlib."""
import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402
import svg  # noqa: E402

step_seconds = 0.1
names = {0: "first", 1: "second (killed)", 2: "third", 3: "its replacement"}
colours = {0: "#4477aa", 2: "#66aacc", 1: "#cc3311", 3: "#228833"}  # told apart without red and green, too
order = (0, 2, 3, 1)  # bottom up: the one that vanishes on top


def running(found, times):
    """Calls at each time, by instance, as the provider saw them."""
    return {number: [sum(call["begin"] <= at < call["end"] for call in found["calls"] if call["instance"] == number)
                     for at in times] for number in order}  # fmt: skip


def stack(axes, times, values):
    labels = [names[number] for number in order]
    axes.stackplot(times, *[values[number] for number in order], labels=labels, linewidth=0, step="post",
                   colors=[colours[number] for number in order])  # fmt: skip


def mark(axes, found):
    for at in (0, 5, 15, found["replaced_at"]):
        axes.axvline(at, color="black", linewidth=0.9, linestyle=(0, (4, 3)))


def draw(found):
    svg.use_words()
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(9, 5.6), sharex=True, height_ratios=(1, 1), facecolor="white")
    count = round((found["to"] - found["from"]) / step_seconds)
    times = [found["from"] + number * step_seconds for number in range(count)]
    stack(top, times, running(found, times))
    top.axhline(found["slots"], color="black", linewidth=1.2)
    top.text(found["to"] - 0.2, found["slots"] + 0.3, f"limit: {found['slots']}", ha="right", va="bottom")
    samples = found["samples"]
    held = [found["slots"] - sum(call["begin"] <= at < call["end"] for call in found["calls"]) for at in range(6, 14)]
    top.text(10, found["slots"] - min(held) / 2, "slots of the killed one's calls", ha="center", va="center", fontsize=9)
    top.set_ylabel("calls at the provider")
    top.set_ylim(0, found["slots"] * 1.25)
    top.set_yticks(range(0, found["slots"] + 1, 4))
    stack(bottom, [each["at"] for each in samples],
          {number: [each["waiting"].get(str(number), 0) for each in samples] for number in order})  # fmt: skip
    bottom.set_ylabel("requests in the line")
    bottom.set_xlabel("seconds since one of three gateways was killed")
    bottom.set_xlim(found["from"], found["to"])
    bottom.set_ylim(0)
    for axes in (top, bottom):
        mark(axes, found)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    words = ((0, "killed"), (5, "5 s: nothing is\noffered to it"),
             (15, "15 s: its slots\nand tickets leave"), (found["replaced_at"], "a replacement\nstarts"))  # fmt: skip
    for at, text in words:
        top.annotate(text, (at, found["slots"] * 1.27), xytext=(2, 0), textcoords="offset points", va="bottom", fontsize=9,
                     annotation_clip=False)  # fmt: skip
    handles, labels = top.get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4, frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    return figure


def main():
    found = json.loads(Path(sys.argv[1]).read_text())["results"]
    picture = Path(sys.argv[2])
    svg.save(draw(found), picture)


if __name__ == "__main__":
    main()
