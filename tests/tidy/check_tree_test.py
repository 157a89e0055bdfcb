#!/usr/bin/env python3
"""Tests of check_tree.py: a tree with one violation of each rule, and one without any."""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import check_tree

DOCUMENTED = "#pragma once\n\n/// Returns the answer.\nint answer() noexcept;\n"
BUILD_FILE = "add_library(x STATIC a.cpp)\nforeach(n IN ITEMS b)\n  add_executable(${n} ${n}.cpp)\nendforeach()\n"
PICTURE = "base ->\nwire -> base\nserver -> wire\nserver/async -> server\n"
USES = {"base": "", "wire": "USES base", "server": "USES wire", "server/async": "USES server"}


class CheckTree(unittest.TestCase):
    def problems_of(self, files):
        with tempfile.TemporaryDirectory() as directory:
            for name, text in files.items():
                path = Path(directory, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            output = io.StringIO()
            with contextlib.redirect_stdout(output), mock.patch("sys.argv", ["", directory]):
                status = check_tree.main()
        self.assertEqual(status, 1 if output.getvalue() else 0)
        return output.getvalue()

    def assert_problem(self, files, expected):
        self.assertIn(expected, self.problems_of(files))

    def header(self, text, folder="wire"):
        return {f"libtftp/include/tftp/{folder}/a.hpp": text}

    def library(self, picture=PICTURE):
        """A library of four folders, each of which uses what its arrow leads to."""
        files = {"docs/internals/architecture.md": picture}
        for folder, uses in USES.items():
            name = folder.replace("/", "-")
            build = f"tftp_folder(\n    {name}\n    SOURCES\n        a.cpp\n    {uses}\n)\n"
            files[f"libtftp/src/{folder}/CMakeLists.txt"] = build
            below = uses.removeprefix("USES ")
            files[f"libtftp/src/{folder}/a.cpp"] = f"#include <tftp/{below}/a.hpp>\n" if below else ""
            files |= self.header(DOCUMENTED, folder)
        return files

    def test_accepts_a_clean_tree(self):
        self.assertEqual(self.problems_of(self.library()), "")

    def test_finds_an_include_without_an_arrow(self):
        up = {"libtftp/src/wire/a.cpp": "#include <tftp/base/a.hpp>\n#include <tftp/server/a.hpp>\n"}
        self.assert_problem(self.library() | up, "no arrow leads from wire to server")
        private = {"libtftp/src/base/a.cpp": '#include "wire/b.hpp"\n', "libtftp/src/wire/b.hpp": DOCUMENTED}
        self.assert_problem(self.library() | private, "no arrow leads from base to wire")

    def test_follows_the_arrows_of_what_is_used(self):
        far = {"libtftp/src/server/a.cpp": "#include <tftp/base/a.hpp>\n#include <tftp/wire/a.hpp>\n"}
        self.assertEqual(self.problems_of(self.library() | far), "")

    def test_compares_the_picture_with_includes_and_build(self):
        self.assert_problem(self.library(PICTURE.replace("wire -> base", "wire ->")), "no arrow leads")
        more = self.library(PICTURE.replace("server -> wire", "server -> wire base"))
        self.assert_problem(more, "server includes nothing of base")
        self.assert_problem(more, "USES of server")
        self.assert_problem(self.library(PICTURE.replace("base ->\n", "")), "does not show the folder base")

    def test_finds_asio_elsewhere(self):
        asio = self.header(DOCUMENTED + "#include <boost/asio/post.hpp>\n", "server")
        self.assert_problem(self.library() | asio, "only client/async and server/async")
        asio = self.header(DOCUMENTED + "#include <boost/asio/post.hpp>\n", "server/async")
        self.assertEqual(self.problems_of(self.library() | asio), "")

    def test_finds_a_system_header_in_the_core(self):
        self.assert_problem(self.library() | self.header("#include <sys/socket.h>\n"), "the core includes")

    def test_finds_fmt_in_an_installed_header(self):
        fmt = self.header("#include <fmt/format.h>\n", "server")
        self.assert_problem(self.library() | fmt, "never in an installed")

    def test_finds_a_long_header(self):
        self.assert_problem(self.header("// x\n" * 301), "301 lines")

    def test_finds_a_long_function(self):
        body = "    step();\n" * 70
        text = f"widget::widget(int a)\n    : a_{{a}}, b_(a) {{\n{body}}}\n"
        self.assert_problem({"tftp/main.cpp": text, "tftp/CMakeLists.txt": "main.cpp"}, "widget has 73")

    def test_leaves_long_test_cases_alone(self):
        text = 'TEST_CASE("x", "[y]") {\n' + "    step();\n" * 80 + "}\n"
        files = {"tests/x_test.cpp": text, "tests/CMakeLists.txt": "x_test.cpp"}
        self.assertEqual(self.problems_of(files), "")

    def test_finds_unfinished_work_and_foreign_words(self):
        self.assert_problem({"docs/a.md": "TO" + "DO: more\n"}, "unfinished work")
        self.assert_problem({"docs/a.md": "a sub" + "agent\n"}, "not part of this project")
        self.assertEqual(self.problems_of({"docs/a.md": "an S3 session token, an SNMP agent\n"}), "")
        self.assert_problem({"docs/a.md": "see /ho" + "me/me/x\n"}, "path of one machine")

    def test_finds_undocumented_declarations(self):
        self.assert_problem(self.header("#pragma once\n\nstruct bare {\n    int a;\n};\n"), "bare has no")
        self.assert_problem(self.header("/// A.\nclass a {\npublic:\n    void f();\n};\n"), "f has no")
        self.assert_problem(self.header("template <class T>\nT twice(T a);\n"), "twice has no")

    def test_reads_c_like_the_rest(self):
        bare = 'extern "C" {\nvoid f(void);\n}\n'
        self.assert_problem({"libtftp/include/tftp.h": bare}, "f has no")
        self.assert_problem({"tftp/c.c": "\n", "tftp/CMakeLists.txt": BUILD_FILE}, "builds it")

    def test_asks_no_documentation_of_private_and_trivial_declarations(self):
        text = (
            "/// A.\nclass a {\npublic:\n    explicit a(int size) noexcept : size_(size) {}\n    ~a();\n    a(const a&) = delete;\n"
            "    int size() const noexcept { return size_; }\n"
            "    bool operator==(const a&) const = default;\n\nprivate:\n    void f();\n};\n"
            "/// B.\nstruct b {\n    std::function<void(int)> on_end;\n};\nnamespace detail {\nvoid g();\n}\n"
        )
        self.assertEqual(self.problems_of(self.library() | self.header(text)), "")

    def test_finds_dead_files(self):
        self.assert_problem({"tftp/c.cpp": "\n", "tftp/CMakeLists.txt": BUILD_FILE}, "builds it")
        self.assert_problem({"tftp/c.hpp": "\n"}, "nothing includes it")

    def test_compares_limits_with_the_manual(self):
        header = self.header("/// L.\nstruct limits {\n    std::size_t queue_max = 64 * 1024;\n};\n")
        files = {"libtftp/include/tftp/server/limits.hpp": header.popitem()[1]}
        self.assert_problem(files, "lacks `queue_max`")
        row = "| `queue_max` | {} | why |\n"
        files |= self.library()
        self.assertEqual(self.problems_of(files | {"docs/reference/limits.md": row.format("64 KiB")}), "")
        self.assert_problem(files | {"docs/reference/limits.md": row.format("32 KiB")}, "is 64 * 1024")


if __name__ == "__main__":
    unittest.main()
