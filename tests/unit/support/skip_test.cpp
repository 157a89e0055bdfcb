// How tests are skipped, and how that is counted. The hidden cases are run by the others, each in
// this program once more.
#include "support/files.hpp"
#include "support/process.hpp"
#include "support/skip.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <string>
#include <vector>

using namespace tftp::test;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

/// Runs hidden cases as a program of their own.
run_result run_cases(const std::string& which, const std::string& require_all = {}) {
    // An empty word is a variable all the same, so it is taken away where nothing is required.
    command what{{"env"}, {}, {}, -1};
    if (require_all.empty()) {
        what.argv.insert(what.argv.end(), {"-u", "TFTP_REQUIRE_ALL"});
    } else {
        what.argv.push_back("TFTP_REQUIRE_ALL=" + require_all);
    }
    what.argv.insert(
        what.argv.end(), {std::filesystem::read_symlink("/proc/self/exe").string(), which}
    );
    return run(what, 30s);
}

std::size_t count_of(const std::string& text, const std::string& part) {
    std::size_t count = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
        ++count;
    }
    return count;
}

run_result skips(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), TFTP_SKIPS_SCRIPT);
    return run({arguments, {}, {}, -1}, 30s);
}

} // namespace

TEST_CASE("lacks something", "[.lacks]") {
    const int turn = GENERATE(1, 2);
    SECTION("that the system refuses") {
        need([] { throw refused_here("wing", EPERM); });
        FAIL("reached");
    }
    SECTION("nothing here") {
        CHECK(turn > 0);
    }
}

TEST_CASE("lacks a part", "[.lacks]") {
    skip_part("no tail");
    CHECK(true);
}

TEST_CASE("fails", "[.fails]") {
    for (int i = 0; i < 77; ++i) {
        CHECK(i < 0);
    }
}

TEST_CASE("what is skipped has a reason and an exit code", "[support][skip]") {
    const run_result ended = run_cases("[.lacks]");
    CHECK(ended.status == 77);
    // Once, however often the case is run for its sections.
    CHECK(
        count_of(
            ended.output, "\nskipped: \"lacks something\": no wing here: Operation not permitted\n"
        ) + count_of(ended.output, "skipped: \"lacks something\"") ==
        2
    );
    CHECK(count_of(ended.output, "skipped: \"lacks a part\": no tail\n") == 1);
    // What could run has run.
    CHECK_THAT(ended.output, Contains("All tests passed (3 assertions in 2 test cases)"));
}

TEST_CASE("a failure is no skip, and is not hidden by one", "[support][skip]") {
    CHECK(run_cases("[.fails]").status == 1);
    CHECK(run_cases("[.fails],[.lacks]").status == 1);
}

TEST_CASE("where all is required, a skip is a failure", "[support][skip]") {
    const run_result ended = run_cases("[.lacks]", "1");
    CHECK(ended.status == 1);
    CHECK_THAT(ended.output, Contains("nothing may be (TFTP_REQUIRE_ALL): no tail"));
}

TEST_CASE("skips are listed and counted from ctest's log", "[support][skip]") {
    const temp_dir build;
    const auto log = build.path() / "Testing" / "Temporary" / "LastTest.log";
    std::filesystem::create_directories(log.parent_path());
    CHECK(skips({"--none", (build.path() / "elsewhere").string()}).status == 2);
    const std::string passed = "1/2 Testing: one\n1/2 Test: one\nOutput:\n"
                               "not skipped: this\n<end of output>\nTest Passed.\n";
    write_file(log, passed);
    CHECK(skips({"--none", build.path().string()}).status == 0);
    // As ctest writes it: it calls both passed.
    write_file(
        log,
        passed + "2/2 Testing: two\n2/2 Test: two\nOutput:\nskipped: \"a\": no wing\nnoise\n"
                 "skipped: \"b\": no tail\n<end of output>\nTest Passed.\n"
    );
    const run_result listed = skips({build.path().string()});
    CHECK(listed.status == 0);
    CHECK(
        listed.output == build.path().string() + ": 2 skipped, in 1 tests:\n"
                                                 "  two: \"a\": no wing\n  two: \"b\": no tail\n"
    );
    CHECK(skips({"--none", build.path().string()}).status == 1);
}
