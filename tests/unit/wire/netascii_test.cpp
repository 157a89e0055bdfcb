#include "support/octets.hpp"

#include <tftp/wire/netascii.hpp>

#include <catch2/catch.hpp>

#include <random>
#include <string>
#include <vector>

using namespace tftp;
using namespace std::string_view_literals;
using test::octets;
using test::text;

namespace {

/// Encodes with the input cut at `in_split` and output buffers of `out_size` bytes.
std::string encode(std::string_view local, std::size_t in_split, std::size_t out_size) {
    const std::vector<std::byte> in = octets(local);
    std::vector<std::byte> out(out_size);
    std::string wire;
    netascii_encoder encoder;
    const auto drain = [&](bytes_view part) {
        do {
            const netascii_progress done = encoder.encode(part, out);
            part = part.subspan(done.consumed);
            wire += text(bytes_view(out).first(done.produced));
        } while (!part.empty() || encoder.pending());
    };
    drain(bytes_view(in).first(in_split));
    drain(bytes_view(in).subspan(in_split));
    return wire;
}

std::string decode(std::string_view wire, std::size_t in_split, std::size_t out_size) {
    const std::vector<std::byte> in = octets(wire);
    std::vector<std::byte> out(out_size);
    std::string local;
    netascii_decoder decoder;
    const auto drain = [&](bytes_view part) {
        while (!part.empty()) {
            const netascii_progress done = decoder.decode(part, out);
            part = part.subspan(done.consumed);
            local += text(bytes_view(out).first(done.produced));
        }
    };
    drain(bytes_view(in).first(in_split));
    drain(bytes_view(in).subspan(in_split));
    if (const auto last = decoder.finish()) {
        local.push_back(static_cast<char>(*last));
    }
    return local;
}

struct pair_of_texts {
    std::string_view local;
    std::string_view wire;
};

constexpr pair_of_texts table[] = {
    {""sv, ""sv},
    {"plain"sv, "plain"sv},
    {"\n"sv, "\r\n"sv},
    {"\r"sv, "\r\0"sv},
    {"a\nb\n"sv, "a\r\nb\r\n"sv},
    {"a\r\nb"sv, "a\r\0\r\nb"sv},
    {"\r\r"sv, "\r\0\r\0"sv},
    {"\r\0"sv, "\r\0\0"sv},
    {"\0\xff\t"sv, "\0\xff\t"sv},
    {"ends in CR\r"sv, "ends in CR\r\0"sv},
    {"\n\r\n\r"sv, "\r\n\r\0\r\n\r\0"sv},
};

} // namespace

TEST_CASE("netascii encodes line ends as CR LF and CR as CR NUL", "[wire][netascii][rfc1350]") {
    for (const auto& [local, wire] : table) {
        for (std::size_t split = 0; split <= local.size(); ++split) {
            for (std::size_t size = 1; size <= wire.size() + 1; ++size) {
                CAPTURE(local, split, size);
                CHECK(encode(local, split, size) == wire);
            }
        }
    }
}

TEST_CASE("netascii decodes what it encoded at every split", "[wire][netascii][rfc1350]") {
    for (const auto& [local, wire] : table) {
        for (std::size_t split = 0; split <= wire.size(); ++split) {
            for (std::size_t size = 1; size <= wire.size() + 1; ++size) {
                CAPTURE(local, split, size);
                CHECK(decode(wire, split, size) == local);
            }
        }
    }
}

TEST_CASE("netascii decoder passes a CR that begins no pair, and a bare LF", "[wire][netascii]") {
    const pair_of_texts lenient[] = {
        {"a\nb"sv, "a\nb"sv},
        {"a\rb"sv, "a\rb"sv},
        {"\r\n"sv, "\r\r\n"sv},
        {"\r\r"sv, "\r\r\0"sv},
        {"\r"sv, "\r"sv},
    };
    for (const auto& [local, wire] : lenient) {
        for (std::size_t split = 0; split <= wire.size(); ++split) {
            CAPTURE(wire, split);
            CHECK(decode(wire, split, 1) == local);
        }
    }
}

TEST_CASE("netascii encoder splits a pair over two outputs", "[wire][netascii]") {
    netascii_encoder encoder;
    std::byte out[3];
    const std::vector<std::byte> in = octets("ab\n");
    const netascii_progress first = encoder.encode(in, out);
    CHECK(first.consumed == 3);
    CHECK(first.produced == 3);
    CHECK(text(out) == "ab\r");
    CHECK(encoder.pending());

    const netascii_progress second = encoder.encode({}, out);
    CHECK(second.consumed == 0);
    CHECK(second.produced == 1);
    CHECK(out[0] == std::byte{'\n'});
    CHECK_FALSE(encoder.pending());
}

TEST_CASE("a copy of the netascii encoder repeats its position", "[wire][netascii]") {
    netascii_encoder encoder;
    std::byte out[1];
    const std::vector<std::byte> in = octets("\r");
    CHECK(encoder.encode(in, out).produced == 1);
    netascii_encoder copy = encoder;
    CHECK(encoder.encode({}, out).produced == 1);
    CHECK(copy.pending());
    CHECK(copy.encode({}, out).produced == 1);
    CHECK(out[0] == std::byte{0});
    CHECK(sizeof(netascii_encoder) == 2);
}

TEST_CASE("netascii converters make no step without room", "[wire][netascii]") {
    const std::vector<std::byte> in = octets("x");
    netascii_encoder encoder;
    CHECK(encoder.encode(in, {}).consumed == 0);
    netascii_decoder decoder;
    CHECK(decoder.decode(in, {}).consumed == 0);
    CHECK_FALSE(decoder.finish());
}

TEST_CASE("output one byte larger than the input takes all of it", "[wire][netascii]") {
    netascii_decoder decoder;
    std::byte out[4];
    CHECK(decoder.decode(octets("\r"), out).produced == 0);
    const netascii_progress done = decoder.decode(octets("abc"), out);
    CHECK(done.consumed == 3);
    CHECK(done.produced == 4);
    CHECK(text(out) == "\rabc");
}

TEST_CASE("random bytes survive netascii in pieces of any size", "[wire][netascii]") {
    std::mt19937_64 random(20240229);
    constexpr std::string_view alphabet = "\r\r\r\n\n\n\0\0ab"sv;
    for (int round = 0; round < 2000; ++round) {
        std::string local(random() % 64, '\0');
        for (char& c : local) {
            c = alphabet[random() % alphabet.size()];
        }
        const std::string wire = encode(local, random() % (local.size() + 1), 1 + random() % 16);
        CAPTURE(local, wire);
        REQUIRE(decode(wire, random() % (wire.size() + 1), 1 + random() % 16) == local);
    }
}
