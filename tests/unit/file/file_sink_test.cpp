#include "refusing_kernel.hpp"
#include "support/content_io.hpp"
#include "support/temp_directory.hpp"

#include <tftp/file/file_sink.hpp>

#include <catch2/catch.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace tftp;
using namespace tftp::test;
namespace fs = std::filesystem;

namespace {

result<std::unique_ptr<sink>>
try_open(const std::string& path, const file_sink_options& options = {}) {
    return make_file_sink(path.c_str(), options);
}

std::unique_ptr<sink> open_sink(const std::string& path, const file_sink_options& options = {}) {
    auto sink = try_open(path, options);
    REQUIRE(sink.has_value());
    return std::move(sink).value();
}

::mode_t mode_of(const std::string& path) {
    struct ::stat about = {};
    REQUIRE(::stat(path.c_str(), &about) == 0);
    return about.st_mode & 07777;
}

std::size_t open_descriptors() {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator("/proc/self/fd"), {}));
}

const file_sink_options denying{overwrite::deny, 0, true, 0644};
const file_sink_options without_fsync{overwrite::replace, 0, false, 0644};

/// Every file system that is at hand: with O_TMPFILE on both. (A bare chroot has a directory in its
/// place that is root's.)
std::vector<fs::path> bases() {
    std::vector<fs::path> found{fs::temp_directory_path()};
    if (::access("/dev/shm", W_OK | X_OK) == 0) {
        found.emplace_back("/dev/shm");
    }
    return found;
}

} // namespace

TEST_CASE("file sink shows a new file at commit and not before", "[io][file_sink]") {
    for (const fs::path& base : bases()) {
        for (const auto& options : {file_sink_options{}, denying, without_fsync}) {
            const temp_directory directory(base);
            const std::string content = pattern(100'000);
            const auto sink = open_sink(directory / "f", options);
            CHECK_FALSE(sink->reserve(content.size()));
            CHECK(directory.entries() == 0);
            for (std::size_t at = 0; at < content.size(); at += 10'000) {
                REQUIRE_FALSE(write(*sink, at, content.substr(at, 10'000), 97));
            }
            CHECK_FALSE(fs::exists(directory / "f"));
            CHECK_FALSE(sink->commit());
            CHECK(directory.content("f") == content);
            CHECK(mode_of(directory / "f") == 0644);
            CHECK(directory.entries() == 1);
        }
    }
}

TEST_CASE("file sink makes an empty file when nothing was written", "[io][file_sink]") {
    const temp_directory directory;
    const auto sink = open_sink(directory / "f");
    CHECK_FALSE(sink->commit());
    CHECK(fs::file_size(directory / "f") == 0);
}

TEST_CASE(
    "file sink replaces a file in one step and keeps its permission bits", "[io][file_sink]"
) {
    for (const fs::path& base : bases()) {
        const temp_directory directory(base);
        const std::string path = directory.write("f", "old");
        fs::permissions(path, fs::perms(0606));
        const auto sink = open_sink(path);
        REQUIRE_FALSE(write(*sink, 0, "new content"));
        CHECK(directory.content("f") == "old");
        CHECK_FALSE(sink->commit());
        CHECK(directory.content("f") == "new content");
        CHECK(mode_of(path) == 0606);
        CHECK(directory.entries() == 1);
    }
}

TEST_CASE("file sink leaves nothing behind when it is given up", "[io][file_sink]") {
    const temp_directory directory;
    directory.write("f", "old");
    for (const char* name : {"f", "g"}) {
        auto sink = open_sink(directory / name);
        REQUIRE_FALSE(write(*sink, 0, pattern(5000)));
        sink.reset();
        CHECK(directory.entries() == 1);
        CHECK(directory.content("f") == "old");
    }
}

TEST_CASE("file sink holds no descriptor and no file before the first write", "[io][file_sink]") {
    const temp_directory directory;
    const auto root = std::make_shared<const unique_fd>(
        ::open(directory.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)
    );
    file_target target;
    target.directory = root;
    target.path = "f";
    const std::size_t before = open_descriptors();
    file_sink sink(target, {});
    CHECK_FALSE(sink.reserve(1000));
    CHECK(open_descriptors() == before);
    CHECK(directory.entries() == 0);
    CHECK_FALSE(write(sink, 0, "x"));
    CHECK(open_descriptors() > before);
}

TEST_CASE("file sink refuses an existing name under deny, early and late", "[io][file_sink]") {
    const temp_directory directory;
    directory.write("f", "old");
    CHECK(try_open(directory / "f", denying).error() == boost::system::errc::file_exists);

    const auto sink = open_sink(directory / "g", denying);
    REQUIRE_FALSE(write(*sink, 0, "mine"));
    directory.write("g", "theirs");
    CHECK(sink->commit() == boost::system::errc::file_exists);
    CHECK(directory.content("g") == "theirs");
    CHECK(directory.entries() == 2);
}

TEST_CASE("two file sinks of one name never mix", "[io][file_sink]") {
    const temp_directory directory;
    const auto first = open_sink(directory / "f");
    const auto second = open_sink(directory / "f");
    REQUIRE_FALSE(write(*first, 0, std::string(3000, '1')));
    REQUIRE_FALSE(write(*second, 0, std::string(2000, '2')));
    REQUIRE_FALSE(write(*first, 3000, std::string(3000, '1')));
    CHECK_FALSE(second->commit());
    CHECK(directory.content("f") == std::string(2000, '2'));
    CHECK_FALSE(first->commit());
    CHECK(directory.content("f") == std::string(6000, '1'));
    CHECK(directory.entries() == 1);
}

TEST_CASE("file sink keeps to its size limit", "[io][file_sink]") {
    const temp_directory directory;
    const file_sink_options limited{overwrite::replace, 1000, false, 0644};
    const auto sink = open_sink(directory / "f", limited);
    CHECK(sink->reserve(1001) == errc::too_large);
    CHECK_FALSE(sink->reserve(1000));
    CHECK_FALSE(write(*sink, 0, pattern(999)));
    CHECK(write(*sink, 999, "xy") == errc::too_large);
    CHECK_FALSE(write(*sink, 999, "x"));
    CHECK_FALSE(sink->commit());
    CHECK(fs::file_size(directory / "f") == 1000);
}

TEST_CASE("file sink gives back what was reserved and did not come", "[io][file_sink]") {
    for (const fs::path& base : bases()) {
        const temp_directory directory(base);
        const auto sink = open_sink(directory / "f");
        REQUIRE_FALSE(sink->reserve(1 << 20));
        REQUIRE_FALSE(write(*sink, 0, "short"));
        REQUIRE_FALSE(sink->commit());
        struct ::stat about = {};
        REQUIRE(::stat((directory / "f").c_str(), &about) == 0);
        CHECK(about.st_size == 5);
        CHECK(about.st_blocks <= 16);
    }
}

TEST_CASE("file sink refuses an announced size that does not fit the disk", "[io][file_sink]") {
    const temp_directory directory;
    const auto sink = open_sink(directory / "f");
    CHECK(sink->reserve(std::uint64_t{1} << 60) == boost::system::errc::no_space_on_device);
    CHECK(sink->reserve(~std::uint64_t{0}) == boost::system::errc::no_space_on_device);
}

TEST_CASE("file sink reports a full disk and leaves the old file", "[io][file_sink]") {
    need(try_own_mounts);
    const temp_directory directory;
    const std::string path = directory / "f";
    const auto announced = [&] {
        auto sink = try_open(path);
        return sink && sink.value()->reserve(300'000) == boost::system::errc::no_space_on_device &&
               !sink.value()->reserve(100'000);
    };
    CHECK(on_small_disk(directory.path(), "256k", announced));

    const auto unannounced = [&] {
        directory.write("f", "old");
        {
            auto sink = try_open(path);
            if (!sink) {
                return false;
            }
            error_code failed;
            std::uint64_t at = 0;
            while (!failed && at < 1'000'000) {
                failed = write(*sink.value(), at, pattern(10'000));
                at += failed ? 0U : 10'000U;
            }
            if (failed != boost::system::errc::no_space_on_device || at < 200'000) {
                return false;
            }
        }
        return directory.content("f") == "old" && directory.entries() == 1;
    };
    CHECK(on_small_disk(directory.path(), "256k", unannounced));

    const auto filled_meanwhile = [&] {
        auto sink = try_open(path);
        if (!sink || sink.value()->reserve(200'000)) {
            return false;
        }
        directory.write("other", pattern(150'000));
        error_code failed;
        for (std::uint64_t at = 0; !failed && at < 200'000; at += 10'000) {
            failed = write(*sink.value(), at, pattern(10'000));
        }
        sink.value().reset();
        return failed == boost::system::errc::no_space_on_device && directory.entries() == 1;
    };
    CHECK(on_small_disk(directory.path(), "256k", filled_meanwhile));

    // Memory is taken for what came, not for what was announced.
    const auto frugal = [&] {
        auto sink = try_open(path);
        if (!sink || sink.value()->reserve(3'000'000) || write(*sink.value(), 0, "x")) {
            return false;
        }
        return std::filesystem::space(directory.path()).available > 3'500'000;
    };
    CHECK(on_small_disk(directory.path(), "4m", frugal));
}

TEST_CASE("file sink works by a hidden name where there is no O_TMPFILE", "[io][file_sink]") {
    // The flag without O_DIRECTORY, which it contains.
    constexpr std::uint32_t tmpfile = O_TMPFILE & ~O_DIRECTORY;
    const std::vector<refusal_rule> no_tmpfile{{SYS_openat, EOPNOTSUPP, 2, tmpfile}};
    std::vector<refusal_rule> no_flags = no_tmpfile;
    no_flags.push_back({SYS_renameat2, EINVAL, 4, RENAME_NOREPLACE});
    const temp_directory directory;
    for (const auto& rules : {no_tmpfile, no_flags}) {
        for (const auto& options : {file_sink_options{}, denying}) {
            CHECK(on_refusing_kernel(rules, [&] {
                auto sink = try_open(directory / "f", options);
                return sink && !write(*sink.value(), 0, "content") && directory.entries() == 1 &&
                       !fs::exists(directory / "f") && !sink.value()->commit() &&
                       directory.entries() == 1 && directory.content("f") == "content" &&
                       mode_of(directory / "f") == 0644;
            }));
            CHECK(on_refusing_kernel(rules, [&] {
                auto sink = try_open(directory / "given-up", options);
                if (!sink || write(*sink.value(), 0, "content") || directory.entries() != 2) {
                    return false;
                }
                sink.value().reset();
                return directory.entries() == 1;
            }));
            CHECK(on_refusing_kernel(rules, [&] {
                auto sink = try_open(directory / "g", options);
                if (!sink || write(*sink.value(), 0, "mine")) {
                    return false;
                }
                directory.write("g", "theirs");
                const error_code failed = sink.value()->commit();
                sink.value().reset();
                return directory.entries() == 2 &&
                       (options.existing == overwrite::deny
                            ? failed == boost::system::errc::file_exists &&
                                  directory.content("g") == "theirs"
                            : !failed && directory.content("g") == "mine");
            }));
            fs::remove(directory / "f");
            fs::remove(directory / "g");
        }
    }
}

TEST_CASE("a failed commit shows nothing and leaves nothing", "[io][file_sink]") {
    const temp_directory directory;
    directory.write("f", "old");
    const std::vector<std::vector<refusal_rule>> failures{
        {{SYS_linkat, EIO}},
        {{SYS_renameat, EIO}, {SYS_renameat2, EIO}},
        {{SYS_fsync, EIO}},
        {{SYS_fchmod, EIO}}};
    for (const auto& rules : failures) {
        CHECK(on_refusing_kernel(rules, [&] {
            auto sink = try_open(directory / "f");
            if (!sink || write(*sink.value(), 0, "new") ||
                sink.value()->commit() != boost::system::errc::io_error) {
                return false;
            }
            sink.value().reset();
            return directory.entries() == 1 && directory.content("f") == "old";
        }));
    }
}

TEST_CASE("a new name is taken back when its directory cannot be flushed", "[io][file_sink]") {
    const temp_directory directory;
    // The directory is the only thing opened without O_TMPFILE or O_PATH once the sink exists.
    CHECK(in_child([&] {
        auto sink = try_open(directory / "f");
        return sink && !write(*sink.value(), 0, "new") &&
               on_refusing_kernel({{SYS_openat, EIO}}, [&] {
                   return sink.value()->commit() == boost::system::errc::io_error;
               });
    }));
    CHECK(directory.entries() == 0);
}

TEST_CASE("file sink for a client makes what a link leads to", "[io][file_sink]") {
    const temp_directory directory;
    fs::create_directory(directory / "sub");
    fs::create_symlink("sub/first", directory / "link");
    SECTION("relative to the link") {
        fs::create_symlink("new", directory / "sub/first");
    }
    SECTION("absolute") {
        fs::create_symlink(directory / "sub/new", directory / "sub/first");
    }
    {
        const auto sink = open_sink(directory / "link");
        REQUIRE_FALSE(write(*sink, 0, "content"));
        REQUIRE_FALSE(sink->commit());
    }
    CHECK(fs::is_symlink(directory / "link"));
    CHECK(fs::is_symlink(directory / "sub/first"));
    CHECK(directory.content("sub/new") == "content");
}

TEST_CASE("file sink for a client refuses links in a circle", "[io][file_sink]") {
    const temp_directory directory;
    fs::create_symlink("two", directory / "one");
    fs::create_symlink("one", directory / "two");
    CHECK(
        try_open(directory / "one").error() == boost::system::errc::too_many_symbolic_link_levels
    );
    CHECK(directory.entries() == 2);
}

TEST_CASE("file sink for a client keeps links and follows them", "[io][file_sink]") {
    const temp_directory directory;
    fs::create_directory(directory / "sub");
    directory.write("sub/real", "old");
    fs::create_symlink("sub/real", directory / "link");
    const auto sink = open_sink(directory / "link");
    REQUIRE_FALSE(write(*sink, 0, "new"));
    CHECK_FALSE(sink->commit());
    CHECK(fs::is_symlink(directory / "link"));
    CHECK(directory.content("sub/real") == "new");
}

TEST_CASE("file sink for a client refuses directories and missing ones", "[io][file_sink]") {
    const temp_directory directory;
    CHECK(try_open(directory.path()).error() == boost::system::errc::is_a_directory);
    CHECK(try_open(directory / "new/").error() == boost::system::errc::is_a_directory);
    CHECK(try_open(directory / "none/f").error() == boost::system::errc::no_such_file_or_directory);
}

TEST_CASE("file sink for a client refuses what its user may not write", "[io][file_sink]") {
    need_unprivileged();
    const temp_directory directory;
    fs::permissions(directory.path(), fs::perms(0777));
    fs::permissions(directory.write("protected", "old"), fs::perms(0444));
    fs::create_directory(directory / "closed");
    fs::permissions(directory / "closed", fs::perms(0555));
    CHECK(as_other_user([&] {
        const auto denied = boost::system::errc::permission_denied;
        return try_open(directory / "protected").error() == denied &&
               try_open(directory / "closed/f").error() == denied && try_open(directory / "new");
    }));
}

TEST_CASE("a new file of the client has the permissions the umask leaves", "[io][file_sink]") {
    const temp_directory directory;
    const ::mode_t before = ::umask(027);
    const file_sink_options by_umask{overwrite::replace, 0, false, std::nullopt};
    const auto sink = open_sink(directory / "f", by_umask);
    CHECK_FALSE(sink->commit());
    ::umask(before);
    CHECK(mode_of(directory / "f") == 0640);
}

TEST_CASE("a device is written directly and stays a device", "[io][file_sink]") {
    const auto sink = open_sink("/dev/null");
    CHECK_FALSE(sink->reserve(10));
    CHECK_FALSE(write(*sink, 0, "0123456789"));
    CHECK_FALSE(sink->commit());
    CHECK(fs::is_character_file("/dev/null"));
    const auto full = open_sink("/dev/full");
    CHECK(write(*full, 0, "x") == boost::system::errc::no_space_on_device);
}

TEST_CASE("fd sink waits for a slow reader", "[io][file_sink]") {
    int ends[2] = {};
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const unique_fd reader(ends[0]);
    unique_fd writer(ends[1]);
    REQUIRE(::fcntl(writer.get(), F_SETFL, O_NONBLOCK) == 0);
    const std::string content = pattern(1 << 20);
    std::string got;
    std::thread slow([&] {
        std::string part(10'000, '\0');
        ::ssize_t n = 0;
        while ((n = ::read(reader.get(), part.data(), part.size())) > 0) {
            got.append(part, 0, static_cast<std::size_t>(n));
        }
    });
    error_code failed;
    {
        fd_sink sink(std::move(writer));
        for (std::size_t at = 0; at < content.size() && !failed; at += 65536) {
            failed = write(sink, at, content.substr(at, 65536), 1000);
        }
        CHECK_FALSE(sink.commit());
    }
    slow.join();
    CHECK_FALSE(failed);
    CHECK(got == content);
}

TEST_CASE("fd sink leaves a borrowed descriptor open", "[io][file_sink]") {
    const unique_fd fd(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    {
        fd_sink sink(fd.get());
        CHECK_FALSE(write(sink, 0, "x"));
    }
    CHECK(::fcntl(fd.get(), F_GETFD) >= 0);
}
