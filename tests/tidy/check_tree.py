#!/usr/bin/env python3
"""Checks the rules of the tree: layers, sizes, words, documentation, dead files, limits.

usage: check_tree.py ROOT
Prints one line for each violation and exits 1 when there is one.
"""

import os
import re
import sys
from pathlib import Path

import cpp_scan

LAYERS = {"wire": 0, "engine": 1, "io": 2, "driver": 3, "net": 4}
CODE_DIRECTORIES = ("libtftp", "tftpd", "tftp", "tests", "docs")
SOURCE_LINES_MAX = 600
HEADER_LINES_MAX = 300
FUNCTION_LINES_MAX = 70

# Names whose meaning is fixed by the standard library or Boost.System.
SELF_EVIDENT = {"make_error_code", "begin", "end", "empty", "size", "data", "swap"}

# Written with brackets so that this file does not contain them.
WORDS = {
    r"\b(TO[D]O|FIX[M]E|X{3})\b": "unfinished work; do it, or say in docs/ that it is not there",
    r"(?i)(?<!Catch::)\bse[s]sions?\b": "say transfer, connection or login",
    r"(?i)(?<!user[-_ ])\bag[e]nts?\b|\bsub-?ag[e]nts?\b|\bwork[t]rees?\b|\bL{2}M\b": "not part of this project",
    r"(?<![\w./-])/(wor[k]|roo[t]|hom[e])/": "a path of one machine",
    r"\b(deb|ftp|security|snapshot)\.debian\.o[r]g|\bpypi\.o[r]g|\bpythonhosted\.o[r]g"
    r"|\bregistry\.npmjs\.o[r]g|\bcrates\.i[o]\b|\bproxy\.golang\.o[r]g": "a package registry",
}
TEXT_SUFFIXES = {
    ".hpp", ".cpp", ".h", ".c", ".in", ".cmake", ".txt", ".md", ".sh", ".py", ".json", ".yml",
    ".conf", ".service", ".socket", ".sysusers", ".1", ".5", ".7", ".8", "",
}


class Tree:
    """The files of a source tree, each read once."""

    def __init__(self, root):
        self.root = root
        self.problems = []
        self.texts = {}
        for path in sorted(root.rglob("*")):
            inside = path.relative_to(root)
            if inside.parts[0] in (".git", ".cache", "build") or not path.is_file():
                continue
            if path.suffix in TEXT_SUFFIXES and "corpus" not in inside.parts:
                try:
                    self.texts[inside] = path.read_text(encoding="utf-8")
                except UnicodeDecodeError:
                    continue

    def code(self):
        """Returns (path, text) of each C++ file."""
        return [
            (path, text)
            for path, text in self.texts.items()
            if path.suffix in (".hpp", ".cpp") and path.parts[0] in CODE_DIRECTORIES
        ]

    def installed_headers(self):
        """Returns (path, text) of each header that is installed."""
        return [
            (path, text)
            for path, text in self.code()
            if path.suffix == ".hpp" and path.parts[:2] == ("libtftp", "include")
        ]

    def report(self, path, line, message):
        self.problems.append(f"{path}:{line}: {message}")


def layer_of(path):
    """Returns the layer of a file of libtftp, or None."""
    if path.parts[:3] == ("libtftp", "include", "tftp") and len(path.parts) > 4:
        return path.parts[3]
    if path.parts[:2] == ("libtftp", "src") and len(path.parts) > 3:
        return path.parts[2]
    return None


def forbidden_include(layer, quote, target):
    """Returns why a file of `layer` must not include `target`, or None."""
    parts = target.split("/")
    own = target.startswith("tftp/") or (quote == '"' and parts[0] in LAYERS)
    if own:
        to = parts[1] if parts[0] == "tftp" else parts[0]
        if LAYERS.get(to, 0) > LAYERS[layer]:
            return f"{layer} must not include the higher layer {to}"
        if (layer, to) == ("io", "engine"):
            return "io knows no engine"
        return None
    if quote == '"':
        return None
    if parts[:2] in (["boost", "asio"], ["boost", "asio.hpp"], ["boost", "beast"]) and layer != "net":
        return "only net includes Asio"
    if target.startswith("boost/program_options"):
        return "only the programs include Program_options"
    if parts[0] == "spdlog":
        return "only the programs include spdlog"
    if layer in ("wire", "engine") and parts[:2] != ["boost", "system"] and re.search("[/.]", target):
        return "the core includes the standard library and boost/system only"
    return None


def check_layers(tree):
    for path, text in tree.code():
        layer = layer_of(path)
        if layer is None:
            continue
        if layer not in LAYERS:
            tree.report(path, 1, f"{layer} is not a layer")
            continue
        for line, quote, target in cpp_scan.includes(text):
            why = forbidden_include(layer, quote, target)
            if why is not None:
                tree.report(path, line, f"includes {target}: {why}")
    for path, text in tree.installed_headers():
        for line, _, target in cpp_scan.includes(text):
            if target.split("/")[0] in ("fmt", "spdlog"):
                tree.report(path, line, f"includes {target}: never in an installed header")


def check_sizes(tree):
    for path, text in tree.code():
        limit = HEADER_LINES_MAX if path.suffix == ".hpp" else SOURCE_LINES_MAX
        lines = text.count("\n")
        if lines > limit:
            tree.report(path, lines, f"{lines} lines; at most {limit}")
        for declaration in cpp_scan.declarations(text):
            # A test case is a table of sections, not a function to be held in the head.
            if declaration.kind != "function" or declaration.name.endswith("TEST_CASE"):
                continue
            lines = declaration.last_line - declaration.first_line + 1
            if lines > FUNCTION_LINES_MAX:
                tree.report(
                    path,
                    declaration.first_line,
                    f"{declaration.name} has {lines} lines; at most {FUNCTION_LINES_MAX}",
                )


def check_words(tree):
    for path, text in tree.texts.items():
        for pattern, why in WORDS.items():
            for match in re.finditer(pattern, text):
                line = text.count("\n", 0, match.start()) + 1
                tree.report(path, line, f"'{match.group(0)}': {why}")


def needs_documentation(declaration):
    """True for what a user of an installed header sees and cannot guess."""
    if not declaration.public or declaration.specialisation:
        return False
    if declaration.kind == "type":
        return declaration.name != ""
    if declaration.name in SELF_EVIDENT or declaration.name.startswith(("operator", "~")):
        return False
    head = declaration.head
    if re.search(r"\boverride\b|= (default|delete)$", head) or head.startswith("friend "):
        return False
    if re.match(r"[A-Z][A-Z0-9_]*\(", head):  # a macro
        return False
    constructor = re.match(r"(constexpr |explicit |inline )*\w+ ?\(", head) is not None
    if constructor and declaration.defined and declaration.body.strip() == "":
        return False  # it stores its arguments; the comment of the class says what they are
    getter = re.fullmatch(r"\s*return [\w.]+;\s*", declaration.body) is not None
    return not (getter and re.search(r"\(\s*\)", head))


def check_documentation(tree):
    for path, text in tree.installed_headers():
        lines = text.split("\n")
        for declaration in cpp_scan.declarations(text):
            above = lines[declaration.first_line - 2].strip() if declaration.first_line > 1 else ""
            if needs_documentation(declaration) and not above.startswith("///"):
                tree.report(path, declaration.first_line, f"{declaration.name} has no /// comment")


def built_sources(tree):
    """Returns (regex, text) of each .cpp that a CMakeLists.txt names, and the text it stands in.

    `${name}.cpp` stands for every word of that text, as in foreach(name IN ITEMS poll epoll).
    """
    named = []
    for build_file, text in tree.texts.items():
        if build_file.name != "CMakeLists.txt":
            continue
        for token in re.findall(r"[\w./${}-]+\.cpp\b", text):
            token = re.sub(r"\$\{\w+_SOURCE_DIR\}/", "", token)
            path = os.path.normpath(build_file.parent / token)
            regex = re.sub(r"\\\$\\\{\w+\\\}", r"([\\w-]+)", re.escape(path))
            named.append((re.compile(regex), text))
    return named


def is_built(path, named):
    for regex, text in named:
        match = regex.fullmatch(path.as_posix())
        if match and all(re.search(rf"(?<![\w-]){re.escape(g)}(?![\w-])", text) for g in match.groups()):
            return True
    return False


def check_dead_files(tree):
    named = built_sources(tree)
    included = {
        target.rsplit("/", 1)[-1] for _, text in tree.code() for _, _, target in cpp_scan.includes(text)
    }
    for path, _ in tree.code():
        if path.suffix == ".cpp":
            if not is_built(path, named):
                tree.report(path, 1, "no CMakeLists.txt builds it")
        elif path.parts[:2] != ("libtftp", "include") and path.name not in included:
            tree.report(path, 1, "nothing includes it")


def numbers(text):
    """Returns the numbers of `text`: 64 * 1024, 20'000, 20,000, 20 000 and 64 KiB are understood."""
    text = re.sub(r"(?<=\d)[',](?=\d{3}\b)", "", text)
    text = re.sub(r"(?<=\d) (?=\d{3}\b)", "", text)
    text = re.sub(r"(\d)\s*KiB", r"\1 * 1024", text)
    text = re.sub(r"(\d)\s*MiB", r"\1 * 1024 * 1024", text)
    text = re.sub(r"(\d)\s*GiB", r"\1 * 1024 * 1024 * 1024", text)
    values = set()
    for product in re.findall(r"\d+(?:\s*\*\s*\d+)*", text):
        value = 1
        for factor in re.findall(r"\d+", product):
            value *= int(factor)
        values.add(value)
    return values


def check_limits(tree):
    header = Path("libtftp/include/tftp/driver/limits.hpp")
    manual = Path("docs/operations.md")
    if header not in tree.texts:
        return
    rows = {
        name: row
        for row in re.findall(r"^\|.*\|$", tree.texts.get(manual, ""), re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    code = re.sub(r"//[^\n]*", "", tree.texts[header])
    members = re.findall(r"^ +[\w:<>]+(?: [\w:<>]+)* (\w+)\s*(?:=\s*([^;]+)|\{([^}]*)\});", code, re.MULTILINE)
    for name, assigned, braced in members:
        value = numbers(re.sub(r"std::|\b[a-z_]+\d+_t\b", "", assigned or braced))
        if name not in rows:
            tree.report(manual, 1, f"the table of limits lacks `{name}` of {header}")
        elif not value <= numbers(rows[name].split("|", 2)[2]):
            tree.report(manual, 1, f"`{name}` is {assigned or braced} in {header}")


def main():
    tree = Tree(Path(sys.argv[1]).resolve())
    for check in (
        check_layers,
        check_sizes,
        check_words,
        check_documentation,
        check_dead_files,
        check_limits,
    ):
        check(tree)
    for problem in tree.problems:
        print(problem)
    return 1 if tree.problems else 0


if __name__ == "__main__":
    sys.exit(main())
