#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>

#include <catch2/catch.hpp>

#include <limits>
#include <string>
#include <vector>

using namespace tftp;
using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace std::string_view_literals;

namespace {

/// Returns `name NUL value NUL`.
std::string pair(std::string_view name, std::string_view value) {
    return std::string(name) + '\0' + std::string(value) + '\0';
}

request_view
request(std::string_view tail, opcode op = opcode::rrq, transfer_mode mode = transfer_mode::octet) {
    return {op, mode, "file", option_list(tail)};
}

answer ask(std::string_view name, std::string_view value, const option_limits& limits = {}) {
    // The answer borrows the names only; the caller compares values and counts.
    const std::string tail = pair(name, value);
    return answer_request(request(tail), limits, 1000);
}

struct value_sample {
    std::string_view value;
    /// 0: left out of the OACK.
    std::uint64_t answered;
};

} // namespace

TEST_CASE(
    "blksize is accepted in its range, lowered above, left out below", "[wire][options][rfc2348]"
) {
    const value_sample table[] = {
        {"7", 0},
        {"8", 8},
        {"512", 512},
        {"00512", 512},
        {"1468", 1468},
        {"65463", 65463},
        {"65464", 65464},
        {"65465", 65464},
        {"65564", 65464}, // BusyBox asks for it.
        {"65536", 65464},
        {"65544", 65464}, // 8 if taken modulo 2^16.
        {"1000000000", 65464},
        {"4294967304", 65464},           // 8 if taken modulo 2^32.
        {"18446744073709551615", 65464}, // the largest 64-bit number
        {"18446744073709551624", 65464}, // 8 if taken modulo 2^64.
        {"99999999999999999999999", 65464},
        {"0", 0},
        {"-1", 0},
        {"-65000", 0},
        {"+512", 0},
        {" 512", 0},
        {"512 ", 0},
        {"512x", 0},
        {"0x200", 0},
        {"1e9", 0},
        {"5.12", 0},
        {"abc", 0},
        {"", 0},
        {"\xb2\xb3", 0},
    };
    for (const auto& [value, answered] : table) {
        CAPTURE(value);
        const answer a = ask("blksize", value);
        CHECK(a.needs_oack() == (answered != 0));
        CHECK(a.agreed.blksize == (answered != 0 ? answered : blksize_default));
        CHECK(a.options[0].value.number() == answered);
    }
}

TEST_CASE("blksize is lowered to the limit of the server", "[wire][options][rfc2348]") {
    CHECK(ask("blksize", "65464", {.blksize = 1468}).agreed.blksize == 1468);
    CHECK(ask("blksize", "1469", {.blksize = 1468}).agreed.blksize == 1468);
    CHECK(ask("blksize", "1467", {.blksize = 1468}).agreed.blksize == 1467);
    CHECK(ask("blksize", "8", {.blksize = 8}).agreed.blksize == 8);
}

TEST_CASE("a limit out of range never makes an answer illegal", "[wire][options]") {
    CHECK(ask("blksize", "512", {.blksize = 0}).agreed.blksize == 8);
    CHECK(ask("blksize", "65535", {.blksize = 65535}).agreed.blksize == 65464);
    CHECK(ask("windowsize", "4", {.windowsize = 0}).agreed.windowsize == 1);
    CHECK(ask("windowsize", "65535", {.windowsize = 65535}).agreed.windowsize == 32767);
}

TEST_CASE("windowsize is accepted from 1 and lowered to the limit", "[wire][options][rfc7440]") {
    const value_sample table[] = {
        {"0", 0},
        {"1", 1},
        {"4", 4},
        {"256", 256},
        {"257", 256},
        {"65535", 256},
        {"65536", 256},
        {"99999999999999999999999", 256},
        {"-1", 0},
        {"abc", 0},
        {"", 0},
    };
    for (const auto& [value, answered] : table) {
        CAPTURE(value);
        const answer a = ask("windowsize", value);
        CHECK(a.needs_oack() == (answered != 0));
        CHECK(a.agreed.windowsize == (answered != 0 ? answered : 1));
    }
}

TEST_CASE("timeout is echoed or left out, never altered", "[wire][options][rfc2349]") {
    const value_sample table[] = {
        {"0", 0},
        {"1", 1},
        {"5", 5},
        {"255", 255},
        {"256", 0},
        {"257", 0},
        {"99999999999999999999999", 0},
        {"-1", 0},
        {"abc", 0},
        {"", 0},
    };
    for (const auto& [value, answered] : table) {
        CAPTURE(value);
        const answer a = ask("timeout", value);
        CHECK(a.needs_oack() == (answered != 0));
        CHECK(a.agreed.timeout.has_value() == (answered != 0));
        CHECK(a.agreed.timeout.value_or(0s) == std::chrono::seconds(answered));
    }
    CHECK_FALSE(ask("timeout", "5", {.allow_timeout = false}).needs_oack());
    CHECK_FALSE(ask("timeout", "5", {.allow_timeout = false}).agreed.timeout);
}

TEST_CASE("tsize of a read in octet mode is the size of the file", "[wire][options][rfc2349]") {
    for (const std::string_view value :
         {"0", "12345", "18446744073709551615", "99999999999999999999"}) {
        CAPTURE(value);
        const answer a = ask("tsize", value);
        CHECK(a.agreed.tsize == 1000U);
        CHECK(a.options[0].value.number() == 1000);
    }
    for (const std::string_view value : {"-1", "abc", ""}) {
        CAPTURE(value);
        CHECK_FALSE(ask("tsize", value).needs_oack());
    }
    const std::string tail = pair("tsize", "0");
    const std::uint64_t large = 5ULL << 30;
    CHECK(answer_request(request(tail), {}, large).agreed.tsize == large);
}

TEST_CASE("tsize is left out when the size is unknown or zero", "[wire][options][rfc2349]") {
    const std::string tail = pair("tsize", "0");
    CHECK_FALSE(answer_request(request(tail), {}, std::nullopt).needs_oack());
    CHECK_FALSE(answer_request(request(tail), {}, 0).needs_oack());
    CHECK_FALSE(answer_request(request(tail), {}, 0).agreed.tsize);
}

TEST_CASE("tsize of a write in octet mode is echoed", "[wire][options][rfc2349]") {
    for (const std::uint64_t size : {0ULL, 1ULL, 1ULL << 40, ~0ULL - 1}) {
        const std::string tail = pair("tsize", std::to_string(size));
        const answer a = answer_request(request(tail, opcode::wrq), {}, std::nullopt);
        CHECK(a.agreed.tsize == size);
        CHECK(a.accepted_count == 1);
        CHECK(a.options[0].value.number() == size);
    }
    const std::string huge = pair("tsize", "99999999999999999999999");
    CHECK_FALSE(answer_request(request(huge, opcode::wrq), {}, std::nullopt).needs_oack());
}

TEST_CASE("tsize is left out in netascii", "[wire][options][rfc2349]") {
    const std::string tail = pair("tsize", "0") + pair("blksize", "1024");
    for (const opcode op : {opcode::rrq, opcode::wrq}) {
        const answer a = answer_request(request(tail, op, transfer_mode::netascii), {}, 1000);
        CHECK_FALSE(a.agreed.tsize);
        CHECK(a.accepted_count == 1);
        CHECK(a.agreed.blksize == 1024);
    }
}

TEST_CASE("a request without options is answered without OACK", "[wire][options][rfc2347]") {
    const answer a = answer_request(request(""), {}, 1000);
    CHECK_FALSE(a.needs_oack());
    CHECK(a.agreed == parameters{});
}

TEST_CASE("the answer keeps order and letter case of the client", "[wire][options][rfc2347]") {
    const std::string tail = pair("TSize", "0") + pair("WINDOWSIZE", "4") + pair("unknown", "1") +
                             pair("BlkSize", "1468") + pair("multicast", "") + pair("timeOUT", "5");
    const answer a = answer_request(request(tail), {}, 1000);
    REQUIRE(a.accepted_count == 4);
    const std::string_view names[] = {"TSize", "WINDOWSIZE", "BlkSize", "timeOUT"};
    const std::uint64_t values[] = {1000, 4, 1468, 5};
    for (std::size_t i = 0; i < 4; ++i) {
        CHECK(a.options[i].name == names[i]);
        CHECK(a.options[i].value.number() == values[i]);
    }
    CHECK(a.agreed == parameters{1468, 4, 5s, 1000});
}

TEST_CASE("an option given twice counts once, its first value", "[wire][options][rfc2347]") {
    const std::string twice =
        pair("blksize", "1024") + pair("BLKSIZE", "2048") + pair("blksize", "512");
    const answer a = answer_request(request(twice), {}, 1000);
    CHECK(a.accepted_count == 1);
    CHECK(a.options[0].name == "blksize");
    CHECK(a.agreed.blksize == 1024);

    const std::string bad_first = pair("blksize", "x") + pair("blksize", "2048");
    CHECK_FALSE(answer_request(request(bad_first), {}, 1000).needs_oack());
}

TEST_CASE("names that merely look like an option are unknown", "[wire][options]") {
    for (const std::string_view name :
         {"blksize2", "utimeout", "blksiz", "rollover", "msftwindow"}) {
        CAPTURE(name);
        CHECK_FALSE(ask(name, "100").needs_oack());
    }
}

TEST_CASE("more options than a counter of eight bits holds are all looked at", "[wire][options]") {
    std::string tail;
    for (int i = 0; i < 300; ++i) {
        tail += pair("x", "1");
    }
    tail += pair("blksize", "1024");
    for (int i = 0; i < 300; ++i) {
        tail += pair("blksize", "2048");
    }
    const answer a = answer_request(request(tail), {}, 1000);
    CHECK(a.accepted_count == 1);
    CHECK(a.agreed.blksize == 1024);
}

TEST_CASE(
    "an OACK agrees on what it holds and on the defaults otherwise", "[wire][options][rfc2347]"
) {
    const offer sent{1468, 16, 5s, 0};
    const std::string all = pair("BLKSIZE", "1024") + pair("timeout", "5") +
                            pair("tsize", "123456") + pair("windowsize", "4");
    const result<parameters> agreed = accept_oack({option_list(all)}, sent);
    REQUIRE(agreed.has_value());
    CHECK(agreed.value() == parameters{1024, 4, 5s, 123456});

    const std::string only_tsize = pair("tsize", "0");
    const result<parameters> defaults = accept_oack({option_list(only_tsize)}, sent);
    REQUIRE(defaults.has_value());
    CHECK(defaults.value() == parameters{512, 1, std::nullopt, 0});

    const result<parameters> empty = accept_oack({option_list()}, sent);
    REQUIRE(empty.has_value());
    CHECK(empty.value() == parameters{});
}

TEST_CASE("an OACK that answers what it must not is refused", "[wire][options][rfc2347]") {
    const offer sent{1468, 16, 5s, 0};
    const std::string table[] = {
        pair("blksize", "1469"),
        pair("blksize", "7"),
        pair("blksize", "0"),
        pair("blksize", "-1"),
        pair("blksize", ""),
        pair("blksize", "abc"),
        pair("blksize", "65544"),
        pair("blksize", "99999999999999999999999"),
        pair("windowsize", "17"),
        pair("windowsize", "0"),
        pair("windowsize", "65537"),
        pair("timeout", "4"),
        pair("timeout", "6"),
        pair("timeout", "0"),
        pair("timeout", "261"),
        pair("msftwindow", "27182"),
        pair("utimeout", "1000"),
        pair("blksize", "1024") + pair("blksize", "512"),
    };
    for (const std::string& tail : table) {
        CAPTURE(tail);
        const result<parameters> agreed = accept_oack({option_list(tail)}, sent);
        REQUIRE_FALSE(agreed.has_value());
        CHECK(agreed.error() == errc::bad_option_answer);
    }
}

TEST_CASE("an OACK with an option that was not asked is refused", "[wire][options][rfc2347]") {
    const std::string table[] = {
        pair("blksize", "512"), pair("windowsize", "1"), pair("timeout", "1"), pair("tsize", "0")};
    for (const std::string& tail : table) {
        CAPTURE(tail);
        CHECK_FALSE(accept_oack({option_list(tail)}, offer{}).has_value());
    }
}

TEST_CASE("an option repeated with the same value is no contradiction", "[wire][options]") {
    const std::string twice = pair("blksize", "1024") + pair("blksize", "1024");
    CHECK(accept_oack({option_list(twice)}, offer{.blksize = 1468}).has_value());
}

TEST_CASE(
    "an OACK with a tsize that is no size leaves the size unknown", "[wire][options][rfc2349]"
) {
    const std::string_view table[] = {
        "-1",
        "-1594967296",
        "-",
        "",
        " ",
        "+5",
        " 5",
        "5 ",
        "5x",
        "0x10",
        "1e3",
        "1.5",
        "unknown",
        "\xb2",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999"};
    for (const std::string_view value : table) {
        CAPTURE(value);
        const std::string tail = pair("blksize", "1024") + pair("TSIZE", value);
        // What an RRQ asks for, and what a WRQ announces.
        for (const std::uint64_t asked : {0ULL, 5ULL}) {
            const offer sent{.blksize = 1468, .tsize = asked};
            const result<parameters> agreed = accept_oack({option_list(tail)}, sent);
            REQUIRE(agreed.has_value());
            CHECK(agreed.value() == parameters{1024, 1, std::nullopt, std::nullopt});
        }
        // It is an option that was not asked all the same.
        CHECK_FALSE(accept_oack({option_list(tail)}, offer{.blksize = 1468}).has_value());
        // Nor does it excuse another option.
        const std::string raised = pair("tsize", value) + pair("blksize", "1469");
        CHECK_FALSE(
            accept_oack({option_list(raised)}, offer{.blksize = 1468, .tsize = 0}).has_value()
        );
    }
}

TEST_CASE("a tsize with two values leaves the size unknown", "[wire][options][rfc2349]") {
    const std::string table[] = {
        pair("tsize", "5") + pair("tsize", "6"),
        pair("tsize", "-5") + pair("tsize", "6"),
        pair("tsize", "6") + pair("tsize", "-5"),
        pair("tsize", "6") + pair("tsize", "5") + pair("tsize", "6"),
    };
    for (const std::string& tail : table) {
        CAPTURE(tail);
        const result<parameters> agreed = accept_oack({option_list(tail)}, offer{.tsize = 0});
        REQUIRE(agreed.has_value());
        CHECK(agreed.value() == parameters{});
    }
    const std::string same = pair("tsize", "6") + pair("tsize", "6");
    CHECK(accept_oack({option_list(same)}, offer{.tsize = 0}).value().tsize == 6U);
}

TEST_CASE("a blksize out of range is refused even if it was asked", "[wire][options][rfc2348]") {
    const std::string tail = pair("blksize", "65535");
    CHECK_FALSE(accept_oack({option_list(tail)}, offer{.blksize = 65535}).has_value());
}

TEST_CASE("the size announced by a write must come back unaltered", "[wire][options][rfc2349]") {
    const offer sent{.tsize = 1000};
    const std::string same = pair("tsize", "1000");
    const std::string other = pair("tsize", "1001");
    CHECK(accept_oack({option_list(same)}, sent).has_value());
    CHECK_FALSE(accept_oack({option_list(other)}, sent).has_value());
}

TEST_CASE("an offer is empty when nothing is asked", "[wire][options]") {
    CHECK(offer{}.empty());
    CHECK_FALSE(offer{.blksize = 512}.empty());
    CHECK_FALSE(offer{.windowsize = 1}.empty());
    CHECK_FALSE(offer{.timeout = 1s}.empty());
    CHECK_FALSE(offer{.tsize = 0}.empty());
}
