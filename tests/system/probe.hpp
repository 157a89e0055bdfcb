#pragma once

#include "support/files.hpp"

#include <csignal>
#include <functional>
#include <ostream>
#include <string>

#include <netinet/in.h>
#include <sys/socket.h>

namespace tftp::test {

/// How a child ended that tried something.
struct outcome {
    int error = 0;
    int signal = 0;

    friend bool operator==(const outcome&, const outcome&) = default;
    friend std::ostream& operator<<(std::ostream& out, const outcome& o);
};

inline constexpr outcome done{0, 0};
inline constexpr outcome killed{0, SIGSYS};

/// The outcome of a call that fails with `error`.
[[nodiscard]] constexpr outcome refused(int error) {
    return {error, 0};
}

/// Something a child tries; a negative result is a failure with its reason in errno.
using action = std::function<long()>;

/// Tries `what` in a child, after `before`; a throw of `before` is an outcome like no other.
[[nodiscard]] outcome tried(const std::function<void()>& before, const action& what);

/// Tries `what` in a child that nothing confines.
[[nodiscard]] outcome free_to(const action& what);

/// Returns the version of Landlock that the kernel has; 0 for none.
[[nodiscard]] int landlock_version();

/// Returns whether Landlock has at least that version, and says that a part is skipped where it has
/// not.
[[nodiscard]] bool has_landlock(int version = 1);

/// A directory that is served, one for uploads, one for logs, one where uploads are collected, and
/// one that is out of reach. Each holds a file "file" and a directory "below".
struct places {
    places();

    /// Returns the absolute path of a name below the common parent.
    [[nodiscard]] std::string at(const std::string& name) const {
        return (top.path() / name).string();
    }

    temp_dir top;
};

/// Which halves of the confinement are used.
struct mechanisms {
    bool landlock = true;
    bool seccomp = true;
    /// Uploads are collected in files with names.
    bool names = false;
};

inline constexpr mechanisms only_landlock{true, false};
inline constexpr mechanisms only_seccomp{false, true};

/// Tries `what` under the confinement of a daemon that takes uploads and logs to a file.
[[nodiscard]] outcome
confined_to(const places& where, const action& what, mechanisms use = mechanisms());

/// Tries `what` under the filter of a daemon that only reads.
[[nodiscard]] outcome reading(const action& what);

/// Things to try.
[[nodiscard]] action opening(const std::string& path, int flags);
[[nodiscard]] action renaming(const std::string& from, const std::string& to);
[[nodiscard]] action linking(const std::string& from, const std::string& to);
[[nodiscard]] action connecting(int family, int type, int protocol = 0);

/// Writes a file as an upload does, without a name first; an action.
[[nodiscard]] long upload_to(const std::string& directory, const char* name);

/// The loopback address of IPv4.
[[nodiscard]] ::sockaddr_in loopback();

template <class Address>
[[nodiscard]] const ::sockaddr* generic(const Address& address) {
    return reinterpret_cast<const ::sockaddr*>(&address);
}

} // namespace tftp::test
