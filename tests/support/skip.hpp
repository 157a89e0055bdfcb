#pragma once

#include "support/refused.hpp"

#include <filesystem>
#include <string>
#include <vector>

/// How a test case says that it cannot run here. A program in which something was skipped and
/// nothing failed ends with exit code 77, which ctest counts as skipped; tests/skips.py lists the
/// reasons. Where TFTP_REQUIRE_ALL is in the environment, as on the reference machine, nothing may
/// be skipped, and each of these fails instead. All of them are for the main thread.
namespace tftp::test {

/// Ends the running section, or the case without one, as skipped.
///
/// reason: what is lacking here, in one line.
[[noreturn]] void skip(const std::string& reason);

/// Says that a part of the case is skipped; the rest goes on.
void skip_part(const std::string& reason);

/// Runs `prepare`; skips when the system refuses what it asks for.
template <class Function>
void need(Function prepare) {
    try {
        prepare();
    } catch (const refused_here& why) {
        skip(why.what());
    }
}

/// Skips unless this process is root.
void need_root();

/// Skips unless `argv` runs to a good end: for tools whose rights depend on the system.
void need_command(const std::vector<std::string>& argv);

/// Returns whether this host has the address ::1.
[[nodiscard]] bool ipv6_is_here();

/// The same, but says that a part is skipped where it has not.
[[nodiscard]] bool has_ipv6();

/// Skips unless this host has the address ::1.
void need_ipv6();

/// Returns whether this host has an address of the family of `loopback` beside that, and says that
/// a part is skipped where it has not. Programs that look addresses up with AI_ADDRCONFIG, as those
/// of tftp-hpa do, know not even "127.0.0.1" then.
[[nodiscard]] bool has_address_beside(const std::string& loopback);

/// The same, but skips.
void need_address_beside(const std::string& loopback);

/// Skips unless `name` has an address here: a bare system may lack even "localhost".
void need_host(const std::string& name);

/// Returns a directory on a file system in memory in which this user may write. Skips without.
[[nodiscard]] std::filesystem::path need_memory_directory();

/// Skips unless `where` has room for `bytes` more.
void need_space(const std::filesystem::path& where, std::uintmax_t bytes);

} // namespace tftp::test
