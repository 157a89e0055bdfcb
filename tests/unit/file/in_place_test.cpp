#include "refusing_kernel.hpp"
#include "support/content_io.hpp"
#include "support/skip.hpp"
#include "support/temp_directory.hpp"
#include "upload_support.hpp"

#include <tftp/file/export_root.hpp>
#include <tftp/file/file_sink.hpp>
#include <tftp/file/file_source.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

using namespace tftp;
using namespace tftp::test;
namespace fs = std::filesystem;

namespace {

/// Whether the file was written in place.
bool same_file(const struct ::stat& one, const struct ::stat& other) {
    return one.st_ino == other.st_ino && one.st_dev == other.st_dev;
}

constexpr auto denied = boost::system::errc::permission_denied;

/// Whether each write after a look at the file gives it another time stamp, as from Linux 6.13 on.
bool has_fine_stamps(const std::string& path) {
    const unique_fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    struct ::stat before = {};
    struct ::stat after = {};
    for (int i = 0; i < 50; ++i) {
        REQUIRE(::fstat(file.get(), &before) == 0);
        REQUIRE(::pwrite(file.get(), "x", 1, 0) == 1);
        REQUIRE(::fstat(file.get(), &after) == 0);
        if (before.st_ctim.tv_nsec == after.st_ctim.tv_nsec) {
            return false;
        }
    }
    return true;
}

} // namespace

TEST_CASE("an upload is copied into a file that is a mount point", "[io][in_place]") {
    need_root();
    need(try_own_mounts);
    const upload_box box;
    box.outer.write("host", "old");
    box.file("mounted", "hidden below");
    const std::string content = pattern(700'000);
    CHECK(in_own_mounts([&] {
        if (!bind_over(box.outer / "host", box.root + "/mounted")) {
            return false;
        }
        const export_root root = box.open();
        auto sink = root.create("mounted", content.size());
        if (!sink || write(*sink.value(), 0, content.substr(0, 5000)) ||
            box.outer.content("host") != "old") {
            return false;
        }
        sink.value().reset();
        return box.outer.content("host") == "old" && !upload(root, "mounted", content) &&
               box.outer.content("host") == content && box.names() == 1 && box.spooled() == 0;
    }));
    SECTION("which is refused at once where only a rename will do") {
        CHECK(in_own_mounts([&] {
            access_policy policy = box.policy();
            policy.method = upload_method::rename;
            return bind_over(box.outer / "host", box.root + "/mounted") &&
                   box.open(policy).create("mounted", {}).error() == errc::forbidden;
        }));
    }
    SECTION("and is refused at once where it is mounted read-only") {
        CHECK(in_own_mounts([&] {
            return bind_over(box.outer / "host", box.root + "/mounted", true) &&
                   box.open().create("mounted", {}).error() ==
                       boost::system::errc::read_only_file_system;
        }));
    }
    SECTION("and where the system does not tell that it is one") {
        CHECK(in_own_mounts([&] {
            return bind_over(box.outer / "host", box.root + "/mounted") &&
                   on_refusing_kernel({{SYS_statx, ENOSYS}}, [&] {
                       return !upload(box.open(), "mounted", "new") &&
                              box.outer.content("host") == "new";
                   });
        }));
    }
}

TEST_CASE("an upload to a directory that may not be written goes by the spool", "[io][in_place]") {
    need_other_user();
    const upload_box box;
    box.file("file", "old", 0666);
    box.file("protected", "old", 0444);
    fs::permissions(box.root, fs::perms(0755));
    const auto refused = [&](const access_policy& policy, const char* name) {
        const auto root = export_root::open(box.root.c_str(), policy);
        return root.has_value() && root->create(name, {}).error() == denied;
    };
    SECTION("which holds nothing before and after") {
        CHECK(as_other_user([&] {
            const export_root root = box.open();
            for (const std::size_t size : {100'000U, 0U, 3U, 300'000U}) {
                auto sink = root.create("file", size);
                const std::string content = pattern(size);
                const std::string before = box.content("file");
                if (!sink || box.spooled() != 0 || write(*sink.value(), 0, content) ||
                    box.content("file") != before || sink.value()->commit() ||
                    box.content("file") != content || box.spooled() != 0) {
                    return false;
                }
            }
            return true;
        }));
    }
    SECTION("even where that has no files without a name") {
        constexpr std::uint32_t tmpfile = O_TMPFILE & ~O_DIRECTORY;
        CHECK(as_other_user([&] {
            return on_refusing_kernel({{SYS_openat, EOPNOTSUPP, 2, tmpfile}}, [&] {
                auto sink = box.open().create("file", {});
                return sink && !write(*sink.value(), 0, "new") && box.spooled() == 0 &&
                       !sink.value()->commit() && box.content("file") == "new";
            });
        }));
    }
    SECTION("but not for a new name, a file that may not be written, or versions") {
        CHECK(as_other_user([&] {
            access_policy keeping = box.policy();
            keeping.overwrite = overwrite::keep;
            access_policy renaming = box.policy();
            renaming.method = upload_method::rename;
            return refused(box.policy(), "new") && refused(box.policy(), "protected") &&
                   refused(keeping, "file") && refused(renaming, "file");
        }));
    }
    SECTION("and is refused at once where there is none, or that may not be written either") {
        CHECK(as_other_user([&] {
            access_policy without = box.policy();
            without.spool_directory.clear();
            access_policy closed = box.policy();
            closed.spool_directory = box.root;
            return refused(without, "file") && refused(closed, "file");
        }));
    }
    SECTION("and fails when the file has gone meanwhile") {
        auto root_of_other = [&] {
            auto sink = box.open().create("file", {});
            return sink && !write(*sink.value(), 0, "new") && box.wait_for_removal("file") &&
                   sink.value()->commit() == denied;
        };
        std::thread remover([&] { box.remove_when_asked("file"); });
        CHECK(as_other_user(root_of_other));
        remover.join();
        CHECK(box.names() == 1);
    }
    CHECK(box.spooled() == 0);
}

TEST_CASE("in-place writing keeps the file and all its names", "[io][in_place]") {
    const upload_box box;
    box.file("file", "old", 0606);
    fs::create_hard_link(box.root + "/file", box.root + "/second");
    access_policy policy = box.policy();
    policy.method = upload_method::in_place;
    const struct ::stat before = box.stat("file");
    for (const std::size_t size : {2U, 3U, 0U, 600'000U, 299'999U, 600'000U}) {
        const std::string content = pattern(size, static_cast<unsigned>(size));
        CHECK_FALSE(upload(box.open(policy), "file", content));
        CHECK(box.content("second") == content);
    }
    CHECK(same_file(before, box.stat("file")));
    CHECK((box.stat("file").st_mode & 07777) == 0606);
    CHECK_FALSE(upload(box.open(policy), "new", "created"));
    CHECK(box.names() == 3);
    SECTION("while a rename leaves other names their content") {
        const std::string content = box.content("second");
        CHECK_FALSE(upload(box.open(), "file", "renamed"));
        CHECK(box.content("second") == content);
        CHECK(box.content("file") == "renamed");
    }
}

TEST_CASE("a full disk is found before the old content is touched", "[io][in_place]") {
    need_root();
    need(try_own_mounts);
    const upload_box box;
    const std::string old = pattern(100'000);
    access_policy policy = box.policy();
    policy.method = upload_method::in_place;
    fs::create_directory(box.root + "/disk");
    box.outer.write("host", "");
    const auto on_full_disk = [&](const std::vector<refusal_rule>& rules, bool known) {
        return on_small_disk(box.root + "/disk", "256k", [&] {
            box.file("disk/file", old);
            box.file("disk/ballast", pattern(100'000));
            box.file("target", "");
            // The file is on the full disk, and what is collected is not.
            return bind_over(box.root + "/disk/file", box.root + "/target") &&
                   on_refusing_kernel(rules, [&] {
                       const export_root root = box.open(policy);
                       const auto full = boost::system::errc::no_space_on_device;
                       auto sink = root.create("target", {});
                       return (!known || root.create("target", 300'000).error() == full) && sink &&
                              !write(*sink.value(), 0, pattern(300'000, 2)) &&
                              sink.value()->commit() == full && box.content("disk/file") == old &&
                              !upload(root, "target", pattern(120'000, 3)) &&
                              box.content("disk/file") == pattern(120'000, 3);
                   });
        });
    };
    CHECK(on_full_disk({}, true));
    // What is not told beforehand is found out by the new end, which is written first.
    CHECK(on_full_disk({{SYS_fallocate, EOPNOTSUPP}, {SYS_fstatfs, ENOSYS}}, false));
}

TEST_CASE("writers of one file in place never mix", "[io][in_place]") {
    const upload_box box;
    box.file("file", "old");
    access_policy policy = box.policy();
    policy.method = upload_method::in_place;
    policy.fsync = false;
    const export_root root = box.open(policy);
    std::atomic<int> failures = 0;
    std::atomic<int> mixed = 0;
    std::vector<std::thread> writers;
    for (int thread = 0; thread < 4; ++thread) {
        writers.emplace_back([&, thread] {
            for (int i = 0; i < 20; ++i) {
                const std::string content(
                    400'000U + 100'000U * static_cast<unsigned>(thread),
                    static_cast<char>('0' + thread)
                );
                failures += upload(root, "file", content) ? 1 : 0;
            }
        });
    }
    for (std::thread& each : writers) {
        each.join();
    }
    const std::string last = box.content("file");
    mixed = last != std::string(last.size(), last.front()) ? 1 : 0;
    CHECK(last.size() == 400'000U + 100'000U * static_cast<unsigned>(last.front() - '0'));
    CHECK(failures == 0);
    CHECK(mixed == 0);
}

TEST_CASE("a lock of another program is waited for before a file is written", "[io][in_place]") {
    const upload_box box;
    box.file("file", "old");
    access_policy policy = box.policy();
    policy.method = upload_method::in_place;
    unique_fd held(::open((box.root + "/file").c_str(), O_RDONLY | O_CLOEXEC));
    REQUIRE(::flock(held.get(), LOCK_EX) == 0);
    std::atomic<bool> done = false;
    error_code failed;
    const export_root root = box.open(policy);
    std::thread writer([&] {
        failed = upload(root, "file", "new");
        done = true;
    });
    // Nothing tells from outside that it waits; it must not have written in any case.
    for (int i = 0; i < 50 && !done; ++i) {
        CHECK(box.content("file") == "old");
        std::this_thread::yield();
    }
    CHECK_FALSE(done);
    held.reset();
    writer.join();
    CHECK_FALSE(failed);
    CHECK(box.content("file") == "new");
}

TEST_CASE("versions are copied where a file is written in place", "[io][in_place]") {
    const upload_box box;
    access_policy policy = box.policy();
    policy.overwrite = overwrite::keep;
    policy.versions_max = 2;
    policy.method = upload_method::in_place;
    policy.total_size_max = 1000;
    box.file("file", "one", 0640);
    const struct ::stat before = box.stat("file");
    const export_root root = box.open(policy);
    CHECK_FALSE(upload(root, "file", "two!"));
    CHECK(same_file(before, box.stat("file")));
    const struct ::stat version = box.stat("file.~1~");
    CHECK(version.st_mtim.tv_sec == before.st_mtim.tv_sec);
    CHECK(version.st_mtim.tv_nsec == before.st_mtim.tv_nsec);
    CHECK((version.st_mode & 07777) == 0640);
    CHECK(box.content("file.~1~") == "one");
    CHECK_FALSE(upload(root, "file", "three"));
    CHECK_FALSE(upload(root, "file", "four"));
    CHECK(box.content("file") == "four");
    CHECK(box.content("file.~2~") == "two!");
    CHECK(box.content("file.~3~") == "three");
    CHECK(box.names() == 3);
    // 4 + 4 + 5 bytes are there now: what is left, and no more.
    CHECK(
        upload(root, "more", std::string(988, 'x')) ==
        boost::system::error_condition(EDQUOT, boost::system::generic_category())
    );
    CHECK_FALSE(upload(root, "more", std::string(987, 'x')));
}

TEST_CASE("an in-place upload counts once when it is there", "[io][in_place]") {
    const upload_box box;
    access_policy policy = box.policy();
    policy.total_size_max = 1000;
    policy.method = upload_method::in_place;
    box.file("file", std::string(400, 'o'));
    const export_root root = box.open(policy);
    const boost::system::error_condition full(EDQUOT, boost::system::generic_category());
    CHECK(upload(root, "file", std::string(601, 'x')) == full);
    CHECK_FALSE(upload(root, "file", std::string(600, 'x')));
    CHECK_FALSE(upload(root, "other", std::string(400, 'x')));
    CHECK(upload(root, "third", "x") == full);
    CHECK_FALSE(upload(root, "third", ""));
    // Empty: old and new fit together.
    CHECK_FALSE(upload(root, "file", ""));
    CHECK_FALSE(upload(root, "third", std::string(600, 'x')));
}

TEST_CASE(
    "a failed copy tells, and keeps the version of what it has overwritten", "[io][in_place]"
) {
    const upload_box box;
    access_policy policy = box.policy();
    policy.overwrite = overwrite::keep;
    policy.method = upload_method::in_place;
    box.file("file", "the old one");
    SECTION("when nothing was overwritten, nothing is left") {
        CHECK(on_refusing_kernel({{SYS_fallocate, ENOSPC}}, [&] {
            return upload(box.open(policy), "file", "new") ==
                   boost::system::errc::no_space_on_device;
        }));
        CHECK(box.content("file") == "the old one");
        CHECK(box.names() == 1);
    }
    SECTION("when cutting fails at the end") {
        CHECK(on_refusing_kernel({{SYS_ftruncate, EIO}}, [&] {
            // Not announced: nothing is to be cut off there.
            auto sink = box.open(policy).create("file", {});
            return sink && !write(*sink.value(), 0, "new") &&
                   sink.value()->commit() == boost::system::errc::io_error;
        }));
        CHECK(box.content("file.~1~") == "the old one");
    }
}

TEST_CASE("a client writes to a file that only can be written in place", "[io][in_place]") {
    const upload_box box;
    const std::string content = pattern(300'000);
    const auto get = [&](const std::string& name, const std::string& what) {
        auto sink = make_file_sink((box.root + "/" + name).c_str(), {});
        if (!sink) {
            return sink.error();
        }
        const error_code failed = write(*sink.value(), 0, what);
        return failed ? failed : sink.value()->commit();
    };
    SECTION("a mount point") {
        need_root();
        need(try_own_mounts);
        box.outer.write("host", "old");
        box.file("mounted", "below");
        CHECK(in_own_mounts([&] {
            return bind_over(box.outer / "host", box.root + "/mounted") &&
                   !get("mounted", content) && box.outer.content("host") == content;
        }));
        CHECK(in_own_mounts([&] {
            return bind_over(box.outer / "host", box.root + "/mounted", true) &&
                   get("mounted", "x") == boost::system::errc::read_only_file_system;
        }));
    }
    SECTION("one in a directory that may not be written") {
        need_other_user();
        box.file("file", "old");
        fs::create_symlink("file", box.root + "/link");
        fs::permissions(box.root, fs::perms(0755));
        CHECK(as_other_user([&] {
            ::setenv("TMPDIR", box.spool.c_str(), 1);
            return !get("file", content) && box.content("file") == content &&
                   !get("link", "by a link") && box.content("file") == "by a link" &&
                   !get("file", "") && box.content("file").empty() && box.spooled() == 0 &&
                   get("new", "x") == denied;
        }));
        CHECK(as_other_user([&] {
            ::setenv("TMPDIR", "/none", 1);
            return get("file", "x") == denied;
        }));
        CHECK(fs::is_symlink(box.root + "/link"));
    }
}

TEST_CASE("a program that runs is refused before it would be written", "[io][in_place]") {
    const upload_box box;
    fs::copy_file("/bin/cat", box.root + "/program");
    fs::permissions(box.root + "/program", fs::perms(0777));
    int input[2] = {};
    REQUIRE(::pipe2(input, O_CLOEXEC) == 0);
    const ::pid_t child = ::fork();
    if (child == 0) {
        ::dup2(input[0], STDIN_FILENO);
        ::execl((box.root + "/program").c_str(), "cat", nullptr);
        ::_exit(1);
    }
    const std::string program = "/proc/" + std::to_string(child) + "/exe";
    std::error_code unknown;
    while (fs::read_symlink(program, unknown) != box.root + "/program" && !unknown) {
        std::this_thread::yield();
    }
    access_policy policy = box.policy();
    policy.method = upload_method::in_place;
    CHECK(box.open(policy).create("program", {}).error() == boost::system::errc::text_file_busy);
    CHECK_FALSE(upload(box.open(), "program", "renamed over"));
    ::close(input[1]);
    ::close(input[0]);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
}

TEST_CASE("who opens a file never finds it half written in place", "[io][in_place]") {
    const upload_box box;
    access_policy policy = box.policy();
    policy.method = upload_method::in_place;
    policy.fsync = false;
    const export_root root = box.open(policy);
    constexpr std::size_t size = 3'000'000;
    box.file("file", "");
    if (!has_fine_stamps(box.root + "/file")) {
        skip("needs a kernel whose time stamps tell two writes apart");
    }
    box.file("file", std::string(size, 'a'));
    std::atomic<bool> done = false;
    std::atomic<int> failures = 0;
    std::thread writer([&] {
        for (int i = 0; i < 60; ++i) {
            const std::string content(size, static_cast<char>('b' + i % 20));
            failures += upload(root, "file", content) ? 1 : 0;
        }
        done = true;
    });
    int mixed = 0;
    int whole = 0;
    std::string got(size, '\0');
    while (!done) {
        const auto file = root.open_read("file");
        if (!file) {
            continue;
        }
        file_source source(*file);
        const ::iovec into{got.data(), got.size()};
        // A copy that begins after the opening shows by the time stamps.
        const auto outcome = source.read(0, {&into, 1});
        const bool same = outcome && got == std::string(size, got.front());
        const auto again = root.open_read("file");
        const bool untouched = again && (*again)->identity() == (*file)->identity();
        whole += same && untouched ? 1 : 0;
        mixed += outcome && !same && untouched ? 1 : 0;
    }
    writer.join();
    CHECK(failures == 0);
    CHECK(mixed == 0);
    CHECK(whole > 0);
}
