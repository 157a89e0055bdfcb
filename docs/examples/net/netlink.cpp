#include "netlink.hpp"

#include "common/socket.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <linux/rtnetlink.h>
#include <sys/socket.h>

namespace example::netlink {

namespace {

std::size_t padded(std::size_t size) {
    return (size + 3) / 4 * 4;
}

/// Returns what is left behind `size` bytes and their padding.
octets_view behind(octets_view from, std::size_t size) {
    return from.subspan(std::min(padded(size), from.size()));
}

/// Returns the bytes behind a header that says how many there are, header included.
octets_view content(octets_view from, std::size_t header_size, std::size_t size) {
    if (size < header_size || size > from.size()) {
        throw std::runtime_error("a message of netlink has a wrong size");
    }
    return from.subspan(header_size, size - header_size);
}

} // namespace

std::vector<attribute> read_attributes(octets_view from) {
    std::vector<attribute> out;
    while (!from.empty()) {
        const auto head = read<::rtattr>(from);
        out.push_back({head.rta_type, content(from, sizeof head, head.rta_len)});
        from = behind(from, head.rta_len);
    }
    return out;
}

void request::add(std::uint16_t type, const std::uint32_t& value) {
    add(type, std::as_bytes(std::span(&value, 1)));
}

void request::add(std::uint16_t type, const tftp::endpoint& address) {
    const bool ipv4 = address.family == tftp::address_family::ipv4;
    add(type, std::as_bytes(std::span(address.address)).first(ipv4 ? 4 : 16));
}

void request::add(std::uint16_t type, octets_view value) {
    ::rtattr head{};
    head.rta_type = type;
    head.rta_len = static_cast<std::uint16_t>(sizeof head + value.size());
    append(std::as_bytes(std::span(&head, 1)));
    append(value);
}

void request::append(octets_view what) {
    octets_.insert(octets_.end(), what.begin(), what.end());
    octets_.resize(padded(octets_.size()));
}

void request::send(const std::string& what, const std::function<void(octets_view answer)>& each) {
    const unique_fd socket(
        check(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), "socket of netlink")
    );
    const auto size = static_cast<std::uint32_t>(octets_.size());
    std::memcpy(octets_.data() + offsetof(::nlmsghdr, nlmsg_len), &size, sizeof size);
    check(::send(socket.get(), octets_.data(), octets_.size(), 0), what.c_str());
    // An answer of the kernel is never longer (NLMSG_GOODSIZE, and 32 KiB for lists).
    std::vector<std::byte> memory(65536);
    for (;;) {
        const auto came = check(::recv(socket.get(), memory.data(), memory.size(), 0), "recv");
        octets_view left = octets_view(memory).first(static_cast<std::size_t>(came));
        while (!left.empty()) {
            const auto header = read<::nlmsghdr>(left);
            const octets_view body = content(left, sizeof header, header.nlmsg_len);
            if (header.nlmsg_type == NLMSG_DONE) {
                return;
            }
            if (header.nlmsg_type == NLMSG_ERROR) {
                // 0 is the acknowledgement.
                if (const int error = -read<int>(body); error != 0) {
                    const std::string hint = error == EPERM ? " (takes CAP_NET_ADMIN)" : "";
                    throw std::system_error(error, std::generic_category(), what + hint);
                }
                return;
            }
            if (each) {
                each(body);
            }
            left = behind(left, header.nlmsg_len);
        }
    }
}

std::vector<gateway> default_gateways() {
    std::vector<gateway> out;
    const ::rtmsg of_all_families{};
    request list(RTM_GETROUTE, NLM_F_DUMP, of_all_families);
    list.send("list the routes", [&](octets_view answer) {
        const auto route = read<::rtmsg>(answer);
        if (route.rtm_dst_len != 0 || route.rtm_table != RT_TABLE_MAIN) {
            return;
        }
        gateway found;
        auto& to = found.address;
        for (const attribute& each : read_attributes(answer.subspan(sizeof route))) {
            if (each.type == RTA_GATEWAY && each.value.size() <= to.address.size()) {
                to.family = route.rtm_family == AF_INET ? tftp::address_family::ipv4
                                                        : tftp::address_family::ipv6;
                std::memcpy(to.address.data(), each.value.data(), each.value.size());
            } else if (each.type == RTA_OIF) {
                found.index = read<std::uint32_t>(each.value);
            }
        }
        // A default route without a gateway: all is on this link, as with PPP.
        if (to.family != tftp::address_family::none) {
            out.push_back(found);
        }
    });
    return out;
}

} // namespace example::netlink
