#include "octets.hpp"

#include <tftp/io/sink.hpp>
#include <tftp/wire/netascii.hpp>

#include <catch2/catch.hpp>

#include <memory>
#include <random>
#include <string>

using namespace tftp;
using namespace tftp::test;

TEST_CASE("memory sink keeps what is written in order", "[io][sink]") {
    io::memory_sink sink(10);
    CHECK_FALSE(write(sink, 0, "hello", 2));
    CHECK_FALSE(sink.committed());
    CHECK_FALSE(write(sink, 5, "world"));
    CHECK_FALSE(sink.commit());
    CHECK(sink.committed());
    CHECK(text_of(sink.content()) == "helloworld");
}

TEST_CASE("memory sink refuses more than its limit", "[io][sink]") {
    io::memory_sink sink(4);
    CHECK_FALSE(sink.reserve(4));
    CHECK(sink.reserve(5) == errc::too_large);
    CHECK_FALSE(write(sink, 0, "abc"));
    CHECK(write(sink, 3, "de") == errc::too_large);
    CHECK(text_of(sink.content()) == "abc");
}

namespace {

/// Sends netascii through the sink in random pieces; returns the text that came out.
std::string decoded(const std::string& netascii, std::mt19937& random) {
    auto text = std::make_shared<io::memory_sink>(1 << 20);
    io::netascii_sink sink(text);
    REQUIRE_FALSE(sink.reserve(netascii.size()));
    std::size_t at = 0;
    while (at < netascii.size()) {
        const std::size_t size = std::min<std::size_t>(netascii.size() - at, random() % 9000 + 1);
        REQUIRE_FALSE(write(sink, at, netascii.substr(at, size), random() % 600 + 1));
        at += size;
    }
    REQUIRE_FALSE(text->committed());
    REQUIRE_FALSE(sink.commit());
    REQUIRE(text->committed());
    return text_of(text->content());
}

} // namespace

TEST_CASE("netascii sink turns line ends back wherever the stream is cut", "[io][sink][netascii]") {
    std::mt19937 random(7);
    CHECK(decoded("a\r\nb", random) == "a\nb");
    CHECK(decoded(std::string("a\r\0b", 4), random) == "a\rb");
    CHECK(decoded("a\r", random) == "a\r");
    CHECK(decoded("", random).empty());
    for (int round = 0; round < 50; ++round) {
        std::string text(random() % 20000, 'x');
        for (char& c : text) {
            c = "\r\nab"[random() % 4];
        }
        std::string netascii;
        for (const char c : text) {
            netascii += c == '\n' ? std::string("\r\n") : std::string(1, c);
            if (c == '\r') {
                netascii += '\0';
            }
        }
        CHECK(decoded(netascii, random) == text);
    }
}

TEST_CASE("netascii sink reports the failure of the sink behind it", "[io][sink][netascii]") {
    auto text = std::make_shared<io::memory_sink>(3);
    io::netascii_sink sink(text);
    CHECK_FALSE(write(sink, 0, "ab\r\n"));
    CHECK_FALSE(write(sink, 4, "\r"));
    CHECK(sink.commit() == errc::too_large);
    CHECK_FALSE(text->committed());
}
