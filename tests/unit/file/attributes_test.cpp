#include "refusing_kernel.hpp"
#include "support/content_io.hpp"
#include "support/skip.hpp"
#include "support/temp_directory.hpp"
#include "upload_support.hpp"

#include <tftp/file/export_root.hpp>

#include <catch2/catch.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

using namespace tftp;
using namespace tftp::test;
namespace fs = std::filesystem;

namespace {

constexpr const char* access_list = "system.posix_acl_access";
constexpr const char* default_list = "system.posix_acl_default";

struct list_entry {
    std::uint16_t tag;
    std::uint16_t rights;
    std::uint32_t id = ~std::uint32_t{0};
};

/// An ACL as acl(5) has it: the owner, user 34, the group, the mask, the others.
std::string list_of(unsigned owner, unsigned named, unsigned group, unsigned mask, unsigned other) {
    const auto bits = [](unsigned rights) { return static_cast<std::uint16_t>(rights); };
    const std::vector<list_entry> entries{
        {0x01, bits(owner)},
        {0x02, bits(named), 34},
        {0x04, bits(group)},
        {0x10, bits(mask)},
        {0x20, bits(other)}};
    std::string text("\2\0\0\0", 4);
    text.append(reinterpret_cast<const char*>(entries.data()), entries.size() * sizeof(list_entry));
    return text;
}

bool set_attribute(const std::string& path, const char* name, const std::string& value) {
    return ::setxattr(path.c_str(), name, value.data(), value.size(), 0) == 0;
}

/// Empty when it has none.
std::string attribute(const std::string& path, const char* name) {
    std::string value(1000, '\0');
    const ::ssize_t size = ::getxattr(path.c_str(), name, value.data(), value.size());
    value.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return value;
}

/// A box whose file belongs to the other user, as far as this one may give it away.
struct owned_box : upload_box {
    owned_box() {
        file("file", "old", 0600);
        const bool given = ::chown((root + "/file").c_str(), other_user, other_user) == 0;
        REQUIRE((given || ::geteuid() != 0));
    }

    [[nodiscard]] std::string path() const { return root + "/file"; }
};

} // namespace

TEST_CASE("a replaced file keeps ACL and extended attributes", "[io][attributes]") {
    const owned_box box;
    const std::string list = list_of(6, 4, 0, 6, 0);
    if (!set_attribute(box.path(), access_list, list)) {
        skip("no ACLs on this file system");
    }
    REQUIRE(set_attribute(box.path(), "user.origin", "switch 7"));
    const struct ::stat before = box.stat("file");
    const auto is_kept = [&] {
        const struct ::stat after = box.stat("file");
        return attribute(box.path(), access_list) == list &&
               attribute(box.path(), "user.origin") == "switch 7" &&
               after.st_mode == before.st_mode && after.st_uid == before.st_uid &&
               after.st_gid == before.st_gid && box.content("file") == "new";
    };
    SECTION("by a rename, where that can be done") {
        CHECK(as_other_user([&] { return !upload(box.open(), "file", "new") && is_kept(); }));
        CHECK(box.stat("file").st_ino != before.st_ino);
    }
    SECTION("in place, where a filter or the file system does not let them be copied") {
        const std::vector<std::vector<refusal_rule>> refusals{
            {{SYS_fsetxattr, EPERM}}, {{SYS_flistxattr, ENOSYS}}, {{SYS_fgetxattr, EACCES}}};
        for (const auto& rules : refusals) {
            CHECK(as_other_user([&] {
                return on_refusing_kernel(rules, [&] {
                    return !upload(box.open(), "file", "new") && is_kept();
                });
            }));
            CHECK(box.stat("file").st_ino == before.st_ino);
        }
    }
    SECTION("or it is not replaced, where only a rename will do") {
        access_policy policy = box.policy();
        policy.method = upload_method::rename;
        CHECK(as_other_user([&] {
            return on_refusing_kernel({{SYS_fsetxattr, EPERM}}, [&] {
                return upload(box.open(policy), "file", "new") ==
                           boost::system::errc::operation_not_permitted &&
                       box.content("file") == "old";
            });
        }));
        CHECK(as_other_user([&] { return !upload(box.open(policy), "file", "new") && is_kept(); }));
    }
    SECTION("in the version, too") {
        access_policy policy = box.policy();
        policy.overwrite = overwrite::keep;
        policy.method = upload_method::in_place;
        CHECK(as_other_user([&] { return !upload(box.open(policy), "file", "new"); }));
        CHECK(attribute(box.root + "/file.~1~", access_list) == list);
        CHECK(attribute(box.root + "/file.~1~", "user.origin") == "switch 7");
    }
}

TEST_CASE("a replaced file gets no ACL that it had not", "[io][attributes]") {
    const owned_box box;
    if (!set_attribute(box.root, default_list, list_of(7, 7, 7, 7, 7))) {
        skip("no ACLs on this file system");
    }
    CHECK(as_other_user([&] { return !upload(box.open(), "file", "new"); }));
    CHECK(box.content("file") == "new");
    CHECK(attribute(box.path(), access_list).empty());
    CHECK((box.stat("file").st_mode & 07777) == 0600);
}

TEST_CASE("a file keeps owner and group when it is replaced", "[io][attributes]") {
    if (::geteuid() != 0) {
        skip("needs root to make files of others");
    }
    const upload_box box;
    const auto theirs = [&](::uid_t owner, ::gid_t group) {
        box.file("file", "old", 0666);
        REQUIRE(::chown((box.root + "/file").c_str(), owner, group) == 0);
        return box.stat("file");
    };
    const auto belongs_to = [&](::uid_t owner, ::gid_t group) {
        return box.stat("file").st_uid == owner && box.stat("file").st_gid == group;
    };
    SECTION("in place, where it cannot give them to another file") {
        for (const auto& [owner, group] :
             std::vector<std::pair<::uid_t, ::gid_t>>{{0, other_user}, {other_user, 0}, {34, 34}}) {
            const struct ::stat before = theirs(owner, group);
            CHECK(as_other_user([&] { return !upload(box.open(), "file", "new"); }));
            CHECK(belongs_to(owner, group));
            CHECK(box.stat("file").st_ino == before.st_ino);
            CHECK(box.content("file") == "new");
        }
    }
    SECTION("by a rename, where it can") {
        const struct ::stat before = theirs(34, 33);
        CHECK_FALSE(upload(box.open(), "file", "new"));
        CHECK(belongs_to(34, 33));
        CHECK(box.stat("file").st_ino != before.st_ino);
    }
    SECTION("as far as it can, where only a rename will do, and no group gains by that") {
        theirs(0, 33);
        fs::permissions(box.root + "/file", fs::perms(0664));
        REQUIRE(::chown((box.root + "/file").c_str(), other_user, 33) == 0);
        access_policy policy = box.policy();
        policy.method = upload_method::rename;
        CHECK(as_other_user([&] { return !upload(box.open(policy), "file", "new"); }));
        CHECK(belongs_to(other_user, other_user));
        CHECK((box.stat("file").st_mode & 07777) == 0644);
    }
    SECTION("in a sticky directory, where the name is kept for its owner") {
        const struct ::stat before = theirs(34, 34);
        fs::permissions(box.root, fs::perms(01777));
        CHECK(as_other_user([&] { return !upload(box.open(), "file", "new"); }));
        CHECK(box.stat("file").st_ino == before.st_ino);
    }
}

TEST_CASE("rights that a write takes away are not carried over", "[io][attributes]") {
    const owned_box box;
    for (const auto method : {upload_method::automatic, upload_method::in_place}) {
        fs::permissions(box.path(), fs::perms(06755));
        access_policy policy = box.policy();
        policy.method = method;
        CHECK(as_other_user([&] { return !upload(box.open(policy), "file", "new"); }));
        CHECK((box.stat("file").st_mode & 07777) == 0755);
    }
}

TEST_CASE("a new file has what umask and default ACL give it", "[io][attributes]") {
    const upload_box box;
    const auto mode_under = [&](::mode_t mask, const char* name) {
        const ::mode_t before = ::umask(mask);
        const error_code failed = upload(box.open(), name, "new");
        ::umask(before);
        REQUIRE_FALSE(failed);
        return box.stat(name).st_mode & 07777;
    };
    CHECK(mode_under(022, "a") == 0644);
    CHECK(mode_under(077, "b") == 0600);
    CHECK(mode_under(0, "c") == 0666);
    SECTION("and the group of a directory that says so") {
        if (::geteuid() == 0) {
            REQUIRE(::chown(box.root.c_str(), 0, 33) == 0);
            fs::permissions(box.root, fs::perms(02777));
            CHECK(mode_under(022, "d") == 0644);
            CHECK(box.stat("d").st_gid == 33);
        }
    }
    SECTION("and no umask where there is a default ACL") {
        if (set_attribute(box.root, default_list, list_of(7, 6, 4, 6, 0))) {
            CHECK(mode_under(077, "e") == 0660);
            CHECK(attribute(box.root + "/e", access_list) == list_of(6, 6, 4, 6, 0));
        }
    }
}
