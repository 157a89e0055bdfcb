#include "privileges.hpp"

#include <tftp/file/access.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tftpd {

namespace {

[[nodiscard]] std::optional<identity> look_up(const char* name) {
    errno = 0;
    if (const ::passwd* const found = ::getpwnam(name)) {
        return identity{name, found->pw_uid, found->pw_gid};
    }
    return std::nullopt;
}

void check(bool done, const char* step) {
    if (!done) {
        throw privilege_error(fmt::format(
            "cannot drop privileges: {}: {}{}",
            step,
            std::strerror(errno),
            ::geteuid() == 0 ? " (--user root changes nothing)" : ""
        ));
    }
}

[[nodiscard]] bool has_capabilities() noexcept {
    ::__user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    ::__user_cap_data_struct own[_LINUX_CAPABILITY_U32S_3] = {};
    // Where nobody says, capset decides.
    return ::syscall(SYS_capget, &header, own) != 0 ||
           std::any_of(std::begin(own), std::end(own), [](const auto& part) {
               return (part.effective | part.permitted | part.inheritable) != 0;
           });
}

void clear_capabilities() {
    if (!has_capabilities()) {
        return;
    }
    ::__user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    ::__user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
    check(::syscall(SYS_capset, &header, none) == 0, "capset");
}

/// What no program that is executed later could have either. no_new_privs makes sure of that alone,
/// so a container that withholds CAP_SETPCAP is no reason not to start.
void clear_bounding_set() noexcept {
    unsigned long capability = 0;
    while (::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0 &&
           ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) {
        ++capability;
    }
}

/// Whether this process is that user already, and can become no other any more.
[[nodiscard]] bool is_in_force(::uid_t user) noexcept {
    ::uid_t real = 0;
    ::uid_t effective = 0;
    ::uid_t saved = 0;
    return ::getresuid(&real, &effective, &saved) == 0 && real == user && effective == user &&
           saved == user;
}

void become(const identity& target) {
    clear_bounding_set();
    check(::setgroups(1, &target.gid) == 0, "setgroups");
    check(::setresgid(target.gid, target.gid, target.gid) == 0, "setresgid");
    check(::setresuid(target.uid, target.uid, target.uid) == 0, "setresuid");
}

/// Returns errno, or 0 when this process has these rights.
[[nodiscard]] int try_access(const std::string& directory, int rights) noexcept {
    return tftp::check_access(AT_FDCWD, directory.c_str(), rights).value();
}

/// Returns the first directory on the way to `directory`, itself included, that this process may
/// not enter; empty when there is none.
[[nodiscard]] std::string first_closed(const std::string& directory) {
    for (std::size_t end = 0; end != std::string::npos;) {
        end = directory.find('/', end + 1);
        std::string above = directory.substr(0, end);
        if (try_access(above, X_OK) == EACCES) {
            return above;
        }
    }
    return {};
}

void require_access(const std::string& directory, int rights, const char* what_for) {
    if (const int failed = try_access(directory, rights)) {
        throw privilege_error(fmt::format(
            "user {} cannot {} {}: {}", own_name(), what_for, directory, std::strerror(failed)
        ));
    }
}

} // namespace

std::optional<identity> choose_identity(const std::optional<std::string>& wanted) {
    const bool root = ::geteuid() == 0;
    if (wanted) {
        auto found = look_up(wanted->c_str());
        if (!found) {
            throw privilege_error(fmt::format("there is no user '{}'", *wanted));
        }
        if (!root && found->uid != ::geteuid()) {
            throw privilege_error(fmt::format("only root can become user '{}'", *wanted));
        }
        return root && !is_in_force(found->uid) ? found : std::nullopt;
    }
    if (!root) {
        return std::nullopt;
    }
    for (const char* const name : {"tftp", "nobody"}) {
        if (auto found = look_up(name)) {
            return found;
        }
    }
    throw privilege_error("there is neither a user 'tftp' nor 'nobody'; name one with --user");
}

void drop_privileges(const std::optional<identity>& target) {
    if (target) {
        become(*target);
    }
    // --user root asks to keep what root may do.
    if (::geteuid() != 0) {
        clear_capabilities();
    }
    check(
        ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ||
            ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0,
        "no_new_privs"
    );
}

void require_ports_from(std::uint16_t first) {
    // Root by --user root keeps the right to bind any port.
    unsigned unprivileged = 1024;
    std::ifstream("/proc/sys/net/ipv4/ip_unprivileged_port_start") >> unprivileged;
    if (::geteuid() != 0 && first < unprivileged) {
        throw privilege_error(fmt::format(
            "--port-range begins at {}, but ports below {} need root, which is given up before "
            "transfers start",
            first,
            unprivileged
        ));
    }
}

std::string own_name() {
    const ::passwd* const self = ::getpwuid(::geteuid());
    return self != nullptr ? self->pw_name : std::to_string(::geteuid());
}

void require_entry(const std::string& directory) {
    // To read it is not needed: its files have names that clients know.
    const std::string closed = first_closed(directory);
    if (!closed.empty() && closed != directory) {
        throw privilege_error(fmt::format(
            "user {} cannot reach {}: {} may not be entered: {}",
            own_name(),
            directory,
            closed,
            std::strerror(EACCES)
        ));
    }
    require_access(directory, X_OK, "enter");
}

std::string why_not_opened(const std::string& directory, int error) {
    const std::string closed = error == EACCES ? first_closed(directory) : std::string();
    return closed.empty()
               ? std::strerror(error)
               : fmt::format(
                     "user {} may not enter {}: {}", own_name(), closed, std::strerror(error)
                 );
}

void require_uploads(const std::string& directory, bool listed) {
    require_access(directory, W_OK | X_OK, "write to");
    if (listed) {
        require_access(directory, R_OK, "list");
    }
}

void require_search(const std::string& directory) {
    require_access(directory, X_OK, "enter");
}

std::optional<std::string> why_no_files(const std::string& directory) {
    if (const int failed = try_access(directory, W_OK | X_OK)) {
        return std::strerror(failed);
    }
    return std::nullopt;
}

std::optional<std::string> doubt_uploads(const std::string& directory) {
    if (const int failed = try_access(directory, W_OK | X_OK)) {
        return fmt::format(
            "uploads may fail: user {} cannot write to the directory itself: {}",
            own_name(),
            std::strerror(failed)
        );
    }
    return std::nullopt;
}

} // namespace tftpd
