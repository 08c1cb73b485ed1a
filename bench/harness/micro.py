"""What a request pays in each room on its way, each alone on one core: a table, and docs/micro.svg."""
import re

from harness import google, installed, report

strategies = {"1": "simple-shuffle", "2": "usage-based-routing-v2", "3": "least-busy", "4": "latency-based-routing"}
rooms = ["the harness", "door", "waiting line", "choice", "limits", "engine"]  # as a request comes to them
of_engine = "^(push_and_pop|cancel_and_push|move)/|^grants/batch:1/waiting:(0|10000)/"


def named(name):
    """(room, what) of a benchmark."""
    what, *arguments = name.split("/")
    numbers = [each for each in arguments if each.isdigit()]
    if what == "nothing":
        return "the harness", "an empty round"
    if what == "head":
        return "door", "read a head of 18 fields"
    if what == "body":
        return "door", f"check a body of {int(numbers[0]):,} bytes and find our fields"
    if what == "window":
        return "limits", f"enter a grant and sum up, {int(numbers[0]):,} in the window"
    if what == "choice":
        return "choice", f"{strategies[numbers[0]]}, of {int(numbers[1]):,} healthy"
    if what == "grants":
        waiting = int(arguments[1].partition(":")[2])
        return "engine", f"one grant: offer, grant, settle by messages, {waiting:,} wait"
    return "waiting line", f"{what.replace('_', ' ')}, {int(numbers[0]):,} wait"


def in_order(name):
    return rooms.index(named(name)[0]), [int(part) if part.isdigit() else part for part in re.split(r"[/:]", name)]


def rows_of(gathered):
    rows = []
    for name in sorted(gathered, key=in_order):
        figures = gathered[name]
        middle, spread = google.nanoseconds(figures)
        rate = figures.get("bytes_per_second")
        rows.append([*named(name), google.shown(middle), google.shown(spread),
                     f"{report.median_and_mad(rate)[0] / 1e6:,.0f} MB/s" if rate else ""])  # fmt: skip
    return rows


def run(options):
    facts = report.circumstances(options.engine_bench.parent.parent)
    facts["load"] = f"{options.rounds} rounds, interleaved; one core"
    facts["command"] = "./dev bench micro"
    report.print_circumstances("micro", facts, facts["command"])
    gathered = {**google.measure(options.micro_bench, options.rounds),
                **google.measure(options.engine_bench, options.rounds, of_engine)}  # fmt: skip
    report.print_table(["room", "what", "median", "MAD", ""], rows_of(gathered))
    report.save(options.results, "micro", facts, gathered)
    installed.draw("micro", options.results / "micro.json")
