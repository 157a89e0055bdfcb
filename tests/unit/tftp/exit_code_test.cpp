#include "exit_code.hpp"

#include <boost/system/system_category.hpp>
#include <catch2/catch.hpp>

#include <cerrno>
#include <utility>

using namespace tftp;
using namespace tftp::cli;

namespace {

exit_code code_of(const error_code& outcome, bool local_file = false) {
    return exit_code_for(outcome, local_file);
}

error_code errno_code(int value) {
    return {value, boost::system::system_category()};
}

} // namespace

TEST_CASE("exit statuses never change", "[tftp][exit_code]") {
    CHECK(static_cast<int>(exit_code::ok) == 0);
    CHECK(static_cast<int>(exit_code::other) == 1);
    CHECK(static_cast<int>(exit_code::usage) == 2);
    CHECK(static_cast<int>(exit_code::timed_out) == 3);
    CHECK(static_cast<int>(exit_code::local_file) == 4);
    CHECK(static_cast<int>(exit_code::network) == 5);
    CHECK(static_cast<int>(exit_code::not_found) == 6);
    CHECK(static_cast<int>(exit_code::access) == 7);
    CHECK(static_cast<int>(exit_code::disk_full) == 8);
    CHECK(static_cast<int>(exit_code::exists) == 9);
    CHECK(static_cast<int>(exit_code::option_refused) == 10);
}

TEST_CASE("each ERROR of a server has its exit status", "[tftp][exit_code][rfc1350]") {
    for (const auto& [wire, expected] : {
             std::pair{0, exit_code::other},
             {1, exit_code::not_found},
             {2, exit_code::access},
             {3, exit_code::disk_full},
             {4, exit_code::other},
             {5, exit_code::other},
             {6, exit_code::exists},
             {7, exit_code::other},
             {8, exit_code::option_refused},
             {65535, exit_code::other},
         }) {
        INFO(wire);
        const error_code outcome = static_cast<peer_errc>(wire);
        CHECK(origin_of(outcome, false) == origin::server);
        CHECK(code_of(outcome) == expected);
    }
}

TEST_CASE("the same errno counts as file or as network by its origin", "[tftp][exit_code]") {
    CHECK(code_of(errno_code(ENOSPC), true) == exit_code::local_file);
    CHECK(code_of(errno_code(EACCES), true) == exit_code::local_file);
    CHECK(code_of(errno_code(EACCES)) == exit_code::network);
    CHECK(code_of(errno_code(ECONNREFUSED)) == exit_code::network);
    CHECK(code_of(errno_code(ENETUNREACH)) == exit_code::network);
    CHECK(code_of(errno_code(ENOMEM)) == exit_code::other);
    CHECK(code_of(errc::too_large, true) == exit_code::local_file);
    CHECK(code_of(errc::source_shrank) == exit_code::local_file);
}

TEST_CASE("conclusions of this side have their exit status", "[tftp][exit_code]") {
    CHECK(code_of({}) == exit_code::ok);
    CHECK(code_of(errc::timed_out) == exit_code::timed_out);
    CHECK(code_of(errc::out_of_time) == exit_code::timed_out);
    CHECK(code_of(errc::too_large) == exit_code::other);
    CHECK(code_of(errc::bad_option_answer) == exit_code::option_refused);
    CHECK(code_of(errc::too_long) == exit_code::usage);
    CHECK(code_of(errc::bad_name) == exit_code::usage);
    CHECK(code_of(errc::bad_uri) == exit_code::usage);
    CHECK(code_of(errc::unknown_host) == exit_code::network);
    CHECK(code_of(errc::truncated) == exit_code::other);
    CHECK(code_of(errc::stopped) == exit_code::other);
}
