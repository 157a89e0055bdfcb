#include "server/demultiplexer.hpp"

#include <algorithm>
#include <array>
#include <variant>

namespace tftp {

void demultiplexer::deliver(
    shared_port& port, std::span<const received> messages, time_point now
) noexcept {
    while (!messages.empty()) {
        const received& first = messages.front();
        const auto other = std::ranges::find_if_not(messages, [&](const received& each) {
            return each.from == first.from && each.to == first.to;
        });
        const auto count = static_cast<std::size_t>(other - messages.begin());
        const transfer_key ends{first.from, local_of(port.socket(), first)};
        if (server_transfer* const t = runner_.transfers().find_pair(ends)) {
            runner_.on_packets(*t, messages.first(count), now);
        } else {
            for (const received& each : messages.first(count)) {
                on_stranger(port, each);
            }
        }
        messages = messages.subspan(count);
    }
}

void demultiplexer::on_stranger(shared_port& port, const received& message) noexcept {
    const auto unanswerable = context_.unanswerable(message);
    context_.drop(
        unanswerable.value_or(reason::stranger), message.from, local_of(port.socket(), message)
    );
    if (unanswerable) {
        return;
    }
    message.for_each_datagram([&](bytes_view datagram) {
        const auto packet = decode(datagram);
        // An OACK answers a request, and no request leaves from here.
        if (!packet || std::holds_alternative<error_view>(*packet) ||
            std::holds_alternative<oack_view>(*packet)) {
            return;
        }
        constexpr auto code = peer_errc::unknown_transfer_id;
        std::array<std::byte, 64> out{};
        if (const auto size = encode_error(code, peer_message(code), out)) {
            // Best effort, as everything that a stranger draws.
            static_cast<void>(
                port.socket().send(message.from, message.to, bytes_view(out).first(*size))
            );
        }
    });
}

} // namespace tftp
