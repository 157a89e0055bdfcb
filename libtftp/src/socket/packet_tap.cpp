#include <tftp/base/assert.hpp>
#include <tftp/socket/packet_tap.hpp>

#include <algorithm>
#include <new>
#include <utility>

namespace tftp {

tapped_socket::tapped_socket(std::unique_ptr<datagram_socket> inner, packet_tap& tap) noexcept
    : inner_(std::move(inner)), tap_(tap) {
    TFTP_ASSERT(inner_ != nullptr);
}

/// reported: family `none` when the caller or the socket does not say.
endpoint tapped_socket::local_of(const endpoint& reported) const noexcept {
    const endpoint bound = inner_->local_endpoint();
    return reported.family == address_family::none ? bound : reported.with_port(bound.port);
}

result<std::span<const received>>
tapped_socket::receive_batch(scratch& memory, std::size_t messages_max) noexcept {
    const auto messages = inner_->receive_batch(memory, messages_max);
    if (!messages || messages->empty()) {
        return messages;
    }
    const time_point now = tap_.now();
    for (const received& message : *messages) {
        const endpoint local = local_of(message.to);
        message.for_each_datagram([&](bytes_view datagram) {
            tap_.on_received({local, message.from, datagram, now});
        });
    }
    return messages;
}

result<std::uint16_t> tapped_socket::send_run(
    const endpoint& peer, const endpoint& local, bytes_view run, std::size_t segment
) noexcept {
    const auto taken = inner_->send_run(peer, local, run, segment);
    if (!taken) {
        return taken;
    }
    const time_point now = tap_.now();
    const endpoint from = local_of(local);
    bytes_view rest = run;
    for (std::uint16_t i = 0; i < *taken; ++i) {
        const bytes_view datagram = rest.first(std::min(segment, rest.size()));
        rest = rest.subspan(datagram.size());
        tap_.on_sent({from, peer, datagram, now});
    }
    return taken;
}

error_code
tapped_socket::send(const endpoint& peer, const endpoint& local, bytes_view datagram) noexcept {
    const error_code failed = inner_->send(peer, local, datagram);
    if (!failed) {
        tap_.on_sent({local_of(local), peer, datagram, tap_.now()});
    }
    return failed;
}

result<std::unique_ptr<datagram_socket>>
tapped_socket_factory::open(const endpoint& local, const socket_options& options) noexcept {
    auto inner = inner_.open(local, options);
    if (!inner) {
        return inner.error();
    }
    std::unique_ptr<datagram_socket> tapped(new (std::nothrow)
                                                tapped_socket(std::move(*inner), tap_));
    if (tapped == nullptr) {
        return make_error_code(boost::system::errc::not_enough_memory);
    }
    return tapped;
}

} // namespace tftp
