#include <tftp/base/error.hpp>

#include <boost/system/errc.hpp>
#include <catch2/catch.hpp>

#include <cerrno>
#include <future>
#include <iterator>
#include <set>
#include <string>
#include <utility>

using namespace tftp;

namespace {

constexpr int errc_count = 46;
constexpr int conclusion_count = 33;
constexpr int refusal_count = 13;

static_assert(conclusion_count + refusal_count == errc_count);
constexpr int peer_errc_count = 9;

error_code from_errno(int value) {
    return {value, boost::system::system_category()};
}

} // namespace

TEST_CASE("each conclusion of this side has a sentence of its own", "[wire][error]") {
    std::set<std::string> sentences;
    for (int value = 1; value <= errc_count; ++value) {
        const error_code code = static_cast<errc>(value);
        CHECK(code.failed());
        CHECK(std::string(code.category().name()) == "tftp");
        CHECK(code.message() != "Unknown TFTP error");
        sentences.insert(code.message());
    }
    CHECK(sentences.size() == errc_count);
    CHECK(make_error_code(static_cast<errc>(errc_count + 1)).message() == "Unknown TFTP error");
}

TEST_CASE("each code of a peer has a sentence of its own", "[wire][error]") {
    std::set<std::string> sentences;
    for (int value = 0; value < peer_errc_count; ++value) {
        const error_code code = static_cast<peer_errc>(value);
        CHECK(std::string(code.category().name()) == "tftp.peer");
        sentences.insert(code.message());
    }
    sentences.insert(make_error_code(static_cast<peer_errc>(9)).message());
    sentences.insert(make_error_code(static_cast<peer_errc>(65535)).message());
    CHECK(sentences.size() == peer_errc_count + 1);
}

TEST_CASE("a message without memory is the same sentence", "[wire][error]") {
    char buffer[8];
    const error_code own = errc::timed_out;
    CHECK(own.message() == own.message(buffer, sizeof buffer));
    const error_code theirs = peer_errc::disk_full;
    CHECK(theirs.message() == theirs.message(buffer, sizeof buffer));
}

TEST_CASE("code 0 of a peer is a failure", "[wire][error]") {
    const error_code code = peer_errc::undefined;
    CHECK(code.failed());
    CHECK(code);
    CHECK(code.value() == 0);
}

TEST_CASE("the two categories never compare equal", "[wire][error]") {
    CHECK(tftp_category() != peer_category());
    CHECK(error_code(errc::malformed) != error_code(peer_errc::not_found));
    CHECK(&tftp_category() == &tftp_category());
}

TEST_CASE("conclusions compare with the portable conditions they mean", "[wire][error]") {
    namespace portable = boost::system::errc;
    CHECK(error_code(errc::timed_out) == portable::timed_out);
    CHECK(error_code(errc::would_block) == portable::operation_would_block);
    CHECK(error_code(errc::stopped) == portable::operation_canceled);
    CHECK(error_code(errc::too_large) == portable::file_too_large);
    CHECK(error_code(errc::forbidden) == portable::permission_denied);
    CHECK(error_code(errc::malformed) != portable::timed_out);
    CHECK(error_code(peer_errc::not_found) == portable::no_such_file_or_directory);
    CHECK(error_code(peer_errc::access_violation) == portable::permission_denied);
    CHECK(error_code(peer_errc::disk_full) == portable::no_space_on_device);
    CHECK(error_code(peer_errc::file_exists) == portable::file_exists);
    CHECK(error_code(peer_errc::undefined) != portable::success);
}

TEST_CASE("errno is told to a peer as the closest wire code", "[wire][error]") {
    const std::pair<int, peer_errc> table[] = {
        {ENOENT, peer_errc::not_found},
        {ENOTDIR, peer_errc::not_found},
        {ENAMETOOLONG, peer_errc::not_found},
        {EACCES, peer_errc::access_violation},
        {EPERM, peer_errc::access_violation},
        {ELOOP, peer_errc::access_violation},
        {EXDEV, peer_errc::access_violation},
        {EROFS, peer_errc::access_violation},
        {EISDIR, peer_errc::access_violation},
        {ETXTBSY, peer_errc::access_violation},
        {ENOSPC, peer_errc::disk_full},
        {EDQUOT, peer_errc::disk_full},
        {EFBIG, peer_errc::disk_full},
        {EEXIST, peer_errc::file_exists},
        {EIO, peer_errc::undefined},
        {EMFILE, peer_errc::undefined},
        {ENOMEM, peer_errc::undefined},
    };
    for (const auto& [value, expected] : table) {
        CAPTURE(value);
        CHECK(to_peer_errc(from_errno(value)) == expected);
        CHECK(to_peer_errc({value, boost::system::generic_category()}) == expected);
    }
}

TEST_CASE("a conclusion is told to a peer as the closest wire code", "[wire][error]") {
    const std::pair<errc, peer_errc> table[] = {
        {errc::malformed, peer_errc::illegal_operation},
        {errc::unknown_opcode, peer_errc::illegal_operation},
        {errc::unsupported_mode, peer_errc::illegal_operation},
        {errc::too_long, peer_errc::undefined},
        {errc::timed_out, peer_errc::undefined},
        {errc::bad_option_answer, peer_errc::option_refused},
        {errc::rollover_forbidden, peer_errc::disk_full},
        {errc::too_large, peer_errc::disk_full},
        {errc::truncated, peer_errc::undefined},
        {errc::would_block, peer_errc::undefined},
        {errc::size_probe, peer_errc::undefined},
        {errc::stopped, peer_errc::undefined},
        {errc::superseded, peer_errc::undefined},
        {errc::bad_name, peer_errc::access_violation},
        {errc::not_regular, peer_errc::access_violation},
        {errc::forbidden, peer_errc::access_violation},
        {errc::bad_uri, peer_errc::undefined},
        {errc::overloaded, peer_errc::undefined},
        {errc::source_shrank, peer_errc::undefined},
        {errc::oversize, peer_errc::illegal_operation},
        {errc::crowded_out, peer_errc::undefined},
        {errc::client_overloaded, peer_errc::undefined},
        {errc::too_fast, peer_errc::undefined},
        {errc::stalled, peer_errc::undefined},
        {errc::excess, peer_errc::undefined},
        {errc::not_a_client, peer_errc::undefined},
        {errc::out_of_time, peer_errc::undefined},
        {errc::source_changed, peer_errc::undefined},
        {errc::no_server, peer_errc::undefined},
        {errc::unknown_host, peer_errc::undefined},
        {errc::lookup_failed, peer_errc::undefined},
        {errc::bad_local_address, peer_errc::undefined},
        {errc::not_rewindable, peer_errc::undefined},
    };
    static_assert(std::size(table) == conclusion_count);
    for (const auto& [value, expected] : table) {
        CAPTURE(static_cast<int>(value));
        CHECK(to_peer_errc(value) == expected);
    }
}

TEST_CASE("each refusal of a file has a sentence and a wire code of its own", "[wire][error]") {
    const std::pair<errc, peer_errc> table[] = {
        {errc::not_world_readable, peer_errc::access_violation},
        {errc::unreadable, peer_errc::access_violation},
        {errc::no_entry, peer_errc::access_violation},
        {errc::link_refused, peer_errc::access_violation},
        {errc::absolute_link, peer_errc::access_violation},
        {errc::link_leaves, peer_errc::access_violation},
        {errc::link_loop, peer_errc::access_violation},
        {errc::uploads_off, peer_errc::access_violation},
        {errc::directory_not_writable, peer_errc::access_violation},
        {errc::not_writable, peer_errc::access_violation},
        {errc::not_world_writable, peer_errc::access_violation},
        {errc::kept_for_owner, peer_errc::access_violation},
        {errc::held, peer_errc::undefined},
    };
    static_assert(std::size(table) == refusal_count);
    std::set<std::string> sentences;
    for (const auto& [value, expected] : table) {
        CAPTURE(static_cast<int>(value));
        const error_code code = value;
        CHECK(to_peer_errc(code) == expected);
        CHECK(code.message() != "Unknown TFTP error");
        CHECK(
            (code == boost::system::errc::permission_denied) ==
            (expected == peer_errc::access_violation)
        );
        sentences.insert(code.message());
    }
    CHECK(sentences.size() == std::size(table));
}

TEST_CASE("the code of a peer passes through unchanged", "[wire][error]") {
    for (const unsigned value : {0U, 1U, 8U, 9U, 65535U}) {
        CHECK(to_peer_errc(static_cast<peer_errc>(value)) == static_cast<peer_errc>(value));
    }
}

TEST_CASE("an error of a foreign category is told as undefined", "[wire][error]") {
    // A category of the standard library, as Boost wraps it.
    const error_code foreign = std::make_error_code(std::future_errc::no_state);
    CHECK(to_peer_errc(foreign) == peer_errc::undefined);
}

TEST_CASE("what a peer reads is fixed, and differs for each code", "[wire][error]") {
    CHECK(std::string(peer_message(peer_errc::not_found)) == "File not found");
    std::set<std::string> sentences;
    for (int value = 0; value < peer_errc_count; ++value) {
        sentences.insert(peer_message(static_cast<peer_errc>(value)));
    }
    CHECK(sentences.size() == peer_errc_count);
    CHECK(
        std::string(peer_message(static_cast<peer_errc>(77))) == peer_message(peer_errc::undefined)
    );
}
