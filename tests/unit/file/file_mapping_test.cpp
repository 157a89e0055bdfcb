#include "support/content_io.hpp"
#include "support/temp_directory.hpp"

#include <tftp/base/unique_fd.hpp>
#include <tftp/file/file_mapping.hpp>

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

namespace {

constexpr std::uint64_t piece_size = file_mapping::piece;

unique_fd open_file(const std::string& path, int flags = O_RDONLY) {
    unique_fd fd(::open(path.c_str(), flags | O_CLOEXEC));
    REQUIRE(bool(fd));
    return fd;
}

file_identity identity_of_fd(const unique_fd& fd) {
    struct ::stat about = {};
    REQUIRE(::fstat(fd.get(), &about) == 0);
    return identity_of(about);
}

/// As if the file had been opened in this size.
file_identity identity_of(const unique_fd& fd, std::uint64_t size_bytes) {
    file_identity identity = identity_of_fd(fd);
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

TEST_CASE("content map shows nothing that was not read before", "[io][file_mapping]") {
    const temp_directory directory;
    const unique_fd fd = open_file(directory.write("f", pattern(3 * piece_size)));
    file_mapping map(identity_of_fd(fd));
    CHECK(map.view(fd.get(), 0, 1).empty());
    CHECK(map.view(fd.get(), 0, 3 * piece_size).empty());
    // Nothing to show, nothing mapped.
    CHECK(map.mapped() == 0);
}

TEST_CASE("content map shows the pieces that were read, and no others", "[io][file_mapping]") {
    const temp_directory directory;
    const std::string content = pattern(5 * piece_size);
    const unique_fd fd = open_file(directory.write("f", content));
    file_mapping map(identity_of_fd(fd));
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

TEST_CASE("content map counts a piece only when all of it was read", "[io][file_mapping]") {
    const temp_directory directory;
    const unique_fd fd = open_file(directory.write("f", pattern(3 * piece_size)));
    file_mapping map(identity_of_fd(fd));
    map.on_read(1, piece_size);
    map.on_read(piece_size, 2 * piece_size - 1);
    map.on_read(2 * piece_size + 1, 3 * piece_size);
    map.on_read(piece_size, piece_size);
    for (const std::uint64_t number : {0U, 1U, 2U}) {
        CHECK(map.view(fd.get(), number * piece_size + 100, 1).empty());
    }
}

TEST_CASE("the last piece of a content map may be a short one", "[io][file_mapping]") {
    const temp_directory directory;
    const std::string content = pattern(piece_size + 100);
    const unique_fd fd = open_file(directory.write("f", content));
    file_mapping map(identity_of_fd(fd));
    map.on_read(piece_size, piece_size + 99);
    CHECK(map.view(fd.get(), piece_size, 1).empty());
    map.on_read(piece_size, piece_size + 100);
    CHECK((text_of(map.view(fd.get(), piece_size, 100)) == content.substr(piece_size)));
    CHECK(map.view(fd.get(), 0, 1).empty());
}

TEST_CASE("a content map ends where the content does", "[io][file_mapping]") {
    const temp_directory directory;
    const std::string content = pattern(piece_size + 100);
    const unique_fd fd = open_file(directory.write("f", content));
    file_mapping map(identity_of_fd(fd));
    map.on_read(0, content.size());
    CHECK(map.view(fd.get(), 0, content.size()).size() == content.size());
    CHECK(map.view(fd.get(), 0, content.size() + 1).empty());
    CHECK(map.view(fd.get(), piece_size + 99, 2).empty());
    CHECK(map.view(fd.get(), content.size(), 1).empty());
    CHECK(map.view(fd.get(), ~std::uint64_t{0}, 2).empty());

    file_mapping nothing(identity_of(fd, 0));
    nothing.on_read(0, 0);
    CHECK(nothing.view(fd.get(), 0, 1).empty());
}

TEST_CASE("content map keeps apart more pieces than a word has bits", "[io][file_mapping]") {
    const temp_directory directory;
    constexpr std::uint64_t pieces = 130;
    const std::string path = directory.write("f", "");
    REQUIRE(::truncate(path.c_str(), static_cast<::off_t>(pieces * piece_size)) == 0);
    const unique_fd fd = open_file(path);
    file_mapping map(identity_of_fd(fd));
    map.on_read(63 * piece_size, 66 * piece_size);
    map.on_read(129 * piece_size, 130 * piece_size);
    for (std::uint64_t number = 0; number < pieces; ++number) {
        const bool read = (number >= 63 && number < 66) || number == 129;
        CAPTURE(number);
        CHECK(map.view(fd.get(), number * piece_size, piece_size).empty() != read);
    }
}

TEST_CASE("content map maps a file of the largest size, and none larger", "[io][file_mapping]") {
    const temp_directory directory;
    const std::string path = directory.write("f", "");
    // A hole takes no disk.
    REQUIRE(::truncate(path.c_str(), static_cast<::off_t>(file_mapping::size_max + 1)) == 0);
    const unique_fd fd = open_file(path);
    file_mapping largest(identity_of(fd, file_mapping::size_max));
    largest.on_read(0, piece_size);
    CHECK(largest.view(fd.get(), 0, piece_size).size() == piece_size);
    file_mapping too_large(identity_of_fd(fd));
    too_large.on_read(0, piece_size);
    CHECK(too_large.view(fd.get(), 0, piece_size).empty());
    CHECK(too_large.mapped() == 0);
}

TEST_CASE("a file that cannot be mapped is not tried again", "[io][file_mapping]") {
    const temp_directory directory;
    const std::string path = directory.write("f", pattern(piece_size));
    const unique_fd name_only = open_file(path, O_PATH);
    const unique_fd readable = open_file(path);
    file_mapping map(identity_of_fd(readable));
    map.on_read(0, piece_size);
    CHECK(map.view(name_only.get(), 0, 100).empty());
    CHECK(map.view(readable.get(), 0, 100).empty());
    CHECK(map.mapped() == 0);
}

TEST_CASE(
    "a file is mapped once, however many look at it, until the last lets go", "[io][file_mapping]"
) {
    const temp_directory directory;
    const std::string content = pattern(2 * piece_size);
    const std::string path = directory.write("f", content);
    // Each thread of a server has opened the file for itself.
    const unique_fd first_fd = open_file(path);
    const unique_fd second_fd = open_file(path);
    auto first = std::make_unique<file_mapping>(identity_of_fd(first_fd));
    auto second = std::make_unique<file_mapping>(identity_of_fd(second_fd));
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
    file_mapping third(identity_of_fd(first_fd));
    third.on_read(0, content.size());
    CHECK((text_of(third.view(first_fd.get(), 0, content.size())) == content));
    CHECK(mappings_of(path) == 1);
}

TEST_CASE("files that differ, and states of one, are mapped apart", "[io][file_mapping]") {
    const temp_directory directory;
    const std::string path = directory.write("f", pattern(piece_size, 1));
    const std::string other_path = directory.write("g", pattern(piece_size, 2));
    const unique_fd fd = open_file(path, O_RDWR);
    const unique_fd other_fd = open_file(other_path);
    const auto shown = [](file_mapping& map, const unique_fd& of, std::size_t size) {
        map.on_read(0, size);
        return text_of(map.view(of.get(), 0, size));
    };
    file_mapping map(identity_of_fd(fd));
    file_mapping other(identity_of_fd(other_fd));
    CHECK((shown(map, fd, piece_size) == pattern(piece_size, 1)));
    CHECK((shown(other, other_fd, piece_size) == pattern(piece_size, 2)));

    REQUIRE(::truncate(path.c_str(), static_cast<::off_t>(2 * piece_size)) == 0);
    file_mapping grown(identity_of_fd(fd));
    CHECK(
        (shown(grown, fd, 2 * piece_size) == pattern(piece_size, 1) + std::string(piece_size, '\0'))
    );
    CHECK(mappings_of(path) == 2);
}

TEST_CASE("threads map and unmap one file at once", "[io][file_mapping]") {
    const temp_directory directory;
    const std::string content = pattern(piece_size);
    const std::string path = directory.write("f", content);
    constexpr int rounds = 500;
    std::atomic<int> wrong = 0;
    const auto look = [&] {
        const unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        struct ::stat about = {};
        ::fstat(fd.get(), &about);
        for (int i = 0; i < rounds; ++i) {
            file_mapping map(identity_of(about));
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
