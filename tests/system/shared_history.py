"""What several gateways with one Redis did, and what the contract (spec §2, §3, §6) says of it.

The record (history.py) also holds who was hurt when. The checker knows the contract and nothing of how
it is kept. Times are `time.monotonic()` seconds.

No rule is checked by a margin that a slow machine could use up where there is another way: a grant is
somewhere between a moment at which its ticket surely waited and the moment at which its call reached
the provider, and only what is wrong for every moment in between is reported.
"""

import dataclasses
import math

import history as any_history

LEASE_S = 15.0  # the grants of one that is not heard of are given back
LAST_HEARD_S = 2.0  # … counted from when it was last heard of, at most so long before it was hurt
QUIET_S = 5.0  # … it is not granted to any more; so long a new line waits for those who knew the old one
CONFIRM_S = 1.0  # an offer that is not confirmed goes back
UNSENT_S = 10.0  # a grant that was not sent goes back
BACK_OFF_S = 0.5  # doubles
RETURN_S = 4.0  # until one that is reached again has connected (at most 2 s later) and announced what it has
SLOW_S = 0.5  # a look that took longer: the machine stalls, offers may go unconfirmed


@dataclasses.dataclass
class Fault:
    """`killed`, `frozen` and `torn` hurt one instance; `stalled`, `restarted` and `emptied` Redis."""

    kind: str
    instance: int | None
    begun: float
    ended: float = math.inf

    @property
    def over(self):
        """From then on nothing of it may be noticed any more."""
        if self.kind == "killed":
            return self.begun + LEASE_S + RETURN_S
        return self.ended + RETURN_S + (QUIET_S if self.kind == "emptied" else 0)

    @property
    def order_over(self):
        """… in the order of those that are not hurt."""
        return self.begun + QUIET_S + CONFIRM_S if self.kind == "killed" else self.over


@dataclasses.dataclass
class History:
    slots: dict  # deployment → max_parallel_requests
    rpm: dict  # deployment → rpm
    retries: int
    requests: dict = dataclasses.field(default_factory=dict)
    calls: list = dataclasses.field(default_factory=list)
    faults: list = dataclasses.field(default_factory=list)
    looks: list = dataclasses.field(default_factory=list)
    inversions: int = 0  # as the meter says
    flood_at: float = math.inf  # all slots are free from here on, and more is asked for than they hold
    left_over: dict = dataclasses.field(default_factory=dict)  # what still stands in Redis at the end


class Checker(any_history.Checker):
    """Reads a record that is complete."""

    def __init__(self, history):
        super().__init__(history)
        self.unheard_of = {each.instance: self._unheard(each.instance) for each in history.requests.values()}
        self.loud = [(fault.begun, fault.order_over) for fault in history.faults]
        self.loud += [(each.asked, each.told + RETURN_S) for each in history.looks if each.told - each.asked > SLOW_S]
        self.seen = self._seen()
        self.check()
        self.recovered()

    def deadline(self, request):
        """It runs from when the request was read, which one that is frozen does when it wakes."""
        woken = [fault.ended for fault in self.history.faults
                 if fault.kind == "frozen" and fault.instance == request.instance
                 and fault.ended > request.sent and fault.begun < (request.answered or math.inf)]  # fmt: skip
        return max([request.sent, *woken]) + request.timeout_s

    # Limits -----------------------------------------------------------------------------------

    def _unheard(self, instance):
        """When it could not reach Redis because of itself: (from, to). Faults of Redis' own, and the time
        until it is back, lengthen that; alone they are none."""
        own = [each for each in self.history.faults if each.instance in (instance, None)]
        merged = []
        for fault in sorted(own, key=lambda each: each.begun):
            if merged and fault.begun <= merged[-1][1] + RETURN_S:
                merged[-1][1] = max(merged[-1][1], fault.ended)
                merged[-1][2] |= fault.instance is not None
            else:
                merged.append([fault.begun, fault.ended, fault.instance is not None])
        return [(begun, ended) for begun, ended, hurt in merged if hurt]

    def _emptied(self, begun, ended):
        """When Redis came back without what it knew, if one that was not heard of from `begun` to `ended` had
        to announce it."""
        return [each.ended for each in self.history.faults
                if each.kind == "emptied" and each.begun <= ended and each.ended + QUIET_S >= begun]  # fmt: skip

    def given_away(self, call, at):
        """Its holder is not heard of, and its lease is over or was forgotten."""
        for begun, ended in self.unheard_of[self.history.requests[call.request].instance]:
            if call.begun <= ended and at <= ended + RETURN_S:
                since = min([begun + LEASE_S - LAST_HEARD_S, *self._emptied(begun, ended)])
                if at >= since:
                    return True
        return False

    def forgotten(self, call, at):
        """Nobody has told a new line of this call by then."""
        for begun, ended in self.unheard_of[self.history.requests[call.request].instance]:
            for emptied in self._emptied(begun, ended):
                if call.begun <= emptied <= at <= ended + RETURN_S:
                    return True
        return False

    def granted(self, call):
        """An offer may take a second to be confirmed, and one that freezes may send it later."""
        instance = self.history.requests[call.request].instance
        late = any(fault.instance == instance and fault.kind == "frozen" and fault.ended >= call.begun - UNSENT_S
                   and fault.begun <= call.begun for fault in self.history.faults)  # fmt: skip
        return call.begun - (UNSENT_S if late else 2 * CONFIRM_S)

    # Order ------------------------------------------------------------------------------------

    def order(self):
        super().order()
        if self.history.inversions:
            self.report("order", f"the meter says that {self.history.inversions} were passed over")

    def _is_loud(self, begun, ended):
        return any(from_ <= ended and begun <= to for from_, to in self.loud)

    def _seen(self):
        """Request → the looks at which it waited. An instance that does not reach Redis shows what it has itself,
        which need not stand in line yet."""
        seen = {number: [] for number in self.history.requests}
        for look in sorted(self.history.looks, key=lambda each: each.asked):
            if not self._is_loud(look.asked, look.told):
                for number in look.waiting:
                    seen[number].append(look)
        return seen

    def _came_by(self, number):
        return self.seen[number][0].told if self.seen[number] else math.inf

    def grants(self):
        for number, calls in self.calls_of.items():
            request, previous = self.history.requests[number], None
            for call in calls:
                since = max([request.sent, previous.ended if previous else 0]
                            + [look.asked for look in self.seen[number] if look.told <= call.begun])  # fmt: skip
                previous = call
                if not self._is_loud(since, call.begun):
                    yield any_history.Grant(call, request, since, self._came_by(number))

    def stays(self):
        """From the first to the last of the looks between two of its calls."""
        places = {}
        for name, calls in self.by_deployment.items():
            for call in calls:
                places.setdefault(self.history.requests[call.request].group, set()).add(name)
        for number, looks in self.seen.items():
            request, calls = self.history.requests[number], self.calls_of[number]
            between = {}
            for look in looks:
                if not any(each.begun <= look.told and each.ended >= look.asked for each in calls):
                    between.setdefault(sum(each.ended < look.asked for each in calls), []).append(look)
            for found in between.values():
                until = min(found[-1].asked, math.inf if request.lost is None else request.lost)
                for name in places.get(request.group, ()):
                    since = max(found[0].told, self._may_go_from(number, name, found[0].told))
                    yield any_history.Stay(request, since, until, self._came_by(number), frozenset([name]))

    def _may_go_from(self, number, deployment, at):
        """When no back-off of the ticket's from before `at` runs there any more."""
        failed = [each for each in self.calls_of[number] if each.deployment == deployment and each.ended < at]
        return max((each.ended + max(each.retry_after_s, BACK_OFF_S * 2**count) + CONFIRM_S
                    for count, each in enumerate(failed)), default=0)  # fmt: skip

    # Afterwards -------------------------------------------------------------------------------

    def recovered(self):
        if self.history.flood_at < math.inf:
            for name, limit in self.history.slots.items():
                calls = [each for each in self.by_deployment[name] if each.ended >= self.history.flood_at]
                most = max((sum(one.begun <= each.begun < one.ended for one in calls) for each in calls), default=0)
                if most < limit:
                    self.report("leak", f"{most} of the {limit} slots of {name} are used, whatever waits")
        if any(self.history.left_over.values()):
            self.report("leak", f"left over in Redis: {self.history.left_over}")
