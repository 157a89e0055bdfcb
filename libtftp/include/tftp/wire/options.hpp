#pragma once

#include <tftp/base/error.hpp>
#include <tftp/wire/option_list.hpp>
#include <tftp/wire/option_value.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tftp {

struct request_view;
struct oack_view;

/// RFC 2348: bytes of payload in a DATA that is not the last.
inline constexpr std::uint16_t blksize_min = 8;
inline constexpr std::uint16_t blksize_max = 65464;
inline constexpr std::uint16_t blksize_default = 512;

/// RFC 7440 allows 65535; half of it keeps the nearest match of a wire number unambiguous even for
/// delayed duplicates (see block_number.hpp).
inline constexpr std::uint16_t windowsize_max = 32767;

/// What both sides agreed on; the defaults are those of RFC 1350.
struct parameters {
    /// Bytes, 8..65464.
    std::uint16_t blksize = blksize_default;
    /// Blocks, 1..32767.
    std::uint16_t windowsize = 1;
    /// 1..255 s; empty when not negotiated. RFC 2349.
    std::optional<std::chrono::seconds> timeout{};
    /// Bytes of the whole file as the OACK or the WRQ announced them. RFC 2349.
    std::optional<std::uint64_t> tsize{};

    friend bool operator==(const parameters&, const parameters&) = default;
};

/// What a server is willing to grant.
struct option_limits {
    /// Bytes, 8..65464.
    std::uint16_t blksize = blksize_max;
    /// Blocks, 1..32767.
    std::uint16_t windowsize = 256;
    /// False: `timeout` is left out of every OACK.
    bool allow_timeout = true;
};

/// What a client asks for. An empty member is not asked.
struct offer {
    std::optional<std::uint16_t> blksize{};
    std::optional<std::uint16_t> windowsize{};
    std::optional<std::chrono::seconds> timeout{};
    /// 0 in an RRQ, the size in bytes in a WRQ. RFC 2349.
    std::optional<std::uint64_t> tsize{};

    /// Returns true when nothing is asked.
    [[nodiscard]] bool empty() const noexcept { return *this == offer{}; }

    friend bool operator==(const offer&, const offer&) = default;
};

/// A server's answer to a request: the agreed parameters and the options to put in the OACK.
///
/// Lifetime: the names borrow the request's datagram; the values are its own.
struct answer {
    /// One option of the OACK.
    struct accepted {
        /// As the client wrote it.
        std::string_view name;
        option_value value;
    };

    /// Options that an OACK may have.
    static constexpr std::size_t options_max = 8;

    parameters agreed;
    /// The first `accepted_count` are in use, in the client's order, each option at most once.
    std::array<accepted, options_max> options{};
    /// 0..options_max.
    std::size_t accepted_count = 0;

    /// Returns true when the request is answered by an OACK; an empty OACK is never sent.
    [[nodiscard]] bool needs_oack() const noexcept { return accepted_count != 0; }
};

/// Answers the options of an RRQ or WRQ.
///
/// Only requested options are accepted, a value is never raised. A value of a known option that is
/// no decimal number or below its range is as if not asked. One above the range is lowered to the
/// limit (BusyBox asks for 65564), except that a timeout is never altered, so it is left out. An
/// option given twice counts once, its first value.
///
/// tsize: of an RRQ in octet mode it becomes `file_size` whatever number was sent (U-Boot sends the
/// size of its previous file), and is left out when that is unknown or 0 (curl refuses `tsize 0`);
/// of a WRQ in octet mode it is echoed; in netascii it is left out. Never fails. RFC 2347, 2348,
/// 2349, 7440.
[[nodiscard]] answer answer_request(
    const request_view& request, const option_limits& limits, std::optional<std::uint64_t> file_size
) noexcept;

/// Returns what a client that sent `sent` has agreed to by accepting `oack`.
///
/// A tsize that is no size (negative, no number, more than 64 bits) or that is given with two
/// values is taken as not known. Errors: `errc::bad_option_answer` for an option that was not
/// asked, a raised or illegal blksize or windowsize, an altered timeout, another tsize than a WRQ
/// announced, another option with two values. The caller answers it with ERROR 8. RFC 2347, 2348,
/// 2349, 7440.
[[nodiscard]] result<parameters> accept_oack(const oack_view& oack, const offer& sent) noexcept;

} // namespace tftp
