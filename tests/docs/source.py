"""What the source says that it tells people: lines of the log, sentences, paths, headers."""

import re

from pages import ROOT

TOKEN = re.compile(r'R"\((?P<raw>.*?)\)"|"(?P<text>(?:[^"\\\n]|\\.)*)"|\'(?:[^\'\\]|\\.)\'|//[^\n]*|/\*.*?\*/', re.DOTALL)
OPENS, CLOSES = "([{", ")]}"


def sources(*rooms):
    """Of the named folders, those below them too: (path in the project, text)."""
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.cpp")):
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def arguments_of(text, start):
    """Of the call whose bracket opens at `start`: each argument as it is written."""
    found, depth, begin, at = [], 0, start + 1, start
    while at < len(text):
        token = TOKEN.match(text, at)
        if token:
            at = token.end()
            continue
        mark = text[at]
        if mark in OPENS:
            depth += 1
        elif mark in CLOSES:
            depth -= 1
            if depth == 0:
                return [*found, text[begin:at]]
        elif mark == "," and depth == 1:
            found.append(text[begin:at])
            begin = at + 1
        at += 1
    raise ValueError("a bracket is not closed")


def sentence_of(expression):
    """What a text is made of: its literals, with `…` for whatever stands between them."""
    made, between, end = "", "", 0
    for token in TOKEN.finditer(expression):
        literal = token.group("text") if token.group("text") is not None else token.group("raw")
        between += expression[end : token.start()].strip()
        end = token.end()
        if literal is not None:
            made += ("…" if between and not made.endswith("…") else "") + literal.replace('\\"', '"')
            between = ""
    between += expression[end:].strip().strip(")")
    return made + ("…" if between and not made.endswith("…") else "")


def calls(text, name):
    """Of each call (or braces) behind the pattern `name`: where it stands, and its arguments."""
    for match in re.finditer(name, text):
        start = match.end() - 1
        yield text.count("\n", 0, start) + 1, arguments_of(text, start)


# How a line of the log is written, and which argument its sentence is.
LINES = (
    (r"(?<!void )\blog_line\(", 1, None),
    (r"(?<!void )\blog_bounded\(", 2, "warning"),
    (r"(?<!:)\blog_(?:failure|once)\(", 0, "warning"),
    (r"directory->report\(", 1, None),
    (r"events\.push_back\(\{", 3, None),
    (r"(?<!report\.)\bwarnings\.push_back\(", 0, "warning"),
    (r"(?:from\.|[^.\w])warn\(", 0, "warning"),
)


def log_lines():
    """Each warning and error of the log that a gateway or a Router can write: (place, level, sentence).
    Sentences that come from elsewhere as a whole are left out."""
    for path, text in sources("http", "actors"):
        for name, place, usual in LINES:
            for line, arguments in calls(text, name):
                if len(arguments) <= place:
                    continue
                said = re.search(r"log_level::(\w+)", ",".join(arguments[:1] + arguments[place + 1 :]))
                level = said.group(1) if said else usual or {"false": "warning"}.get(arguments[0].strip())
                sentence = sentence_of(arguments[place])
                if level in ("warning", "error") and re.search(r"[a-z]{3}", sentence):
                    yield f"{path}:{line}", level, sentence


def fits(pattern, sentence):
    """Whether a page's words, with `…` for what it leaves out, are in the sentence in their order."""
    at = 0
    for piece in pattern.split("…"):
        found = sentence.find(piece.strip(), at)
        if found < 0:
            return False
        at = found + len(piece.strip())
    return True


def paths():
    """Each path of the data port as http/routes.cpp has it, with {model} for a model's name."""
    text = (ROOT / "http/routes.cpp").read_text(encoding="utf-8")
    fixed = re.findall(r'^    \{"([^"]+)", route::\w+, kind::\w+\},', text, re.MULTILINE)
    long = re.findall(r'^    \{"([^"]+)", "([^"]+)", route::\w+\},', text, re.MULTILINE)
    return {path for path in fixed if path != "*"} | {f"{before}{{model}}{after}" for before, after in long}


def answer_headers():
    """What the gateway adds to answers of the data port by itself."""
    text = (ROOT / "http/answer_headers.cpp").read_text(encoding="utf-8")
    ours = text[text.index("void add_gateway_fields") : text.index("void add_browser_fields")]
    return set(re.findall(r'add(?:_number)?\("([a-z-]+)"', ours))


def admin_paths():
    """Method and path of the admin port, as far as http/admin_server.cpp spells them."""
    text = (ROOT / "http/admin_server.cpp").read_text(encoding="utf-8")
    found = re.findall(r'server\.(Get|Post|Patch|Delete)\("(/[a-z]*)', text)
    return {(method.upper(), path) for method, path in found}


def admin_errors():
    """Sentences of the admin port's own errors: (status or nothing, sentence)."""
    text = (ROOT / "http/admin_server.cpp").read_text(encoding="utf-8")
    for name, sentence, status in ((r"[^:]answer_error\(", 3, 1), (r"answer_bad\(", 1, 400), (r"answer_unknown\(", 1, 404)):
        for _line, arguments in calls(text, name):
            said = sentence_of(arguments[sentence])
            if re.search(r"[a-z]{3}", said):
                yield str(status if status > 99 else arguments[status].strip()), said


def kept_by_a_reload():
    """Settings that stay as they were until a restart."""
    text = (ROOT / "config/merge_reload.cpp").read_text(encoding="utf-8")
    return set(re.findall(r'"\w+_settings\.(\w+)"\);', text))


def faults():
    """What errors of the data port say in place of their own sentence: (place, error, sentence)."""
    for path, text in sources("http"):
        if path.endswith("error_reply.cpp"):
            continue
        for line, arguments in calls(text, r"[({](?=\s*our_error::\w+\s*,)"):
            said = sentence_of(arguments[1])
            if re.search(r"[a-z]{3}", said):
                yield f"{path}:{line}", arguments[0].split("::")[-1].strip().replace("_", "-"), said
