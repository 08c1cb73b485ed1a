"""Draws distributions as the loads in C++ tell them: pairs of a share and the time in µs that it took at most."""
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

# One in so many is later.
names = {2: "p50", 10: "p90", 100: "p99", 1000: "p99.9", 10_000: "p99.99"}
shown_at_least = 1000


def points(curve):
    """(one in so many is later, ms) of what came."""
    return [(1 / (1 - share), us / 1000) for share, us in curve if us is not None]


def draw(axes, curve, **style):
    found = points(curve)
    axes.plot([x for x, _ in found], [y for _, y in found], **style)


def finish(axes, label):
    """The scales: how many are later falls tenfold with each step to the right."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(right=max(axes.get_xlim()[1], shown_at_least))
    axes.xaxis.set_major_locator(FixedLocator(list(names)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: names.get(round(x), "")))
    axes.set_ylabel(label)
    plain(axes)


def plain(axes):
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def limit(axes, at, words):
    axes.axhline(at, color="black", linewidth=0.9, linestyle=(0, (4, 3)))
    axes.annotate(words, (1, at), xycoords=("axes fraction", "data"), xytext=(0, 3), textcoords="offset points", ha="right",
                  fontsize=9)  # fmt: skip
