#include "support/content_io.hpp"

#include <tftp/content/source.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <memory>
#include <random>
#include <string>

using namespace tftp;
using namespace tftp::test;

TEST_CASE("memory source fills gaps and says where the content ends", "[io][source]") {
    const std::string content = pattern(1000);
    memory_source source(view(content));
    CHECK(source.size() == 1000U);

    const piece first = try_read(source, 0, 600, 100);
    CHECK(first.octets == content.substr(0, 600));
    CHECK_FALSE(first.end);

    const piece exact = read(source, 600, 400);
    CHECK(exact.octets == content.substr(600));
    CHECK(exact.end);

    const piece longer = try_read(source, 600, 512, 100);
    CHECK(longer.octets == content.substr(600));
    CHECK(longer.end);

    const piece behind = try_read(source, 1000, 512);
    CHECK(behind.octets.empty());
    CHECK(behind.end);
}

TEST_CASE("memory source of nothing ends at once", "[io][source]") {
    memory_source source({});
    const piece got = try_read(source, 0, 512);
    CHECK(got.octets.empty());
    CHECK(got.end);
    CHECK_FALSE(got.error);
}

namespace {

/// A source that is cold, breaks or fails as told.
class moody_source final : public source {
public:
    explicit moody_source(std::string content) : content_(std::move(content)) {}

    [[nodiscard]] std::optional<std::uint64_t> size() const noexcept override {
        return content_.size();
    }

    [[nodiscard]] result<read_outcome>
    try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override {
        if (random_() % 4 == 0) {
            return make_error_code(errc::would_block);
        }
        return read(offset, gaps);
    }

    [[nodiscard]] result<read_outcome>
    read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override {
        if (failure) {
            return failure;
        }
        return memory_source(view(content_)).read(offset, gaps);
    }

    error_code failure;

private:
    std::string content_;
    std::mt19937 random_{11};
};

std::string to_netascii(const std::string& text) {
    std::string netascii;
    for (const char c : text) {
        if (c == '\n') {
            netascii += "\r\n";
        } else if (c == '\r') {
            netascii += std::string("\r\0", 2);
        } else {
            netascii += c;
        }
    }
    return netascii;
}

std::string random_text(std::mt19937& random, std::size_t size) {
    std::string text(size, 'x');
    for (char& c : text) {
        c = "\r\nab\0"[random() % 5];
    }
    return text;
}

/// Reads as a sender does: windows that move on by random steps and are read again at random.
void check_against_model(std::mt19937& random, const std::string& text) {
    const std::string model = to_netascii(text);
    const std::size_t blksize = random() % 100 + 8;
    const std::size_t window = (random() % 8 + 1) * blksize;
    netascii_source source(std::make_shared<moody_source>(text), window);
    CHECK_FALSE(source.size());

    std::size_t base = 0;
    std::size_t reached = 0;
    bool ended = false;
    while (!ended || base < model.size()) {
        const std::size_t at = base + random() % (std::min(reached, base + window - 1) - base + 1);
        const std::size_t size = std::min(base + window - at, (random() % 8 + 1) * blksize);
        const piece got = random() % 2 == 0 ? try_read(source, at, size, blksize)
                                            : read(source, at, size, blksize);
        if (got.error) {
            REQUIRE(got.error == errc::would_block);
            continue;
        }
        REQUIRE(got.octets == model.substr(at, size));
        if (got.octets.size() < size) {
            REQUIRE(got.end);
        }
        if (got.end) {
            REQUIRE(at + got.octets.size() == model.size());
            ended = true;
        }
        reached = std::max(reached, at + got.octets.size());
        if (random() % 2 == 0) {
            base += random() % (reached - base + 1);
        }
    }
}

} // namespace

TEST_CASE("netascii source agrees with a whole-content model", "[io][source][netascii]") {
    std::mt19937 random(3);
    for (int round = 0; round < 300; ++round) {
        CAPTURE(round);
        check_against_model(random, random_text(random, random() % 3000));
    }
    check_against_model(random, "");
    check_against_model(random, "\n");
    check_against_model(random, "\r");
    check_against_model(random, std::string(20000, '\n'));
}

TEST_CASE(
    "netascii source knows the end when the last octets fit exactly", "[io][source][netascii]"
) {
    const std::string text = "abc\n";
    auto inner = std::make_shared<memory_source>(view(text));
    netascii_source source(inner, 5);
    const piece got = try_read(source, 0, 5);
    CHECK(got.octets == "abc\r\n");
    CHECK(got.end);
    const piece behind = try_read(source, 5, 5);
    CHECK(behind.octets.empty());
    CHECK(behind.end);
}

TEST_CASE("netascii source splits a pair between two reads", "[io][source][netascii]") {
    const std::string text = "abc\n";
    netascii_source source(std::make_shared<memory_source>(view(text)), 8);
    const piece first = try_read(source, 0, 4);
    CHECK(first.octets == "abc\r");
    CHECK_FALSE(first.end);
    const piece second = try_read(source, 4, 4);
    CHECK(second.octets == "\n");
    CHECK(second.end);
    CHECK(try_read(source, 0, 4).octets == "abc\r");
}

TEST_CASE("netascii source goes on after a failure where it was", "[io][source][netascii]") {
    auto inner = std::make_shared<moody_source>("a\nb\rc");
    netascii_source source(inner, 64);
    CHECK(read(source, 0, 2).octets == "a\r");
    inner->failure = make_error_code(boost::system::errc::io_error);
    CHECK(read(source, 2, 8).error == boost::system::errc::io_error);
    CHECK(read(source, 0, 2).octets == "a\r");
    inner->failure = {};
    const piece rest = read(source, 2, 16);
    CHECK(rest.octets == std::string("\nb\r\0c", 5));
    CHECK(rest.end);
}
