"""
The man pages as their sources have them (mdoc): sections, the entries of their lists, and the words that a macro marks. Only what our
own pages use is understood.
"""
import re
import shlex

from harness.paths import TOP

MAN = TOP / "man"
PAGES = sorted(path.name for path in MAN.iterdir())


def plain(text):
    """Without the escapes of roff."""
    for escape, meaning in ((r"\(dq", '"'), (r"\(em", "—"), (r"\-", "-"), (r"\e", "\\"), (r"\&", "")):
        text = text.replace(escape, meaning)
    return text


def marked(line, macro):
    """The words of `line` that `macro` is for: .It Fl c Ar file , Fl -config has c and -config for Fl."""
    words, current = [], None
    for word in line.lstrip(".").split():
        if re.fullmatch(r"[A-Z][a-z]", word):
            current = word
        elif current == macro and word not in (",", ".", ":", ";", "|", "(", ")"):
            words.append(plain(word))
    return words


class Page:
    def __init__(self, name):
        self.name = name
        self.lines = (MAN / name).read_text().splitlines()

    def section(self, title, macro="Sh"):
        """The lines of a section (Sh), or of a part of one (Ss)."""
        ends = ("Sh",) if macro == "Sh" else ("Sh", "Ss")
        begin = self.lines.index(f".{macro} {title}") + 1
        for end in range(begin, len(self.lines)):
            if self.lines[end][1:3] in ends and self.lines[end][0] == ".":
                return self.lines[begin:end]
        return self.lines[begin:]

    def titles(self, title):
        """Of the parts of a section."""
        return [line[4:] for line in self.section(title) if line.startswith(".Ss ")]


def entries(lines):
    """The outermost lists' entries: [(what stands behind .It, the lines of its body)]."""
    found, depth = [], 0
    for line in lines:
        depth += line.startswith(".Bl ")
        if line.startswith(".It") and depth == 1:
            found.append((line[4:], []))
        elif depth > 0 and found and line != ".El":
            found[-1][1].append(line)
        depth -= line == ".El"
    return found


def all_entries(lines):
    """What stands behind each .It, in inner lists too."""
    return [line[4:] for line in lines if line.startswith(".It ")]


def displays(lines):
    """The texts between .Bd -literal and .Ed."""
    texts, current = [], None
    for line in lines:
        if line.startswith(".Bd -literal"):
            current = []
        elif line == ".Ed" and current is not None:
            texts.append("\n".join(current) + "\n")
            current = None
        elif current is not None:
            current.append(plain(line))
    return texts


def prototypes(lines):
    """Of a synopsis: {function: "int reloader_new(unsigned flags, struct reloader **ret)"}."""
    found, result, name, arguments = {}, None, None, []
    for line in lines:
        words = shlex.split(line)
        if line.startswith(".Ft "):
            result = " ".join(words[1:])
        elif line.startswith(".Fn "):
            found[words[1]] = declaration(result, words[1], words[2:])
        elif line.startswith(".Fo "):
            name, arguments = words[1], []
        elif line.startswith(".Fa ") and name:
            arguments += words[1:]
        elif line == ".Fc":
            found[name] = declaration(result, name, arguments)
            name = None
    return found


def declaration(result, name, arguments):
    return re.sub(r"\s*\*\s*", " *", f"{result} {name}({', '.join(arguments)})")
