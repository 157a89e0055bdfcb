#pragma once

#include "fuzz/fuzz.hpp"
#include "support/builders.hpp"

#include <tftp/engine/config.hpp>
#include <tftp/engine/effect.hpp>
#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>

/// What the targets of the two engines share: how an input becomes options, times and datagrams,
/// and what holds for every effect of either engine.
namespace tftp::fuzz {

inline constexpr time_point start{std::chrono::hours(1)};

/// Events of one input: enough for any state, few enough that no input is slow.
inline constexpr int events_max = 400;

[[nodiscard]] inline engine_config config_from(input& in) {
    engine_config config;
    const std::uint8_t flags = in.u8();
    config.wrap = flags % 3 == 0   ? rollover::to_zero
                  : flags % 3 == 1 ? rollover::to_one
                                   : rollover::forbidden;
    config.timeouts = (flags & 128U) == 0 ? timeout_policy::honour : timeout_policy::ceiling;
    return config;
}

/// Options as a request or an OACK holds them: small and large values of every kind.
[[nodiscard]] inline test::option_pairs options_from(input& in) {
    test::option_pairs options;
    const std::uint8_t which = in.u8();
    if ((which & 1U) != 0) {
        constexpr std::uint16_t sizes[] = {8, 9, 512, 1024, 1428, 65464};
        options.emplace_back("blksize", std::to_string(in.pick(sizes)));
    }
    if ((which & 2U) != 0) {
        constexpr std::uint16_t windows[] = {1, 2, 3, 4, 8, 16, 64, 300, 32767};
        options.emplace_back("windowsize", std::to_string(in.pick(windows)));
    }
    if ((which & 4U) != 0) {
        options.emplace_back("timeout", std::to_string(1 + in.u8() % 255));
    }
    if ((which & 8U) != 0) {
        options.emplace_back("tsize", std::to_string(in.u16()));
    }
    return options;
}

/// What a client asks for when it means `options`.
[[nodiscard]] inline offer offer_from(const test::option_pairs& options) {
    offer asked;
    for (const auto& [name, value] : options) {
        const unsigned long number = std::stoul(value);
        if (name == "blksize") {
            asked.blksize = static_cast<std::uint16_t>(number);
        } else if (name == "windowsize") {
            asked.windowsize = static_cast<std::uint16_t>(number);
        } else if (name == "timeout") {
            asked.timeout = std::chrono::seconds(number);
        } else {
            asked.tsize = number;
        }
    }
    return asked;
}

/// The answer of a server that grants what is asked.
[[nodiscard]] inline answer answer_to(bytes_view request, std::optional<std::uint64_t> file_size) {
    option_limits generous;
    generous.windowsize = windowsize_max;
    const auto packet = decode(request);
    return answer_request(std::get<request_view>(packet.value()), generous, file_size);
}

/// A distance in time: from a nanosecond to some minutes, small ones as likely as large ones.
[[nodiscard]] inline duration duration_from(input& in) {
    const std::uint8_t octet = in.u8();
    return duration((1 + octet % 8) * (std::int64_t{1} << (octet / 8 + 4)));
}

/// Watches one engine: its control datagrams, its deadlines, its end.
class watcher {
public:
    /// Something else than a datagram is about to happen.
    void nothing_arrives() { stranger_.reset(); }

    /// A datagram is about to arrive; its sender may turn out to be a stranger.
    void arrives(bytes_view octets, const endpoint& from) {
        const auto packet = decode(octets);
        const bool answerable = packet && !std::holds_alternative<error_view>(*packet);
        stranger_ = answerable ? std::optional(from) : std::nullopt;
    }

    /// Takes a control datagram; returns its opcode, or nothing when it went to a stranger.
    std::optional<opcode> take(const send_control& control, const endpoint& peer) {
        require(!closed_, "a datagram after closed");
        require(!completed_ || !outcome_, "a datagram after the transfer has failed");
        const auto packet = decode(control.datagram);
        require(packet.has_value(), "a control datagram that is no TFTP packet");
        const auto* const error = std::get_if<error_view>(&*packet);
        if (error != nullptr && error->code == peer_errc::unknown_transfer_id) {
            require(stranger_ == control.to, "an ERROR 5 that nobody asked for");
            stranger_.reset();
            return std::nullopt;
        }
        require(control.to == peer, "a datagram for somebody else");
        return static_cast<opcode>(std::to_integer<unsigned>(control.datagram[1]));
    }

    void take(const completed& end) {
        require(!completed_, "completed twice");
        completed_ = true;
        outcome_ = end.outcome;
    }

    void take(const closed&) {
        require(completed_, "closed before completed");
        closed_ = true;
    }

    /// The engine rests. announced: it was just told the time.
    void take(const idle& rest, bool announced, time_point now) {
        require(!closed_, "idle after closed");
        require(!announced || !rest.deadline || *rest.deadline > now, "a deadline that has passed");
        deadline_ = rest.deadline;
    }

    [[nodiscard]] bool is_completed() const { return completed_; }

    [[nodiscard]] bool is_closed() const { return closed_; }

    [[nodiscard]] const error_code& outcome() const { return outcome_; }

    [[nodiscard]] std::optional<time_point> deadline() const { return deadline_; }

private:
    std::optional<endpoint> stranger_;
    std::optional<time_point> deadline_;
    error_code outcome_;
    bool completed_ = false;
    bool closed_ = false;
};

/// DATA of any size: test::data() is too slow for large blocks.
[[nodiscard]] inline test::datagram data_of(std::uint16_t block, std::size_t size) {
    test::datagram octets(header_size + size, static_cast<std::byte>(block & 0xffU));
    encode_data_header(std::span(octets).first<header_size>(), block);
    return octets;
}

/// A datagram with nothing in it that the engine must expect.
[[nodiscard]] inline test::datagram any_datagram(input& in) {
    constexpr std::uint8_t opcodes[] = {1, 2, 3, 4, 5, 6, 0, 7};
    const std::uint8_t kind = in.u8();
    test::datagram octets;
    if ((kind & 128U) == 0) {
        test::append_u16(octets, opcodes[kind % 8]);
    }
    const bytes_view rest = in.bytes(in.u8() % 64);
    octets.insert(octets.end(), rest.begin(), rest.end());
    return octets;
}

} // namespace tftp::fuzz
