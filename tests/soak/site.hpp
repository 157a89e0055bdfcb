#pragma once

#include "sim/prng.hpp"
#include "soak/content.hpp"
#include "system/daemon.hpp"

#include <tftp/base/endpoint.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace tftp::soak {

/// What a process holds of the system.
struct usage {
    /// Memory of its own, not backed by files, in bytes.
    std::uint64_t anonymous_bytes = 0;
    /// Its share of all memory, in bytes.
    std::uint64_t proportional_bytes = 0;
    std::size_t descriptors = 0;
};

/// Returns whether this process may see what `process` holds: where that is another user's, it
/// needs CAP_SYS_PTRACE.
[[nodiscard]] bool may_see(::pid_t process);

/// Returns what `process` holds now; nothing when that may not be seen. Throws std::runtime_error
/// when /proc does not say.
[[nodiscard]] usage usage_of(::pid_t process);

/// A running tftpd, the files it offers, and the uploads that may have come to it.
class site {
public:
    /// Starts the daemon and makes `files` files of at most `size_max_bytes`. Throws what a daemon
    /// or a file that cannot be made throws.
    site(
        std::size_t files,
        std::uint64_t size_max_bytes,
        std::chrono::seconds grace,
        std::uint64_t seed
    );

    [[nodiscard]] const tftp::endpoint& server() const noexcept { return daemon_.server(); }

    [[nodiscard]] const std::filesystem::path& root() const noexcept { return daemon_.root(); }

    /// How long it lets transfers finish once it is told to end.
    [[nodiscard]] std::chrono::seconds grace() const noexcept { return grace_; }

    [[nodiscard]] bool may_see_usage() { return may_see(daemon_.process().id()); }

    [[nodiscard]] usage held() { return usage_of(daemon_.process().id()); }

    /// Returns one of the files to read, most often a small one.
    [[nodiscard]] const file& pick(sim::prng& random) const;

    /// Gives `content` a name of its own to be uploaded under; the name is remembered.
    [[nodiscard]] file new_upload(file content);

    /// The upload has ended well: returns what is wrong with it, empty when nothing is, and removes
    /// it.
    [[nodiscard]] std::string finish(const file& upload);

    /// Returns what is wrong with an upload that may not be there, but must be whole if it is.
    [[nodiscard]] std::string peek(const file& upload) const;

    /// Returns what is wrong below the root when nothing runs any more: a hidden file, one of a
    /// name that nobody gave, or one that is not whole. Removes what was uploaded.
    [[nodiscard]] std::vector<std::string> sweep();

    /// Starts to end the daemon.
    void terminate();

    [[nodiscard]] bool terminating() const noexcept { return terminating_; }

    /// Returns whether the daemon is gone.
    [[nodiscard]] bool gone() {
        return daemon_.process().wait(std::chrono::milliseconds(0)).has_value();
    }

    /// Returns its exit status, once it is gone.
    [[nodiscard]] int status() {
        return daemon_.process().wait(std::chrono::milliseconds(0)).value();
    }

private:
    std::chrono::seconds grace_;
    test::daemon_process daemon_;
    std::vector<file> files_;
    std::map<std::string, file> uploads_;
    std::uint64_t next_upload_ = 0;
    bool terminating_ = false;
};

} // namespace tftp::soak
