#pragma once

#include <tftp/base/bytes.hpp>

#include <cstddef>
#include <optional>

namespace tftp {

/// Bytes read from the input and written to the output of one conversion step.
struct netascii_progress {
    std::size_t consumed = 0;
    std::size_t produced = 0;
};

/// Turns local text (lines end in LF) into netascii, step by step: LF becomes CR LF, CR becomes
/// CR NUL. Everything else passes, so the round trip is exact for any bytes.
///
/// Copy it to remember a position of the stream; it is two bytes of state.
/// RFC 1350 s.2 (RFC 764 as amended).
class netascii_encoder {
public:
    /// Converts as much of `in` as fits `out`. A pair that does not fit is split: the second byte
    /// comes first in the next step, even when `in` is empty then.
    [[nodiscard]] netascii_progress encode(bytes_view in, bytes_span out) noexcept;

    /// Returns true while the second byte of a pair is still to be written.
    [[nodiscard]] bool pending() const noexcept { return pending_.has_value(); }

private:
    std::optional<std::byte> pending_;
};

/// Turns netascii into local text: CR LF becomes LF, CR NUL becomes CR; a CR before anything else
/// and a bare LF pass unchanged. A pair may be split over steps.
class netascii_decoder {
public:
    /// Converts as much of `in` as fits `out`; `out` one byte larger than `in` takes all of it.
    [[nodiscard]] netascii_progress decode(bytes_view in, bytes_span out) noexcept;

    /// Ends the stream: returns the CR that was still waiting for its second byte, if any.
    [[nodiscard]] std::optional<std::byte> finish() noexcept;

private:
    bool after_cr_ = false;
};

} // namespace tftp
