"""Saves a figure of Matplotlib as a small SVG file. Runs with the Python that has it installed."""
import re

import matplotlib


def use_words():
    """Words stay words, and two pictures of the same figures are the same file."""
    matplotlib.rcParams.update({"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10, "svg.hashsalt": "v"})


def save(figure, picture):
    figure.savefig(picture, metadata={"Date": None, "Creator": None})
    picture.write_text(smaller(picture.read_text()))


def shorter(path):
    """Steps as H and V, of which those that go on in the same direction are one."""
    made = []  # (letter, x, y)
    for letter, x, y in re.findall(r"([MLz]) ?([-\d.]*) ?([-\d.]*)", path.group(1)):
        if letter == "L" and made and made[-1][0] != "z":
            letter = "H" if y == made[-1][2] else "V" if x == made[-1][1] else "L"
            if letter == made[-1][0] != "L":
                made.pop()
        made.append((letter, x, y))
    words = {"M": "M{0} {1}", "L": "L{0} {1}", "H": "H{0}", "V": "V{1}", "z": "z"}
    return ' d="' + "".join(words[letter].format(x, y) for letter, x, y in made) + '"'


def smaller(text):
    """Points to a tenth of a point, and no more of them than there are corners."""
    text = re.sub(r"(\d+\.\d)\d+", r"\1", text)
    return re.sub(r' d="([MLz\d\s.-]*)"', shorter, text)
