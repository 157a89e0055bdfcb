#pragma once

#include <tftp/base/error.hpp>
#include <tftp/client/exit_code.hpp>

#include <cstdint>

namespace tftp::cli {

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

/// Returns the word for `code` in --json. Lifetime: static storage.
[[nodiscard]] const char* word_for(exit_code code) noexcept;

/// Returns the word for `from` in --json. Lifetime: static storage.
[[nodiscard]] const char* word_for(origin from) noexcept;

} // namespace tftp::cli
