"""Draws how soon waiting.py found a free slot taken: `waiting_picture.py FOUND.json PICTURE.svg`. Needs matplotlib."""
import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import curves  # noqa: E402
import matplotlib.pyplot as plt  # noqa: E402
import svg  # noqa: E402

aim_ms = 1


def main():
    document = json.loads(Path(sys.argv[1]).read_text())
    found = document["results"]["handover"]
    svg.use_words()
    figure, axes = plt.subplots(figsize=(7, 3.6))
    curves.draw(axes, found["direct"]["us"]["curve"], color="#888888", label="nobody in between")
    curves.draw(axes, found["through"]["us"]["curve"], color="#4477aa", label=f"vorrang, {found['waiting']:,} wait")
    curves.limit(axes, aim_ms, "aim at p99")
    curves.finish(axes, "ms from an answer to the next request")
    axes.legend(frameon=False)
    figure.text(0.5, 0.01, document["circumstances"]["command"], ha="center", fontsize=9)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    svg.save(figure, Path(sys.argv[2]))


if __name__ == "__main__":
    main()
