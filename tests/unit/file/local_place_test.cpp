#include "refusing_kernel.hpp"
#include "support/content_io.hpp"
#include "support/temp_directory.hpp"

#include <tftp/base/unique_fd.hpp>
#include <tftp/file/file_sink.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/// Where a download of a local user goes: links, and those that others put in its way.
using namespace tftp;
using namespace tftp::test;
namespace fs = std::filesystem;

namespace {

constexpr ::uid_t attacker = 65533;

constexpr auto attack_time = std::chrono::milliseconds(2500);

const file_sink_options quick{overwrite::replace, 0, false, std::nullopt};

result<std::unique_ptr<sink>> try_open(const std::string& path) {
    return make_file_sink(path.c_str(), quick);
}

/// Returns why a download to `path` failed.
error_code download(const std::string& path, const std::string& content = "new") {
    const auto sink = try_open(path);
    if (!sink) {
        return sink.error();
    }
    const error_code failed = write(**sink, 0, content);
    return failed ? failed : (*sink)->commit();
}

/// A directory as /tmp is one.
class shared_directory {
public:
    shared_directory() {
        fs::permissions(inside.path(), fs::perms::all | fs::perms::sticky_bit);
        outside.write("victim", "precious");
    }

    /// Makes a link that belongs to `owner`.
    void link(const std::string& target, const char* name, ::uid_t owner) const {
        fs::create_symlink(target, inside / name);
        REQUIRE(::lchown((inside / name).c_str(), owner, owner) == 0);
    }

    void check_outside() const {
        CHECK(outside.content("victim") == "precious");
        CHECK(outside.entries() == 1);
    }

    temp_directory inside;
    temp_directory outside;
};

/// Gives names in a directory to files and to links, as a user of its own.
class swapper {
public:
    static constexpr int names = 4;

    explicit swapper(const shared_directory& where) : where_(where), thread_([this] { run(); }) {}

    ~swapper() { stop(); }

    swapper(const swapper&) = delete;
    swapper& operator=(const swapper&) = delete;

    void stop() {
        stop_ = true;
        if (thread_.joinable()) {
            thread_.join();
        }
    }

    static std::string name(int number) { return "out" + std::to_string(number % names); }

private:
    void run() const {
        // Of this thread only: the C library would do it for all.
        if (::syscall(SYS_setresgid, attacker, attacker, attacker) != 0 ||
            ::syscall(SYS_setresuid, attacker, attacker, attacker) != 0) {
            return;
        }
        const std::string own = where_.inside / "own";
        const std::string existing = where_.outside / "victim";
        const std::string missing = where_.outside / "planted";
        for (int round = 0; !stop_; ++round) {
            const std::string target = where_.inside / name(round);
            ::unlink(target.c_str());
            if (round % 3 == 2) {
                const unique_fd made(::open(own.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
            } else {
                [[maybe_unused]] const int linked =
                    ::symlink((round % 3 == 0 ? existing : missing).c_str(), own.c_str());
            }
            ::rename(own.c_str(), target.c_str());
            ::unlink(own.c_str());
        }
    }

    const shared_directory& where_;
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

} // namespace

TEST_CASE(
    "a download never goes through a link that another user puts in its way",
    "[io][file_sink][race]"
) {
    need_root();
    const shared_directory w;
    swapper attack(w);
    int stored = 0;
    int refused = 0;
    const auto end = std::chrono::steady_clock::now() + attack_time;
    for (int round = 0; std::chrono::steady_clock::now() < end; ++round) {
        const std::string target = w.inside / swapper::name(round);
        const error_code failed = download(target);
        stored += failed ? 0 : 1;
        refused += failed == boost::system::errc::permission_denied ? 1 : 0;
        // The attacker can't take the name of a file that is ours.
        ::unlink(target.c_str());
    }
    attack.stop();
    w.check_outside();
    CHECK(stored > 10);
    CHECK(refused > 10);
}

TEST_CASE(
    "in a directory for all only links of its owner and our own are followed", "[io][file_sink]"
) {
    need_root();
    const shared_directory w;
    const std::string existing = w.outside / "victim";
    const std::string missing = w.outside / "planted";
    SECTION("not those of others") {
        w.link(existing, "one", attacker);
        w.link(missing, "two", attacker);
        w.link("/dev/null", "three", attacker);
        for (const char* name : {"one", "two", "three"}) {
            CHECK(download(w.inside / name) == boost::system::errc::permission_denied);
            CHECK(fs::is_symlink(w.inside / name));
        }
        w.check_outside();
    }
    SECTION("those of the owner") {
        REQUIRE(::chown(w.inside.path().c_str(), attacker, attacker) == 0);
        w.link(existing, "one", attacker);
        w.link(missing, "two", attacker);
        CHECK_FALSE(download(w.inside / "one"));
        CHECK_FALSE(download(w.inside / "two"));
        CHECK(w.outside.content("victim") == "new");
        CHECK(w.outside.content("planted") == "new");
    }
    SECTION("our own") {
        w.link(existing, "one", ::geteuid());
        w.link(missing, "two", ::geteuid());
        CHECK_FALSE(download(w.inside / "one"));
        CHECK_FALSE(download(w.inside / "two"));
        CHECK(w.outside.content("victim") == "new");
        CHECK(w.outside.content("planted") == "new");
    }
    SECTION("any in a directory of one's own") {
        fs::permissions(w.inside.path(), fs::perms(0755));
        w.link(existing, "one", attacker);
        CHECK_FALSE(download(w.inside / "one"));
        CHECK(w.outside.content("victim") == "new");
    }
}

TEST_CASE("a download that fails leaves nothing where a link leads", "[io][file_sink]") {
    const temp_directory directory;
    fs::create_directory(directory / "sub");
    fs::create_symlink("sub/new", directory / "link");
    {
        const auto sink = try_open(directory / "link");
        REQUIRE(sink.has_value());
        CHECK(fs::is_empty(directory / "sub"));
        REQUIRE_FALSE(write(**sink, 0, "half"));
        CHECK(fs::is_empty(directory / "sub"));
    }
    CHECK(fs::is_empty(directory / "sub"));
    CHECK(fs::is_symlink(directory / "link"));
}

TEST_CASE(
    "what takes the place behind a link meanwhile is replaced at the end", "[io][file_sink]"
) {
    const temp_directory directory;
    fs::create_directory(directory / "sub");
    fs::create_symlink("sub/new", directory / "link");
    const auto one = try_open(directory / "link");
    const auto two = try_open(directory / "link");
    REQUIRE((one.has_value() && two.has_value()));
    REQUIRE_FALSE(write(**one, 0, "one"));
    REQUIRE_FALSE(write(**two, 0, "two"));
    CHECK_FALSE((*one)->commit());
    CHECK(directory.content("sub/new") == "one");
    CHECK_FALSE((*two)->commit());
    CHECK(directory.content("sub/new") == "two");
    struct ::stat about = {};
    REQUIRE(::stat((directory / "sub/new").c_str(), &about) == 0);
    CHECK((about.st_mode & S_ISVTX) == 0);
}

TEST_CASE("a name that is no link needs nothing of /proc", "[io][file_sink]") {
    const temp_directory directory;
    directory.write("old", "old");
    fs::create_symlink("old", directory / "link");
    CHECK(on_refusing_kernel({{SYS_readlink, ENOENT}, {SYS_readlinkat, ENOENT}}, [&] {
        return !download(directory / "old") && !download(directory / "new") &&
               download(directory / "link") == boost::system::errc::operation_not_supported;
    }));
    CHECK(directory.content("old") == "new");
    CHECK(directory.content("new") == "new");
}

TEST_CASE("a path that ends in no name is told from one that is no directory", "[io][file_sink]") {
    const temp_directory directory;
    directory.write("f", "old");
    for (const char* path : {"new/", ".", "..", ""}) {
        CAPTURE(path);
        CHECK(try_open(directory / path).error() == boost::system::errc::is_a_directory);
    }
    CHECK(try_open(directory / "f/").error() == boost::system::errc::not_a_directory);
    CHECK(try_open(directory / "f/x").error() == boost::system::errc::not_a_directory);
    CHECK(try_open("").error() == boost::system::errc::is_a_directory);
}
