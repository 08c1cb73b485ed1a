"""Reads what `perf script` prints, and makes of it what flame graphs are drawn from."""
import functools
import re
from collections import Counter
from typing import NamedTuple


class Frame(NamedTuple):
    name: str  # as short_name() makes it
    file: str  # the program or library, without its folder
    is_kernel: bool


# A function in two pieces, or one of which the compiler has made a variant for some arguments; the version of a symbol.
variant = re.compile(r"@+\w+_[\d.]+$|( \[clone [^\]]*\])+$|(\.(constprop|isra|part|cold|lto_priv|llvm)(\.\d+)*)+$")
operator = re.compile(r"\boperator\s*(\(\)|\[\]|<=>|<<=?|>>=?|->\*?|[<>]=?)")
# A handler of an actor, which CAF's match case holds; messages are told apart by CAF 0.17's atoms: four bits that are
# set, then six for each letter.
match_case = re.compile(r"^caf::trivial_match_case<(.*)>::invoke\b")
handler = re.compile(r"\{lambda\(caf::atom_constant<\(caf::atom_value\)(\d+)>")
atom_letters = " 0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
frame_line = re.compile(r"^\s+([0-9a-f]+) (.+?) \(([/\[].*)\)$")
beginnings = re.compile(r"^(_start|(__)?clone3?|start_thread|__libc_start_\w+|ret_from_fork\w*)$")


def atom_name(value):
    letters = ""
    while value > 0xF:
        letters = atom_letters[value & 63] + letters
        value >>= 6
    return letters


def without_brackets(text):
    """Without what stands in <>, () and {}, but for lambdas."""
    result, depth = [], 0
    for char in text:
        if char in "<({":
            depth += 1
        elif char in ">)}":
            depth -= 1
        elif depth == 0:
            result.append(char)
    return "".join(result)


@functools.cache
def short_name(symbol):
    """Without arguments, templates' arguments, results and anonymous namespaces: `vorrang::queue::[offer]` is the handler
    of a message in an actor, with what the compiler has put into it; `[lambda]` is any other."""
    text = variant.sub("", symbol).removeprefix("__GI_")
    if text.startswith("_Z") or "(" not in text and "<" not in text:
        return text
    text = text.replace("(anonymous namespace)::", "").replace("decltype(auto) ", "").replace("decltype (auto) ", "")
    if found := match_case.match(text):
        text = found.group(1)
    operators = []

    def hide(match):
        operators.append(match.group(1))
        return f"operator\x00{len(operators) - 1}\x00"

    text = operator.sub(hide, text)
    text = handler.sub(lambda match: f"[{atom_name(int(match.group(1)))}]{{(", text)
    text = re.sub(r"\{lambda\(", "[lambda]{(", text)
    text = without_brackets(text).strip()
    text = re.sub(r"(\s+(const|volatile|&&?|noexcept))+$", "", text)
    # What stands before is the type of the result; an operator that converts is named by a type.
    at = text.rfind("operator ")
    begin = text.rfind(" ", 0, at if at > 0 else len(text)) + 1
    text = text[begin:] if at != 0 else text
    return re.sub(r"\x00(\d+)\x00", lambda match: operators[int(match.group(1))], text)


def read_samples(lines):
    """Yields the stack of each sample, a tuple of frames from the outermost function to the innermost."""
    stack = []
    for line in lines:
        found = frame_line.match(line)
        if found:
            address, symbol, path = found.groups()
            if symbol == "[unknown]" and path == "[unknown]":
                continue  # where the unwinder gave up
            file = path.removesuffix(" (deleted)").rpartition("/")[2]
            name = f"[{file.strip('[]')}]" if symbol == "[unknown]" else short_name(symbol)
            is_kernel = len(address) == 16 and address.startswith("ffff")
            stack.append(Frame(name, file, is_kernel))
        elif not line.strip() and stack:
            yield tuple(reversed(stack))
            stack = []
    if stack:
        yield tuple(reversed(stack))


def is_whole(stack):
    """Whether the unwinder came to where the thread began."""
    return bool(beginnings.match(stack[0].name))


def collapsed(samples):
    """`outer;inner count` for each different stack: what flamegraph reads."""
    counts = Counter(";".join(frame.name.replace(";", ":") for frame in stack) for stack in samples)
    return [f"{stack} {count}" for stack, count in sorted(counts.items())]


def itself(samples):
    """How many samples were taken in each function, without those it calls: Counter of frames."""
    return Counter(stack[-1] for stack in samples)
