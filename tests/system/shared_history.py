"""What several gateways with one Redis did, and what the contract (spec §2, §3, §6) says of it.

The record is what can be seen from outside: what clients sent and were told, what the providers were
asked, who was hurt when, and who stood in line when somebody looked. The checker knows the contract
and nothing of how it is kept. Times are `time.monotonic()` seconds.

No rule is checked by a margin that a slow machine could use up where there is another way: a grant is
somewhere between a moment at which its ticket surely waited and the moment at which its call reached
the provider, and only what is wrong for every moment in between is reported.
"""

import bisect
import dataclasses
import math

LEASE_S = 15.0  # the grants of one that is not heard of are given back
LAST_HEARD_S = 2.0  # … counted from when it was last heard of, at most so long before it was hurt
QUIET_S = 5.0  # … it is not granted to any more; so long a new line waits for those who knew the old one
CONFIRM_S = 1.0  # an offer that is not confirmed goes back
UNSENT_S = 10.0  # a grant that was not sent goes back
WINDOW_S = 60.0
BACK_OFF_S = 0.5  # doubles
RETURN_S = 4.0  # until one that is reached again has connected (at most 2 s later) and announced what it has
SLOW_S = 0.5  # a look that took longer: the machine stalls, offers may go unconfirmed
ANSWER_S = 5.0  # an answer that is due has reached its client


@dataclasses.dataclass
class Request:
    number: int
    group: str
    priority: int
    instance: int
    sent: float
    timeout_s: float
    answered: float | None = None
    status: int | None = None  # 0: the connection ended without an answer
    deployment: str | None = None  # as the answer says
    attempts: int | None = None  # as the answer says
    left: float | None = None  # the client hung up
    lost: float | None = None  # its instance was killed


@dataclasses.dataclass
class Call:
    request: int
    deployment: str
    begun: float
    ended: float
    status: int  # what the provider answered; 0: the gateway broke it off before
    retry_after_s: float = 0.0


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
class Look:
    """A look at the line of a group: who waited, at one moment between the two."""

    asked: float
    told: float
    waiting: list


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


class Checker:
    """Reads a record that is complete. `broken`: each rule that is, with what shows it; `decisions`: how many
    grants were seen to be made in order."""

    def __init__(self, history):
        self.history = history
        self.broken = []
        self.decisions = 0
        self.calls_of = {number: [] for number in history.requests}
        for call in sorted(history.calls, key=lambda each: each.begun):
            self.calls_of[call.request].append(call)
        self.by_deployment = {name: [] for name in (*history.slots, *history.rpm)}
        for calls in self.calls_of.values():
            for call in calls:
                self.by_deployment[call.deployment].append(call)
        for calls in self.by_deployment.values():
            calls.sort(key=lambda each: each.begun)
        self.retry_after_s_max = max((each.retry_after_s for each in history.calls), default=0)
        self.unheard_of = {each.instance: self._unheard(each.instance) for each in history.requests.values()}
        for request in history.requests.values():
            self.once(request, self.calls_of[request.number])
            self.answered(request, self.calls_of[request.number])
        self.slots()
        self.rpm()
        self.order()
        self.recovered()

    def report(self, rule, what):
        self.broken.append((rule, what))

    # Each request for itself ------------------------------------------------------------------

    def once(self, request, calls):
        for earlier, later in zip(calls, calls[1:]):
            if later.begun < earlier.ended:
                self.report("once", f"two calls at once: {request}, {earlier}, {later}")
            elif earlier.status not in (429, 500):
                self.report("once", f"sent again after {earlier}: {request}, {later}")
        if sum(call.status == 500 for call in calls) > self.history.retries + 1:
            self.report("once", f"more retries than allowed: {request}, {calls}")
        if request.status == 200:
            if not calls or calls[-1].status != 200 or calls[-1].deployment != request.deployment:
                self.report("once", f"no provider gave that answer: {request}, {calls}")
            elif request.attempts != len(calls):
                self.report("once", f"{request.attempts} attempts were told: {request}, {calls}")

    def answered(self, request, calls):
        """As §3 says, and in time. The deadline runs from when the request was read, which one that is
        frozen does when it wakes."""
        if request.left is not None or request.lost is not None:
            return
        woken = [fault.ended for fault in self.history.faults
                 if fault.kind == "frozen" and fault.instance == request.instance
                 and fault.ended > request.sent and fault.begun < (request.answered or math.inf)]  # fmt: skip
        deadline = max([request.sent, *woken]) + request.timeout_s
        if request.answered is None or request.answered > deadline + ANSWER_S:
            return self.report("lost", f"not answered in time: {request}, {calls}")
        last = calls[-1] if calls else None
        limited = [call for call in calls if call.status == 429]
        allowed = {
            200: True,
            408: request.answered >= request.sent + request.timeout_s - 0.05,
            # Three, or a Retry-After that ends behind the deadline, which may be another request's.
            429: len(limited) >= 3
            or any(each - request.answered <= self.retry_after_s_max + 1
                   for each in (deadline, request.sent + request.timeout_s)),
            500: last is not None and last.status == 500
            and sum(call.status == 500 for call in calls) == self.history.retries + 1,
        }
        if not allowed.get(request.status, False):
            self.report("answer", f"nothing allows this answer: {request}, {calls}")

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
        """Whether the slot of this call may belong to another by then: its holder is not heard of, and its
        lease is over or was forgotten."""
        for begun, ended in self.unheard_of[self.history.requests[call.request].instance]:
            if call.begun <= ended and at <= ended + RETURN_S:
                since = min([begun + LEASE_S - LAST_HEARD_S, *self._emptied(begun, ended)])
                if at >= since:
                    return True
        return False

    def forgotten(self, call, at):
        """Whether nobody has told a new line of this call by then."""
        for begun, ended in self.unheard_of[self.history.requests[call.request].instance]:
            for emptied in self._emptied(begun, ended):
                if call.begun <= emptied <= at <= ended + RETURN_S:
                    return True
        return False

    def slots(self):
        for name, limit in self.history.slots.items():
            running = []
            for call in self.by_deployment[name]:
                running = [each for each in running if each.ended > call.begun]
                counted = [each for each in running if not self.given_away(each, call.begun)]
                if len(counted) + 1 > limit:
                    self.report("slots", f"{name} has {limit}: {call} began beside {counted}")
                running.append(call)

    def rpm(self):
        for name, limit in self.history.rpm.items():
            calls = self.by_deployment[name]
            for index, call in enumerate(calls):
                counted = [each for each in calls[: index + 1]
                           if call.begun - self._granted(each) < WINDOW_S and not self.forgotten(each, call.begun)]
                if len(counted) > limit:
                    self.report("rpm", f"{name} has {limit}: {call} is number {len(counted)} since {counted[0]}")

    def _granted(self, call):
        """When its grant may have been made at the earliest: an offer may take a second to be confirmed, and one
        that freezes may send it later."""
        instance = self.history.requests[call.request].instance
        late = any(fault.instance == instance and fault.kind == "frozen" and fault.ended >= call.begun - UNSENT_S
                   and fault.begun <= call.begun for fault in self.history.faults)  # fmt: skip
        return call.begun - (UNSENT_S if late else 2 * CONFIRM_S)

    # Order ------------------------------------------------------------------------------------

    def order(self):
        history = self.history
        loud = [(fault.begun, fault.order_over) for fault in history.faults]
        loud += [(each.asked, each.told + RETURN_S) for each in history.looks if each.told - each.asked > SLOW_S]
        seen = {number: [] for number in history.requests}
        for look in sorted(history.looks, key=lambda each: each.asked):
            # An instance that does not reach Redis shows what it has itself, which need not stand in line yet.
            if not any(begun <= look.told and look.asked <= ended for begun, ended in loud):
                for number in look.waiting:
                    seen[number].append(look)
        for calls in self.calls_of.values():
            previous = None
            for call in calls:
                request = history.requests[call.request]
                # Its grant lies between here and call.begun.
                since = max([request.sent, previous.ended if previous else 0]
                            + [look.asked for look in seen[call.request] if look.told <= call.begun])  # fmt: skip
                previous = call
                if not any(begun <= call.begun and since <= ended for begun, ended in loud):
                    self._check_order(call, request, since, seen)
        if history.inversions:
            self.report("order", f"the meter says that {history.inversions} were passed over")

    def _check_order(self, call, request, since, seen):
        decided = False
        for number, looks in seen.items():
            other = self.history.requests[number]
            if number == request.number or other.group != request.group or other.sent > since or not looks:
                continue
            before = bisect.bisect_right([look.told for look in looks], since) - 1
            after = bisect.bisect_left([look.asked for look in looks], call.begun)
            if before < 0 or after == len(looks):
                continue
            begun, ended = looks[before].asked, looks[after].told
            if any(each.begun <= ended and each.ended >= begun for each in self.calls_of[number]):
                continue
            if other.lost is not None and other.lost < call.begun or not self._may_go_to(number, call, since):
                continue
            if self.is_better(other, request, looks):
                self.report("order", f"{call} of {request} overtook {other}, seen at {begun:.3f} and {ended:.3f}")
            decided |= self.is_better(request, other, seen[request.number])
        self.decisions += decided

    def _may_go_to(self, number, call, at):
        """No back-off of the ticket's runs at the call's deployment."""
        failed = [each for each in self.calls_of[number] if each.deployment == call.deployment and each.ended < call.begun]
        return all(at > each.ended + max(each.retry_after_s, BACK_OFF_S * 2**count) + CONFIRM_S
                   for count, each in enumerate(failed))  # fmt: skip

    @staticmethod
    def is_better(one, other, looks):
        """`looks`: those at which `one` waited."""
        if one.priority != other.priority:
            return one.priority < other.priority
        return any(look.told <= other.sent for look in looks)

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
