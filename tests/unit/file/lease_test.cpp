#include "support/content_io.hpp"
#include "support/lease.hpp"
#include "support/skip.hpp"
#include "support/temp_directory.hpp"
#include "upload_support.hpp"

#include <tftp/file/export_root.hpp>
#include <tftp/file/file_source.hpp>

#include <catch2/catch.hpp>

#include <chrono>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

TEST_CASE("a file under a lease is waited for until its holder lets it go", "[io][lease]") {
    const auto how = GENERATE(lookup::automatic, lookup::walk);
    const temp_directory root;
    const std::string file = root.write("file", "content");
    const auto served = export_root::open(root.path().c_str(), {}, how);
    REQUIRE(served.has_value());
    file_lease::prepare();
    file_lease lease(file);
    if (!lease.held()) {
        skip("no lease: this file system knows none");
    }
    SECTION("which is not done where waiting is not allowed") {
        const auto before = steady_clock::now();
        CHECK(served->try_open_read("file").error() == errc::would_block);
        CHECK(steady_clock::now() - before < 500ms);
    }
    SECTION("and served then") {
        lease.release_when_asked();
        const auto opened = served->open_read("file");
        REQUIRE(opened.has_value());
        file_source source(*opened);
        CHECK(read(source, 0, 100).octets == "content");
    }
    SECTION("or for a second, with a reason of its own") {
        const auto before = steady_clock::now();
        const auto refused = served->open_read("file");
        const auto took = steady_clock::now() - before;
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error() == errc::held);
        CHECK(took >= 1s);
        CHECK(took < 5s);
    }
}

TEST_CASE("an upload waits for a file under a lease", "[io][lease]") {
    const auto method = GENERATE(upload_method::automatic, upload_method::in_place);
    const std::string name = GENERATE(as<std::string>{}, "file", "link");
    CAPTURE(name);
    const upload_box box;
    box.file("file", "old");
    std::filesystem::create_symlink("file", box.root + "/link");
    access_policy policy = box.policy();
    policy.method = method;
    const export_root root = box.open(policy);
    file_lease::prepare();
    file_lease lease(box.root + "/file");
    if (!lease.held()) {
        skip("no lease: this file system knows none");
    }
    SECTION("until its holder lets it go") {
        lease.release_when_asked();
        CHECK_FALSE(upload(root, name, "new"));
        CHECK(box.content("file") == "new");
    }
    SECTION("or for a second, with a reason of its own") {
        const auto before = steady_clock::now();
        CHECK(upload(root, name, "new") == errc::held);
        const auto took = steady_clock::now() - before;
        CHECK(took >= 900ms);
        CHECK(took < 5s);
        lease.release();
        CHECK(box.content("file") == "old");
    }
}
