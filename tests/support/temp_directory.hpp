#pragma once

#include "support/skip.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>

#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

namespace tftp::test {

/// A directory of its own for one test, removed at the end.
class temp_directory {
public:
    explicit temp_directory(
        const std::filesystem::path& base = std::filesystem::temp_directory_path()
    ) {
        std::string pattern = base / "tftp-io-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
        std::filesystem::permissions(path_, std::filesystem::perms(0755));
    }

    temp_directory(const temp_directory&) = delete;
    temp_directory& operator=(const temp_directory&) = delete;

    ~temp_directory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

    [[nodiscard]] std::string operator/(std::string_view name) const { return path_ / name; }

    /// Writes a file that everybody may read.
    std::string write(std::string_view name, std::string_view content) const {
        const std::string file = path_ / name;
        std::ofstream(file, std::ios::binary)
            .write(content.data(), static_cast<long>(content.size()));
        std::filesystem::permissions(file, std::filesystem::perms(0644));
        return file;
    }

    [[nodiscard]] std::string content(std::string_view name) const {
        std::ostringstream text;
        text << std::ifstream(path_ / name, std::ios::binary).rdbuf();
        return text.str();
    }

    /// Returns how many names are in it, hidden ones included.
    [[nodiscard]] std::size_t entries() const {
        return static_cast<std::size_t>(
            std::distance(std::filesystem::directory_iterator(path_), {})
        );
    }

private:
    std::filesystem::path path_;
};

/// Runs `check` in a child process; returns true when it returned true there. A throw is no truth.
inline bool in_child(const std::function<bool()>& check) {
    const ::pid_t child = ::fork();
    if (child == 0) {
        try {
            ::_exit(check() ? 0 : 1);
        } catch (...) {
            ::_exit(1); // and not on with the tests, twice
        }
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

inline constexpr unsigned other_user = 65534;

/// Skips where root cannot become that user; whoever is not root may go on as itself.
inline void need_unprivileged() {
    need([] { try_other_user(other_user); });
}

/// Skips where this process cannot become a user who owns nothing of what it made.
inline void need_other_user() {
    need_root();
    need_unprivileged();
}

/// Runs `check` in a child that is not root. See need_unprivileged().
inline bool as_other_user(const std::function<bool()>& check) {
    return in_child([&] {
        if (::geteuid() == 0 && (::setresgid(other_user, other_user, other_user) != 0 ||
                                 ::setresuid(other_user, other_user, other_user) != 0)) {
            return false;
        }
        return check();
    });
}

/// Runs `check` in a child that sees a fresh tmpfs of `size` at `mount_point`. Before, say
/// need(try_own_mounts): what fails here is a failure.
inline bool on_small_disk(
    const std::string& mount_point, const char* size, const std::function<bool()>& check
) {
    return in_child([&] {
        const std::string options = std::string("size=") + size;
        enter_own_mounts();
        return ::mount("none", mount_point.c_str(), "tmpfs", 0, options.c_str()) == 0 && check();
    });
}

} // namespace tftp::test
