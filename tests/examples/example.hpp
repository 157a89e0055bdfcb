#pragma once

#include "support/process.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace tftp::test {

/// Longest wait for something an example is about to do; reached only by a test that fails.
inline constexpr auto example_limit = std::chrono::seconds(30);

/// Returns the command of one of the examples: its name, and the words behind it.
[[nodiscard]] inline command example(std::vector<std::string> words) {
    words.front() = std::string(TFTP_TEST_EXAMPLES) + "/" + words.front();
    command what;
    what.argv = std::move(words);
    return what;
}

/// Runs an example to its end.
[[nodiscard]] inline run_result run_example(std::vector<std::string> words) {
    return run(example(std::move(words)), example_limit);
}

/// One of the servers, and the address it says it serves on.
struct running_server {
    explicit running_server(std::vector<std::string> words) : process(example(std::move(words))) {
        const std::string greeting = "serving on ";
        const auto line = process.wait_for_line(greeting, example_limit);
        INFO(process.errors());
        REQUIRE(line);
        address = line->substr(line->find(greeting) + greeting.size());
        port = address.substr(address.rfind(':') + 1);
    }

    child_process process;
    /// ADDRESS:PORT.
    std::string address;
    std::string port;
};

/// Checks that an example refuses a command line that cannot be meant: status 2, one line that
/// holds `about` and ends in a hint, and nothing else done or said.
inline void check_refuses(const std::vector<std::string>& words, const std::string& about = "") {
    const run_result ended = run_example(words);
    INFO(words.back() << ": " << ended.errors);
    CHECK(ended.status == 2);
    CHECK(ended.errors.starts_with(words.front() + ": "));
    CHECK_THAT(ended.errors, Catch::Matchers::Contains(about));
    CHECK(ended.errors.ends_with("; see --help\n"));
    CHECK(ended.errors.find('\n') == ended.errors.size() - 1);
    CHECK(ended.output.empty());
}

/// Checks what every example does with --help, and with a command line that makes no sense.
inline void check_explains_itself(const std::string& name) {
    INFO(name);
    const run_result help = run_example({name, "--help"});
    CHECK(help.status == 0);
    CHECK(help.output.starts_with("usage: " + name));
    CHECK(help.errors.empty());
    const run_result wrong = run_example({name, "--no-such-option"});
    CHECK(wrong.status == 2);
    CHECK(wrong.errors == name + ": no such option: --no-such-option; see --help\n");
    CHECK(wrong.output.empty());
}

} // namespace tftp::test
