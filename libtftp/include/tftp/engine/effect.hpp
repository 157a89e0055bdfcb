#pragma once

#include <tftp/base/bytes.hpp>
#include <tftp/base/endpoint.hpp>
#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>

#include <cstdint>
#include <optional>

namespace tftp {

/// Nothing to do before the next input; call `on_deadline` at `deadline`.
struct idle {
    std::optional<time_point> deadline;
};

/// Send `datagram` to `to`, best effort: a lost one is repeated by the engine's own timer.
///
/// Lifetime: until the next call of the engine.
struct send_control {
    bytes_view datagram;
    endpoint to;
};

/// Send DATA blocks first_block .. first_block + count - 1; then say with `on_sent` how many left.
/// Until then nothing has happened: an unsent run is simply offered again.
struct send_data {
    std::uint64_t first_block = 0;
    std::uint16_t count = 0;
    /// True when the first block was sent before.
    bool retransmission = false;
};

/// Store `payload` at byte `offset`; `last` marks the end of the content. Then call `on_stored`.
///
/// Lifetime: the payload stands in the datagram given to `on_datagram`.
struct store {
    std::uint64_t offset = 0;
    bytes_view payload;
    bool last = false;
};

/// The outcome is known and nothing will change it: tell the user. A success says that the content
/// is whole and committed (receiver) or acknowledged to the last block (sender).
struct completed {
    error_code outcome;
};

/// The transfer is over: destroy it.
struct closed {};

} // namespace tftp
