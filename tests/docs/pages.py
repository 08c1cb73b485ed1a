"""The pages as they stand: blocks with what is said of them, headings, links."""

import dataclasses
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Written by the benchmarks' author for its own figures: only names of commands are checked there.
FIGURES = "docs/performance.md"

RUN_AS_SHELL = ("bash", "sh")
LANGUAGES = (*RUN_AS_SHELL, "console", "yaml", "python", "cpp", "cmake", "ini", "js", "json", "text")
FENCE = re.compile(r"^(\s*)(`{3,})\s*(\S*)")
NOT_RUN = re.compile(r"<!-- not run: (.+?) -->")


@dataclasses.dataclass
class Block:
    page: str
    line: int  # of the fence, from 1
    language: str
    text: str
    not_run: str | None = None  # why
    output: "Block | None" = None  # what stands right behind it as its output

    @property
    def place(self):
        return f"{self.page}:{self.line}"

    @property
    def file_name(self):
        """The file that a reader makes of it: its first line is a comment that names it."""
        match = re.match(r"# (\S+\.ya?ml)\s*(#.*)?\n", self.text)
        return match.group(1) if match else None


def names():
    """README and docs, as a reader of the repository finds them."""
    return ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


def all_markdown():
    """Those, and whatever else is written in Markdown beside code that is ours."""
    others = [*ROOT.glob("*.md"), *ROOT.glob("tests/**/*.md"), *ROOT.glob("deploy/**/*.md"), *ROOT.glob("examples/**/*.md")]
    return sorted({*names(), *(str(path.relative_to(ROOT)) for path in others if "node_modules" not in path.parts)})


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


def blocks_of(page, text=None):
    """All fenced blocks in order; the comment about one stands before it, with blank lines at most."""
    text = text_of(page) if text is None else text
    blocks, said, last, inside = [], None, None, None
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.match(line)
        if inside is not None:
            block, indent, marks = inside
            if fence and fence.group(2) == marks and not fence.group(3):
                blocks.append(block)
                if block.language == "text" and last is not None:
                    last.output = block
                last = None if block.language == "text" else block
                inside, said = None, None
            else:
                block.text += (line[len(indent) :] if line.startswith(indent) else line) + "\n"
        elif fence:
            block = Block(page, number, fence.group(3), "", said)
            inside = block, fence.group(1), fence.group(2)
        elif line.strip():
            match = NOT_RUN.fullmatch(line.strip())
            said = match.group(1) if match else None
            last = None
    if inside is not None:
        raise ValueError(f"{inside[0].place}: the block has no end")
    return blocks


def prose_of(text):
    """Without blocks, so that nothing in them is taken for a link or a heading."""
    kept, marks = [], None
    for line in text.splitlines():
        fence = FENCE.match(line)
        if marks:
            if fence and fence.group(2) == marks and not fence.group(3):
                marks = None
        elif fence:
            marks = fence.group(2)
        else:
            kept.append(line)
    return "\n".join(kept)


def anchors_of(text):
    """As GitHub makes them of headings."""
    found, seen = set(), {}
    for match in re.finditer(r"^#{1,6} +(.+?) *#*$", prose_of(text), re.MULTILINE):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match.group(1)).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        found.add(slug if count == 0 else f"{slug}-{count}")
    return found


def links_of(text):
    """Targets of links and pictures, but not of those within code."""
    prose = re.sub(r"`[^`\n]*`", "`code`", prose_of(text))
    return [match.group(1) for match in re.finditer(r"\]\(([^)\s]+)\)", prose)]
