#include "system/forged.hpp"

#include "support/process.hpp"
#include "system/daemon.hpp"

#include <tftp/socket/socket_address.hpp>

#include <catch2/catch.hpp>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <system_error>

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace tftp::test {

void run_ip(const std::vector<std::string>& arguments) {
    command what = command_of({"ip"});
    what.argv.insert(what.argv.end(), arguments.begin(), arguments.end());
    const run_result result = run(what, daemon_limit);
    INFO(to_string(what) << ": " << result.errors);
    REQUIRE(result.status == 0);
}

forged_sender::forged_sender() : socket_(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW)) {
    if (!socket_) {
        throw std::system_error(errno, std::generic_category(), "raw socket");
    }
}

void forged_sender::send(
    const tftp::endpoint& from, const tftp::endpoint& to, const datagram& payload
) const {
    struct {
        ::iphdr ip;
        ::udphdr udp;
    } head{};

    head.ip.version = 4;
    head.ip.ihl = sizeof head.ip / 4;
    head.ip.ttl = 64;
    head.ip.protocol = IPPROTO_UDP;
    std::memcpy(&head.ip.saddr, from.address.data(), sizeof head.ip.saddr);
    std::memcpy(&head.ip.daddr, to.address.data(), sizeof head.ip.daddr);
    head.udp.source = htons(from.port);
    head.udp.dest = htons(to.port);
    head.udp.len = htons(static_cast<std::uint16_t>(sizeof head.udp + payload.size()));
    socket_address address(to.with_port(0));
    std::array<::iovec, 2> parts{
        {{&head, sizeof head}, {const_cast<std::byte*>(payload.data()), payload.size()}}};
    ::msghdr message{};
    message.msg_name = address.data();
    message.msg_namelen = address.size();
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    if (::sendmsg(socket_.get(), &message, 0) < 0) {
        throw std::system_error(errno, std::generic_category(), "forged datagram");
    }
}

} // namespace tftp::test
