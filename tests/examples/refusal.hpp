#pragma once

#include "examples/example.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace tftp::test {

/// Checks that an example refuses its arguments: one line that ends in a hint, status 2, and
/// nothing else done or said.
inline void check_refuses(const std::vector<std::string>& words) {
    const run_result ended = run_example(words);
    INFO(words.back() << ": " << ended.errors);
    CHECK(ended.status == 2);
    CHECK(ended.errors.starts_with(words.front() + ": "));
    CHECK(ended.errors.ends_with("; see --help\n"));
    CHECK(std::count(ended.errors.begin(), ended.errors.end(), '\n') == 1);
    CHECK(ended.output.empty());
}

} // namespace tftp::test
