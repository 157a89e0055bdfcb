#pragma once

#include <array>

namespace example {

/// Returns the word of RFC 9293 for a state of TCP as the kernel numbers them in /proc/net/tcp.
[[nodiscard]] inline const char* tcp_state_name(unsigned state) {
    static constexpr std::array words{
        "?",
        "ESTABLISHED",
        "SYN-SENT",
        "SYN-RECEIVED",
        "FIN-WAIT-1",
        "FIN-WAIT-2",
        "TIME-WAIT",
        "CLOSED",
        "CLOSE-WAIT",
        "LAST-ACK",
        "LISTEN",
        "CLOSING",
        // Without a socket yet.
        "SYN-RECEIVED"};
    return state < words.size() ? words.at(state) : "?";
}

} // namespace example
