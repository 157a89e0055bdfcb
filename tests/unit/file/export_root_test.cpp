#include "refusing_kernel.hpp"
#include "support/content_io.hpp"
#include "support/temp_directory.hpp"

#include <tftp/file/export_root.hpp>
#include <tftp/file/file_source.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

using namespace tftp;
using namespace tftp::test;
namespace fs = std::filesystem;

namespace {

constexpr auto not_found = boost::system::errc::no_such_file_or_directory;

/// A root with something outside of it that must never be reached.
struct sandbox {
    temp_directory outer;
    std::string root = outer / "root";

    sandbox() {
        fs::create_directory(root);
        fs::create_directory(root + "/sub");
        fs::create_directory(root + "/sub/deep");
        outer.write("secret", "secret");
        outer.write("root/file", "content");
        outer.write("root/sub/file", "sub content");
    }

    [[nodiscard]] export_root
    open(const access_policy& policy = {}, lookup how = lookup::automatic) const {
        result<export_root> opened = export_root::open(root.c_str(), policy, how);
        REQUIRE(opened.has_value());
        return std::move(opened).value();
    }

    void link(const std::string& target, const std::string& name) const {
        fs::create_symlink(target, root + "/" + name);
    }
};

std::string content_of(const result<std::shared_ptr<const opened_file>>& file) {
    if (!file) {
        return file.error().message();
    }
    file_source source(file.value());
    return read(source, 0, 1000).octets;
}

error_code upload(const export_root& root, const std::string& name, const std::string& content) {
    auto sink = root.create(name, content.size());
    if (!sink) {
        return sink.error();
    }
    const error_code failed = write(*sink.value(), 0, content);
    return failed ? failed : sink.value()->commit();
}

constexpr lookup lookups[] = {lookup::automatic, lookup::walk};

access_policy with(tftp::symlinks symlinks) {
    access_policy policy;
    policy.symlinks = symlinks;
    return policy;
}

access_policy with(tftp::writable writable) {
    access_policy policy;
    policy.writable = writable;
    policy.fsync = false;
    return policy;
}

} // namespace

TEST_CASE("export root serves files beneath it", "[io][export_root]") {
    const sandbox box;
    for (const lookup how : lookups) {
        const export_root root = box.open({}, how);
        CHECK(content_of(root.open_read("file")) == "content");
        CHECK(content_of(root.open_read("/file")) == "content");
        CHECK(content_of(root.open_read("//sub/./file")) == "sub content");
        CHECK(content_of(root.open_read("\\sub\\file")) == "sub content");
        CHECK(root.open_read("none").error() == not_found);
        CHECK(root.open_read("none/file").error() == not_found);
        CHECK(root.open_read("file/file").error() == not_found);
        CHECK(root.open_read("FILE").error() == not_found);
        CHECK(root.open_read("%2e%2e/secret").error() == not_found);
        CHECK(root.open_read(std::string(255, 'n')).error() == not_found);
    }
    CHECK(export_root::open((box.root + "/none").c_str(), {}).error() == not_found);
    CHECK_FALSE(export_root::open((box.root + "/file").c_str(), {}).has_value());
}

TEST_CASE("export root refuses names that lead out of it", "[io][export_root]") {
    const sandbox box;
    for (const lookup how : lookups) {
        const export_root root = box.open({}, how);
        for (const char* name :
             {"../secret",
              "/../secret",
              "sub/../../secret",
              "none/../../secret",
              "..\\secret",
              "\\..\\secret",
              "sub\\..\\..\\secret",
              ".."}) {
            CAPTURE(name);
            CHECK(root.open_read(name).error() == errc::bad_name);
            CHECK(to_peer_errc(root.open_read(name).error()) == peer_errc::access_violation);
        }
        CHECK(root.open_read(std::string(256, 'n')).error() == errc::bad_name);
        std::string deep;
        while (deep.size() < 5000) {
            deep += "sub/";
        }
        CHECK(root.open_read(deep + "file").error() == errc::bad_name);
        CHECK(root.open_read(box.outer / "secret").error() == not_found);
    }
}

TEST_CASE("export root follows links that stay inside, and no other", "[io][export_root]") {
    const sandbox box;
    box.link("file", "inside");
    box.link("../file", "sub/up");
    box.link("sub", "directory");
    box.link("directory/deep/../up", "winding");
    box.link("sub/deep/..", "dots");
    for (const lookup how : lookups) {
        const export_root inside = box.open(with(symlinks::inside), how);
        const export_root none = box.open(with(symlinks::no), how);
        for (const auto& [name, content] :
             std::initializer_list<std::pair<const char*, const char*>>{
                 {"inside", "content"},
                 {"sub/up", "content"},
                 {"directory/file", "sub content"},
                 {"directory/up", "content"},
                 {"winding", "content"},
                 {"dots/file", "sub content"}}) {
            CAPTURE(name);
            CHECK(content_of(inside.open_read(name)) == content);
            CHECK(none.open_read(name).error() == errc::link_refused);
        }
        CHECK(inside.open_read("directory").error() == errc::not_regular);
        CHECK(inside.open_read("dots").error() == errc::not_regular);
    }
}

TEST_CASE("a link that ends in a slash leads to directories only", "[io][export_root]") {
    const sandbox box;
    box.link("file/", "file-link");
    box.link("file-link", "outer-link");
    box.link("inner-link/", "slash-first");
    box.link("sub/file", "inner-link");
    box.link("sub/", "sub-link");
    for (const lookup how : lookups) {
        const export_root root = box.open({}, how);
        CHECK(root.open_read("file-link").error() == not_found);
        CHECK(root.open_read("outer-link").error() == not_found);
        CHECK(root.open_read("slash-first").error() == not_found);
        CHECK(root.open_read("sub-link").error() == errc::not_regular);
        CHECK(content_of(root.open_read("sub-link/file")) == "sub content");
    }
}

TEST_CASE("export root follows no link out of it", "[io][export_root]") {
    const sandbox box;
    box.link(box.outer / "secret", "absolute");
    box.link(box.root + "/../secret", "absolute-parent");
    box.link("/", "top");
    box.link("../secret", "relative");
    box.link("../../secret", "sub/relative");
    box.link("..", "parent");
    box.link("sub/../../secret", "winding");
    box.link("/proc/self/cwd", "magic");
    box.link("/proc/self/root", "magic-root");
    box.link("relative", "indirect");
    box.link("loop-b", "loop-a");
    box.link("loop-a", "loop-b");
    const std::pair<std::string, errc> names[] = {
        {"absolute", errc::absolute_link},
        {"absolute-parent", errc::absolute_link},
        {"top" + box.outer.path().native() + "/secret", {}},
        {"relative", errc::link_leaves},
        {"sub/relative", errc::link_leaves},
        {"parent", errc::link_leaves},
        {"parent/secret", errc::link_leaves},
        {"winding", errc::link_leaves},
        {"magic/etc/passwd", errc::absolute_link},
        {"magic-root/etc/passwd", errc::absolute_link},
        {"indirect", errc::link_leaves},
        {"loop-a", errc::link_loop}};
    for (const lookup how : lookups) {
        for (const auto& [name, reason] : names) {
            CAPTURE(name);
            const auto file = box.open(with(symlinks::inside), how).open_read(name);
            REQUIRE_FALSE(file.has_value());
            if (reason == errc()) {
                // Beneath the root as "/": there is no such file.
                CHECK(file.error() == not_found);
            } else {
                CHECK(file.error() == reason);
                CHECK(to_peer_errc(file.error()) == peer_errc::access_violation);
            }
            const auto none = box.open(with(symlinks::no), how).open_read(name);
            REQUIRE_FALSE(none.has_value());
            CHECK(none.error() == errc::link_refused);
        }
    }
}

TEST_CASE(
    "export root follows no magic link of a proc file system beneath it", "[io][export_root]"
) {
    const unique_fd opened(::open("/etc/passwd", O_RDONLY | O_CLOEXEC));
    access_policy policy;
    policy.require_world_readable = false;
    for (const lookup how : lookups) {
        const auto root = export_root::open("/proc", policy, how);
        REQUIRE(root.has_value());
        const std::string self = std::to_string(::getpid());
        for (const std::string& name :
             {self + "/fd/" + std::to_string(opened.get()), self + "/exe", self + "/cwd/file"}) {
            CAPTURE(name);
            const auto file = root->open_read(name);
            REQUIRE_FALSE(file.has_value());
            CHECK(to_peer_errc(file.error()) == peer_errc::access_violation);
        }
    }
}

TEST_CASE("export root resolves by itself where openat2 is refused", "[io][export_root]") {
    const sandbox box;
    box.link("../file", "sub/up");
    box.link("../secret", "out");
    for (const int error : {ENOSYS, EPERM}) {
        CHECK(on_refusing_kernel({{SYS_openat2, error}}, [&] {
            const auto root = export_root::open(box.root.c_str(), with(writable::create));
            if (!root) {
                return false;
            }
            const std::string name = "sub/new" + std::to_string(error);
            return content_of(root->open_read("sub/up")) == "content" &&
                   root->open_read("out").error() == errc::link_leaves &&
                   root->try_open_read("file").error() == errc::would_block &&
                   !upload(*root, name, "created");
        }));
    }
}

TEST_CASE("export root serves regular files only and never waits", "[io][export_root]") {
    const sandbox box;
    REQUIRE(::mkfifo((box.root + "/fifo").c_str(), 0666) == 0);
    const unique_fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ::sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (box.root + "/socket").copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::bind(socket.get(), reinterpret_cast<::sockaddr*>(&address), sizeof address) == 0);
    const bool device = ::mknod((box.root + "/zero").c_str(), S_IFCHR | 0666, makedev(1, 5)) == 0;
    for (const lookup how : lookups) {
        const export_root root = box.open(with(writable::create), how);
        for (const char* name : {"fifo", "socket", "sub", device ? "zero" : "sub"}) {
            CAPTURE(name);
            CHECK(root.open_read(name).error() == errc::not_regular);
            CHECK(root.create(name, {}).error() == errc::not_regular);
        }
        CHECK(root.open_read("file/").error() == errc::not_regular);
        CHECK(to_peer_errc(errc::not_regular) == peer_errc::access_violation);
    }
}

TEST_CASE("export root serves world-readable files unless told otherwise", "[io][export_root]") {
    const sandbox box;
    fs::permissions(box.root + "/file", fs::perms(0640));
    CHECK(box.open().open_read("file").error() == errc::not_world_readable);
    access_policy policy;
    policy.require_world_readable = false;
    CHECK(content_of(box.open(policy).open_read("file")) == "content");
}

TEST_CASE("export root obeys the system's permissions", "[io][export_root]") {
    need_other_user();
    const sandbox box;
    fs::permissions(box.root + "/file", fs::perms(0604));
    fs::permissions(box.root + "/sub", fs::perms(0700));
    CHECK(as_other_user([&] {
        for (const lookup how : lookups) {
            auto root = export_root::open(box.root.c_str(), with(writable::create), how);
            if (!root || !root->open_read("file") ||
                root->open_read("sub/file").error() != errc::no_entry ||
                root->create("new", {}).error() != errc::directory_not_writable) {
                return false;
            }
        }
        return true;
    }));
}

TEST_CASE("export root opens without blocking what is in memory", "[io][export_root]") {
    const sandbox box;
    const export_root root = box.open();
    CHECK(content_of(root.open_read("sub/file")) == "sub content");
    const auto again = root.try_open_read("sub/file");
    if (again) {
        CHECK(content_of(again) == "sub content");
    } else {
        CHECK(again.error() == errc::would_block);
    }
    CHECK(root.try_open_read("../secret").error() == errc::bad_name);
    CHECK(box.open({}, lookup::walk).try_open_read("file").error() == errc::would_block);
}

TEST_CASE("export root tells whether a name still leads to a file", "[io][export_root]") {
    const sandbox box;
    box.link("file", "link");
    const export_root root = box.open();
    const file_identity file = root.open_read("file").value()->identity();
    CHECK(root.leads_to("file", file));
    CHECK(root.leads_to("/./file", file));
    CHECK(root.leads_to("link", file));
    CHECK_FALSE(box.open(with(symlinks::no)).leads_to("link", file));
    CHECK_FALSE(root.leads_to("sub/file", file));
    CHECK_FALSE(root.leads_to("none", file));
    CHECK_FALSE(root.leads_to("../root/file", file));
    SECTION("not when its rights have changed") {
        fs::permissions(box.root + "/file", fs::perms::owner_all);
        CHECK_FALSE(root.leads_to("file", file));
    }
    SECTION("not when it was replaced") {
        box.outer.write("root/new", "CONTENT");
        fs::rename(box.root + "/new", box.root + "/file");
        CHECK_FALSE(root.leads_to("file", file));
    }
    SECTION("not when it has gone") {
        fs::remove(box.root + "/file");
        CHECK_FALSE(root.leads_to("file", file));
    }
}

TEST_CASE("export root takes no uploads by default", "[io][export_root]") {
    const sandbox box;
    CHECK(box.open().create("file", {}).error() == errc::uploads_off);
    CHECK(box.open().create("new", {}).error() == errc::uploads_off);
}

TEST_CASE("export root replaces existing files only, when told so", "[io][export_root]") {
    const sandbox box;
    for (const lookup how : lookups) {
        const export_root root = box.open(with(writable::existing), how);
        CHECK(root.create("new", {}).error() == not_found);
        CHECK(root.create("none/new", {}).error() == not_found);
        CHECK_FALSE(upload(root, "sub/file", "replaced"));
        CHECK(box.outer.content("root/sub/file") == "replaced");
        CHECK_FALSE(upload(root, "file", ""));
        CHECK(box.outer.content("root/file").empty());
    }
}

TEST_CASE("export root creates files and keeps existing ones, when told so", "[io][export_root]") {
    const sandbox box;
    for (const lookup how : lookups) {
        const std::string name = how == lookup::walk ? "sub/new-w" : "sub/new-a";
        const export_root root = box.open(with(writable::create), how);
        CHECK_FALSE(upload(root, name, "created"));
        CHECK(box.outer.content("root/" + name) == "created");
        CHECK(upload(root, name, "again") == boost::system::errc::file_exists);
        CHECK(upload(root, "none/new", "x") == not_found);
        CHECK(upload(root, "../new", "x") == errc::bad_name);
        CHECK(upload(root, ".tftp-0123456789abcdef", "x") == errc::bad_name);

        access_policy replacing = with(writable::create);
        replacing.overwrite = overwrite::replace;
        CHECK_FALSE(upload(box.open(replacing, how), name, "replaced"));
        CHECK(box.outer.content("root/" + name) == "replaced");
    }
    CHECK(fs::exists(box.outer / "secret"));
}

TEST_CASE(
    "export root writes through links that stay inside, and keeps them", "[io][export_root]"
) {
    const sandbox box;
    box.link("file", "link");
    box.link("../file", "sub/up");
    box.link("sub", "directory");
    box.link("none", "dangling");
    box.link("../secret", "out");
    box.link("..", "parent");
    access_policy policy = with(writable::create);
    policy.overwrite = overwrite::replace;
    for (const lookup how : lookups) {
        const export_root root = box.open(policy, how);
        for (const char* name : {"link", "sub/up", "directory/up"}) {
            CAPTURE(name);
            CHECK_FALSE(upload(root, name, name));
            CHECK(box.outer.content("root/file") == name);
            CHECK(fs::is_symlink(box.root + "/" + name));
        }
        CHECK(root.create("dangling", {}).error() == not_found);
        CHECK(root.create("out", {}).error() == errc::link_leaves);
        CHECK(root.create("parent/new", {}).error() == errc::link_leaves);
        CHECK_FALSE(upload(root, "directory/file", "through"));
        CHECK(box.outer.content("root/sub/file") == "through");
        // The name of a link is taken, too.
        CHECK(
            box.open(with(writable::create), how).create("link", {}).error() ==
            boost::system::errc::file_exists
        );
    }
    policy.symlinks = symlinks::no;
    CHECK(box.open(policy).create("link", {}).error() == errc::not_regular);
    policy.symlinks = symlinks::inside;
    policy.method = upload_method::rename;
    CHECK(box.open(policy).create("link", {}).error() == errc::not_regular);
    CHECK(box.outer.content("secret") == "secret");
}

TEST_CASE("export root asks for the others' write bit by policy", "[io][export_root]") {
    const sandbox box;
    access_policy policy = with(writable::existing);
    policy.require_world_writable = true;
    const export_root root = box.open(policy);
    CHECK(upload(root, "file", "new") == errc::not_world_writable);
    fs::permissions(box.root + "/file", fs::perms(0666));
    CHECK_FALSE(upload(root, "file", "new"));
    CHECK(fs::status(box.root + "/file").permissions() == fs::perms(0666));
}

TEST_CASE("export root refuses uploads larger than allowed", "[io][export_root]") {
    const sandbox box;
    access_policy policy = with(writable::create);
    policy.file_size_max = 100;
    const export_root root = box.open(policy);
    CHECK(root.create("new", 101).error() == errc::too_large);
    CHECK(root.create("new", 100).has_value());
    auto sink = root.create("new", {});
    REQUIRE(sink.has_value());
    CHECK(write(*sink.value(), 0, pattern(101)) == errc::too_large);
    sink.value().reset();
    CHECK_FALSE(fs::exists(box.root + "/new"));
    CHECK(
        box.open(with(writable::create)).create("new", std::uint64_t{1} << 60).error() ==
        boost::system::errc::no_space_on_device
    );
}

TEST_CASE("an upload whose directory is moved away meanwhile fails", "[io][export_root]") {
    const sandbox box;
    const std::string sub = box.root + "/sub";
    const std::string moved = box.outer / "moved";
    access_policy policy = with(writable::create);
    policy.overwrite = overwrite::replace;
    const auto upload_while = [&](lookup how, const char* name, const auto& act) {
        const export_root root = box.open(policy, how);
        auto sink = root.create(name, {});
        REQUIRE(sink.has_value());
        REQUIRE_FALSE(write(*sink.value(), 0, "upload"));
        fs::rename(sub, moved);
        act();
        const error_code outcome = sink.value()->commit();
        sink.value().reset();
        fs::remove(sub);
        fs::rename(moved, sub);
        return outcome;
    };
    for (const lookup how : lookups) {
        for (const char* name : {"sub/file", "sub/new"}) {
            CAPTURE(name);
            CHECK(upload_while(how, name, [] {}) == not_found);
            CHECK(upload_while(how, name, [&] { fs::create_directory(sub); }) == not_found);
            const error_code led_out =
                upload_while(how, name, [&] { box.link("../moved", "sub"); });
            CHECK(to_peer_errc(led_out) == peer_errc::access_violation);
            CHECK(box.outer.content("root/sub/file") == "sub content");
            CHECK_FALSE(fs::exists(sub + "/new"));
        }
    }
}

TEST_CASE("a requested upload that never starts costs nothing", "[io][export_root]") {
    const sandbox box;
    const export_root root = box.open(with(writable::create));
    const auto descriptors = [] {
        return std::distance(fs::directory_iterator("/proc/self/fd"), {});
    };
    const auto before = descriptors();
    std::vector<std::unique_ptr<sink>> sinks;
    for (int i = 0; i < 20; ++i) {
        auto sink = root.create("sub/deep/new" + std::to_string(i), 1000);
        REQUIRE(sink.has_value());
        sinks.push_back(std::move(sink).value());
    }
    CHECK(descriptors() == before);
    CHECK(fs::is_empty(box.root + "/sub/deep"));
}

TEST_CASE(
    "export root holds against directories swapped for links meanwhile", "[io][export_root]"
) {
    const sandbox box;
    fs::create_directory(box.outer / "outside");
    box.outer.write("outside/file", "secret");
    box.link("../outside", "trap");
    std::atomic<bool> stop = false;
    std::thread swapper([&] {
        const std::string trap = box.root + "/trap";
        const std::string sub = box.root + "/sub";
        while (!stop) {
            ::renameat2(AT_FDCWD, trap.c_str(), AT_FDCWD, sub.c_str(), RENAME_EXCHANGE);
        }
    });
    int served = 0;
    int leaked = 0;
    for (const lookup how : lookups) {
        const export_root root = box.open({}, how);
        for (int i = 0; i < 3000; ++i) {
            const std::string got = content_of(root.open_read("sub/file"));
            served += got == "sub content" ? 1 : 0;
            leaked += got == "secret" ? 1 : 0;
        }
    }
    stop = true;
    swapper.join();
    CHECK(leaked == 0);
    CHECK(served > 0);
}
