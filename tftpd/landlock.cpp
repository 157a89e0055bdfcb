#include "sandbox.hpp"

#include <tftp/base/unique_fd.hpp>

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tftpd {

namespace {

// What is younger than the headers of Linux 6.1, from the kernel's include/uapi/linux/landlock.h.
constexpr std::uint64_t fs_truncate = 1U << 14U;
constexpr std::uint64_t fs_ioctl_dev = 1U << 15U;
constexpr std::uint64_t net_bind_tcp = 1U << 0U;
constexpr std::uint64_t net_connect_tcp = 1U << 1U;
constexpr std::uint64_t scope_abstract_unix_socket = 1U << 0U;
constexpr std::uint64_t scope_signal = 1U << 1U;

/// landlock_ruleset_attr as of version 6 of the interface. Older kernels take the longer structure
/// when what they do not know is 0.
struct ruleset_attributes {
    std::uint64_t handled_access_fs = 0;
    std::uint64_t handled_access_net = 0;
    std::uint64_t scoped = 0;
};

/// All that a kernel of that version can forbid.
[[nodiscard]] ruleset_attributes all_of(int version) noexcept {
    ruleset_attributes all;
    // Version 1 knows the rights from EXECUTE to MAKE_SYM.
    all.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1U) - 1;
    if (version >= 2) {
        all.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
    }
    if (version >= 3) {
        all.handled_access_fs |= fs_truncate;
    }
    if (version >= 4) {
        all.handled_access_net = net_bind_tcp | net_connect_tcp;
    }
    if (version >= 5) {
        all.handled_access_fs |= fs_ioctl_dev;
    }
    if (version >= 6) {
        all.scoped = scope_abstract_unix_socket | scope_signal;
    }
    return all;
}

/// REFER is in none of them: uploads get their names in the directory where they were written.
[[nodiscard]] std::uint64_t rights_of(reach allowed) noexcept {
    constexpr std::uint64_t read = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
    constexpr std::uint64_t append = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG;
    switch (allowed) {
    case reach::read:
        return read;
    case reach::write:
        return read | append | LANDLOCK_ACCESS_FS_REMOVE_FILE | fs_truncate;
    case reach::append:
        return append;
    case reach::spool:
        return LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE;
    case reach::named_spool:
        return append | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE;
    }
    return 0;
}

[[noreturn]] void fail(const char* step) {
    throw sandbox_error(
        fmt::format("landlock: {}: {} (see --no-landlock)", step, std::strerror(errno))
    );
}

/// Whether the kernel does not know the call that failed, or the filter of a container hides it:
/// with no_new_privs set none of the three fails like that by itself. Filters may know some of
/// them.
[[nodiscard]] bool is_hidden() noexcept {
    return errno == ENOSYS || (errno == EPERM && ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
}

/// Returns the version of the kernel's interface, 0 when it has none.
[[nodiscard]] int version_here() {
    const long version =
        ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version >= 0) {
        return static_cast<int>(version);
    }
    // Not compiled in; not enabled at boot.
    if (is_hidden() || errno == EOPNOTSUPP) {
        return 0;
    }
    fail("version");
}

/// Returns 0, the version of a kernel without Landlock, when the call that failed is hidden.
[[nodiscard]] int hidden_or_fail(const char* step) {
    if (!is_hidden()) {
        fail(step);
    }
    return 0;
}

} // namespace

int restrict_reach(const std::vector<confinement::directory>& directories) {
    const int version = version_here();
    if (version == 0) {
        return 0;
    }
    const ruleset_attributes handled = all_of(version);
    const tftp::unique_fd ruleset(
        static_cast<int>(::syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0))
    );
    if (!ruleset) {
        return hidden_or_fail("ruleset");
    }
    for (const confinement::directory& each : directories) {
        const ::landlock_path_beneath_attr rule{
            rights_of(each.allowed) & handled.handled_access_fs, each.fd};
        if (::syscall(SYS_landlock_add_rule, ruleset.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) !=
            0) {
            return hidden_or_fail("rule");
        }
    }
    if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
        return hidden_or_fail("restrict");
    }
    return version;
}

} // namespace tftpd
