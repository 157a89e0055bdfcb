#include "refusing_kernel.hpp"
#include "support/content_io.hpp"
#include "support/temp_directory.hpp"

#include <tftp/file/export_root.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace tftp;
using namespace tftp::test;
namespace fs = std::filesystem;

namespace {

export_root keeping(
    const temp_directory& directory,
    std::size_t versions_max,
    upload_method method = upload_method::automatic
) {
    access_policy policy;
    policy.method = method;
    policy.writable = writable::create;
    policy.overwrite = overwrite::keep;
    policy.versions_max = versions_max;
    policy.fsync = false;
    auto root = export_root::open(directory.path().c_str(), policy);
    REQUIRE(root.has_value());
    return std::move(root).value();
}

error_code upload(const export_root& root, const std::string& name, const std::string& content) {
    auto sink = root.create(name, content.size());
    if (!sink) {
        return sink.error();
    }
    const error_code failed = write(*sink.value(), 0, content);
    return failed ? failed : sink.value()->commit();
}

using tree = std::map<std::string, std::string>;

/// All names in the directory and what they hold.
tree contents(const temp_directory& directory) {
    tree all;
    for (const auto& each : fs::directory_iterator(directory.path())) {
        const std::string name = each.path().filename();
        all[name] = directory.content(name);
    }
    return all;
}

bool is_hidden(const std::string& name) {
    return name.starts_with(".tftp-");
}

/// Skips where a child cannot be traced.
void need_tracing() {
    const ::pid_t child = ::fork();
    if (child == 0) {
        ::_exit(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 ? 0 : errno);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    if (status != 0) {
        skip(std::string("no child can be traced here: ") + std::strerror(WEXITSTATUS(status)));
    }
}

/// Runs `act` in a child that is killed at its `stop`th system call, before odd stops and behind
/// even ones. Returns false when it came to its end before.
bool killed_at(int stop, const std::function<void()>& act) {
    const ::pid_t child = ::fork();
    if (child == 0) {
        ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        ::raise(SIGSTOP);
        act();
        ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    for (int i = 0; i < stop && WIFSTOPPED(status); ++i) {
        REQUIRE(::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr) == 0);
        REQUIRE(::waitpid(child, &status, 0) == child);
    }
    if (!WIFSTOPPED(status)) {
        return false;
    }
    REQUIRE(::kill(child, SIGKILL) == 0);
    REQUIRE(::waitpid(child, &status, 0) == child);
    return true;
}

} // namespace

TEST_CASE("a replaced file stays as a numbered version", "[io][file_sink]") {
    const temp_directory directory;
    const export_root root = keeping(directory, 2);
    CHECK_FALSE(upload(root, "f", "one"));
    CHECK(contents(directory) == tree{{"f", "one"}});
    CHECK_FALSE(upload(root, "f", "two"));
    CHECK(contents(directory) == tree{{"f", "two"}, {"f.~1~", "one"}});
    CHECK_FALSE(upload(root, "f", "three"));
    CHECK(contents(directory) == tree{{"f", "three"}, {"f.~1~", "one"}, {"f.~2~", "two"}});
    CHECK_FALSE(upload(root, "f", "four"));
    CHECK(contents(directory) == tree{{"f", "four"}, {"f.~2~", "two"}, {"f.~3~", "three"}});
}

TEST_CASE("only what looks like a version is taken for one", "[io][file_sink]") {
    const temp_directory directory;
    for (const char* name :
         {"f.~0~",
          "f.~01~",
          "f.~1",
          "f.~x~",
          "f.~~",
          "f.~4294967296~",
          "g.~5~",
          "f~1~",
          "af.~9~"}) {
        directory.write(name, "other");
    }
    directory.write("f", "old");
    directory.write("f.~7~", "oldest");
    const std::size_t before = directory.entries();
    CHECK_FALSE(upload(keeping(directory, 1), "f", "new"));
    CHECK(directory.content("f.~8~") == "old");
    CHECK_FALSE(fs::exists(directory / "f.~7~"));
    CHECK(directory.entries() == before);
}

TEST_CASE("a lower number of versions takes effect with the next upload", "[io][file_sink]") {
    const temp_directory directory;
    for (int i = 0; i <= 5; ++i) {
        CHECK_FALSE(upload(keeping(directory, 5), "f", std::to_string(i)));
    }
    CHECK(directory.entries() == 6);
    CHECK_FALSE(upload(keeping(directory, 2), "f", "6"));
    CHECK(contents(directory) == tree{{"f", "6"}, {"f.~5~", "4"}, {"f.~6~", "5"}});
}

TEST_CASE("the last number is not exceeded, and the upload fails", "[io][file_sink]") {
    const temp_directory directory;
    directory.write("f", "old");
    directory.write("f.~4294967295~", "version");
    CHECK(upload(keeping(directory, 2), "f", "new") == boost::system::errc::value_too_large);
    CHECK(contents(directory) == tree{{"f", "old"}, {"f.~4294967295~", "version"}});
}

TEST_CASE("clients write no versions, and no names too long for them", "[io][export_root]") {
    const temp_directory directory;
    const export_root root = keeping(directory, 2);
    CHECK(upload(root, "f.~1~", "x") == errc::bad_name);
    CHECK(upload(root, "f.~1~.~2~", "x") == errc::bad_name);
    CHECK(upload(root, std::string(243, 'n'), "x") == errc::bad_name);
    CHECK(directory.entries() == 0);
    for (const char* content : {"old", "new"}) {
        CHECK_FALSE(upload(root, std::string(242, 'n'), content));
        CHECK_FALSE(upload(root, "f.~01~", content));
    }
    CHECK(directory.entries() == 4);
}

TEST_CASE("a version is read by the rules of any file", "[io][export_root]") {
    const temp_directory directory;
    const export_root root = keeping(directory, 2);
    for (const ::mode_t mode : {0644U, 0640U}) {
        fs::permissions(directory.write("f", "old"), fs::perms(mode));
        fs::remove(directory / "f.~1~");
        CHECK_FALSE(upload(root, "f", "new"));
        CHECK(fs::status(directory / "f.~1~").permissions() == fs::perms(mode));
        CHECK(root.open_read("f.~1~").has_value() == (mode == 0644));
    }
}

TEST_CASE("a directory that cannot be listed keeps no versions", "[io][export_root]") {
    need_other_user();
    const temp_directory directory;
    fs::create_directory(directory / "drop");
    fs::permissions(directory / "drop", fs::perms(0733));
    fs::create_directory(directory / "own");
    fs::permissions(directory / "own", fs::perms(0777));
    directory.write("own/unreadable", "old");
    fs::permissions(directory / "own/unreadable", fs::perms(0622));
    CHECK(as_other_user([&] {
        const export_root root = keeping(directory, 2);
        const auto denied = boost::system::errc::permission_denied;
        return upload(root, "drop/f", "x") == denied &&
               upload(root, "own/unreadable", "x") == denied && !upload(root, "own/f", "x");
    }));
}

TEST_CASE("a failed replacement leaves file and versions as they were", "[io][file_sink]") {
    const temp_directory directory;
    directory.write("f", "old");
    directory.write("f.~1~", "oldest");
    const tree before = contents(directory);
    const std::vector<std::vector<refusal_rule>> failures{
        {{SYS_renameat, EIO}, {SYS_renameat2, EIO}}, {{SYS_linkat, EIO}}, {{SYS_getdents64, EIO}}};
    for (const auto& rules : failures) {
        CHECK(on_refusing_kernel(rules, [&] {
            return upload(keeping(directory, 1), "f", "new") == boost::system::errc::io_error;
        }));
        CHECK(contents(directory) == before);
    }
}

TEST_CASE("versions are kept where there is no O_TMPFILE", "[io][file_sink]") {
    constexpr std::uint32_t tmpfile = O_TMPFILE & ~O_DIRECTORY;
    const std::vector<refusal_rule> no_tmpfile{{SYS_openat, EOPNOTSUPP, 2, tmpfile}};
    const temp_directory directory;
    CHECK(on_refusing_kernel(no_tmpfile, [&] {
        const export_root root = keeping(directory, 1);
        return !upload(root, "f", "one") && !upload(root, "f", "two") &&
               !upload(root, "f", "three");
    }));
    CHECK(contents(directory) == tree{{"f", "three"}, {"f.~2~", "two"}});
}

TEST_CASE("uploads of several threads to one name lose no version", "[io][file_sink]") {
    constexpr int threads_count = 4;
    constexpr int uploads_count = 60;
    const temp_directory directory;
    const export_root root = keeping(directory, 1000);
    std::atomic<int> failures = 0;
    std::atomic<int> torn = 0;
    std::atomic<bool> done = false;
    REQUIRE_FALSE(upload(root, "f", "first"));
    std::thread reader([&] {
        while (!done) {
            const auto file = root.open_read("f");
            torn += !file || (*file)->size() < 5 ? 1 : 0;
        }
    });
    std::vector<std::thread> writers;
    for (int thread = 0; thread < threads_count; ++thread) {
        writers.emplace_back([&, thread] {
            for (int i = 0; i < uploads_count; ++i) {
                const std::string content = std::to_string(1000 * thread + i + 10'000);
                failures += upload(root, "f", content) ? 1 : 0;
            }
        });
    }
    for (std::thread& each : writers) {
        each.join();
    }
    done = true;
    reader.join();
    CHECK(failures == 0);
    CHECK(torn == 0);
    std::set<std::string> kept;
    for (const auto& [name, content] : contents(directory)) {
        kept.insert(content);
    }
    CHECK(directory.entries() == threads_count * uploads_count + 1);
    CHECK(kept.size() == threads_count * uploads_count + 1);
}

TEST_CASE("a process killed at any system call loses no acknowledged version", "[io][file_sink]") {
    need_tracing();
    int stop = 0;
    bool killed = true;
    while (killed) {
        INFO("stop " << ++stop);
        REQUIRE(stop < 2000);
        const temp_directory directory;
        const export_root root = keeping(directory, 2);
        REQUIRE_FALSE(upload(root, "f", "one"));
        REQUIRE_FALSE(upload(root, "f", "two"));
        killed = killed_at(stop, [&] {
            if (upload(root, "f", "three")) {
                ::_exit(1);
            }
        });
        tree left = contents(directory);
        REQUIRE(std::count_if(left.begin(), left.end(), [](const auto& each) {
                    return is_hidden(each.first);
                }) <= 1);
        std::erase_if(left, [](const auto& each) { return is_hidden(each.first); });
        const bool replaced = left["f"] == "three";
        REQUIRE((replaced || left["f"] == "two"));
        REQUIRE((!replaced || left["f.~2~"] == "two"));
        REQUIRE((replaced || killed));

        // The next upload goes on as if nothing had happened.
        REQUIRE_FALSE(upload(root, "f", "four"));
        left = contents(directory);
        std::erase_if(left, [](const auto& each) { return is_hidden(each.first); });
        REQUIRE(
            left == (replaced ? tree{{"f", "four"}, {"f.~2~", "two"}, {"f.~3~", "three"}}
                              : tree{{"f", "four"}, {"f.~1~", "one"}, {"f.~2~", "two"}})
        );
    }
    // Creation, link, version, rename and the rest, each with two stops.
    CHECK(stop > 20);
}

TEST_CASE("a process killed while it writes in place leaves the old content", "[io][file_sink]") {
    int stop = 0;
    bool killed = true;
    bool torn = false;
    while (killed) {
        INFO("stop " << ++stop);
        REQUIRE(stop < 2000);
        const temp_directory directory;
        const export_root root = keeping(directory, 2, upload_method::in_place);
        REQUIRE_FALSE(upload(root, "f", "one"));
        REQUIRE_FALSE(upload(root, "f", "two"));
        killed = killed_at(stop, [&] {
            if (upload(root, "f", "three")) {
                ::_exit(1);
            }
        });
        tree left = contents(directory);
        std::erase_if(left, [](const auto& each) { return is_hidden(each.first); });
        torn = torn || (left["f"] != "two" && left["f"] != "three");
        REQUIRE((left["f"] == "two" || left["f.~2~"] == "two"));
        REQUIRE((killed || left["f"] == "three"));

        // The next upload goes on as if nothing had happened; a torn content becomes a version.
        const std::string before = left["f"];
        REQUIRE_FALSE(upload(root, "f", "four"));
        left = contents(directory);
        std::erase_if(left, [](const auto& each) { return is_hidden(each.first); });
        REQUIRE(
            left == (before != "two" ? tree{{"f", "four"}, {"f.~2~", "two"}, {"f.~3~", before}}
                                     : tree{{"f", "four"}, {"f.~1~", "one"}, {"f.~2~", "two"}})
        );
    }
    CHECK(torn);
    CHECK(stop > 40);
}

TEST_CASE("a process killed at any system call leaves one whole file or none", "[io][file_sink]") {
    need_tracing();
    for (const bool exists : {true, false}) {
        int stop = 0;
        bool killed = true;
        while (killed) {
            INFO("exists " << exists << ", stop " << ++stop);
            REQUIRE(stop < 2000);
            const temp_directory directory;
            if (exists) {
                directory.write("f", "old");
            }
            access_policy policy;
            policy.writable = writable::create;
            policy.overwrite = overwrite::replace;
            const auto root = export_root::open(directory.path().c_str(), policy);
            REQUIRE(root.has_value());
            killed = killed_at(stop, [&] {
                if (upload(*root, "f", "new")) {
                    ::_exit(1);
                }
            });
            tree left = contents(directory);
            std::erase_if(left, [](const auto& each) { return is_hidden(each.first); });
            const tree before = exists ? tree{{"f", "old"}} : tree{};
            REQUIRE((left == tree{{"f", "new"}} || (killed && left == before)));
            // Only between link and rename the content has a hidden name.
            REQUIRE(directory.entries() - left.size() <= (exists ? 1 : 0));
        }
        CHECK(stop > 10);
    }
}
