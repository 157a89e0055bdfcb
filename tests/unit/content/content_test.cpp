#include "support/content_io.hpp"

#include <tftp/content/content.hpp>
#include <tftp/content/provider.hpp>
#include <tftp/content/stream_source.hpp>

#include <boost/system/system_error.hpp>
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

using namespace tftp;
using namespace tftp::test;

namespace {

/// Brings `from` in pieces of at most `piece_max` bytes.
[[nodiscard]] stream_reader in_pieces(std::string from, std::size_t piece_max) {
    return [from = std::move(from), piece_max, at = std::size_t{0}](bytes_span into) mutable {
        const std::size_t size = std::min({into.size(), piece_max, from.size() - at});
        std::memcpy(into.data(), from.data() + at, size);
        at += size;
        return size;
    };
}

class readers_only final : public content_provider {
public:
    result<std::shared_ptr<source>> open_read(const content_request&) noexcept override {
        return text("here").opened();
    }
};

} // namespace

TEST_CASE("a text lives as long as the content that sends it", "[io][content]") {
    content sent = text("hello " + std::string("world"));
    REQUIRE(sent.opened());
    source& from = **sent.opened();
    CHECK(from.size() == 11U);
    CHECK(try_read(from, 6, 100).octets == "world");
    CHECK(try_read(from, 6, 100).end);

    const content raw = bytes({std::byte{1}, std::byte{0}});
    CHECK(read(**raw.opened(), 0, 10).octets == std::string("\1\0", 2));
}

TEST_CASE("a content may be the reason why there is none", "[io][content]") {
    CHECK(content(errc::forbidden).opened().error() == errc::forbidden);
    CHECK(content(peer_errc::not_found).opened().error() == peer_errc::not_found);
    CHECK(destination(errc::too_large).opened().error() == errc::too_large);
    CHECK(destination(peer_errc::disk_full).opened().error() == peer_errc::disk_full);
}

TEST_CASE("a borrowed source or sink is used where it is", "[io][content]") {
    const std::string octets = pattern(10);
    memory_source from(view(octets));
    CHECK(content(from).opened()->get() == &from);
    memory_sink into(10);
    CHECK(destination(into).opened()->get() == &into);
}

TEST_CASE("a stream source gives any part of the last window again", "[io][content][stream]") {
    const std::string octets = pattern(10000);
    const std::size_t step = GENERATE(1U, 512U, 777U, 2048U);
    stream_source from(in_pieces(octets, GENERATE(1U, 100U, 100000U)), std::nullopt);
    from.keep_window(2048);
    CHECK_FALSE(from.size());
    for (std::size_t at = 0; at < octets.size(); at += step) {
        const std::size_t back = at < 2048 - step ? at : 2048 - step;
        const piece got = read(from, at, step);
        REQUIRE(got.octets == octets.substr(at, step));
        REQUIRE(try_read(from, at - back, back + 1).octets == octets.substr(at - back, back + 1));
    }
    const piece end = read(from, octets.size(), 512);
    CHECK(end.octets.empty());
    CHECK(end.end);
}

TEST_CASE("a stream source does not wait where it must not", "[io][content][stream]") {
    stream_source from(in_pieces("abcdef", 100), std::nullopt);
    from.keep_window(4);
    std::array<std::byte, 3> memory{};
    const ::iovec gap{memory.data(), memory.size()};
    CHECK(from.try_read(0, std::span(&gap, 1)).error() == errc::would_block);
    CHECK(read(from, 0, 3).octets == "abc");
    CHECK(try_read(from, 0, 3).octets == "abc");
}

TEST_CASE("a stream source does not go back further than its window", "[io][content][stream]") {
    stream_source from(in_pieces(pattern(100), 100), 100);
    CHECK(from.size() == 100U);
    std::array<std::byte, 10> memory{};
    const ::iovec gap{memory.data(), memory.size()};
    CHECK(from.read(0, std::span(&gap, 1)).error() == errc::not_rewindable); // no window yet
    from.keep_window(20);
    from.keep_window(10); // the most counts
    CHECK(read(from, 0, 10).octets == pattern(100).substr(0, 10));
    CHECK(read(from, 10, 10).octets == pattern(100).substr(10, 10));
    CHECK(read(from, 0, 10).octets == pattern(100).substr(0, 10));
    CHECK(read(from, 20, 1).octets == pattern(100).substr(20, 1));
    CHECK(from.read(0, std::span(&gap, 1)).error() == errc::not_rewindable);
    CHECK(from.read(30, std::span(&gap, 1)).error() == errc::not_rewindable); // no gaps
    from.keep_window(40);
    CHECK(read(from, 1, 30).octets == pattern(100).substr(1, 30));
}

TEST_CASE("what a stream throws or returns ends the transfer", "[io][content][stream]") {
    const auto outcome_of = [](stream_reader next) {
        stream_source from(std::move(next), std::nullopt);
        from.keep_window(4);
        std::array<std::byte, 4> memory{};
        const ::iovec gap{memory.data(), memory.size()};
        return from.read(0, std::span(&gap, 1)).error();
    };
    CHECK(outcome_of([](bytes_span) { return make_error_code(errc::stalled); }) == errc::stalled);
    CHECK(outcome_of([](bytes_span) -> std::size_t {
              throw boost::system::system_error(make_error_code(errc::too_large));
          }) == errc::too_large);
    CHECK(outcome_of([](bytes_span) -> std::size_t {
              throw std::runtime_error("no");
          }) == boost::system::errc::io_error);
}

TEST_CASE("a stream of the standard library is sent to its end", "[io][content][stream]") {
    std::istringstream from(pattern(1500));
    const content sent = stream(from);
    (*sent.opened())->keep_window(4096);
    const piece all = read(**sent.opened(), 0, 4096);
    CHECK(all.octets == pattern(1500));
    CHECK(all.end);
}

TEST_CASE("what was collected is handed over once it is whole", "[io][content]") {
    std::string got;
    const destination place = collect(8, [&got](std::string all) { got = std::move(all); });
    sink& into = **place.opened();
    std::string octets = "12345678";
    const ::iovec part{octets.data(), octets.size()};
    CHECK_FALSE(into.write(0, std::span(&part, 1)));
    CHECK(got.empty());
    CHECK(into.write(8, std::span(&part, 1)) == errc::too_large);
    CHECK_FALSE(into.commit());
    CHECK(got == "12345678");

    const destination thrower =
        collect(8, [](const std::string&) { throw std::runtime_error("no"); });
    CHECK((*thrower.opened())->commit() == boost::system::errc::io_error);
}

TEST_CASE("a provider that only reads refuses uploads", "[io][content]") {
    readers_only files;
    CHECK(files.open_read({}));
    CHECK(files.open_write({}).error() == errc::uploads_off);
}
