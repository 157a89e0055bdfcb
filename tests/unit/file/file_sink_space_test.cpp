#include "support/content_io.hpp"
#include "support/temp_directory.hpp"

#include <tftp/file/file_sink.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include <sys/stat.h>

/// What an upload takes of the disk and of the process before it is whole.
using namespace tftp;
using namespace tftp::test;

namespace {

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;

std::unique_ptr<sink> open_sink(const std::string& path) {
    file_sink_options options;
    options.fsync = false;
    auto sink = make_file_sink(path.c_str(), options);
    REQUIRE(sink.has_value());
    return std::move(sink).value();
}

/// Returns the bytes that the only file without a name takes that this process has open for
/// writing beneath `directory`.
std::uint64_t taken_beneath(const temp_directory& directory) {
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code ignored;
        const auto target = std::filesystem::read_symlink(each.path(), ignored).string();
        struct ::stat about = {};
        if (target.starts_with(directory.path().string() + "/") &&
            ::stat(each.path().c_str(), &about) == 0 && S_ISREG(about.st_mode)) {
            return static_cast<std::uint64_t>(about.st_blocks) * 512;
        }
    }
    return 0;
}

} // namespace

TEST_CASE("an announcement takes no more of the disk than what came", "[io][file_sink][space]") {
    const temp_directory directory;
    const auto sink = open_sink(directory / "f");
    REQUIRE_FALSE(sink->reserve(300 * mebibyte));
    REQUIRE_FALSE(write(*sink, 0, pattern(512)));
    // The least step, and what came.
    CHECK(taken_beneath(directory) <= 2 * mebibyte);
    const std::string part = pattern(mebibyte);
    std::uint64_t written = 512;
    for (int i = 0; i < 100; ++i, written += part.size()) {
        REQUIRE_FALSE(write(*sink, written, part, part.size()));
        const std::uint64_t taken = taken_beneath(directory);
        REQUIRE(taken >= written);
        const std::uint64_t came = written + part.size();
        REQUIRE(taken <= came + std::min(came, file_sink::allocated_ahead_max) + mebibyte);
    }
}

TEST_CASE("what was announced is there to the last byte", "[io][file_sink][space]") {
    const temp_directory directory;
    const std::string content = pattern(5 * mebibyte + 77);
    const auto more = GENERATE(as<std::uint64_t>(), 0, 1, 4096, 3'000'000);
    {
        const auto sink = open_sink(directory / "f");
        REQUIRE_FALSE(sink->reserve(content.size() + more));
        for (std::size_t at = 0; at < content.size(); at += 100'000) {
            REQUIRE_FALSE(write(*sink, at, content.substr(at, 100'000), 100'000));
        }
        REQUIRE_FALSE(sink->commit());
    }
    CHECK((directory.content("f") == content));
    struct ::stat about = {};
    REQUIRE(::stat((directory / "f").c_str(), &about) == 0);
    CHECK(static_cast<std::uint64_t>(about.st_blocks) * 512 < content.size() + 256 * 1024);
}
