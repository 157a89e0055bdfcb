#include "support/content_io.hpp"

#include <tftp/content/sink.hpp>
#include <tftp/wire/netascii.hpp>

#include <catch2/catch.hpp>

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace tftp;
using namespace tftp::test;

TEST_CASE("memory sink keeps what is written in order", "[io][sink]") {
    memory_sink sink(10);
    CHECK_FALSE(write(sink, 0, "hello", 2));
    CHECK_FALSE(sink.committed());
    CHECK_FALSE(write(sink, 5, "world"));
    CHECK_FALSE(sink.commit());
    CHECK(sink.committed());
    CHECK(text_of(sink.content()) == "helloworld");
}

TEST_CASE("memory sink refuses more than its limit", "[io][sink]") {
    memory_sink sink(4);
    CHECK_FALSE(sink.reserve(4));
    CHECK(sink.reserve(5) == errc::too_large);
    CHECK_FALSE(write(sink, 0, "abc"));
    CHECK(write(sink, 3, "de") == errc::too_large);
    CHECK(text_of(sink.content()) == "abc");
}

namespace {

/// Sends netascii through the sink in random pieces; returns the text that came out.
std::string decoded(const std::string& netascii, std::mt19937& random) {
    auto text = std::make_shared<memory_sink>(1 << 20);
    netascii_sink sink(text);
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
    auto text = std::make_shared<memory_sink>(3);
    netascii_sink sink(text);
    CHECK_FALSE(write(sink, 0, "ab\r\n"));
    CHECK_FALSE(write(sink, 4, "\r"));
    CHECK(sink.commit() == errc::too_large);
    CHECK_FALSE(text->committed());
}

namespace {

/// Keeps the place and size of each write.
class noting_sink final : public sink {
public:
    [[nodiscard]] error_code reserve(std::uint64_t size_bytes) noexcept override {
        return inner.reserve(size_bytes);
    }

    [[nodiscard]] error_code
    write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept override {
        const std::size_t before = inner.content().size();
        const error_code failed = inner.write(offset, payloads);
        writes.emplace_back(offset, inner.content().size() - before);
        return failed;
    }

    [[nodiscard]] error_code commit() noexcept override { return inner.commit(); }

    memory_sink inner{10'000};
    std::vector<std::pair<std::uint64_t, std::size_t>> writes;
};

using writes = std::vector<std::pair<std::uint64_t, std::size_t>>;

} // namespace

TEST_CASE("buffered sink writes up to multiples of its size", "[io][sink][buffered]") {
    auto file = std::make_shared<noting_sink>();
    buffered_sink sink(file, 1000);
    const std::string content = pattern(5'000);
    const auto put = [&](std::size_t offset, std::size_t size) {
        return write(sink, offset, content.substr(offset, size), 97);
    };
    // The first one finds out whether there can be any.
    CHECK_FALSE(put(0, 300));
    CHECK(file->writes == writes{{0, 300}});
    CHECK_FALSE(put(300, 300));
    CHECK_FALSE(put(600, 300));
    CHECK(file->writes.size() == 1);
    CHECK_FALSE(put(900, 300));
    CHECK(file->writes == writes{{0, 300}, {300, 700}});
    // What is larger than the buffer goes after what is in it.
    CHECK_FALSE(put(1200, 1500));
    CHECK(file->writes == writes{{0, 300}, {300, 700}, {1000, 200}, {1200, 1500}});
    CHECK_FALSE(put(2700, 300));
    CHECK(file->writes.back() == writes::value_type{2700, 300});
    CHECK_FALSE(put(3000, 999));
    CHECK_FALSE(put(3999, 2));
    CHECK(file->writes.back() == writes::value_type{3000, 1000});
    CHECK_FALSE(file->inner.committed());
    CHECK_FALSE(sink.commit());
    CHECK(file->writes.back() == writes::value_type{4000, 1});
    CHECK(file->inner.committed());
    CHECK(text_of(file->inner.content()) == content.substr(0, 4001));
}

TEST_CASE("buffered sink reports what fails later", "[io][sink][buffered]") {
    auto file = std::make_shared<noting_sink>();
    CHECK(buffered_sink(file, 4000).reserve(10'001) == errc::too_large);
    buffered_sink sink(file, 4000);
    CHECK_FALSE(write(sink, 0, pattern(3'000)));
    SECTION("with the write that fills it") {
        CHECK_FALSE(write(sink, 3000, pattern(3'900)));
        CHECK_FALSE(write(sink, 6900, pattern(3'900)));
        CHECK(write(sink, 10'800, pattern(3'900)) == errc::too_large);
    }
    SECTION("with the commit, which then does not happen") {
        CHECK_FALSE(write(sink, 3000, pattern(3'900)));
        CHECK_FALSE(write(sink, 6900, pattern(3'900)));
        CHECK(sink.commit() == errc::too_large);
        CHECK_FALSE(file->inner.committed());
    }
}

TEST_CASE("buffered sink takes its memory from the budget", "[io][sink][buffered]") {
    memory_budget budget(3000);
    auto file = std::make_shared<noting_sink>();
    {
        buffered_sink sink(file, 1000, &budget);
        CHECK_FALSE(write(sink, 0, "a"));
        CHECK(budget.left() == 3000);
        CHECK_FALSE(write(sink, 1, "b"));
        CHECK(budget.left() == 2000);
        // Another one would take of the half that is for others, and does without.
        auto other = std::make_shared<noting_sink>();
        buffered_sink poor(other, 1000, &budget);
        CHECK_FALSE(write(poor, 0, "a"));
        CHECK_FALSE(write(poor, 1, "b"));
        CHECK(other->writes == writes{{0, 1}, {1, 1}});
    }
    CHECK(budget.left() == 3000);
}
