"""The record of a gateway at full speed, and what can be known from it although nobody waits for anything.

bench/checked is all clients and all providers in one thread: its clock gives all that it does and sees one order.
So no time of the gateway's has to be guessed:

* While all slots of a deployment are held, by calls that have begun and have no answer yet, no other grant for it
  can exist. The grant of a call was made after the last such moment before it began.
* A request that was not granted before some moment, and stood in line, has waited until then.
* It stood in line if somebody saw it there (the operator's port); or if the gateway has taken another one further
  that was written later than this one had its ticket. When it had its ticket the answer says: that long before it
  was granted (`x-vorrang-wait-ms`). This is asked only of requests in the same hands: what comes and goes over the
  same connections is read by the same part of the gateway, and nothing orders what different parts read.
* Of two equals the earlier is the one that stood in line before the other was written.
"""

import bisect
import collections
import dataclasses
import math

import history as any_history
from history import Call, Grant, Look, Request, Stay

TIMEOUT_S = 120
ROUNDING_S = 0.001  # the answer tells whole milliseconds
# Who has hung up is gone "at once". It must be by then, if the gateway did so much else meanwhile: then it was
# neither stopped nor starved.
GONE_S = 1.0
GONE_CALLS = 100


@dataclasses.dataclass
class History:
    slots: dict  # deployment → max_parallel_requests
    rpm: dict  # deployment → rpm
    retries: int
    requests: dict = dataclasses.field(default_factory=dict)
    calls: list = dataclasses.field(default_factory=list)
    looks: list = dataclasses.field(default_factory=list)
    inversions: int = 0  # as the meter says


def read(lines, slots, rpm, retries):
    """What bench/checked/records.hpp says of its lines; times are seconds since the first request."""
    result = History(slots, rpm, retries)
    begun = None

    def seconds(text):
        return None if text == "-1" else (int(text) - begun) / 1e9

    def number(text):
        return None if text == "-1" else int(text)

    for line in lines:
        kind, *fields = line.rstrip("\n").split(",")
        if kind == "R":
            if begun is None:
                begun = int(fields[3])
            wait_ms = number(fields[9])
            result.requests[int(fields[0])] = Request(
                int(fields[0]), "m", int(fields[2]), 0, seconds(fields[3]), TIMEOUT_S, seconds(fields[5]),
                number(fields[6]), fields[7] or None, number(fields[8]), seconds(fields[4]), None, int(fields[1]),
                None if wait_ms is None else wait_ms / 1000, number(fields[10]))  # fmt: skip
        elif kind == "C":
            ended = seconds(fields[4])
            result.calls.append(Call(int(fields[0]), fields[1], seconds(fields[3]), ended, int(fields[5]), 0.0,
                                     int(fields[2]), ended))  # fmt: skip
        else:
            result.looks.append(Look(seconds(fields[0]), seconds(fields[1]), [int(each) for each in fields[3].split()]))
            result.inversions = max(result.inversions, int(fields[2]))
    return result


class Hands:
    """Which requests are in the same hands, by the connections of clients and providers that carried both."""

    def __init__(self, history):
        self._above = {}
        for call in history.calls:
            if call.request in history.requests:
                client = self._top(("client", history.requests[call.request].connection))
                self._above[client] = self._top(("provider", call.connection))

    def _top(self, name):
        while (above := self._above.setdefault(name, name)) != name:
            self._above[name] = name = self._above[above]
        return name

    def of(self, request):
        return self._top(("client", request.connection))


class Checker(any_history.Checker):
    """`figures`: what no rule bounds. `gaps_s`: how long a slot was free while the one waited that took it next."""

    def __init__(self, history):
        # Whatever was broken off before it said what it is proves nothing.
        history.calls = [call for call in history.calls if call.request >= 0 or call.status]
        unknown = [call for call in history.calls if call.request not in history.requests]
        history.calls = [call for call in history.calls if call.request in history.requests]
        for call in history.calls:
            left = history.requests[call.request].left
            if left is not None:
                call.ended = min(call.ended, max(left, call.begun))
        super().__init__(history)
        for call in unknown:
            self.report("once", f"a call for nobody: {call}")
        self.seen = self._seen()
        self.full_from = {}  # deployment → the moments from which all its slots are held
        self.full_until = {}  # … and until when
        for name, limit in history.slots.items():
            self.full_from[name], self.full_until[name] = self._full(self.by_deployment[name], limit)
        self.since = {id(call): self._since(request, calls, place)
                      for request, calls in self._by_request() for place, call in enumerate(calls)}  # fmt: skip
        self.came_by = self._came_by()
        self.check()
        self.echoes()
        self.waits()
        self.figures = {"called after left": 0, "granted after left": 0, "granted after left, s": 0.0,
                        "open after left, s": 0.0}  # fmt: skip
        self.gone()
        self.gaps_s = sorted(self._gaps())

    def _by_request(self):
        return ((self.history.requests[number], calls) for number, calls in self.calls_of.items())

    def _seen(self):
        """Request → the looks at which it waited, those first that were told first."""
        seen = collections.defaultdict(list)
        for look in sorted(self.history.looks, key=lambda each: each.told):
            for number in look.waiting:
                seen[number].append(look)
        return seen

    # What is known of grants and places in line -------------------------------------------------

    @staticmethod
    def _full(calls, limit):
        begins, ends, running = [], [], 0
        held = [call for call in calls if call.ended > call.begun]
        steps = sorted([(call.begun, 1) for call in held] + [(call.ended, -1) for call in held])
        for moment, step in steps:
            if step < 0 and running == limit:
                ends.append(moment)
            running += step
            if step > 0 and running == limit:
                begins.append(moment)
        return begins, ends

    def _since(self, request, calls, place):
        """The grant of this call was made later."""
        call = calls[place]
        ends = self.full_until.get(call.deployment, ())
        before = bisect.bisect_left(ends, call.begun)
        looks = [look.asked for look in self.seen.get(request.number, ())
                 if look.told < call.begun and (place == 0 or look.asked > calls[place - 1].ended)]  # fmt: skip
        return max([request.sent, ends[before - 1] if before else 0.0, *looks]
                   + ([calls[place - 1].ended] if place else []))  # fmt: skip

    def _came_by(self):
        """Request → when it surely stood in line for the first time, where that is known."""
        hands = Hands(self.history)
        taken = collections.defaultdict(list)  # by hands: (sent, first call)
        for request, calls in self._by_request():
            if calls:
                taken[hands.of(request)].append((request.sent, calls[0].begun))
        later = {}  # by hands: all times of sending; the earliest first call of those that were sent then or later
        for who, pairs in taken.items():
            pairs.sort()
            earliest, best = [], math.inf
            for _, begun in reversed(pairs):
                best = min(best, begun)
                earliest.append(best)
            later[who] = [sent for sent, _ in pairs], earliest[::-1]
        found = {number: looks[0].told for number, looks in self.seen.items()}
        for request, calls in self._by_request():
            if calls and request.wait_s is not None:
                has_ticket = calls[-1].begun - request.wait_s + ROUNDING_S
                sent, begun = later[hands.of(request)]
                place = bisect.bisect_left(sent, has_ticket)
                if place < len(sent):
                    found[request.number] = min(begun[place], found.get(request.number, math.inf))
        return found

    def grants(self):
        for request, calls in self._by_request():
            for call in calls:
                yield Grant(call, request, self.since[id(call)], self.came_by.get(request.number, math.inf))

    def stays(self):
        """From its place in line to its grant; from a refusal, for the deployments that did not refuse, until it
        is granted again."""
        everywhere = frozenset((*self.history.slots, *self.history.rpm))
        for request, calls in self._by_request():
            came_by = self.came_by.get(request.number)
            if not calls:
                if looks := self.seen.get(request.number):
                    until = looks[-1].asked if request.left is None else min(looks[-1].asked, request.left)
                    yield Stay(request, looks[0].told, until, came_by)
                continue
            if came_by is not None:
                yield Stay(request, came_by, self.since[id(calls[0])], came_by)
            for earlier, later in zip(calls, calls[1:]):
                full_from = self.full_from.get(earlier.deployment, ())
                again = bisect.bisect_right(full_from, earlier.ended)
                may = everywhere - {each.deployment for each in calls if each.begun <= earlier.begun}
                if again < len(full_from) and may:
                    # Its slot is another's: that it was refused is known there, and where it waits.
                    came_by = min(self.came_by.get(request.number, math.inf), calls[0].begun)
                    yield Stay(request, full_from[again], self.since[id(later)], came_by, may)

    # Rules of this record alone ---------------------------------------------------------------

    def order(self):
        super().order()
        if self.history.inversions:
            self.report("order", f"the meter says that {self.history.inversions} were passed over")

    def granted(self, call):
        return self.since[id(call)]

    def echoes(self):
        for request in self.history.requests.values():
            if request.status == 200 and request.echoed != request.number:
                self.report("once", f"the answer of another: {request}")

    def waits(self):
        """What the order is judged by has to be true: the gateway says how long it has let wait."""
        for request, calls in self._by_request():
            if request.wait_s is None or not calls:
                continue
            longest = calls[-1].begun - request.sent
            looks = self.seen.get(request.number)
            least = self.since[id(calls[-1])] - looks[0].told if looks else 0
            if not least - ROUNDING_S <= request.wait_s <= longest + ROUNDING_S:
                self.report("wait", f"{request} has waited between {least:.6f} and {longest:.6f} s: {calls}")

    def gone(self):
        begun = sorted(call.begun for call in self.history.calls)

        def too_late(left, moment):
            return moment > left + GONE_S and (
                bisect.bisect_left(begun, moment) - bisect.bisect_left(begun, left) >= GONE_CALLS)  # fmt: skip

        for request, calls in self._by_request():
            if request.left is None:
                continue
            for look in self.seen.get(request.number, ()):
                if too_late(request.left, look.asked):
                    self.report("gone", f"still in line at {look.asked:.6f}: {request}")
            for call in calls:
                since = self.since[id(call)]
                if since > request.left:
                    self.figures["granted after left"] += 1
                    self._raise_figure("granted after left, s", since - request.left)
                if call.begun > request.left:
                    self.figures["called after left"] += 1
                    if too_late(request.left, since):
                        self.report("gone", f"nobody wanted it any more: {call} of {request}")
                else:
                    self._raise_figure("open after left, s", call.closed - request.left)
                    if too_late(request.left, call.closed):
                        self.report("gone", f"still open at {call.closed:.6f}: {call} of {request}")

    def _raise_figure(self, name, value):
        self.figures[name] = max(self.figures[name], value)

    def _gaps(self):
        """A slot that is free is taken by the next call that begins; counted where that one surely waited when it
        became free. A deployment may have reasons of its own (rpm) to stay free."""
        for name in self.history.slots.keys() - self.history.rpm.keys():
            free = collections.deque()
            steps = [(call.begun, call) for call in self.by_deployment[name]]
            steps += [(call.ended, None) for call in self.by_deployment[name]]
            for moment, call in sorted(steps, key=lambda each: each[0]):
                if call is None:
                    free.append(moment)
                elif free:
                    since = free.popleft()
                    if self.came_by.get(call.request, math.inf) <= since and self.calls_of[call.request][0] is call:
                        yield moment - since

    def counts(self):
        """What was looked at, so that "no violation" says something."""
        return {
            "requests": len(self.history.requests),
            "calls": len(self.history.calls),
            "looks": len(self.history.looks),
            "known to wait": len(self.came_by),
            "pairs": self.pairs,
            "decisions": self.decisions,
            "windows": sum(len(self.by_deployment[name]) for name in self.history.rpm),
            "left": sum(each.left is not None for each in self.history.requests.values()),
            **self.figures,
        }


def at_share(values, share):
    """Of sorted ones."""
    return values[int(share * (len(values) - 1))] if values else None
