#include "support/content_io.hpp"
#include "support/temp_directory.hpp"

#include <tftp/file/file_cache.hpp>
#include <tftp/file/file_source.hpp>
#include <tftp/file/read_ahead.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

using namespace tftp;
using namespace tftp::test;

namespace {

std::shared_ptr<const opened_file> open_file(const std::string& path) {
    auto file = opened_file::adopt(unique_fd(::open(path.c_str(), O_RDONLY)));
    REQUIRE(file.has_value());
    return std::move(file).value();
}

/// Reads like a transfer: the blocking way when the cache has to wait.
piece read_small(file_source& source, std::uint64_t offset, std::size_t size) {
    piece got = try_read(source, offset, size, 512);
    if (got.error == errc::would_block) {
        static_cast<void>(read(source, offset / 65536 * 65536, 131072));
        got = try_read(source, offset, size, 512);
    }
    return got;
}

} // namespace

TEST_CASE("read-ahead serves the content of files at random places", "[io][read_ahead]") {
    const temp_directory directory;
    file_cache cache;
    const std::string content = pattern(300'000);
    file_source source(open_file(directory.write("f", content)));
    static_cast<void>(source.share(cache));
    std::mt19937 random(5);
    for (int round = 0; round < 2000; ++round) {
        const std::size_t offset = random() % (content.size() + 1);
        const std::size_t size = random() % (read_ahead::small_read - 1) + 1;
        const piece got = read_small(source, offset, size);
        REQUIRE_FALSE(got.error);
        REQUIRE(got.octets == content.substr(offset, size));
        REQUIRE(got.end == (offset + got.octets.size() == content.size()));
    }
    CHECK(cache.chunks.chunks() == 5);
}

TEST_CASE("read-ahead reads a chunk once for all transfers of a file", "[io][read_ahead]") {
    const temp_directory directory;
    file_cache cache;
    const std::string content = pattern(60'000);
    const std::string path = directory.write("f", content);
    const auto file = open_file(path);
    file_source first(file);
    static_cast<void>(first.share(cache));
    file_source second(file);
    static_cast<void>(second.share(cache));
    CHECK(read_small(first, 0, 512).octets == content.substr(0, 512));
    CHECK(cache.chunks.chunks() == 1);
    // What is in the chunk is served without looking at the file again.
    REQUIRE(::truncate(path.c_str(), 0) == 0);
    CHECK(read_small(second, 512, 512).octets == content.substr(512, 512));
    CHECK(read_small(second, 59'904, 512).end);
    CHECK(cache.chunks.chunks() == 1);
}

TEST_CASE("read-ahead gives the place of a file that has gone to the next", "[io][read_ahead]") {
    const temp_directory directory;
    file_cache cache;
    std::vector<std::unique_ptr<file_source>> sources;
    const auto open = [&](std::size_t number) {
        const std::string name = std::to_string(number);
        auto source = std::make_unique<file_source>(
            open_file(directory.write(name, pattern(1000 + 100 * number)))
        );
        static_cast<void>(source->share(cache));
        sources.push_back(std::move(source));
    };
    const auto check = [&](std::size_t number, file_source& source) {
        const std::string content = pattern(1000 + 100 * number);
        CHECK(read_small(source, 100, 2000).octets == content.substr(100));
    };
    for (std::size_t i = 0; i < 4; ++i) {
        open(i);
        check(i, *sources[i]);
    }
    sources[1].reset();
    CHECK(cache.chunks.chunks() == 3);
    open(4);
    check(4, *sources[4]);
    CHECK(cache.chunks.chunks() == 4);
    sources[3].reset();
    sources[4].reset();
    CHECK(cache.chunks.chunks() == 2);
    open(5);
    for (const std::size_t i : {5U, 0U, 2U}) {
        check(i, *sources[i]);
    }
    CHECK(cache.chunks.chunks() == 3);
}

TEST_CASE("read-ahead leaves large reads alone", "[io][read_ahead]") {
    const temp_directory directory;
    file_cache cache;
    const std::string content = pattern(60'000);
    file_source source(open_file(directory.write("f", content)));
    static_cast<void>(source.share(cache));
    CHECK(try_read(source, 0, read_ahead::small_read).octets == content.substr(0, 16384));
    CHECK(cache.chunks.chunks() == 0);
}

TEST_CASE("read-ahead gives memory back with the last transfer of a file", "[io][read_ahead]") {
    const temp_directory directory;
    file_cache cache;
    auto kept = std::make_unique<file_source>(open_file(directory.write("a", pattern(100))));
    static_cast<void>(kept->share(cache));
    CHECK_FALSE(read_small(*kept, 0, 100).error);
    {
        const auto file = open_file(directory.write("b", pattern(200'000)));
        auto first = std::make_unique<file_source>(file);
        static_cast<void>(first->share(cache));
        file_source second(file);
        static_cast<void>(second.share(cache));
        for (std::uint64_t offset = 0; offset < 200'000; offset += 60'000) {
            CHECK_FALSE(read_small(*first, offset, 512).error);
        }
        CHECK(cache.chunks.chunks() == 4);
        first.reset();
        CHECK(cache.chunks.chunks() == 4);
    }
    // The handle `file` outlived the last source: its chunks wait to be recycled, and cannot be
    // taken for those of another file.
    auto last = std::make_unique<file_source>(open_file(directory.write("c", pattern(70'000))));
    static_cast<void>(last->share(cache));
    CHECK(read_small(*last, 0, 100).octets == pattern(70'000).substr(0, 100));
    const std::size_t before = cache.chunks.chunks();
    last.reset();
    CHECK(cache.chunks.chunks() == before - 1);
    kept.reset();
    CHECK(cache.chunks.chunks() == before - 2);
}

TEST_CASE("a source that left the cache may end in another thread", "[io][read_ahead]") {
    const temp_directory directory;
    file_cache cache;
    auto first = std::make_unique<file_source>(open_file(directory.write("f", pattern(100))));
    CHECK(first->share(cache) == nullptr);
    const std::string path = directory.write("g", pattern(60'000));
    auto second = std::make_unique<file_source>(open_file(path));
    CHECK(second->share(cache) == nullptr);
    CHECK_FALSE(read_small(*first, 0, 100).error);
    CHECK(cache.chunks.chunks() == 1);
    first->unshare();
    CHECK(cache.chunks.chunks() == 0);
    // ThreadSanitizer hears of it when the end touches the cache.
    std::thread other([&] { first.reset(); });
    for (std::uint64_t offset = 0; offset < 50'000; offset += 512) {
        CHECK_FALSE(read_small(*second, offset, 512).error);
    }
    other.join();
    second->unshare();
    CHECK(cache.chunks.chunks() == 0);
}

TEST_CASE("a source gives back what was opened twice", "[io][read_ahead]") {
    const temp_directory directory;
    file_cache cache;
    const std::string path = directory.write("f", pattern(100));
    file_source first(open_file(path));
    CHECK(first.share(cache) == nullptr);
    file_source second(open_file(path));
    CHECK(second.share(cache) != nullptr);
    CHECK(second.file() == first.file());
}

TEST_CASE("read-ahead is bounded and drops the least recently used chunk", "[io][read_ahead]") {
    const temp_directory directory;
    file_cache cache;
    const std::string path = directory / "f";
    constexpr std::size_t chunks = read_ahead::chunks_max + 3;
    const std::string content = pattern(chunks * read_ahead::chunk_size);
    file_source source(open_file(directory.write("f", content)));
    static_cast<void>(source.share(cache));
    for (std::size_t index = 0; index < chunks; ++index) {
        CHECK_FALSE(read_small(source, index * read_ahead::chunk_size, 512).error);
        // The first one stays in use.
        CHECK_FALSE(read_small(source, 0, 512).error);
    }
    CHECK(cache.chunks.chunks() == read_ahead::chunks_max);
    // An emptied file shows what is still cached.
    REQUIRE(::truncate(path.c_str(), 0) == 0);
    CHECK(read_small(source, 0, 512).octets == content.substr(0, 512));
    CHECK(try_read(source, read_ahead::chunk_size, 512).error == errc::source_shrank);
    const std::size_t last = (chunks - 1) * read_ahead::chunk_size;
    CHECK(read_small(source, last, 512).octets == content.substr(last, 512));
}
