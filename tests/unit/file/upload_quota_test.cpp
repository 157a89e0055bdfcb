#include "support/content_io.hpp"
#include "support/temp_directory.hpp"

#include <tftp/file/export_root.hpp>
#include <tftp/file/file_sink.hpp>
#include <tftp/file/upload_quota.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace tftp;
using namespace tftp::test;
namespace fs = std::filesystem;

namespace {

const error_code quota_exceeded{EDQUOT, boost::system::system_category()};

unique_fd open_directory(const fs::path& path) {
    return unique_fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

std::uint64_t size_of(const fs::path& directory) {
    const result<std::uint64_t> size = size_beneath(open_directory(directory).get());
    REQUIRE(size.has_value());
    return *size;
}

/// A directory with a ledger, and sinks for files in it.
struct counted_directory {
    explicit counted_directory(std::uint64_t limit)
        : ledger(std::make_shared<upload_quota>(limit)) {}

    [[nodiscard]] std::unique_ptr<tftp::sink>
    sink(const std::string& name, overwrite existing, std::size_t versions_max = 1) const {
        file_target target;
        target.directory = root;
        target.path = name;
        file_sink_options options;
        options.existing = existing;
        options.fsync = false;
        options.versions_max = versions_max;
        options.ledger = ledger;
        return std::make_unique<file_sink>(target, options);
    }

    error_code
    store(const std::string& name, const std::string& content, overwrite existing) const {
        const auto to = sink(name, existing, 2);
        const error_code failed = write(*to, 0, content);
        return failed ? failed : to->commit();
    }

    temp_directory directory;
    std::shared_ptr<const unique_fd> root =
        std::make_shared<const unique_fd>(open_directory(directory.path()));
    std::shared_ptr<upload_quota> ledger;
};

} // namespace

TEST_CASE("a ledger claims up to its limit and not an octet more", "[io][upload_quota]") {
    upload_quota ledger(100, 10);
    CHECK(ledger.has_room(90));
    CHECK_FALSE(ledger.has_room(91));
    CHECK_FALSE(ledger.claim(90));
    CHECK(ledger.stored() == 100);
    CHECK(ledger.claim(1) == quota_exceeded);
    CHECK(ledger.claim(~std::uint64_t{0}) == quota_exceeded);
    CHECK(to_peer_errc(ledger.claim(1)) == peer_errc::disk_full);
    CHECK(ledger.stored() == 100);
    ledger.release(60);
    CHECK(ledger.stored() == 40);
    ledger.release(1000);
    CHECK(ledger.stored() == 0);

    upload_quota above(100, 200);
    CHECK_FALSE(above.has_room(0));
    CHECK(above.claim(1) == quota_exceeded);

    upload_quota unlimited(0);
    CHECK(unlimited.has_room(~std::uint64_t{0}));
    CHECK_FALSE(unlimited.claim(~std::uint64_t{0}));
}

TEST_CASE("claims of several threads never exceed the limit", "[io][upload_quota]") {
    upload_quota ledger(1000);
    std::atomic<bool> exceeded = false;
    std::vector<std::thread> threads;
    for (std::uint64_t size = 1; size <= 4; ++size) {
        threads.emplace_back([&, size] {
            for (int i = 0; i < 20'000; ++i) {
                if (!ledger.claim(100 * size)) {
                    exceeded = exceeded || ledger.stored() > 1000;
                    ledger.release(100 * size);
                }
            }
        });
    }
    for (std::thread& each : threads) {
        each.join();
    }
    CHECK_FALSE(exceeded);
    CHECK(ledger.stored() == 0);
}

TEST_CASE("the size of a tree is that of its regular files", "[io][upload_quota]") {
    const temp_directory directory;
    CHECK(size_of(directory.path()) == 0);
    fs::create_directories(directory / "a/b/c");
    directory.write("one", std::string(1, 'x'));
    directory.write("a/ten", std::string(10, 'x'));
    directory.write("a/b/c/.hidden", std::string(100, 'x'));
    fs::create_hard_link(directory / "a/ten", directory / "a/b/other-name");
    fs::create_symlink("/etc", directory / "outside");
    fs::create_symlink("..", directory / "a/up");
    REQUIRE(::mkfifo((directory / "fifo").c_str(), 0666) == 0);
    CHECK(size_of(directory.path()) == 111);

    std::string deep = directory.path();
    for (int level = 0; level < 700; ++level) {
        fs::create_directory(deep += "/d");
    }
    CHECK(size_of(directory.path()) == 111);

    need_unprivileged();
    fs::create_directory(directory / "closed");
    directory.write("closed/file", std::string(1000, 'x'));
    fs::permissions(directory / "closed", fs::perms(0300));
    CHECK(as_other_user([&] { return size_of(directory.path()) == 111; }));
    fs::permissions(directory / "closed", fs::perms(0700));
}

TEST_CASE("sparse files of any size do not make a tree small", "[io][upload_quota]") {
    // Others allow no file of that size.
    const temp_directory directory(need_memory_directory());
    for (const char* name : {"a", "b", "c"}) {
        directory.write(name, "");
        fs::resize_file(directory / name, std::numeric_limits<::off_t>::max());
    }
    CHECK(size_of(directory.path()) == std::numeric_limits<std::uint64_t>::max());
}

TEST_CASE("an upload claims room with its first write, not before", "[io][upload_quota]") {
    const counted_directory at(1000);
    const auto sink = at.sink("f", overwrite::deny);
    CHECK(sink->reserve(1001) == quota_exceeded);
    CHECK_FALSE(sink->reserve(600));
    CHECK(at.ledger->stored() == 0);

    const auto other = at.sink("g", overwrite::deny);
    CHECK_FALSE(other->reserve(500));
    REQUIRE_FALSE(write(*sink, 0, pattern(10)));
    CHECK(at.ledger->stored() == 600);
    CHECK(write(*other, 0, "x") == quota_exceeded);
    CHECK(at.directory.entries() == 0);
}

TEST_CASE("what is counted is what is stored, however uploads end", "[io][upload_quota]") {
    const counted_directory at(100'000);
    const auto balanced = [&] { return at.ledger->stored() == size_of(at.directory.path()); };

    SECTION("well") {
        CHECK_FALSE(at.store("f", pattern(3000), overwrite::deny));
        CHECK(at.ledger->stored() == 3000);
        CHECK_FALSE(at.store("empty", "", overwrite::deny));
    }
    SECTION("given up, with and without an announced size") {
        for (const bool announced : {true, false}) {
            const auto sink = at.sink("f", overwrite::deny);
            if (announced) {
                REQUIRE_FALSE(sink->reserve(5000));
            }
            REQUIRE_FALSE(write(*sink, 0, pattern(700)));
            CHECK(at.ledger->stored() == (announced ? 5000 : 700));
        }
        CHECK(at.ledger->stored() == 0);
    }
    SECTION("shorter than announced") {
        const auto sink = at.sink("f", overwrite::deny);
        REQUIRE_FALSE(sink->reserve(5000));
        REQUIRE_FALSE(write(*sink, 0, pattern(700)));
        CHECK_FALSE(sink->commit());
        CHECK(at.ledger->stored() == 700);
    }
    SECTION("longer than announced") {
        const auto sink = at.sink("f", overwrite::deny);
        REQUIRE_FALSE(sink->reserve(100));
        REQUIRE_FALSE(write(*sink, 0, pattern(700)));
        CHECK_FALSE(sink->commit());
        CHECK(at.ledger->stored() == 700);
    }
    SECTION("refused because the name was taken meanwhile") {
        const auto sink = at.sink("f", overwrite::deny);
        REQUIRE_FALSE(write(*sink, 0, pattern(700)));
        CHECK_FALSE(at.store("f", pattern(30), overwrite::deny));
        CHECK(sink->commit() == boost::system::errc::file_exists);
    }
    SECTION("in the place of a larger and of a smaller file") {
        for (const std::size_t size : {3000U, 10U, 5000U}) {
            CHECK_FALSE(at.store("f", pattern(size), overwrite::replace));
            CHECK(at.ledger->stored() == size);
        }
    }
    SECTION("in the place of a file that has another name, and stays therefore") {
        CHECK_FALSE(at.store("f", pattern(3000), overwrite::replace));
        fs::create_hard_link(at.directory / "f", at.directory / "g");
        CHECK_FALSE(at.store("f", pattern(10), overwrite::replace));
        CHECK(at.ledger->stored() == 3010);
    }
    SECTION("with versions that are kept, and removed in the end") {
        for (std::size_t size = 1; size <= 1000; size *= 10) {
            CHECK_FALSE(at.store("f", pattern(size), overwrite::keep));
            CHECK(balanced());
        }
        CHECK(at.ledger->stored() == 1110);
    }
    CHECK(balanced());
}

TEST_CASE("the count does not drift under concurrent uploads", "[io][upload_quota]") {
    for (const overwrite existing : {overwrite::replace, overwrite::keep}) {
        const counted_directory at(1'000'000);
        std::vector<std::thread> threads;
        std::atomic<int> failures = 0;
        for (std::size_t thread = 0; thread < 4; ++thread) {
            threads.emplace_back([&, thread] {
                for (std::size_t i = 0; i < 200; ++i) {
                    const auto sink = at.sink("f" + std::to_string(i % 3), existing);
                    const std::string content(100 * thread + i, 'x');
                    const bool aborted = i % 5 == 0;
                    const bool failed = sink->reserve(content.size()) || write(*sink, 0, content);
                    failures += failed || (!aborted && sink->commit()) ? 1 : 0;
                }
            });
        }
        for (std::thread& each : threads) {
            each.join();
        }
        CHECK(failures == 0);
        CHECK(at.ledger->stored() == size_of(at.directory.path()));
        CHECK(at.directory.entries() == (existing == overwrite::keep ? 6 : 3));
    }
}

TEST_CASE("an export root bounds what all its files take", "[io][export_root]") {
    const temp_directory directory;
    fs::create_directory(directory / "sub");
    directory.write("old", pattern(400));
    access_policy policy;
    policy.writable = writable::create;
    policy.overwrite = overwrite::replace;
    policy.fsync = false;
    policy.total_size_max = 1000;
    const auto root = export_root::open(directory.path().c_str(), policy);
    REQUIRE(root.has_value());

    CHECK(root->create("sub/new", 601).error() == quota_exceeded);
    // Requests hold nothing: any number of them leaves room for one that goes on.
    std::vector<std::unique_ptr<sink>> requested;
    for (int i = 0; i < 100; ++i) {
        auto sink = root->create("sub/new" + std::to_string(i), 600);
        REQUIRE(sink.has_value());
        requested.push_back(std::move(sink).value());
    }
    REQUIRE_FALSE(write(*requested.back(), 0, pattern(600)));
    CHECK(write(*requested.front(), 0, "x") == quota_exceeded);
    CHECK_FALSE(requested.back()->commit());
    CHECK(root->create("more", 1).error() == quota_exceeded);

    auto unannounced = root->create("more", {});
    REQUIRE(unannounced.has_value());
    CHECK(write(*unannounced.value(), 0, "x") == quota_exceeded);
    unannounced.value().reset();
    CHECK(directory.entries() == 2);
}
