#pragma once

#include "support/content_io.hpp"
#include "support/temp_directory.hpp"

#include <tftp/file/export_root.hpp>

#include <catch2/catch.hpp>

#include <filesystem>
#include <functional>
#include <string>
#include <utility>

#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>

namespace tftp::test {

/// A root and a spool directory that everybody may write to.
struct upload_box {
    temp_directory outer;
    std::string root = outer / "root";
    std::string spool = outer / "spool";

    upload_box() {
        for (const std::string& each : {root, spool}) {
            std::filesystem::create_directory(each);
            std::filesystem::permissions(each, std::filesystem::perms(0777));
        }
        std::filesystem::permissions(spool, std::filesystem::perms(01777));
        REQUIRE(::mkfifo((outer / "asked").c_str(), 0666) == 0);
        REQUIRE(::mkfifo((outer / "removed").c_str(), 0666) == 0);
        std::filesystem::permissions(outer / "asked", std::filesystem::perms(0666));
        std::filesystem::permissions(outer / "removed", std::filesystem::perms(0666));
    }

    void file(const std::string& name, const std::string& content, ::mode_t mode = 0666) const {
        std::filesystem::permissions(
            outer.write("root/" + name, content), std::filesystem::perms(mode)
        );
    }

    [[nodiscard]] std::string content(const std::string& name) const {
        return outer.content("root/" + name);
    }

    [[nodiscard]] struct ::stat stat(const std::string& name) const {
        struct ::stat about = {};
        REQUIRE(::stat((root + "/" + name).c_str(), &about) == 0);
        return about;
    }

    /// Names in the root, and in the spool directory.
    [[nodiscard]] std::size_t names() const { return count(root); }

    [[nodiscard]] std::size_t spooled() const { return count(spool); }

    /// Uploads of new files and existing ones.
    [[nodiscard]] access_policy policy() const {
        access_policy policy;
        policy.writable = writable::create;
        policy.overwrite = overwrite::replace;
        policy.spool_directory = spool;
        return policy;
    }

    [[nodiscard]] export_root open() const { return open(policy()); }

    [[nodiscard]] export_root open(const access_policy& policy) const {
        auto opened = export_root::open(root.c_str(), policy);
        REQUIRE(opened.has_value());
        return std::move(opened).value();
    }

    /// Has another process remove a file, see remove_when_asked(), and waits until it has.
    [[nodiscard]] bool wait_for_removal(const std::string& name) const {
        { const std::ofstream asked(outer / "asked"); }
        { const std::ifstream removed(outer / "removed"); }
        return !std::filesystem::exists(root + "/" + name);
    }

    void remove_when_asked(const std::string& name) const {
        { const std::ifstream asked(outer / "asked"); }
        std::filesystem::remove(root + "/" + name);
        { const std::ofstream removed(outer / "removed"); }
    }

private:
    static std::size_t count(const std::string& directory) {
        return static_cast<std::size_t>(
            std::distance(std::filesystem::directory_iterator(directory), {})
        );
    }
};

inline error_code
upload(const export_root& root, const std::string& name, const std::string& content) {
    auto sink = root.create(name, content.size());
    if (!sink) {
        return sink.error();
    }
    const error_code failed = write(*sink.value(), 0, content);
    return failed ? failed : sink.value()->commit();
}

/// Runs `check` in a child whose mounts nobody else sees. Before, say need(try_own_mounts), outside
/// of a CHECK.
inline bool in_own_mounts(const std::function<bool()>& check) {
    return in_child([&] {
        enter_own_mounts();
        return check();
    });
}

/// Mounts one file over another.
inline bool bind_over(const std::string& what, const std::string& where, bool read_only = false) {
    constexpr unsigned long again = MS_BIND | MS_REMOUNT | MS_RDONLY;
    return ::mount(what.c_str(), where.c_str(), nullptr, MS_BIND, nullptr) == 0 &&
           (!read_only || ::mount(nullptr, where.c_str(), nullptr, again, nullptr) == 0);
}

} // namespace tftp::test
