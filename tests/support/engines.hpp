#pragma once

#include "support/builders.hpp"
#include "support/script.hpp"

#include <tftp/engine/config.hpp>
#include <tftp/engine/receiver.hpp>
#include <tftp/engine/sender.hpp>
#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>

#include <cstdint>
#include <optional>
#include <variant>

/// The four situations of TFTP: either side of a read and of a write, made at `start`.
namespace tftp::test {

inline const option_pairs window_4{{"windowsize", "4"}};
inline const option_pairs window_16{{"windowsize", "16"}};

/// The server's side of a read by `peer`. size: bytes of the file.
[[nodiscard]] inline sender serve_read(
    const option_pairs& options = {},
    std::optional<std::uint64_t> size = std::nullopt,
    const engine_config& config = {},
    const option_limits& limits = {}
) {
    const datagram octets = rrq("file", options);
    const auto packet = decode(octets).value();
    const answer answered = answer_request(std::get<request_view>(packet), limits, size);
    sender s = sender::respond(answered, peer, config, start);
    if (size) {
        s.on_source_end(*size);
    }
    return s;
}

/// The server's side of a write by `peer`.
[[nodiscard]] inline receiver serve_write(
    const option_pairs& options = {},
    const engine_config& config = {},
    const option_limits& limits = {}
) {
    const datagram octets = wrq("file", options);
    const auto packet = decode(octets).value();
    const answer answered = answer_request(std::get<request_view>(packet), limits, std::nullopt);
    return receiver::respond(answered, peer, config, start);
}

/// The client's side of a read.
[[nodiscard]] inline receiver
ask_read(const offer& offered = {}, const engine_config& config = {}) {
    return receiver::request("file", transfer_mode::octet, offered, server, config, start).value();
}

/// The client's side of a write. size: bytes of the file.
[[nodiscard]] inline sender ask_write(
    const offer& offered = {},
    std::optional<std::uint64_t> size = std::nullopt,
    const engine_config& config = {}
) {
    sender s =
        sender::request("file", transfer_mode::octet, offered, server, config, start).value();
    if (size) {
        s.on_source_end(*size);
    }
    return s;
}

} // namespace tftp::test
