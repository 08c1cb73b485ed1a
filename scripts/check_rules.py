"""The project's own rules on its C++ files, those no compiler checks.

Usage: check_rules.py <file>...   Paths are relative to the project's root. Exits with 1 on an
error; warnings (sizes) do not fail.

  upward-include   a room includes only rooms below it: config < actors, terminal < http <
                   bench, tests
  passive-include  files of actors/ include no CAF header, but for the shells, which are told by
                   their names (SHELLS below)
  co_await         GCC 12 destroys some temporaries of an expression with co_await twice: no
                   aggregate, braces or capturing lambda (other than [&]) in it, and no ?:
  sleep            tests and actors wait for conditions, never for time
  test-name        no semicolon: CMake takes it for two names, and ctest runs neither
  size             headers about 150 lines, sources about 350: a warning at twice that
"""
import re
import sys

# Each room and what it may include of ours.
ALLOWED_ROOMS = {
    "config": {"config"},
    "actors": {"actors", "config"},
    "terminal": {"terminal", "config"},
    "http": {"http", "terminal", "actors", "config"},
    "bench": {"bench", "http", "actors", "config"},
    "tests": {"tests", "bench", "http", "terminal", "actors", "config"},
    "examples": {"examples", "http", "actors", "config"},
}

# Files of actors/ that are about CAF: an actor, its timer, the messages, and the adapters to its versions.
SHELLS = re.compile(
    r"^actors/((caf|embedded|detail)/|"
    r"([a-z_]*_)?(actor|actors|messages|engine|caf|bridge|sender|timer)\.[ch]pp$)"
)
LINES_MAX = {".hpp": 300, ".cpp": 700}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
SLEEP = re.compile(r"\b(std::this_thread::)?sleep_(for|until)\s*\(|\b(u|nano)?sleep\s*\(")


TEST_NAME = re.compile(r'\bTEST_CASE\(\s*((?:"[^"]*"\s*)+)')


def blank_comments_and_strings(text: str) -> str:
    """The text with comments and literals replaced by blanks; lines and columns stay."""
    pattern = re.compile(
        r"""(?P<raw>R"(?P<tag>[^\s()\\]{0,16})\(.*?\)(?P=tag)")"""
        r"""|(?P<line>//[^\n]*)|(?P<block>/\*.*?\*/)"""
        r"""|(?P<string>"(?:\\.|[^"\\\n])*")|(?P<char>(?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])*')""",
        re.DOTALL,
    )

    def blank(match: re.Match) -> str:
        hidden = re.sub(r"[^\n]", " ", match.group(0))
        if match.lastgroup in ("raw", "string", "char") or match.group(0)[0] in "\"'R":
            return '"' + hidden[1:-1] + '"' if len(hidden) > 1 else hidden
        return hidden

    return pattern.sub(blank, text)


CLOSING = {"(": ")", "[": "]", "{": "}"}
OPENING = {closing: opening for opening, closing in CLOSING.items()}


def full_expression(code: str, at: int) -> tuple[int, int]:
    """The range of the full expression around position `at`, which holds a co_await.

    It goes outwards from `at`: to `;`, or to the brace or parenthesis that is no part of an
    expression (a block, the head of if, for, while, switch).
    """
    start, depth = at, 0
    while start > 0:
        char = code[start - 1]
        if char in ")]}":
            # A closed block before us ends a statement; a closed expression does not.
            if char == "}" and depth == 0 and not _is_expression_brace(code, start - 1):
                break
            depth += 1
        elif char in "([{":
            if depth == 0:
                if char == "{" and not _opens_expression(code, start - 1):
                    break
                if char == "(" and re.search(r"\b(if|while|for|switch)\s*(constexpr\s*)?$",
                                             code[:start - 1][-40:]):
                    break
            else:
                depth -= 1
        elif char == ";" and depth == 0:
            break
        start -= 1
    end, depth = at, 0
    while end < len(code):
        char = code[end]
        if char in "([{":
            if char == "{" and depth == 0 and re.search(r"\)\s*$", code[start:end]) and \
                    _closes_head(code, start, end):
                break
            depth += 1
        elif char in ")]}":
            if depth == 0:
                if _matching_is_inside(code, start, end):
                    end += 1
                    continue
                break
            depth -= 1
        elif char == ";" and depth == 0:
            break
        end += 1
    return start, end


def _matching(code: str, closing: int) -> int:
    """The position of the bracket that `closing` closes, or -1."""
    depth = 0
    for position in range(closing, -1, -1):
        if code[position] in ")]}":
            depth += 1
        elif code[position] in "([{":
            depth -= 1
            if depth == 0:
                return position
    return -1


def _matching_is_inside(code: str, start: int, closing: int) -> bool:
    return _matching(code, closing) >= start


def _closes_head(code: str, start: int, brace: int) -> bool:
    """Whether the `)` before `brace` ends the head of a statement that began before `start`."""
    closing = code.rfind(")", start, brace)
    return _matching(code, closing) < start


def _opens_expression(code: str, brace: int) -> bool:
    """Whether `{` initialises (after a name, `=`, `(`, `,`, `return`), or opens a block."""
    before = code[:brace].rstrip()
    if not before:
        return False
    if re.search(r"\b(else|do|try)$", before) or before[-1] in "{};:":
        return False
    if before[-1] == ")":
        return False  # the head of a statement, a function or a lambda
    if re.search(r"\b(namespace|struct|class|enum|union)\b[^;{}()]*$", before):
        return False
    if re.search(r"(\bmutable|\bnoexcept|\bconst|->\s*[\w:<>,\s*&]+)$", before):
        return False  # the body of a function or lambda
    return True


def _is_expression_brace(code: str, closing: int) -> bool:
    opening = _matching(code, closing)
    return opening >= 0 and _opens_expression(code, opening)


def without_lambda_bodies(expression: str) -> str:
    """The expression with the bodies of its lambdas blanked: they are no part of it."""
    result = list(expression)
    for match in re.finditer(r"\[[^\[\]]*\]\s*(\([^()]*(\([^()]*\)[^()]*)*\))?"
                             r"(\s*(mutable|noexcept|constexpr))*(\s*->\s*[\w:<>,\s*&]+?)?\s*\{",
                             expression):
        if re.search(r"[\w\])]\s*$", expression[:match.start()]) and not re.search(
                r"\b(return|co_return|co_yield|co_await)\s*$", expression[:match.start()]):
            continue  # an index
        depth = 0
        for position in range(match.end() - 1, len(expression)):
            if expression[position] == "{":
                depth += 1
            elif expression[position] == "}":
                depth -= 1
            if depth == 0:
                for blanked in range(match.end() - 1, position + 1):
                    if result[blanked] != "\n":
                        result[blanked] = " "
                break
    return "".join(result)


# A name or template followed by braces, or braces as an argument: an aggregate for all we know.
BRACES = re.compile(r"([\w>]|[(,=?:]|\breturn|&&|\|\|)\s*\{")
LAMBDA = re.compile(r"(?<![\w\])])\s*\[(?P<captures>[^\[\]]*)\]\s*(\(|\{|mutable)")


def co_await_faults(code: str):
    """(position, sentence) of each co_await whose full expression GCC 12 may get wrong."""
    for match in re.finditer(r"\bco_await\b", code):
        start, end = full_expression(code, match.start())
        expression = code[start:end]
        # The co_await of a lambda's body belongs to the body, which full_expression stopped at.
        outer = without_lambda_bodies(expression)
        # Declarations: what is left of `=` is a name and its type.
        if re.search(r"\?(?!\?)[^;]*:", outer):
            yield match.start(), "co_await within ?: (GCC 12 destroys its temporaries twice)"
        # Braces after the co_await's operand, or before it in the same call.
        if BRACES.search(outer):
            yield match.start(), (
                "braces in an expression with co_await: name the object on the line before and "
                "move it in (GCC 12 destroys it twice)")
        for found in LAMBDA.finditer(outer):
            captures = found.group("captures").strip()
            if captures not in ("", "&"):
                yield match.start(), (
                    f"lambda [{captures}] in an expression with co_await: only [&] and [] are "
                    "safe, name it on the line before (GCC 12 destroys its captures twice)")


def check(path: str, text: str):
    """(line, rule, sentence) of each fault."""
    room = path.split("/")[0]
    code = blank_comments_and_strings(text)
    for number, line in enumerate(text.split("\n"), 1):
        include = INCLUDE.match(line)
        if not include:
            continue
        bracket, target = include.groups()
        target_room = target.split("/")[0]
        if bracket == '"' and target_room in ALLOWED_ROOMS and "/" in target:
            if target_room not in ALLOWED_ROOMS.get(room, ALLOWED_ROOMS.keys()):
                yield number, "upward-include", f"{room}/ may not include {target}"
        if room in ("actors", "config") and target.startswith("caf/"):
            if not SHELLS.match(path):
                yield number, "passive-include", (
                    f"{target}: a passive class includes no CAF header (shells are told by name: "
                    "*_actor, *messages, caf/ ...)")
    if room in ("tests", "actors", "http", "config"):
        for match in SLEEP.finditer(code):
            yield code.count("\n", 0, match.start()) + 1, "sleep", "wait for a condition instead"
    for match in TEST_NAME.finditer(text):
        if ";" in match.group(1):
            yield text.count("\n", 0, match.start()) + 1, "test-name", (
                "no semicolon: CMake takes it for two names, and ctest runs neither")
    for position, sentence in co_await_faults(code):
        yield code.count("\n", 0, position) + 1, "co_await", sentence
    lines = text.count("\n")
    for suffix, lines_max in LINES_MAX.items():
        if path.endswith(suffix) and lines > lines_max and room != "tests":
            yield 1, "size", f"{lines} lines: usually two rooms"


def main(paths: list[str]) -> int:
    errors = 0
    for path in paths:
        with open(path, encoding="utf-8") as file:
            faults = list(check(path, file.read()))
        for line, rule, sentence in faults:
            kind = "warning" if rule == "size" else "error"
            errors += kind == "error"
            print(f"{path}:{line}: {kind}: {sentence} [{rule}]")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
