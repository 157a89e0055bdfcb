#!/usr/bin/env python3
"""Checks the rules of the tree: arrows, sizes, words, documentation, dead files, limits.

usage: check_tree.py ROOT
Prints one line for each violation and exits 1 when there is one.
"""

import os
import re
import sys
from pathlib import Path

import cpp_scan

PICTURE = Path("docs/internals/architecture.md")
CODE_DIRECTORIES = ("libtftp", "tftpd", "tftp", "tests", "docs")
SOURCE_LINES_MAX = 600
HEADER_LINES_MAX = 300
FUNCTION_LINES_MAX = 70

# Names whose meaning is fixed by the standard library or Boost.System.
SELF_EVIDENT = {"make_error_code", "begin", "end", "empty", "size", "data", "swap"}

# Written with brackets so that this file does not contain them.
WORDS = {
    r"\b(TO[D]O|FIX[M]E|X{3})\b": "unfinished work; do it, or say in docs/ that it is not there",
    r"(?i)\bsub-?ag[e]nts?\b|\bwork[t]rees?\b|\bL{2}M\b": "not part of this project",
    r"(?<![\w./-])/(wor[k]|roo[t]|hom[e])/": "a path of one machine",
    r"\bpypi\.o[r]g|\bpythonhosted\.o[r]g|\bregistry\.npmjs\.o[r]g|\bcrates\.i[o]\b|\bproxy\.golang\.o[r]g": "a package registry",
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
        """Returns (path, text) of each C++ or C file."""
        return [
            (path, text)
            for path, text in self.texts.items()
            if path.suffix in (".hpp", ".cpp", ".h", ".c") and path.parts[0] in CODE_DIRECTORIES
        ]

    def installed_headers(self):
        """Returns (path, text) of each header that is installed."""
        return [
            (path, text)
            for path, text in self.code()
            if path.suffix in (".hpp", ".h") and path.parts[:2] == ("libtftp", "include")
        ]

    def report(self, path, line, message):
        self.problems.append(f"{path}:{line}: {message}")


def folder_of(path):
    """Returns the folder of a file of libtftp, such as wire or client/async, or None."""
    for inside in (("libtftp", "include", "tftp"), ("libtftp", "src")):
        if path.parts[: len(inside)] == inside and len(path.parts) > len(inside) + 1:
            return "/".join(path.parts[len(inside) : -1])
    return None


def drawn_arrows(tree):
    """Returns folder -> folders that it may use, as the picture in the documentation has it."""
    lines = re.findall(r"^ *([a-z/]+) +->((?: [a-z/]+)*)$", tree.texts.get(PICTURE, ""), re.MULTILINE)
    return {folder: set(used.split()) for folder, used in lines}


def built_arrows(tree):
    """Returns the same as the build has it: USES of tftp_folder()."""
    arrows = {}
    for path, text in tree.texts.items():
        call = re.search(r"^tftp_folder\(\s*([a-z-]+)\s([^)]*)\)", text, re.MULTILINE)
        if path.name == "CMakeLists.txt" and path.parts[:2] == ("libtftp", "src") and call:
            _, _, used = call.group(2).partition("USES")
            arrows["/".join(path.parts[2:-1])] = {each.replace("-", "/") for each in used.split()}
    return arrows


def reachable(arrows, folder):
    """Returns what `folder` may include: what it uses, and what that uses."""
    found = set()
    waiting = [folder]
    while waiting:
        for used in arrows.get(waiting.pop(), ()):
            if used not in found:
                found.add(used)
                waiting.append(used)
    return found


def included_folder(quote, target):
    """Returns the folder of libtftp that an #include names, or None."""
    if not target.startswith("tftp/") and quote != '"':
        return None
    folder = target.removeprefix("tftp/").rpartition("/")[0]
    return folder or None


def forbidden_header(folder, quote, target):
    """Returns why a file of `folder` must not include `target`, another project's, or None."""
    parts = target.split("/")
    if quote == '"':
        return None
    asio = parts[:2] in (["boost", "asio"], ["boost", "asio.hpp"], ["boost", "beast"])
    if asio and not folder.endswith("/async"):
        return "only client/async and server/async include Asio"
    if target.startswith("boost/program_options"):
        return "only the programs include Program_options"
    if parts[0] == "spdlog":
        return "only the programs include spdlog"
    core = folder in ("wire", "engine")
    if core and parts[:2] != ["boost", "system"] and re.search("[/.]", target):
        return "the core includes the standard library and boost/system only"
    return None


def check_arrows(tree):
    drawn = drawn_arrows(tree)
    used = {folder: set() for folder in drawn}
    for path, text in tree.code():
        folder = folder_of(path)
        if folder is None:
            continue
        if folder not in drawn:
            tree.report(path, 1, f"{PICTURE} does not show the folder {folder}")
            continue
        allowed = reachable(drawn, folder)
        for line, quote, target in cpp_scan.includes(text):
            other = included_folder(quote, target)
            if other is None:
                why = forbidden_header(folder, quote, target)
                if why is not None:
                    tree.report(path, line, f"includes {target}: {why}")
            elif other != folder:
                used[folder].add(other)
                if other not in allowed:
                    tree.report(path, line, f"includes {target}: no arrow leads from {folder} to {other}")
    built = built_arrows(tree)
    for folder, arrows in drawn.items():
        for missing in sorted(arrows - used[folder]):
            tree.report(PICTURE, 1, f"{folder} includes nothing of {missing}")
        if arrows != built.get(folder):
            tree.report(PICTURE, 1, f"USES of {folder} in its CMakeLists.txt is not what is drawn")
    for path, text in tree.installed_headers():
        for line, _, target in cpp_scan.includes(text):
            if target.split("/")[0] in ("fmt", "spdlog"):
                tree.report(path, line, f"includes {target}: never in an installed header")


def check_sizes(tree):
    for path, text in tree.code():
        limit = HEADER_LINES_MAX if path.suffix in (".hpp", ".h") else SOURCE_LINES_MAX
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
    """Returns (regex, text) of each .cpp or .c that a CMakeLists.txt names, and the text it stands in.

    `${name}.cpp` stands for every word of that text, as in foreach(name IN ITEMS poll epoll).
    """
    named = []
    for build_file, text in tree.texts.items():
        if build_file.name != "CMakeLists.txt":
            continue
        for token in re.findall(r"[\w./${}-]+\.c(?:pp)?\b", text):
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
        if path.suffix in (".cpp", ".c"):
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
    header = Path("libtftp/include/tftp/server/limits.hpp")
    manual = Path("docs/reference/limits.md")
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
        check_arrows,
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
