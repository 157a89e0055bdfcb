#pragma once

#include <tftp/base/error.hpp>

#include <cstdint>

namespace tftp::cli {

/// Exit statuses. Scripts depend on them: they never change their meaning. 11 is kept for a failed
/// checksum.
enum class exit_code : std::uint8_t {
    ok = 0,
    other = 1,
    usage = 2,
    timed_out = 3,
    local_file = 4,
    network = 5,
    not_found = 6,
    access = 7,
    disk_full = 8,
    exists = 9,
    option_refused = 10,
};

/// Who or what made a transfer fail.
enum class origin : std::uint8_t {
    /// The server said so, by an ERROR packet.
    server,
    /// A file on this side.
    local,
    /// The network, or the way to it.
    network,
    /// This program's own conclusion.
    client
};

/// Returns where `failure` comes from.
///
/// local_file: it is what the local file answered, which a code of the system does not show.
[[nodiscard]] origin origin_of(const error_code& failure, bool local_file) noexcept;

/// Returns the exit status for `outcome`, which came from `from`; `ok` when it is no failure.
[[nodiscard]] exit_code exit_code_for(const error_code& outcome, origin from) noexcept;

/// Returns the word for `code` in --json. Lifetime: static storage.
[[nodiscard]] const char* word_for(exit_code code) noexcept;

/// Returns the word for `from` in --json. Lifetime: static storage.
[[nodiscard]] const char* word_for(origin from) noexcept;

} // namespace tftp::cli
