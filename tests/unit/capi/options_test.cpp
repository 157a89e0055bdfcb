#include "support/loopback.hpp"
#include "support/octets.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cstring>
#include <string>
#include <tftp.h>
#include <thread>
#include <type_traits>

using namespace tftp;
using namespace tftp::test;
using namespace std::string_literals;

namespace {

int swallow(void* /*user*/, const void* /*data*/, std::size_t /*size*/) {
    return 0;
}

[[nodiscard]] tftp_options new_options() {
    tftp_options options{};
    options.size = sizeof options;
    return options;
}

/// Returns the request that `options` lead to, and who asked.
[[nodiscard]] std::pair<endpoint, std::string> request_of(const tftp_options& options) {
    loopback_peer serving;
    const std::string url = "tftp://" + serving.local().to_string() + "/file";
    std::pair<endpoint, std::string> heard;
    std::thread answers([&] {
        const auto [from, packet] = serving.hear().value();
        heard = {from, text(packet)};
        serving.say(from, error_packet(1));
    });
    CHECK(tftp_get_callback(url.c_str(), swallow, nullptr, &options, nullptr) == TFTP_NOT_FOUND);
    answers.join();
    return heard;
}

/// Returns what is wrong with `options`.
[[nodiscard]] std::string refusal_of(const tftp_options* options) {
    tftp_result result{};
    CHECK(tftp_put_memory("tftp://127.0.0.1/x", "", 0, options, &result) == TFTP_INVALID);
    CHECK(result.status == TFTP_INVALID);
    CHECK(result.side == TFTP_SIDE_OWN);
    CHECK(result.server_code == -1);
    return result.message;
}

} // namespace

TEST_CASE("options of a C program go out with the request", "[capi][options]") {
    tftp_options options = new_options();
    SECTION("none of them is set") {
        CHECK_THAT(request_of(options).second, Catch::Contains("blksize\0008192\0"s));
    }
    SECTION("a block size, and the window that suits it") {
        options.blksize = 65464;
        const std::string sent = request_of(options).second;
        CHECK_THAT(sent, Catch::Contains("blksize\00065464\0"s));
        CHECK_THAT(sent, Catch::Contains("windowsize\0004\0"s));
    }
    SECTION("a window, and the block size of the route") {
        options.windowsize = 7;
        const std::string sent = request_of(options).second;
        CHECK_THAT(sent, Catch::Contains("blksize\0008192\0"s));
        CHECK_THAT(sent, Catch::Contains("windowsize\0007\0"s));
    }
    SECTION("none at all") {
        options.no_options = 1;
        CHECK(request_of(options).second == "\0\1file\0octet\0"s);
    }
}

TEST_CASE("a C program chooses where it sends from", "[capi][options]") {
    tftp_options options = new_options();
    options.local_address = "127.0.0.9";
    CHECK(request_of(options).first.to_string().starts_with("127.0.0.9:"));
    tftp_result result{};
    options.local_address = "nonsense";
    CHECK(
        tftp_get_callback("tftp://127.0.0.1/x", swallow, nullptr, &options, &result) == TFTP_INVALID
    );
    CHECK_THAT(result.message, Catch::StartsWith("The local address is not numeric"));
    options.local_address = nullptr;
    options.device = "nosuchdevice0";
    CHECK(
        tftp_get_callback("tftp://127.0.0.1/x", swallow, nullptr, &options, &result) == TFTP_NETWORK
    );
    CHECK(result.system_error == ENODEV);
}

TEST_CASE("options that cannot be meant are refused", "[capi][options]") {
    tftp_options options = new_options();
    SECTION("size") {
        options.size = 0;
        CHECK(refusal_of(&options) == "options: size is not sizeof(struct tftp_options)");
    }
    SECTION("blksize") {
        options.blksize = GENERATE(7U, 65465U, 0x1'0008U);
        CHECK(refusal_of(&options) == "options: blksize is not in 8..65464");
    }
    SECTION("windowsize") {
        options.windowsize = GENERATE(32768U, 0x1'0001U);
        CHECK(refusal_of(&options) == "options: windowsize is not in 1..32767");
    }
    SECTION("no options, but one") {
        options.no_options = 1;
        options.windowsize = 1;
        CHECK(refusal_of(&options) == "options: no_options excludes blksize and windowsize");
    }
    SECTION("request_sends") {
        options.request_sends = 256;
        CHECK(refusal_of(&options) == "options: request_sends is not in 1..255");
    }
}

TEST_CASE("options of other versions are understood or refused", "[capi][options]") {
    static_assert(std::is_trivially_copyable_v<tftp_options>);

    struct later {
        tftp_options known{};
        std::array<unsigned char, 8> added{};
    } options;

    options.known.size = sizeof options;
    options.known.no_options = 1;
    SECTION("a later version's, whose own members are not set") {
        CHECK(request_of(options.known).second == "\0\1file\0octet\0"s);
    }
    SECTION("a later version's, with a member that is not known") {
        options.added.back() = 1;
        CHECK_THAT(
            refusal_of(&options.known), Catch::Contains("this version of the library does not know")
        );
    }
    SECTION("an earlier version's, which had fewer") {
        options.known.size = offsetof(tftp_options, no_options);
        options.known.windowsize = 9;
        // What is behind its end is not looked at.
        CHECK_THAT(request_of(options.known).second, Catch::Contains("windowsize\0009\0"s));
    }
}
