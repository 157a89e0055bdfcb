#pragma once

#include <tftp/base/endpoint.hpp>
#include <tftp/base/time.hpp>
#include <tftp/engine/config.hpp>
#include <tftp/file/export_root.hpp>
#include <tftp/server/limits.hpp>
#include <tftp/server/shard.hpp>
#include <tftp/socket/udp_socket.hpp>
#include <tftp/wire/options.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <sys/types.h>

namespace tftpd {

/// The command line asks for something it cannot have; `what()` is one line for the user.
class usage_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// What the command line asks for.
struct config {
    enum class action : std::uint8_t { serve, check, help, version };

    action what = action::serve;
    std::string directory;
    /// Empty: uploads go to `directory`.
    std::optional<std::string> upload_directory;
    /// Empty: the system's temporary directory, if it can be used.
    std::optional<std::string> spool_directory;
    /// What new files are not permitted.
    ::mode_t umask = 022;
    /// Empty: all addresses of both families.
    std::vector<tftp::endpoint> listen;
    /// Empty: `tftp`, else `nobody`, when started as root.
    std::optional<std::string> user;
    tftp::access_policy access;
    /// Empty: what the route to the client takes unfragmented.
    std::optional<std::uint16_t> blksize_max;
    std::optional<std::uint16_t> windowsize_max;
    tftp::engine_config engine;
    bool allow_timeout = true;
    tftp::tid_mode tids = tftp::tid_mode::exclusive;
    tftp::segmentation sends = tftp::segmentation::gso;
    std::optional<tftp::port_range> port_range;
    unsigned threads = 0;
    tftp::limits limits;
    tftp::duration grace = std::chrono::seconds(10);
    bool verbose = false;
    /// Empty: standard error.
    std::optional<std::string> log_file;
    bool landlock = true;
    bool seccomp = true;
};

/// Reads the command line.
///
/// Throws usage_error for an unknown option, a bad value, or a missing directory argument.
[[nodiscard]] config parse(int argc, const char* const* argv);

/// Returns the text of --help.
[[nodiscard]] std::string help();

} // namespace tftpd
