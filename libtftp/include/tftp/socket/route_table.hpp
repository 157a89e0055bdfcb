#pragma once

#include <tftp/base/endpoint.hpp>
#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>
#include <tftp/base/unique_fd.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tftp {

/// Asks the kernel about routes. Keeps one socket a family, opened at the first question, because
/// a new one each time would cost as much as sending a datagram; and the answers for a while,
/// because a machine that boots asks for one file after the other.
///
/// Sends nothing. Not thread-safe.
class route_table {
public:
    /// An answer is given again for so long. A block that was too large for a route meanwhile would
    /// arrive in fragments.
    static constexpr auto kept_for = std::chrono::seconds(5);

    /// Returns the MTU of the route to `to` in bytes, IP header included, as it is at `now` or was
    /// less than `kept_for` before; up to 65536, which the loopback interface gives.
    ///
    /// Errors: as socket(2) and connect(2) say, for example `network_unreachable`; they are not
    /// kept.
    [[nodiscard]] result<std::uint32_t> mtu(const endpoint& to, time_point now) noexcept;

private:
    struct answer {
        endpoint to;
        /// 0: there is no answer.
        std::uint32_t mtu = 0;
        time_point since;
    };

    /// Each host has its place in it; two that have the same take turns.
    static constexpr std::size_t answers = 128;

    [[nodiscard]] result<std::uint32_t> ask(const endpoint& to) noexcept;

    unique_fd ipv4_;
    unique_fd ipv6_;
    std::array<answer, answers> answers_{};
};

/// Returns the MTU of the route to `to`: `route_table` for one question.
[[nodiscard]] result<std::uint32_t> route_mtu(const endpoint& to) noexcept;

/// Returns the largest blksize whose DATA fits `mtu` bytes unfragmented: less the IP header
/// without options, the UDP header, and the four bytes of opcode and block number, in the range
/// 8..65464 of RFC 2348.
[[nodiscard]] std::uint16_t blksize_for_mtu(std::uint32_t mtu, address_family family) noexcept;

} // namespace tftp
