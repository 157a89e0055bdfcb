#include "support/content_io.hpp"
#include "support/temp_directory.hpp"

#include <tftp/file/export_root.hpp>
#include <tftp/file/file_source.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <utility>

#include <unistd.h>

using namespace tftp;
using namespace tftp::test;
namespace fs = std::filesystem;

namespace {

using expected = std::initializer_list<std::pair<std::string, std::string>>;

/// A root, reached by an alias too, another tree, and a file that nobody is to get.
struct trees {
    temp_directory outer;
    std::string root = outer / "root";
    std::string alias = outer / "alias";
    std::string other = outer / "other";

    trees() {
        for (const char* name : {"root", "root/images", "root/images/deep", "root/srv", "other"}) {
            fs::create_directory(outer / name);
        }
        for (const char* name :
             {"root/images/linux",
              "root/images/deep/initrd",
              "root/file",
              "other/file",
              "secret"}) {
            outer.write(name, name);
        }
        fs::create_symlink("root", alias);
    }

    void link(const std::string& target, const std::string& name) const {
        fs::create_symlink(target, root + "/" + name);
    }

    [[nodiscard]] static export_root
    open(const std::string& directory, const access_policy& policy, lookup how) {
        result<export_root> opened = export_root::open(directory.c_str(), policy, how);
        REQUIRE(opened.has_value());
        return std::move(opened).value();
    }
};

constexpr lookup lookups[] = {lookup::automatic, lookup::walk};

access_policy with(tftp::symlinks symlinks) {
    access_policy policy;
    policy.symlinks = symlinks;
    policy.writable = writable::create;
    policy.overwrite = overwrite::replace;
    policy.fsync = false;
    return policy;
}

std::string content_of(const export_root& root, const std::string& name) {
    const auto file = root.open_read(name);
    if (!file) {
        return file.error().message();
    }
    file_source source(file.value());
    return read(source, 0, 1000).octets;
}

std::string because(const error_code& why) {
    return why.message();
}

std::string because(errc why) {
    return make_error_code(why).message();
}

const std::string missing =
    because(make_error_code(boost::system::errc::no_such_file_or_directory));

error_code upload(const export_root& root, const std::string& name, const std::string& text) {
    auto sink = root.create(name, text.size());
    if (!sink) {
        return sink.error();
    }
    const error_code failed = write(*sink.value(), 0, text);
    return failed ? failed : sink.value()->commit();
}

void check(const export_root& root, expected names) {
    for (const auto& [name, content] : names) {
        CAPTURE(name);
        CHECK(content_of(root, name) == content);
    }
}

} // namespace

TEST_CASE("absolute links that end inside are followed in both spellings", "[io][links]") {
    const trees box;
    box.link(box.root + "/images/linux", "real");
    box.link("/images/linux", "inside");
    box.link(box.alias + "/images/linux", "aliased");
    box.link(box.root, "self");
    box.link(box.root + "/", "self-slash");
    box.link(box.alias, "self-aliased");
    box.link(box.root + "/images", "real-dir");
    box.link("/images", "inside-dir");
    box.link(box.root + "//images/.//deep/", "untidy");
    box.link(box.root + "/images/deep/../linux", "dots");
    box.link(box.root + "/../root/file", "out-and-in");
    box.link(box.root + "/../alias/file", "out-and-in-aliased");
    box.link("../root/file", "relative-out-and-in");
    box.link("../../root/file", "images/up-out-and-in");
    box.link("chain-2", "chain-1");
    box.link("/inside-dir/../chain-3", "chain-2");
    box.link(box.root + "/real-dir/deep", "chain-3");
    fs::create_symlink(box.root + "/images", box.outer / "by-outside");
    box.link(box.outer / "by-outside/linux", "through-outside");
    for (const lookup how : lookups) {
        for (const std::string& directory : {box.root, box.alias, box.root + "/images/.."}) {
            check(
                trees::open(directory, with(symlinks::inside), how),
                {{"real", "root/images/linux"},
                 {"inside", "root/images/linux"},
                 {"aliased", "root/images/linux"},
                 {"self/file", "root/file"},
                 {"self-slash/file", "root/file"},
                 {"self/self-aliased/self/file", "root/file"},
                 {"real-dir/linux", "root/images/linux"},
                 {"inside-dir/linux", "root/images/linux"},
                 {"inside-dir/../file", "root/file"},
                 {"untidy/initrd", "root/images/deep/initrd"},
                 {"untidy/../linux", "root/images/linux"},
                 {"dots", "root/images/linux"},
                 {"out-and-in", "root/file"},
                 {"out-and-in-aliased", "root/file"},
                 {"relative-out-and-in", "root/file"},
                 {"images/up-out-and-in", "root/file"},
                 {"chain-1/initrd", "root/images/deep/initrd"},
                 {"through-outside", "root/images/linux"},
                 {"self", because(errc::not_regular)},
                 {"inside-dir", because(errc::not_regular)},
                 {"inside-dir/none", missing}}
            );
        }
    }
}

TEST_CASE("links that end outside are refused with their own reasons", "[io][links]") {
    const trees box;
    box.link(box.outer / "secret", "absolute");
    box.link(box.other, "absolute-dir");
    box.link(box.root + "/../secret", "absolute-parent");
    box.link(box.alias + "/../secret", "alias-parent");
    box.link(box.root + "x/file", "longer");
    box.link("../secret", "relative");
    box.link("/absolute", "inside-then-out");
    box.link("/images/none", "nowhere");
    box.link(box.root + "/none", "dangling");
    box.link("none", "dangling-relative");
    box.link("/self", "self");
    box.link("loop-2", "loop-1");
    box.link("loop-1", "loop-2");
    box.link("/proc/self/root", "magic");
    fs::create_symlink("outside-2", box.outer / "outside-1");
    fs::create_symlink("outside-1", box.outer / "outside-2");
    box.link(box.outer / "outside-1/file", "outside-loop");
    for (const lookup how : lookups) {
        const export_root root = trees::open(box.root, with(symlinks::inside), how);
        check(
            root,
            {{"absolute", because(errc::absolute_link)},
             {"absolute-dir/file", because(errc::absolute_link)},
             {"absolute-parent", because(errc::absolute_link)},
             {"alias-parent", because(errc::absolute_link)},
             {"longer", because(errc::absolute_link)},
             {"relative", because(errc::link_leaves)},
             {"inside-then-out", because(errc::absolute_link)},
             {"nowhere", because(errc::absolute_link)},
             {"dangling", missing},
             {"dangling-relative", missing},
             {"self/file", because(errc::absolute_link)},
             {"loop-1", because(errc::link_loop)},
             {"outside-loop", because(errc::link_loop)},
             {"magic/etc/passwd", because(errc::absolute_link)},
             {"images/../../secret", because(errc::bad_name)},
             {"images/../../root/file", because(errc::bad_name)}}
        );
        for (const char* name : {"absolute-dir/new", "relative/new", "absolute-parent/new"}) {
            CAPTURE(name);
            CHECK(to_peer_errc(upload(root, name, "x")) == peer_errc::access_violation);
        }
        check(
            trees::open(box.root, with(symlinks::no), how),
            {{"absolute", because(errc::link_refused)},
             {"self/file", because(errc::link_refused)},
             {"relative", because(errc::link_refused)},
             {"images/../file", "root/file"},
             {"images/../../secret", because(errc::bad_name)}}
        );
    }
    CHECK(box.outer.content("secret") == "secret");
    CHECK_FALSE(fs::exists(box.other + "/new"));
}

TEST_CASE("a target that spells both a path inside and one beneath is found", "[io][links]") {
    const trees box;
    // The path of the root once more, beneath it.
    fs::create_directories(box.root + box.root);
    box.outer.write("root" + box.root + "/below", "below");
    box.link(box.root + "/below", "link");
    for (const lookup how : lookups) {
        CHECK(content_of(trees::open(box.root, with(symlinks::inside), how), "link") == "below");
    }
}

TEST_CASE("with symlinks::chroot the root is the top for links", "[io][links]") {
    const trees box;
    box.link("/images/linux", "inside");
    box.link("/images", "dir");
    box.link("/../../images/linux", "clamped");
    box.link("../../../file", "images/relative");
    box.link("/", "top");
    box.link(box.root + "/file", "real");
    box.link("/dir/deep/../linux", "chain");
    box.link("/etc/passwd", "passwd");
    box.link("/proc/self/root/etc/passwd", "magic");
    for (const lookup how : lookups) {
        const export_root root = trees::open(box.root, with(symlinks::chroot), how);
        check(
            root,
            {{"inside", "root/images/linux"},
             {"dir/deep/initrd", "root/images/deep/initrd"},
             {"dir/../file", "root/file"},
             {"clamped", "root/images/linux"},
             {"images/relative", "root/file"},
             {"top/top/file", "root/file"},
             {"chain", "root/images/linux"},
             {"real", missing},
             {"passwd", missing},
             {"magic", missing},
             {"../file", because(errc::bad_name)},
             {"images/../../file", because(errc::bad_name)}}
        );
        CHECK_FALSE(upload(root, "dir/new", "created"));
        CHECK(box.outer.content("root/images/new") == "created");
    }
}

TEST_CASE("with symlinks::follow links lead to the targets, and no further", "[io][links]") {
    const trees box;
    fs::create_directory(box.other + "/sub");
    box.outer.write("other/sub/deep", "deep");
    fs::create_symlink("../secret", box.other + "/out");
    fs::create_symlink(box.root + "/file", box.other + "/back");
    box.link(box.other, "other");
    box.link(box.other + "/file", "absolute");
    box.link("../other/file", "relative");
    box.link(box.outer / "secret", "secret");
    box.link(box.root + "/file", "inside");
    box.link("/images", "images-link");
    access_policy policy = with(symlinks::follow);
    policy.link_targets = {box.outer / "alias/../other"};
    for (const lookup how : lookups) {
        const export_root root = trees::open(box.root, policy, how);
        check(
            root,
            {{"other/file", "other/file"},
             {"other/sub/deep", "deep"},
             {"other/sub/../file", "other/file"},
             {"absolute", "other/file"},
             {"relative", "other/file"},
             {"other/back", "root/file"},
             {"inside", "root/file"},
             {"images-link/linux", "root/images/linux"},
             {"secret", because(errc::absolute_link)},
             {"other/out", because(errc::link_leaves)},
             {"other/../secret", because(errc::bad_name)},
             {"other/sub/../../secret", because(errc::bad_name)}}
        );
        CHECK_FALSE(upload(root, "other/new", "created"));
        CHECK(box.outer.content("other/new") == "created");
    }
    check(
        trees::open(box.root, with(symlinks::inside), lookup::automatic),
        {{"other/file", because(errc::absolute_link)}, {"relative", because(errc::link_leaves)}}
    );
    policy.link_targets = {box.outer / "none"};
    CHECK_FALSE(export_root::open(box.root.c_str(), policy).has_value());
}

TEST_CASE("the path of the root may stand in front of a name", "[io][export_root]") {
    const trees box;
    for (const lookup how : lookups) {
        for (const std::string& directory : {box.root, box.alias}) {
            const export_root root = trees::open(directory, with(symlinks::inside), how);
            check(
                root,
                {{box.root + "/file", "root/file"},
                 {directory + "/file", "root/file"},
                 {directory.substr(1) + "/images/linux", "root/images/linux"},
                 {"/" + directory + "//./images/../file", "root/file"},
                 {box.root, because(errc::not_regular)},
                 {box.root + "/", because(errc::not_regular)},
                 {box.root + "/none", missing},
                 {box.root + "x", missing},
                 {box.root + "/../secret", because(errc::bad_name)},
                 {box.root + "/images/../../secret", because(errc::bad_name)},
                 {box.root + box.root + "/file", missing}}
            );
            CHECK_FALSE(upload(root, directory + "/images/new", "created"));
            CHECK(box.outer.content("root/images/new") == "created");
            CHECK(upload(root, directory + "/none/new", "x").message() == missing);
            CHECK(upload(root, directory + "/../new", "x") == errc::bad_name);
        }
    }
    // A file of the longer name goes first, for reads and for writes.
    fs::create_directories(box.root + box.root);
    box.outer.write("root" + box.root + "/file", "longer");
    for (const lookup how : lookups) {
        const export_root root = trees::open(box.root, with(symlinks::inside), how);
        CHECK(content_of(root, box.root + "/file") == "longer");
        CHECK_FALSE(upload(root, box.root + "/file", "longer"));
        CHECK(box.outer.content("root/file") == "root/file");
        CHECK(content_of(root, box.root + "/images/linux") == "root/images/linux");
    }
}

TEST_CASE("a name with backslashes is tried as it is first", "[io][export_root]") {
    const trees box;
    box.outer.write("root/images\\linux", "literal");
    box.outer.write("root/..\\secret", "literal parent");
    box.outer.write("root/images/a\\b", "mixed");
    for (const lookup how : lookups) {
        const export_root root = trees::open(box.root, with(symlinks::inside), how);
        check(
            root,
            {{"images\\linux", "literal"},
             {"images/linux", "root/images/linux"},
             {"images\\deep\\initrd", "root/images/deep/initrd"},
             {"\\images\\deep\\initrd", "root/images/deep/initrd"},
             {"images/a\\b", "mixed"},
             {"..\\secret", "literal parent"},
             {"..\\none", because(errc::bad_name)},
             {"images\\..\\file", "root/file"},
             {"images\\..\\..\\secret", because(errc::bad_name)},
             {"images\\none", missing},
             {"images\\", because(errc::not_regular)}}
        );
        // What exists is replaced; what is new goes where the separators say.
        CHECK_FALSE(upload(root, "images\\linux", "literal"));
        CHECK(box.outer.content("root/images/linux") == "root/images/linux");
        CHECK_FALSE(upload(root, "images\\new", "created"));
        CHECK(box.outer.content("root/images/new") == "created");
        CHECK_FALSE(fs::exists(box.root + "/images\\new"));
        CHECK(upload(root, "..\\new", "x") == errc::bad_name);
        std::string windows = box.root + "/images/deep/initrd";
        std::replace(windows.begin(), windows.end(), '/', '\\');
        CHECK(content_of(root, windows) == "root/images/deep/initrd");
        CHECK(content_of(root, "\\" + windows) == "root/images/deep/initrd");
    }
}

TEST_CASE("names and links of several readings are found in memory, too", "[io][export_root]") {
    const trees box;
    box.link("/images/linux", "absolute");
    const export_root root = trees::open(box.root, with(symlinks::inside), lookup::automatic);
    for (const std::string& name : {box.root + "/file", std::string("images\\linux")}) {
        CAPTURE(name);
        const auto file = root.open_read(name);
        REQUIRE(file.has_value());
        CHECK_FALSE(root.leads_to(name, (*file)->identity()));
        const auto cached = root.try_open_read(name);
        if (cached) {
            CHECK((*cached)->identity() == (*file)->identity());
        } else {
            CHECK(cached.error() == errc::would_block);
        }
    }
    // Outside of the directory nothing is looked up where waiting is not allowed.
    CHECK(root.try_open_read("absolute").error() == errc::would_block);
}
