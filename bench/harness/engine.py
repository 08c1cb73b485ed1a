"""The engine without any socket: the waiting line, grants through the actors, memory of a ticket."""
from harness import google, report

# What the engine is to reach on one core.
grants_one_by_one_min = 500_000
grants_in_batches_min = 2_000_000
share_with_waiting_min = 0.80
ticket_bytes_max = 256


def grant_rate(gathered, batch, waiting):
    for name, figures in gathered.items():
        if name.startswith(f"grants/batch:{batch}/waiting:{waiting}/"):
            return report.median_and_mad(figures["items_per_second"])
    raise RuntimeError(f"no figures for batches of {batch} with {waiting} waiting")


def rows_of_grants(gathered):
    rows = []
    for batch, least in ((1, grants_one_by_one_min), (8, grants_in_batches_min)):
        how = "one by one" if batch == 1 else f"in batches of {batch}"
        alone, spread = grant_rate(gathered, batch, 0)
        rows.append([f"grants/s {how}", f"{alone:,.0f}", f"{spread:,.0f}", f"≥ {least:,}",
                     report.reached(alone, least)])
        behind, spread = grant_rate(gathered, batch, 10_000)
        share = behind / alone
        rows.append([f"grants/s {how}, 10 000 waiting", f"{behind:,.0f} ({share:.0%})",
                     f"{spread:,.0f}", f"≥ {share_with_waiting_min:.0%} of the above",
                     report.reached(share, share_with_waiting_min)])
    return rows


def rows_of_others(gathered):
    rows = []
    def place(name):
        what, _, count = name.partition("/")
        return what, int(count.partition("/")[0])

    for name in sorted((name for name in gathered if not name.startswith("grants/")), key=place):
        figures = gathered[name]
        if "bytes_per_ticket" in figures:
            bytes_, spread = report.median_and_mad(figures["bytes_per_ticket"])
            count = int(name.split("/")[1])
            rows.append([f"bytes a waiting ticket, of {count:,}", f"{bytes_:.0f}", f"{spread:.0f}",
                         f"≤ {ticket_bytes_max}",
                         report.reached(bytes_, ticket_bytes_max, at_least=False)])
        else:
            middle, spread = google.nanoseconds(figures)
            what, _, count = name.partition("/")
            rows.append([f"{what.replace('_', ' ')}, {int(count):,} waiting",
                         f"{middle:.1f} ns", f"{spread:.1f} ns", "", ""])
    return rows


def run(options):
    facts = report.circumstances(options.engine_bench.parent.parent)
    facts["repetitions"] = options.rounds
    report.print_circumstances("engine", facts, "./dev bench engine")
    gathered = google.measure(options.engine_bench, options.rounds, "-^scale/")
    report.print_table(["engine, one core", "median", "MAD", "aim", ""],
                       rows_of_grants(gathered) + rows_of_others(gathered))
    report.save(options.results, "engine", facts, gathered)
