#include "support/content_io.hpp"
#include "support/temp_directory.hpp"

#include <tftp/file/file_cache.hpp>
#include <tftp/file/file_mapping.hpp>
#include <tftp/file/file_source.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace tftp;
using namespace tftp::test;

namespace {

std::unique_ptr<source> open_source(const std::string& path) {
    result<std::unique_ptr<source>> source = make_file_source(path.c_str());
    REQUIRE(source.has_value());
    return std::move(source).value();
}

/// Drops the file from the page cache, as far as the kernel likes.
void make_cold(const std::string& path) {
    const unique_fd fd(::open(path.c_str(), O_RDWR));
    ::fsync(fd.get());
    ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
}

} // namespace

TEST_CASE("file source serves a file in any pieces", "[io][file_source]") {
    const temp_directory directory;
    const std::string content = pattern(200'000);
    const auto source = open_source(directory.write("f", content));
    CHECK(source->size() == content.size());
    for (const std::size_t size : {1U, 511U, 512U, 16384U, 65464U, 100'000U}) {
        std::string all;
        for (bool end = false; !end;) {
            const piece got = read(*source, all.size(), size, 1428);
            REQUIRE_FALSE(got.error);
            REQUIRE((got.octets.size() == size || got.end));
            all += got.octets;
            end = got.end;
            if (size == 1 && all.size() == 100) {
                all = content; // enough of single bytes
            }
        }
        CHECK(all == content);
    }
    CHECK(
        read(*source, content.size() - 100, 50).octets == content.substr(content.size() - 100, 50)
    );
}

TEST_CASE(
    "file source without blocking gives all or says that it would block", "[io][file_source]"
) {
    const temp_directory directory;
    const std::string content = pattern(1 << 20);
    const std::string path = directory.write("f", content);
    make_cold(path);
    const auto source = open_source(path);
    std::string all;
    for (bool end = false; !end;) {
        piece got = try_read(*source, all.size(), 60'000, 1428);
        if (got.error) {
            REQUIRE(got.error == errc::would_block);
            got = read(*source, all.size(), 60'000, 1428);
        }
        REQUIRE_FALSE(got.error);
        REQUIRE((got.octets.size() == 60'000 || all.size() + got.octets.size() == content.size()));
        all += got.octets;
        end = got.end;
    }
    CHECK(all == content);
}

TEST_CASE("file source works on tmpfs", "[io][file_source]") {
    const temp_directory directory(need_memory_directory());
    const std::string content = pattern(100'000);
    const auto source = open_source(directory.write("f", content));
    const piece got = try_read(*source, 512, 60'000, 1428);
    CHECK_FALSE(got.error);
    CHECK(got.octets == content.substr(512, 60'000));
    CHECK(try_read(*source, content.size(), 10).end);
}

TEST_CASE("file source of an empty file ends at once", "[io][file_source]") {
    const temp_directory directory;
    const auto source = open_source(directory.write("f", ""));
    const piece got = try_read(*source, 0, 512);
    CHECK_FALSE(got.error);
    CHECK(got.octets.empty());
    CHECK(got.end);
}

TEST_CASE("file source reports a file that shrank", "[io][file_source]") {
    const temp_directory directory;
    const std::string path = directory.write("f", pattern(100'000));
    const auto source = open_source(path);
    CHECK_FALSE(read(*source, 0, 60'000).error);
    REQUIRE(::truncate(path.c_str(), 50'000) == 0);
    // What is still there may be anything by now.
    CHECK(read(*source, 0, 50'000).error == errc::source_shrank);
    CHECK(read(*source, 40'000, 20'000).error == errc::source_shrank);
    CHECK(try_read(*source, 40'000, 20'000).error == errc::source_shrank);
    CHECK(read(*source, 60'000, 20'000).error == errc::source_shrank);
}

TEST_CASE("file source reports a file that was written to", "[io][file_source]") {
    const temp_directory directory;
    const std::string content = pattern(100'000);
    const std::string path = directory.write("f", content);
    const auto source = open_source(path);
    REQUIRE(read(*source, 600, 512, 100).octets == content.substr(600, 512));
    SECTION("at its end") {
        std::ofstream(path, std::ios::app) << pattern(5000, 2);
    }
    SECTION("in its middle, with what was there") {
        std::fstream(path, std::ios::in | std::ios::out).write(content.data(), 1);
    }
    SECTION("from the beginning, with what was there") {
        std::ofstream(path) << content;
    }
    SECTION("by no more than another time of its change") {
        REQUIRE(::utimensat(AT_FDCWD, path.c_str(), nullptr, 0) == 0);
    }
    CHECK(source->size() == content.size());
    CHECK(read(*source, 600, 512, 100).error == errc::source_changed);
    CHECK(try_read(*source, 600, 512, 100).error == errc::source_changed);
    CHECK(read(*source, content.size(), 512).end);
}

TEST_CASE("file source goes on when a file's names and rights change", "[io][file_source]") {
    const temp_directory directory;
    const std::string content = pattern(4 * file_mapping::piece);
    const std::string path = directory.write("f", content);
    file_cache cache;
    const auto source = open_source(path);
    static_cast<void>(source->share(cache));
    REQUIRE(try_read(*source, 0, content.size(), 65464).octets == content);
    REQUIRE(source->in_place(0, content.size()).size() == content.size());
    SECTION("renamed") {
        std::filesystem::rename(path, directory / "g");
    }
    SECTION("removed") {
        std::filesystem::remove(path);
    }
    SECTION("linked") {
        std::filesystem::create_hard_link(path, directory / "g");
    }
    SECTION("not to be read by others") {
        std::filesystem::permissions(path, std::filesystem::perms::none);
    }
    // Whether that was all cannot be told of what was copied meanwhile: it is read once more.
    CHECK_FALSE(source->intact());
    CHECK((try_read(*source, 0, content.size(), 65464).octets == content));
    CHECK((read(*source, 0, content.size(), 65464).octets == content));
    CHECK((try_read(*source, 512, 512).octets == content.substr(512, 512)));
    CHECK(source->in_place(0, content.size()).empty());
    source->unshare();
}

namespace {

/// Has a file lose its end and get it again, as fast as can be: so little that a copy of it may
/// take as long.
class restless_writer {
public:
    restless_writer(const std::string& path, std::string content)
        : content_(std::move(content)), fd_(::open(path.c_str(), O_WRONLY | O_CLOEXEC)) {
        REQUIRE(bool(fd_));
        thread_ = std::thread([this] {
            for (std::size_t round = 0; !stop_; ++round) {
                const std::size_t kept = content_.size() - 1 - round * 7919 % 3000;
                if (::ftruncate(fd_.get(), static_cast<::off_t>(kept)) != 0 ||
                    ::pwrite(
                        fd_.get(),
                        content_.data() + kept,
                        content_.size() - kept,
                        static_cast<::off_t>(kept)
                    ) < 0) {
                    return;
                }
            }
        });
    }

    restless_writer(const restless_writer&) = delete;
    restless_writer& operator=(const restless_writer&) = delete;

    ~restless_writer() {
        stop_ = true;
        thread_.join();
    }

private:
    std::string content_;
    unique_fd fd_;
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

} // namespace

TEST_CASE("what is read of a file that never holds still is its content", "[io][file_source]") {
    // On a disk, and in memory, where time stamps are others.
    const std::string base = GENERATE(as<std::string>(), "", "/dev/shm");
    const std::size_t size = GENERATE(std::size_t{512}, std::size_t{16'384}, std::size_t{65'464});
    const bool waits = GENERATE(false, true);
    const temp_directory directory(
        base.empty() ? std::filesystem::temp_directory_path() : std::filesystem::path(base)
    );
    const std::string content = pattern(20'000);
    const std::string path = directory.write("f", content);
    const restless_writer writer(path, content);
    std::size_t wrong = 0;
    std::size_t right = 0;
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(400);
    while (std::chrono::steady_clock::now() < end) {
        file_cache cache;
        const auto source = make_file_source(path.c_str());
        if (!source) {
            CHECK(source.error() == errc::source_changed);
            continue;
        }
        static_cast<void>((*source)->share(cache));
        for (std::uint64_t at = 0; at < (*source)->size(); at += size) {
            const piece got = waits ? read(**source, at, size) : try_read(**source, at, size);
            if (got.error) {
                break;
            }
            wrong += got.octets == content.substr(at, got.octets.size()) ? 0U : 1U;
            ++right;
        }
    }
    CAPTURE(right);
    CHECK(wrong == 0);
}

TEST_CASE("what a shared mapping changes is read anew after a while", "[io][file_source]") {
    const temp_directory directory;
    const std::string old = pattern(file_mapping::piece, 1);
    const std::string other = pattern(file_mapping::piece, 2);
    const std::string path = directory.write("f", old);
    const unique_fd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    void* const at = ::mmap(nullptr, old.size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    REQUIRE(at != MAP_FAILED);
    // No time stamp tells of further changes until the kernel writes these pages back.
    std::memcpy(at, old.data(), old.size());
    file_cache cache;
    const auto source = open_source(path);
    static_cast<void>(source->share(cache));
    REQUIRE((try_read(*source, 0, 512).octets == old.substr(0, 512)));
    std::memcpy(at, other.data(), other.size());
    const auto changed = std::chrono::steady_clock::now();
    std::string got;
    while (got != other.substr(512, 512)) {
        const auto age = std::chrono::steady_clock::now() - changed;
        got = try_read(*source, 512, 512).octets;
        // One that began in time may take as long as it likes.
        REQUIRE((got == other.substr(512, 512) || age < 1.1 * content_age_max));
    }
    ::munmap(at, old.size());
}

TEST_CASE(
    "file source keeps to the file that was opened when another takes its name", "[io][file_source]"
) {
    const temp_directory directory;
    const std::string content = pattern(100'000);
    const std::string path = directory.write("f", content);
    const auto source = open_source(path);
    std::filesystem::rename(directory.write("new", pattern(100'000, 2)), path);
    CHECK(read(*source, 0, 100'000).octets == content);
}

TEST_CASE("file source shows in place what was read before", "[io][file_source]") {
    const temp_directory directory;
    const std::string content = pattern(5 * file_mapping::piece + 1000);
    const std::string path = directory.write("f", content);
    file_cache cache;
    const auto first = open_source(path);
    const auto second = open_source(path);
    CHECK_FALSE(first->share(cache));
    CHECK(second->share(cache) != nullptr);
    CHECK(first->in_place(0, 1428).empty());

    // Windows are not made of whole pieces.
    constexpr std::size_t window = 16 * 1428;
    for (std::size_t at = 0; at < content.size(); at += window) {
        REQUIRE_FALSE(try_read(*first, at, window, 1428).error);
    }
    CHECK((text_of(first->in_place(0, content.size())) == content));
    CHECK((text_of(second->in_place(1428, window)) == content.substr(1428, window)));
    CHECK((text_of(second->in_place(1428, 1)) == content.substr(1428, 1)));
    CHECK(second->in_place(content.size() - window, window).size() == window);
    CHECK(second->in_place(content.size() - window + 1, window).empty());
    CHECK(second->intact());

    second->unshare();
    CHECK(second->in_place(0, window).empty());
}

TEST_CASE("what was left out in reading is not shown", "[io][file_source]") {
    const temp_directory directory;
    constexpr std::size_t piece_size = file_mapping::piece;
    constexpr std::size_t half = piece_size / 2;
    file_cache cache;
    const auto source = open_source(directory.write("f", pattern(4 * piece_size)));
    static_cast<void>(source->share(cache));
    const auto read_some = [&](std::size_t offset, std::size_t size) {
        REQUIRE_FALSE(try_read(*source, offset, size, size).error);
    };
    // A gap of one octet within the first piece.
    read_some(0, half);
    read_some(half + 1, half - 1);
    CHECK(source->in_place(0, half).empty());
    // The second begins where the first read ended, and goes on behind a read of something else.
    read_some(piece_size, half);
    read_some(3 * piece_size, half);
    read_some(piece_size + half, half);
    CHECK(source->in_place(piece_size, piece_size).empty());
    // Going back and on makes it whole.
    read_some(piece_size, half);
    read_some(piece_size + half, half);
    CHECK(source->in_place(piece_size, piece_size).size() == piece_size);
    CHECK(source->in_place(3 * piece_size, half).empty());
}

TEST_CASE("file source shows nothing in place that is its own alone", "[io][file_source]") {
    const temp_directory directory;
    const auto source = open_source(directory.write("f", pattern(file_mapping::piece)));
    REQUIRE_FALSE(try_read(*source, 0, file_mapping::piece, 1428).error);
    CHECK(source->in_place(0, file_mapping::piece).empty());
}

TEST_CASE("what small reads had read ahead is shown in place", "[io][file_source]") {
    const temp_directory directory;
    constexpr std::size_t size = file_mapping::piece;
    const std::string content = pattern(2 * size);
    file_cache cache;
    const auto source = open_source(directory.write("f", content));
    static_cast<void>(source->share(cache));
    REQUIRE_FALSE(try_read(*source, 0, 512).error);
    CHECK((text_of(source->in_place(0, size)) == content.substr(0, size)));
    CHECK(source->in_place(size, 1).empty());
}

TEST_CASE("a file that became shorter is not intact", "[io][file_source]") {
    const temp_directory directory;
    const std::string path = directory.write("f", pattern(2 * file_mapping::piece));
    const auto source = open_source(path);
    CHECK(source->intact());
    SECTION("by one octet") {
        REQUIRE(::truncate(path.c_str(), 2 * file_mapping::piece - 1) == 0);
    }
    SECTION("and got its length again") {
        REQUIRE(::truncate(path.c_str(), 0) == 0);
        std::ofstream(path) << pattern(2 * file_mapping::piece);
    }
    CHECK_FALSE(source->intact());
}

TEST_CASE("file source is only made from a regular file", "[io][file_source]") {
    const temp_directory directory;
    REQUIRE(::mkfifo((directory / "fifo").c_str(), 0666) == 0);
    CHECK(make_file_source((directory / "fifo").c_str()).error() == errc::not_regular);
    CHECK(make_file_source(directory.path().c_str()).error() == errc::not_regular);
    CHECK(make_file_source("/dev/zero").error() == errc::not_regular);
    // Of no size, but not empty.
    CHECK(make_file_source("/proc/self/status").error() == errc::not_regular);
    CHECK(make_file_source(directory.write("empty", "").c_str()).has_value());
    CHECK(
        make_file_source((directory / "none").c_str()).error() ==
        boost::system::errc::no_such_file_or_directory
    );
}
