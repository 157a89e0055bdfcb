#include "octets.hpp"
#include "temp_directory.hpp"

#include <tftp/io/content_map.hpp>
#include <tftp/io/unique_fd.hpp>

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace tftp;
using namespace tftp::test;
using io::content_map;

namespace {

constexpr std::uint64_t piece_size = content_map::piece;

io::unique_fd open_file(const std::string& path, int flags = O_RDONLY) {
    io::unique_fd fd(::open(path.c_str(), flags | O_CLOEXEC));
    REQUIRE(bool(fd));
    return fd;
}

io::file_identity identity_of(const io::unique_fd& fd) {
    struct ::stat about = {};
    REQUIRE(::fstat(fd.get(), &about) == 0);
    return io::identity_of(about);
}

/// As if the file had been opened in this size.
io::file_identity identity_of(const io::unique_fd& fd, std::uint64_t size_bytes) {
    io::file_identity identity = identity_of(fd);
    identity.size_bytes = size_bytes;
    return identity;
}

/// Returns how many mappings of the file this process has.
std::size_t mappings_of(const std::string& path) {
    std::ifstream maps("/proc/self/maps");
    std::size_t count = 0;
    for (std::string line; std::getline(maps, line);) {
        count += line.ends_with(path) ? 1U : 0U;
    }
    return count;
}

} // namespace

TEST_CASE("content map shows nothing that was not read before", "[io][content_map]") {
    const temp_directory directory;
    const io::unique_fd fd = open_file(directory.write("f", pattern(3 * piece_size)));
    content_map map(identity_of(fd));
    CHECK(map.view(fd.get(), 0, 1).empty());
    CHECK(map.view(fd.get(), 0, 3 * piece_size).empty());
    // Nothing to show, nothing mapped.
    CHECK(map.mapped() == 0);
}

TEST_CASE("content map shows the pieces that were read, and no others", "[io][content_map]") {
    const temp_directory directory;
    const std::string content = pattern(5 * piece_size);
    const io::unique_fd fd = open_file(directory.write("f", content));
    content_map map(identity_of(fd));
    map.on_read(piece_size, 3 * piece_size);
    const auto shown = [&](std::uint64_t offset, std::size_t size) {
        return text_of(map.view(fd.get(), offset, size));
    };
    CHECK((shown(piece_size, 2 * piece_size) == content.substr(piece_size, 2 * piece_size)));
    CHECK((shown(2 * piece_size - 10, 20) == content.substr(2 * piece_size - 10, 20)));
    CHECK((shown(3 * piece_size - 1, 1) == content.substr(3 * piece_size - 1, 1)));
    CHECK(map.mapped() == content.size());

    CHECK(shown(piece_size - 1, 1).empty());
    CHECK(shown(piece_size - 1, 2).empty());
    CHECK(shown(3 * piece_size, 1).empty());
    CHECK(shown(3 * piece_size - 1, 2).empty());
    CHECK(shown(0, content.size()).empty());
}

TEST_CASE("content map counts a piece only when all of it was read", "[io][content_map]") {
    const temp_directory directory;
    const io::unique_fd fd = open_file(directory.write("f", pattern(3 * piece_size)));
    content_map map(identity_of(fd));
    map.on_read(1, piece_size);
    map.on_read(piece_size, 2 * piece_size - 1);
    map.on_read(2 * piece_size + 1, 3 * piece_size);
    map.on_read(piece_size, piece_size);
    for (const std::uint64_t number : {0U, 1U, 2U}) {
        CHECK(map.view(fd.get(), number * piece_size + 100, 1).empty());
    }
}

TEST_CASE("the last piece of a content map may be a short one", "[io][content_map]") {
    const temp_directory directory;
    const std::string content = pattern(piece_size + 100);
    const io::unique_fd fd = open_file(directory.write("f", content));
    content_map map(identity_of(fd));
    map.on_read(piece_size, piece_size + 99);
    CHECK(map.view(fd.get(), piece_size, 1).empty());
    map.on_read(piece_size, piece_size + 100);
    CHECK((text_of(map.view(fd.get(), piece_size, 100)) == content.substr(piece_size)));
    CHECK(map.view(fd.get(), 0, 1).empty());
}

TEST_CASE("a content map ends where the content does", "[io][content_map]") {
    const temp_directory directory;
    const std::string content = pattern(piece_size + 100);
    const io::unique_fd fd = open_file(directory.write("f", content));
    content_map map(identity_of(fd));
    map.on_read(0, content.size());
    CHECK(map.view(fd.get(), 0, content.size()).size() == content.size());
    CHECK(map.view(fd.get(), 0, content.size() + 1).empty());
    CHECK(map.view(fd.get(), piece_size + 99, 2).empty());
    CHECK(map.view(fd.get(), content.size(), 1).empty());
    CHECK(map.view(fd.get(), ~std::uint64_t{0}, 2).empty());

    content_map nothing(identity_of(fd, 0));
    nothing.on_read(0, 0);
    CHECK(nothing.view(fd.get(), 0, 1).empty());
}

TEST_CASE("content map keeps apart more pieces than a word has bits", "[io][content_map]") {
    const temp_directory directory;
    constexpr std::uint64_t pieces = 130;
    const std::string path = directory.write("f", "");
    REQUIRE(::truncate(path.c_str(), static_cast<::off_t>(pieces * piece_size)) == 0);
    const io::unique_fd fd = open_file(path);
    content_map map(identity_of(fd));
    map.on_read(63 * piece_size, 66 * piece_size);
    map.on_read(129 * piece_size, 130 * piece_size);
    for (std::uint64_t number = 0; number < pieces; ++number) {
        const bool read = (number >= 63 && number < 66) || number == 129;
        CAPTURE(number);
        CHECK(map.view(fd.get(), number * piece_size, piece_size).empty() != read);
    }
}

TEST_CASE("content map maps a file of the largest size, and none larger", "[io][content_map]") {
    const temp_directory directory;
    const std::string path = directory.write("f", "");
    // A hole takes no disk.
    REQUIRE(::truncate(path.c_str(), static_cast<::off_t>(content_map::size_max + 1)) == 0);
    const io::unique_fd fd = open_file(path);
    content_map largest(identity_of(fd, content_map::size_max));
    largest.on_read(0, piece_size);
    CHECK(largest.view(fd.get(), 0, piece_size).size() == piece_size);
    content_map too_large(identity_of(fd));
    too_large.on_read(0, piece_size);
    CHECK(too_large.view(fd.get(), 0, piece_size).empty());
    CHECK(too_large.mapped() == 0);
}

TEST_CASE("a file that cannot be mapped is not tried again", "[io][content_map]") {
    const temp_directory directory;
    const std::string path = directory.write("f", pattern(piece_size));
    const io::unique_fd name_only = open_file(path, O_PATH);
    const io::unique_fd readable = open_file(path);
    content_map map(identity_of(readable));
    map.on_read(0, piece_size);
    CHECK(map.view(name_only.get(), 0, 100).empty());
    CHECK(map.view(readable.get(), 0, 100).empty());
    CHECK(map.mapped() == 0);
}

TEST_CASE(
    "a file is mapped once, however many look at it, until the last lets go", "[io][content_map]"
) {
    const temp_directory directory;
    const std::string content = pattern(2 * piece_size);
    const std::string path = directory.write("f", content);
    // Each thread of a server has opened the file for itself.
    const io::unique_fd first_fd = open_file(path);
    const io::unique_fd second_fd = open_file(path);
    auto first = std::make_unique<content_map>(identity_of(first_fd));
    auto second = std::make_unique<content_map>(identity_of(second_fd));
    first->on_read(0, piece_size);
    second->on_read(piece_size, 2 * piece_size);
    REQUIRE_FALSE(first->view(first_fd.get(), 0, 1).empty());
    const bytes_view shown = second->view(second_fd.get(), piece_size, piece_size);
    CHECK(mappings_of(path) == 1);
    // What one has read the other has not.
    CHECK(second->view(second_fd.get(), 0, 1).empty());

    first.reset();
    CHECK((text_of(shown) == content.substr(piece_size)));
    CHECK(mappings_of(path) == 1);
    second.reset();
    CHECK(mappings_of(path) == 0);
    // And it can be mapped again.
    content_map third(identity_of(first_fd));
    third.on_read(0, content.size());
    CHECK((text_of(third.view(first_fd.get(), 0, content.size())) == content));
    CHECK(mappings_of(path) == 1);
}

TEST_CASE("files that differ, and states of one, are mapped apart", "[io][content_map]") {
    const temp_directory directory;
    const std::string path = directory.write("f", pattern(piece_size, 1));
    const std::string other_path = directory.write("g", pattern(piece_size, 2));
    const io::unique_fd fd = open_file(path, O_RDWR);
    const io::unique_fd other_fd = open_file(other_path);
    const auto shown = [](content_map& map, const io::unique_fd& of, std::size_t size) {
        map.on_read(0, size);
        return text_of(map.view(of.get(), 0, size));
    };
    content_map map(identity_of(fd));
    content_map other(identity_of(other_fd));
    CHECK((shown(map, fd, piece_size) == pattern(piece_size, 1)));
    CHECK((shown(other, other_fd, piece_size) == pattern(piece_size, 2)));

    REQUIRE(::truncate(path.c_str(), static_cast<::off_t>(2 * piece_size)) == 0);
    content_map grown(identity_of(fd));
    CHECK(
        (shown(grown, fd, 2 * piece_size) == pattern(piece_size, 1) + std::string(piece_size, '\0'))
    );
    CHECK(mappings_of(path) == 2);
}

TEST_CASE("threads map and unmap one file at once", "[io][content_map]") {
    const temp_directory directory;
    const std::string content = pattern(piece_size);
    const std::string path = directory.write("f", content);
    constexpr int rounds = 500;
    std::atomic<int> wrong = 0;
    const auto look = [&] {
        const io::unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        struct ::stat about = {};
        ::fstat(fd.get(), &about);
        for (int i = 0; i < rounds; ++i) {
            content_map map(io::identity_of(about));
            map.on_read(0, content.size());
            if (text_of(map.view(fd.get(), 0, content.size())) != content) {
                ++wrong;
            }
        }
    };
    std::array<std::thread, 4> threads;
    for (std::thread& thread : threads) {
        thread = std::thread(look);
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    CHECK(wrong == 0);
    CHECK(mappings_of(path) == 0);
}
