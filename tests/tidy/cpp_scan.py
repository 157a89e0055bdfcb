"""A small scanner for the C++ of this tree: declarations, functions and includes.

It is no parser: it follows braces, parentheses and access labels, which is enough for code that
clang-format has been over.
"""

import re
from dataclasses import dataclass

_LITERAL = re.compile(
    r"""//[^\n]*|/\*.*?\*/|R"(?P<d>\w*)\(.*?\)(?P=d)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'""",
    re.DOTALL,
)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:.*\\\n)*.*$", re.MULTILINE)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
_TEMPLATE = re.compile(r"^template\s*<")
_ACCESS = re.compile(r"^(public|protected|private)$")
_TYPE = re.compile(r"^(class|struct|union)\b")
_NAME = re.compile(r"(operator\s*(?:\(\s*\)|\"\"\s*\w*|[^\s(]+(?:\s+[^\s(]+)?)|~?[A-Za-z_]\w*)\s*\(")


@dataclass
class Declaration:
    """A type or function declared at namespace or class scope."""

    kind: str  # "type" or "function"
    name: str
    head: str  # the declaration up to its body, one line, without comments and template heads
    body: str  # text of the body without comments; empty for a mere declaration
    first_line: int  # 1-based
    last_line: int
    public: bool  # neither private nor protected, and in no detail or unnamed namespace
    specialisation: bool  # `template <>` or a member of one
    defined: bool = False  # with a body


@dataclass
class _Scope:
    kind: str  # "namespace", "class", "function", "opaque" or "initializer"
    public: bool = True
    specialisation: bool = False
    declaration: Declaration | None = None
    body_start: int = 0


def includes(text):
    """Returns (line, quote, path) of each #include of `text`."""
    return [
        (text.count("\n", 0, m.start(1)) + 1, m.group(1), m.group(2))
        for m in _INCLUDE.finditer(text)
    ]


def blank(text):
    """Returns `text` of the same shape without comments, literals and preprocessor lines."""

    def spaces(match):
        return re.sub(r"[^\n]", " ", match.group(0))

    return _DIRECTIVE.sub(spaces, _LITERAL.sub(spaces, text))


def _strip_template(head):
    specialisation = False
    while _TEMPLATE.match(head):
        depth = 0
        for i, c in enumerate(head):
            depth += (c == "<") - (c == ">" and head[i - 1] != "-")
            if c == ">" and depth == 0:
                specialisation = specialisation or head[: i + 1].replace(" ", "") == "template<>"
                head = head[i + 1 :].lstrip()
                break
        else:
            break
        constraint = re.match(r"requires\s+[\w:]+(\s*<[^<>]*>)?\s+", head)
        if constraint:
            head = head[constraint.end() :]
    return head, specialisation


def _normalise(head):
    head = re.sub(r"\s+", " ", head).strip()
    head, specialisation = _strip_template(head)
    head = re.sub(r"\[\[.*?\]\]\s*", "", head)
    head = re.sub(r"<[^<>]*\([^<>]*\)[^<>]*>", "<>", head)  # std::function<void(int)>
    head = re.sub(r"\b(alignas|decltype|explicit)\s*\([^()]*\)\s*", "", head)
    return head, specialisation


def _is_initializer(head):
    """True when a brace behind `head` opens an initializer, not a body."""
    if re.search(r"(?<![=!<>])=(?!=)", re.sub(r"operator\s*[^\s(]*=", "", head)):
        return True
    in_member_list = re.search(r"\)\s*(noexcept\s*(\([^()]*\))?\s*)?:(?!:)", head)
    return bool(in_member_list) and re.search(r"[\w>]$", head) is not None


def declarations(text):
    """Returns the declarations of `text` in the order in which they end."""
    code = blank(text)
    found = []
    scopes = [_Scope("namespace")]
    start = 0
    parentheses = 0

    def line_of(position):
        return code.count("\n", 0, position) + 1

    def declare(kind, head, end, specialisation):
        begin = start + len(code[start:end]) - len(code[start:end].lstrip())
        outer = scopes[-1]
        if kind == "type":
            words = re.findall(r"[A-Za-z_]\w*", head)
            named = [w for w in words if w not in ("class", "struct", "union", "enum", "final")]
            name = named[0] if named else ""
        else:
            match = _NAME.search(head)
            name = match.group(1) if match else ""
        declaration = Declaration(
            kind, name, head, "", line_of(begin), line_of(end), outer.public,
            specialisation or outer.specialisation,
        )
        found.append(declaration)
        return declaration

    for i, c in enumerate(code):
        scope = scopes[-1]
        if scope.kind in ("function", "opaque", "initializer"):
            if c == "{":
                scopes.append(_Scope("initializer"))
            elif c == "}":
                scopes.pop()
                if scope.declaration is not None:
                    scope.declaration.body = code[scope.body_start : i]
                    scope.declaration.defined = True
                    scope.declaration.last_line = line_of(i)
                if scope.kind == "function":
                    start = i + 1
            continue
        if c in "([":
            parentheses += 1
        elif c in ")]":
            parentheses -= 1
        elif parentheses:
            continue
        elif c == "{":
            head, special = _normalise(code[start:i])
            if re.match(r"(inline )?namespace\b|extern\s*$", head):
                hidden = head in ("namespace", "inline namespace") or "detail" in head
                scopes.append(_Scope("namespace", scope.public and not hidden))
                start = i + 1
            elif re.match(r"enum\b", head):
                scopes.append(_Scope("opaque", declaration=declare("type", head, i, special)))
            elif _TYPE.match(head) and not _is_initializer(head) and "(" not in head:
                declare("type", head, i, special)
                scopes.append(
                    _Scope(
                        "class",
                        scope.public and not head.startswith("class"),
                        special or scope.specialisation,
                    )
                )
                start = i + 1
            elif "(" in head and not _is_initializer(head):
                declaration = declare("function", head, i, special)
                scopes.append(_Scope("function", declaration=declaration, body_start=i + 1))
            else:
                scopes.append(_Scope("initializer"))
        elif c == "}":
            if len(scopes) > 1:
                scopes.pop()
            start = i + 1
        elif c == ":" and scope.kind == "class" and _ACCESS.match(code[start:i].strip()):
            enclosing_public = all(s.public for s in scopes[:-1])
            scope.public = enclosing_public and code[start:i].strip() == "public"
            start = i + 1
        elif c == ";":
            head, special = _normalise(code[start:i])
            skipped = re.match(r"(using|typedef|static_assert|friend|concept|class|struct|enum)\b", head)
            assigned = re.sub(r"=\s*(0|default|delete)$", "", head)
            if "(" in head and not skipped and not _is_initializer(assigned):
                declare("function", head, i, special)
            start = i + 1
    return found
