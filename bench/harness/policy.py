"""The engine beside models of other policies, on the same traces in virtual time: tables and docs/policy.svg."""
import json
import subprocess

from harness import installed, report

classes_in_a_row = 4  # more of them have a row each


def play(options):
    command = [str(options.policy_bench), "--seed", str(options.seed)]
    if options.trace:
        command += ["--trace", str(options.trace), "--deployments", str(options.deployments),
                    "--slots", str(options.slots), "--rpm", str(options.rpm)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or f"{options.policy_bench} ended with {done.returncode}")
    return json.loads(done.stdout)


def seconds(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def joined(policy, key, shown=lambda value: f"{value:,}"):
    return " · ".join(shown(each[key]) for each in policy["classes"])


def share(part, whole):
    return f"{part / whole:.1%}" if whole else "–"


def slots_used(policy):
    parts = joined(policy, "slot_s", lambda value: share(value, policy["slot_s"])[:-1])
    return f"{share(policy['useful_slot_s'], policy['slot_s'])} ({parts})"


def total(policy, key):
    return sum(each[key] for each in policy["classes"])


def row_of(policy):
    return [
        policy["policy"],
        joined(policy, "missed"),
        joined(policy, "wait_p50_s", seconds),
        joined(policy, "wait_p99_s", seconds),
        joined(policy, "starved_s", seconds),
        joined(policy, "inversions"),
        f"{total(policy, 'out_of_turn'):,}",
        slots_used(policy),
        share(policy["wasted_slot_s"], policy["slot_s"]),
        share(policy["idle_while_waited_s"], policy["length_s"]),
        f"{total(policy, 'refusals'):,}",
        f"{policy['beyond_limits']:,}",
    ]


head = ["missed", "wait p50, s", "wait p99, s", "starved, s", "inversions", "out of turn", "slots used", "wasted",
        "free while one waits", "errors", "beyond limits"]  # fmt: skip


def print_by_class(scenario):
    rows = [
        [policy["policy"], each["class"], f"{each['requests']:,}", f"{each['missed']:,}",
         seconds(each["wait_p50_s"]), seconds(each["wait_p99_s"]), seconds(each["wait_max_s"]),
         seconds(each["starved_s"]), share(each["slot_s"], policy["slot_s"]), f"{each['inversions']:,}",
         f"{each['out_of_turn']:,}", f"{each['refusals']:,}"]
        for policy in scenario["policies"]
        for each in policy["classes"]
    ]  # fmt: skip
    report.print_table(["policy", "class", "requests", "missed", "wait p50, s", "p99, s", "longest, s", "starved, s",
                        "slots used", "inversions", "out of turn", "errors"], rows)  # fmt: skip
    print()


def print_scenario(scenario):
    first = scenario["policies"][0]
    print(f"{scenario['name']}: {scenario['about']}.")
    if len(first["classes"]) > classes_in_a_row:
        print_by_class(scenario)
        columns = [5, *range(7, 11)]  # of head; the others have been shown
    else:
        print(f"{joined(first, 'requests')} requests: {joined(first, 'class', str)}.")
        columns = range(len(head))
    print()
    rows = [[name, *[cells[i] for i in columns]] for name, *cells in map(row_of, scenario["policies"])]
    report.print_table([scenario["name"], *[head[i] for i in columns]], rows)
    print()


def judge(found):
    """What the engine promises whatever comes."""
    for scenario in found:
        for policy in scenario["policies"]:
            if policy["policy"] != "vorrang":
                continue
            if policy["own_inversions"] != 0 or policy["beyond_limits"] != 0:
                raise RuntimeError(f"{scenario['name']}: the engine's meter shows {policy['own_inversions']} inversions, "
                                   f"and {policy['beyond_limits']} calls went beyond a limit")  # fmt: skip


def run(options):
    found = play(options)
    facts = report.circumstances(options.policy_bench.parent.parent)
    del facts["busy before"]  # time is virtual
    facts["seed"] = options.seed
    first = found[0]
    facts["limits"] = (f"{first['deployments']} deployments, each {first['slots_each']} slots, "
                       f"{first['rpm_each'] or 'no'} rpm")  # fmt: skip
    command = f"./dev bench policy --seed {options.seed}"
    if options.trace:
        command += (f" --trace {options.trace.name} --deployments {options.deployments} --slots {options.slots}"
                    f" --rpm {options.rpm}")  # fmt: skip
    report.print_circumstances("policy", facts, command)
    facts["command"] = command
    for scenario in found:
        print_scenario(scenario)
    name = "policy_trace" if options.trace else "policy"
    report.save(options.results, name, facts, found)
    judge(found)
    drawn = options.results / "policy_trace.svg" if options.trace else report.root / "docs" / "policy.svg"
    installed.draw("policy", options.results / f"{name}.json", drawn)
