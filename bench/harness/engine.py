"""The engine without any socket: the waiting line, grants through the actors, memory of a ticket, and what a
second loop of the gateway brings."""
from harness import google, report

# What the engine is to reach on one core.
grants_min = {1: 1_000_000, 8: None, 64: 4_000_000}  # by batch
# A grant while many wait, beside one while few do.
waiting = (10, 1_000, 100_000)
times_with_waiting_max = 1.25
ticket_bytes_max = 256
# Two loops beside one, with however few slots.
slots = (1, 2, 4, 64)
times_with_two_loops_min = 1.0

# What others measure with the same program: scale, and micro.
others = "-^(scale/|grants/batch:1/waiting:10000/)"


def figures_of(gathered, beginning):
    for name, figures in gathered.items():
        if name.startswith(beginning + "/"):
            return figures
    raise RuntimeError(f"no figures for {beginning}")


def rate(gathered, beginning):
    return report.median_and_mad(figures_of(gathered, beginning)["items_per_second"])


def processor(gathered, beginning):
    return f"{report.median_and_mad(figures_of(gathered, beginning)['processor_ns'])[0]:,.0f} ns"


def rows_of_grants(gathered):
    rows = []
    for batch, least in grants_min.items():
        how = "one by one" if batch == 1 else f"in batches of {batch}"
        by_caf, on_loop = f"grants/batch:{batch}/waiting:0", f"grants_on_a_loop/batch:{batch}"
        middle, spread = rate(gathered, by_caf)
        rows.append([f"grants/s {how}", f"{middle:,.0f}", f"{spread:,.0f}", processor(gathered, by_caf),
                     *([f"≥ {least:,}", report.reached(middle, least)] if least else ["", ""])])  # fmt: skip
        middle, spread = rate(gathered, on_loop)
        rows.append(["… on a loop of the gateway", f"{middle:,.0f}", f"{spread:,.0f}", processor(gathered, on_loop), "", ""])
    for which, how in enumerate(("one by one: its five messages, and nothing done", "… on a loop of the gateway")):
        name = f"messages_of_a_grant/on:{which}"
        middle, spread = rate(gathered, name)
        rows.append([how, f"{middle:,.0f}", f"{spread:,.0f}", processor(gathered, name), "", ""])
    for batch, how in ((1, "one by one"), (64, "in batches of 64")):
        name = f"decisions_of_a_grant/batch:{batch}"
        middle, spread = rate(gathered, name)
        rows.append([f"{how}: what is decided, without a message", f"{middle:,.0f}", f"{spread:,.0f}",
                     processor(gathered, name), "", ""])  # fmt: skip
    return rows


def rows_of_waiting(gathered):
    rows = []
    for batch, how in ((1, "one by one"), (64, "in batches of 64")):
        few = None
        for count in waiting:
            name = f"grants/batch:{batch}/waiting:{count}"
            middle, spread = google.nanoseconds(figures_of(gathered, name))
            few = few or middle
            is_first = count == waiting[0]
            rows.append([f"a grant {how}, {count:,} waiting",
                         f"{middle:,.0f} ns" + ("" if is_first else f" ({middle / few:.2f} times)"), f"{spread:,.0f} ns",
                         processor(gathered, name),
                         "" if is_first else f"≤ {times_with_waiting_max} times that with {waiting[0]}",
                         "" if is_first else report.reached(middle / few, times_with_waiting_max, at_least=False)])  # fmt: skip
    return rows


def rows_of_loops(gathered):
    rows = []
    for kind, how in (("desks", "a desk for each loop"), ("actors", "two actors, no desks")):
        for count in slots:
            on_one, on_two = (f"loops_{kind}/loops:{loops}/slots:{count}" for loops in (1, 2))
            one, of_one = rate(gathered, on_one)
            two, of_two = rate(gathered, on_two)
            rows.append([f"{how}, {count} slot{'' if count == 1 else 's'}", f"{one:,.0f} ± {of_one:,.0f}",
                         f"{two:,.0f} ± {of_two:,.0f}", f"{processor(gathered, on_one)}, {processor(gathered, on_two)}",
                         f"{two / one:.2f}", f"≥ {times_with_two_loops_min:.1f}",
                         report.reached(two / one, times_with_two_loops_min)])  # fmt: skip
    (one, of_one), (two, of_two) = (rate(gathered, f"loops_in_turns/loops:{loops}") for loops in (1, 2))
    took = ", ".join(processor(gathered, f"loops_in_turns/loops:{loops}") for loops in (1, 2))
    rows.append(["a word from loop to loop, and nothing done", f"{one:,.0f} ± {of_one:,.0f}", f"{two:,.0f} ± {of_two:,.0f}", took,
                 f"{two / one:.2f}", "", ""])  # fmt: skip
    return rows


def rows_of_others(gathered):
    rows = []

    def place(name):
        what, _, count = name.partition("/")
        return what, int(count.partition("/")[0])

    for name in sorted((name for name in gathered if not name.startswith(("decisions_", "grants", "loops_", "messages_"))), key=place):
        figures = gathered[name]
        if "bytes_per_ticket" in figures:
            bytes_, spread = report.median_and_mad(figures["bytes_per_ticket"])
            count = int(name.split("/")[1])
            rows.append([f"bytes a waiting ticket, of {count:,}", f"{bytes_:.0f}", f"{spread:.0f}", "",
                         f"≤ {ticket_bytes_max}",
                         report.reached(bytes_, ticket_bytes_max, at_least=False)])
        else:
            middle, spread = google.nanoseconds(figures)
            what, _, count = name.partition("/")
            rows.append([f"{what.replace('_', ' ')}, {int(count):,} waiting",
                         f"{middle:.1f} ns", f"{spread:.1f} ns", "", "", ""])
    return rows


def run(options):
    facts = report.circumstances(options.engine_bench.parent.parent)
    facts["repetitions"] = options.rounds
    report.print_circumstances("engine", facts, "./dev bench engine")
    gathered = google.measure(options.engine_bench, options.rounds, others)
    report.print_table(["engine, one core", "median", "MAD", "processor", "aim", ""],
                       rows_of_grants(gathered) + rows_of_waiting(gathered) + rows_of_others(gathered))
    print()
    report.print_table(["grants/s of one group on the gateway's loops", "one loop", "two loops", "processor", "two of one", "aim", ""],
                       rows_of_loops(gathered))
    report.save(options.results, "engine", facts, gathered)
