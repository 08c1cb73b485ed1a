"""What was seen of a gateway from outside, and the rules (spec §2, §3) that hold for every such record.

A record is what clients sent and were told, what the providers were asked, and who stood in line when somebody
looked; times are seconds of one clock. `Checker` holds what is the same for all records. shared_history.py adds what
the faults of several instances allow, speed_history.py how it is known at full speed who waits.

Nobody outside sees a grant. But it was made between two moments that are known (`Grant`), and a request waits at
least from one known moment to another (`Stay`): only what is wrong for every moment in between is reported.
"""

import bisect
import collections
import dataclasses
import math

WINDOW_S = 60.0
ANSWER_S = 5.0  # an answer that is due has reached its client
REPORTS_MAX = 20  # of a deployment's broken limit; thousands say no more


@dataclasses.dataclass(slots=True)
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
    connection: int = 0
    wait_s: float | None = None  # as the answer says
    echoed: int | None = None  # the request that the provider's answer was for


@dataclasses.dataclass(slots=True)
class Call:
    request: int
    deployment: str
    begun: float
    ended: float
    status: int  # what the provider answered; 0: the gateway broke it off before
    retry_after_s: float = 0.0
    connection: int = 0
    closed: float = math.inf  # as far as the provider saw; where the client has gone, `ended` is before


@dataclasses.dataclass(slots=True)
class Look:
    """A look at the line of a group: who waited, at one moment between the two."""

    asked: float
    told: float
    waiting: list


@dataclasses.dataclass(slots=True)
class Grant:
    """The grant of a call: made after `since`, and before the call began."""

    call: Call
    request: Request
    since: float
    came_by: float  # it surely had its place in line by then


@dataclasses.dataclass(slots=True)
class Stay:
    """Somebody surely waits all this time, for any of these deployments; None: any of the group's."""

    request: Request
    since: float
    until: float
    came_by: float
    deployments: frozenset | None = None


class Waiting:
    """Who waits all along from one moment to another: the most urgent, the least urgent, and how many. Asked for
    moments that rise; log n each, in trees over the times at which they stop waiting."""

    def __init__(self, stays):
        self._coming = sorted(stays, key=lambda each: each.since)
        self._untils = sorted((-each.until for each in stays))
        self._next = 0
        self._counts = [0] * (len(stays) + 1)
        self._first = [None] * (len(stays) + 1)
        self._last = [None] * (len(stays) + 1)

    def pass_time(self, moment):
        while self._next < len(self._coming) and self._coming[self._next].since <= moment:
            self._add(self._next, self._coming[self._next])
            self._next += 1

    def _add(self, number, stay):
        first = (stay.request.priority, stay.came_by, number)
        last = (stay.request.priority, stay.request.sent)
        place = bisect.bisect_left(self._untils, -stay.until) + 1
        while place < len(self._counts):
            self._counts[place] += 1
            if self._first[place] is None or first < self._first[place]:
                self._first[place] = first
            if self._last[place] is None or last > self._last[place]:
                self._last[place] = last
            place += place & -place

    def until(self, moment):
        """Of those that have come and wait until then: how many, the stay of the first, and the last one's
        (priority, sent)."""
        place, count, first, last = bisect.bisect_right(self._untils, -moment), 0, None, None
        while place:
            if self._counts[place]:
                count += self._counts[place]
                first = self._first[place] if first is None else min(first, self._first[place])
                last = self._last[place] if last is None else max(last, self._last[place])
            place -= place & -place
        return count, first and self._coming[first[2]], last


class Checker:
    """Reads a record that is complete. `broken`: each rule that is, with what shows it; `pairs`: how often a grant
    was compared with one who waited meanwhile; `decisions`: how many grants were seen to be made in order."""

    def __init__(self, history):
        self.history = history
        self.broken = []
        self.pairs = self.decisions = 0
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

    def check(self):
        for request in self.history.requests.values():
            self.once(request, self.calls_of[request.number])
            self.answered(request, self.calls_of[request.number])
        self.slots()
        self.rpm()
        self.order()

    def report(self, rule, what):
        self.broken.append((rule, what))

    # What a record may allow beyond the rules ---------------------------------------------------

    def deadline(self, request):
        return request.sent + request.timeout_s

    def given_away(self, _call, _at):
        """Whether the slot of this call may belong to another by then."""
        return False

    def forgotten(self, _call, _at):
        """Whether the window need not know this call any more by then."""
        return False

    def granted(self, call):
        """When its grant may have been made at the earliest."""
        return call.begun

    def grants(self):
        """Those whose order is known enough to be looked at."""
        return []

    def stays(self):
        return []

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
        """As §3 says, and in time."""
        if request.left is not None or request.lost is not None:
            return
        deadline = self.deadline(request)
        if request.answered is None or request.answered > deadline + ANSWER_S:
            return self.report("lost", f"not answered in time: {request}, {calls}")
        if request.status == 200:
            return
        last = calls[-1] if calls else None
        limited = [call for call in calls if call.status == 429]
        allowed = {
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

    def slots(self):
        for name, limit in self.history.slots.items():
            running, reports = [], 0
            for call in self.by_deployment[name]:
                running = [each for each in running if each.ended > call.begun]
                counted = [each for each in running if not self.given_away(each, call.begun)]
                if len(counted) + 1 > limit and reports < REPORTS_MAX:
                    self.report("slots", f"{name} has {limit}: {call} began beside {counted}")
                    reports += 1
                running.append(call)

    def rpm(self):
        for name, limit in self.history.rpm.items():
            calls, reports = [(each, self.granted(each)) for each in self.by_deployment[name]], 0
            for index, (call, _) in enumerate(calls):
                counted = [each for each, granted in calls[: index + 1]
                           if call.begun - granted < WINDOW_S and not self.forgotten(each, call.begun)]
                if len(counted) > limit:
                    self.report("rpm", f"{name} has {limit}: {call} is number {len(counted)} since {counted[0]}")
                    reports += 1
                    if reports == REPORTS_MAX:
                        break

    # Order ------------------------------------------------------------------------------------

    def order(self):
        stays = collections.defaultdict(list)
        for stay in self.stays():
            if stay.until > stay.since:
                for name in stay.deployments or (None,):
                    stays[stay.request.group, name].append(stay)
        waiting = {where: Waiting(found) for where, found in stays.items()}
        for grant in sorted(self.grants(), key=lambda each: each.since):
            decided = False
            for name in (None, grant.call.deployment):
                if (there := waiting.get((grant.request.group, name))) is not None:
                    there.pass_time(grant.since)
                    decided |= self._compare(grant, *there.until(grant.call.begun))
            self.decisions += decided

    def _compare(self, grant, count, first, last):
        """Whether it was seen to go before another as it must."""
        self.pairs += count
        if not count:
            return False
        request = grant.request
        if (first.request.priority, first.came_by) <= (request.priority, request.sent):
            self.report("order", f"{grant.call} of {request}, granted after {grant.since:.6f}, overtook {first.request}, "
                                 f"in line from {first.since:.6f} to {first.until:.6f}")  # fmt: skip
        return (request.priority, grant.came_by) <= last
