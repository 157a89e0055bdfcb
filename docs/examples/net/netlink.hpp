#pragma once

#include <tftp/base/endpoint.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include <linux/netlink.h>

namespace example::netlink {

using octets_view = std::span<const std::byte>;

/// Copies the struct out that `from` begins with. Throws std::runtime_error when it is too short.
template <class Value>
Value read(octets_view from) {
    static_assert(std::is_trivially_copyable_v<Value>);
    if (from.size() < sizeof(Value)) {
        throw std::runtime_error("a message of netlink is too short");
    }
    Value out{};
    std::memcpy(&out, from.data(), sizeof out);
    return out;
}

/// What stands behind the body of a message, any number of them, each of its own size.
struct attribute {
    std::uint16_t type = 0;
    /// Lifetime: that of the message.
    octets_view value;
};

/// Returns the attributes of a message without its header and body.
[[nodiscard]] std::vector<attribute> read_attributes(octets_view from);

/// A message to the kernel: header, body, attributes, each padded to four bytes (netlink(7)).
class request {
public:
    /// type: RTM_NEWADDR and so on, with the struct that belongs to it. flags: NLM_F_ACK to
    /// change, NLM_F_DUMP to list; one of the two, or no answer comes.
    template <class Body>
    request(std::uint16_t type, int flags, const Body& body) {
        ::nlmsghdr header{};
        header.nlmsg_type = type;
        header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
        append(std::as_bytes(std::span(&header, 1)));
        append(std::as_bytes(std::span(&body, 1)));
    }

    /// Adds an attribute whose value is a number.
    void add(std::uint16_t type, const std::uint32_t& value);

    /// Adds an attribute whose value is an address, 4 or 16 bytes.
    void add(std::uint16_t type, const tftp::endpoint& address);

    /// Sends it on a new socket and gives `each` the answers, without their headers. Throws
    /// std::system_error with `what` when the kernel refuses.
    void
    send(const std::string& what, const std::function<void(octets_view answer)>& each = nullptr);

private:
    void add(std::uint16_t type, octets_view value);
    void append(octets_view what);

    std::vector<std::byte> octets_;
};

struct gateway {
    tftp::endpoint address;
    /// The interface it is reached through.
    std::uint32_t index = 0;
};

/// Returns the gateways of the default routes: those to a network of no bits at all.
[[nodiscard]] std::vector<gateway> default_gateways();

} // namespace example::netlink
