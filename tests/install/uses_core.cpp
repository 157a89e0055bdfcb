// A consumer of tftp::core: decodes an ACK that it encoded.
#include <tftp/version.hpp>
#include <tftp/wire/packet.hpp>

#include <cstdio>
#include <variant>

int main() {
    const auto datagram = tftp::encode_ack(7);
    const auto packet = tftp::decode(datagram);
    const auto* ack = packet ? std::get_if<tftp::ack_view>(&*packet) : nullptr;
    if (ack == nullptr || ack->block != 7) {
        std::puts("the ACK did not survive");
        return 1;
    }
    std::printf("libtftp %.*s\n", static_cast<int>(tftp::version.size()), tftp::version.data());
    return 0;
}
