#include "support/octets.hpp"
#include "wire/option_spec.hpp"

#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>

#include <catch2/catch.hpp>

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// An option with a text, as RFC 2090 has one, needs a row and nothing else.

using namespace tftp;
using namespace std::string_literals;
using namespace std::string_view_literals;
using detail::answer_facts;
using detail::option_spec;
using test::text;

namespace {

/// What the last call of `agree` was given.
std::string agreed_group;

/// A client asks by an empty text, a server answers "address,port,master".
constexpr option_spec multicast{
    .name = "multicast",
    .parse = [](std::string_view value) noexcept -> std::optional<option_value> {
        return value.size() <= option_value::text_max ? std::optional(option_value(value))
                                                      : std::nullopt;
    },
    .answer = [](const option_value& asked,
                 const answer_facts& facts) noexcept -> std::optional<option_value> {
        if (!asked.text().empty() || facts.request.op != opcode::rrq) {
            return std::nullopt;
        }
        return option_value("239.255.0.1,1758,1"sv);
    },
    .ask = [](const offer&) noexcept { return std::optional(option_value(""sv)); },
    .accept =
        [](const option_value& value, const option_value&) noexcept {
            return value.text().find(',') != std::string_view::npos;
        },
    .agree = [](const option_value& value, parameters&) noexcept { agreed_group = value.text(); }};

/// The options of the library and `one`.
std::vector<option_spec> with(const option_spec& one) {
    const auto known = detail::option_specs();
    std::vector<option_spec> all(known.begin(), known.end());
    all.push_back(one);
    return all;
}

std::string encoded(const answer& answered) {
    std::array<std::byte, request_size_max> out{};
    const result<std::size_t> size = encode_oack(answered, out);
    REQUIRE(size.has_value());
    return text(bytes_view(out).first(*size));
}

result<parameters> accept(const std::vector<option_spec>& specs, std::string_view oack) {
    agreed_group.clear();
    return detail::accept_oack(specs, {option_list(oack)}, {.blksize = 1468});
}

} // namespace

TEST_CASE("a request asks by a text behind the other options", "[wire][options][rfc2090]") {
    const auto specs = with(multicast);
    std::array<std::byte, 128> out{};
    const result<std::size_t> size = detail::encode_request(
        specs, opcode::rrq, "file", transfer_mode::octet, {.blksize = 1468, .tsize = 0}, out
    );
    REQUIRE(size.has_value());
    CHECK(
        text(bytes_view(out).first(*size)) ==
        "\0\1file\0octet\0blksize\0001468\0tsize\0000\0multicast\0\0"sv
    );
}

TEST_CASE("a text is answered, and the answer owns it", "[wire][options][rfc2090]") {
    const auto specs = with(multicast);
    std::string tail = "tsize\0000\0MultiCast\0\0blksize\0001024\0multicast\0x\0"s;
    const request_view request{opcode::rrq, transfer_mode::octet, "f", option_list(tail)};
    auto first = std::make_unique<answer>(detail::answer_request(specs, request, {}, 70));
    const answer answered = *first;
    first.reset();
    REQUIRE(answered.accepted_count == 3);
    CHECK(answered.options[1].name == "MultiCast");
    CHECK(answered.options[1].value.is_text());
    CHECK(
        encoded(answered) == "\0\6tsize\00070\0MultiCast\000239.255.0.1,1758,1\0blksize\0001024\0"sv
    );
    CHECK(answered.agreed.blksize == 1024);
    CHECK(agreed_group == "239.255.0.1,1758,1");
}

TEST_CASE("a text that a row refuses is left out of the OACK", "[wire][options][rfc2090]") {
    const auto specs = with(multicast);
    const std::string tail = "multicast\0"s + std::string(option_value::text_max + 1, '1') + '\0';
    const request_view longer{opcode::rrq, transfer_mode::octet, "f", option_list(tail)};
    CHECK_FALSE(detail::answer_request(specs, longer, {}, 70).needs_oack());
    const request_view write{
        opcode::wrq, transfer_mode::octet, "f", option_list("multicast\0\0"sv)};
    CHECK_FALSE(detail::answer_request(specs, write, {}, 70).needs_oack());
    // A library without the row does not know the name.
    const request_view read{opcode::rrq, transfer_mode::octet, "f", option_list("multicast\0\0"sv)};
    CHECK(detail::answer_request(specs, read, {}, 70).needs_oack());
    CHECK_FALSE(answer_request(read, {}, 70).needs_oack());
}

TEST_CASE("a client accepts a text", "[wire][options][rfc2090]") {
    const auto specs = with(multicast);
    const result<parameters> agreed =
        accept(specs, "MULTICAST\000239.255.0.1,1758,1\0blksize\0001024\0"sv);
    REQUIRE(agreed.has_value());
    CHECK(agreed->blksize == 1024);
    CHECK(agreed_group == "239.255.0.1,1758,1");

    CHECK(accept(specs, "multicast\0,,0\0multicast\0,,0\0"sv).has_value());
    CHECK(agreed_group == ",,0");
    for (const std::string_view wrong :
         {"multicast\0none\0"sv, "multicast\0\0"sv, "multicast\0,,0\0multicast\0,,1\0"sv}) {
        CHECK(accept(specs, wrong).error() == errc::bad_option_answer);
        CHECK(agreed_group.empty());
    }
}

TEST_CASE("an advisory text with two values is not known", "[wire][options]") {
    option_spec hint = multicast;
    hint.name = "hint";
    hint.advisory = true;
    const auto specs = with(hint);
    CHECK(accept(specs, "hint\0a,\0hint\0b,\0"sv).has_value());
    CHECK(agreed_group.empty());
    CHECK(accept(specs, "hint\0a,\0hint\0a,\0"sv).has_value());
    CHECK(agreed_group == "a,");
    const std::string longer = "hint\0"s + std::string(option_value::text_max + 1, ',') + '\0';
    CHECK(accept(specs, longer).has_value());
    CHECK(agreed_group.empty());
    CHECK(accept(specs, "hint\0none\0"sv).error() == errc::bad_option_answer);
}

TEST_CASE("an answer has room for as many options as it says", "[wire][options]") {
    std::vector<option_spec> specs;
    std::string names[answer::options_max];
    std::string tail;
    for (std::size_t i = 0; i < answer::options_max; ++i) {
        names[i] = "x" + std::to_string(i);
        specs.push_back(multicast);
        specs.back().name = names[i];
        tail += names[i] + "\0\0"s;
    }
    const request_view request{opcode::rrq, transfer_mode::octet, "f", option_list(tail)};
    const answer answered = detail::answer_request(specs, request, {}, 70);
    CHECK(answered.accepted_count == answer::options_max);
    CHECK(encoded(answered).size() == 2 + answer::options_max * (3 + 19));
}

TEST_CASE("the value of an option is a number or a text", "[wire][options]") {
    CHECK(option_value() == option_value(0U));
    CHECK(option_value(7U).number() == 7);
    CHECK_FALSE(option_value(7U).is_text());
    CHECK(option_value(7U).text().empty());
    CHECK(option_value("7"sv).text() == "7");
    CHECK(option_value("7"sv).number() == 0);
    CHECK_FALSE(option_value("7"sv) == option_value(7U));
    CHECK_FALSE(option_value(""sv) == option_value(0U));
    CHECK_FALSE(option_value("7"sv) == option_value("8"sv));
    const std::string longest(option_value::text_max, 'x');
    CHECK(option_value(longest + 'y').text() == longest);
}
