#pragma once

#include "support/process.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace tftp::test {

/// A program of the field, or one of ours, ready to be started.
struct program {
    /// How it is started: usually one path, for a script the interpreter and the script.
    std::vector<std::string> argv;
    std::vector<std::string> environment;
    /// What it says of itself, one line.
    std::string version;

    /// The command that starts it with `arguments`.
    [[nodiscard]] command with(const std::vector<std::string>& arguments) const;
};

/// Returns a peer by name: atftpd, in.tftpd, dnsmasq, fbtftp, atftp, tftp-hpa, curl or busybox.
///
/// Looks in TFTP_PEERS_DIR first (see fetch_peers.sh), then in PATH. When it is missing, the
/// running test fails if TFTP_REQUIRE_INTEROP is on, and is skipped otherwise. Prints the version.
[[nodiscard]] program require_peer(const std::string& name);

/// Returns the directory with the unpacked netboot packages, under the same rule as require_peer().
[[nodiscard]] std::filesystem::path require_netboot_tree();

/// Our own programs. Present when the test was built; print their versions.
[[nodiscard]] program our_tftpd();
[[nodiscard]] program our_tftp();

} // namespace tftp::test
