#include "support/files.hpp"

#include <tftp/file/directory_provider.hpp>
#include <tftp/file/file_cache.hpp>
#include <tftp/file/file_source.hpp>

#include <catch2/catch.hpp>

#include <array>
#include <string>

using namespace tftp;
using namespace tftp::test;

TEST_CASE("a directory is served and written through its policy", "[driver][content]") {
    const temp_dir directory;
    write_file(directory.path() / "file", "content");
    access_policy policy;
    policy.writable = writable::create;
    policy.fsync = false;
    directory_provider files(export_root::open(directory.path().c_str(), policy).value());
    file_cache cache;
    content_request wanted;

    wanted.name = "file";
    const auto first = files.open_read(wanted);
    const auto second = files.open_read(wanted);
    REQUIRE(first.has_value());
    REQUIRE(second.has_value());
    CHECK((*first)->size() == 7);
    CHECK((*first)->lane() != 0);
    CHECK((*first)->lane() == (*second)->lane());
    CHECK_FALSE((*first)->remote());
    static_cast<void>((*first)->share(cache));
    static_cast<void>((*second)->share(cache));
    // One descriptor for both.
    CHECK(cache.files.size() == 1);

    wanted.name = "../file";
    CHECK(files.open_read(wanted).has_error());
    wanted.name = "nothing";
    CHECK(files.open_read(wanted).error() == boost::system::errc::no_such_file_or_directory);
    wanted.name = "file";
    CHECK(files.open_write(wanted).has_error());
    // That takes a look at the disk; this does not.
    CHECK_FALSE(files.check_write(wanted));
    wanted.name = "../file";
    CHECK(files.check_write(wanted) == errc::bad_name);

    wanted.name = "upload";
    {
        const auto upload = files.open_write(wanted);
        REQUIRE(upload.has_value());
        std::array<char, 3> octets{'a', 'b', 'c'};
        const ::iovec payload{octets.data(), octets.size()};
        REQUIRE_FALSE((*upload)->write(0, {&payload, 1}));
        CHECK_FALSE(std::filesystem::exists(directory.path() / "upload"));
        REQUIRE_FALSE((*upload)->commit());
    }
    CHECK(read_file(directory.path() / "upload") == "abc");
}

TEST_CASE("a directory opens a file once for those who ask by the same name", "[driver][content]") {
    // A file that was just written is not kept; programs of the system are older.
    directory_provider files(export_root::open("/usr/bin", {}).value());
    file_cache cache;
    content_request wanted;
    wanted.name = "env";
    wanted.cache = &cache;
    const auto serial_of = [](const result<std::shared_ptr<source>>& opened) {
        return dynamic_cast<const file_source&>(**opened).file()->serial();
    };
    const auto first = files.try_open_read(wanted);
    if (!first && first.error() == errc::would_block) {
        return; // not at hand in memory, or not on a disk of this machine
    }
    REQUIRE(first.has_value());
    CHECK(cache.find("env") != nullptr);
    const auto second = files.try_open_read(wanted);
    REQUIRE(second.has_value());
    CHECK(serial_of(first) == serial_of(second));
    wanted.cache = nullptr;
    const auto alone = files.try_open_read(wanted);
    REQUIRE(alone.has_value());
    CHECK(serial_of(alone) != serial_of(first));
}
