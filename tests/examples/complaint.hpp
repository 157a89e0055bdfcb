#pragma once

#include "examples/example.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <utility>
#include <vector>

namespace tftp::test {

/// Runs an example with a command line that cannot be meant, checks that it says so in one line
/// with status 2, and returns that line.
[[nodiscard]] inline std::string complaint(std::vector<std::string> words) {
    const run_result result = run_example(std::move(words));
    CHECK(result.status == 2);
    CHECK(result.output.empty());
    CHECK(result.errors.find('\n') == result.errors.size() - 1);
    return result.errors;
}

} // namespace tftp::test
