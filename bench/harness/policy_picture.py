"""Draws what policy.py found: `policy_picture.py FOUND.json PICTURE.svg`. Needs matplotlib."""
import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402
import svg  # noqa: E402

colours = {"vorrang": "#4477aa", "fifo": "#888888", "haproxy": "#66ccee", "litellm": "#cc3311",
           "rejection": "#ddaa33"}  # fmt: skip
labels = {"vorrang": "Vorrang (the engine)", "fifo": "by arrival", "haproxy": "HAProxy's classes",
          "litellm": "LiteLLM", "rejection": "refusal, clients retry"}  # fmt: skip
paler = (1.0, 0.55, 0.3)  # the classes after the first, in turn
bar_width = 0.16
shortest_s = 0.1


def places(scenarios, number):
    return [place + (number - 2) * bar_width for place in range(len(scenarios))]


def missed(axes, scenarios):
    """Of all requests, those that missed their deadline: stacked, the most urgent class at the bottom."""
    for number, policy in enumerate(colours):
        for place, scenario in zip(places(scenarios, number), scenarios):
            found = next(each for each in scenario["policies"] if each["policy"] == policy)
            below = 0
            for rank, each in enumerate(found["classes"]):
                height = 100 * each["missed"] / scenario["requests"]
                axes.bar(place, height, bar_width * 0.9, below, color=colours[policy],
                         alpha=paler[min(rank, len(paler) - 1)], linewidth=0)  # fmt: skip
                below += height
    axes.set_ylabel("missed their deadline,\n% of all requests")


def waits(axes, scenarios):
    """p99 of the most urgent class."""
    for number, policy in enumerate(colours):
        found = [next(each for each in scenario["policies"] if each["policy"] == policy) for scenario in scenarios]
        heights = [max(shortest_s, each["classes"][0]["wait_p99_s"]) for each in found]
        axes.bar(places(scenarios, number), heights, bar_width * 0.9, color=colours[policy], label=labels[policy],
                 linewidth=0)  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylim(shortest_s)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylabel(f"wait of {scenarios[0]['policies'][0]['classes'][0]['class']},\np99 in seconds")


def draw(document):
    svg.use_words()
    scenarios = document["results"]
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(9, 6), sharex=True, facecolor="white")
    missed(top, scenarios)
    waits(bottom, scenarios)
    bottom.set_xticks(range(len(scenarios)), [each["name"] for each in scenarios])
    for axes in (top, bottom):
        axes.tick_params(axis="x", length=0)
        axes.grid(axis="y", linewidth=0.4, color="#cccccc")
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    handles, names = bottom.get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", ncols=len(names), frameon=False, fontsize=9,
                  bbox_to_anchor=(0.5, 0.05))  # fmt: skip
    limit = "30 s is interactive's deadline" if len(scenarios) > 1 else f"seed {document['circumstances']['seed']}"
    classes = ", ".join(each["class"] for each in scenarios[0]["policies"][0]["classes"][:4])
    figure.text(0.5, 0.02, f"{document['circumstances']['command']} · above, from dark to pale: {classes}; {limit}", ha="center",
                fontsize=9)  # fmt: skip
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    return figure


def main():
    picture = Path(sys.argv[2])
    svg.save(draw(json.loads(Path(sys.argv[1]).read_text())), picture)


if __name__ == "__main__":
    main()
