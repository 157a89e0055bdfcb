#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace example {

/// Gives `each` every frame of a recording of an Ethernet in the classic pcap format
/// (draft-ietf-opsawg-pcap), in either octet order.
///
/// Throws std::runtime_error when it is something else, or ends within a frame.
void read_recording(
    const std::string& path, const std::function<void(std::span<const std::uint8_t>)>& each
);

} // namespace example
