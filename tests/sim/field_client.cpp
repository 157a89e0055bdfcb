#include <tftp/engine/block_number.hpp>
#include <tftp/wire/packet.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <sim/content.hpp>
#include <sim/field_client.hpp>

namespace tftp::sim {

field_client::field_client(
    const endpoint& at,
    const endpoint& server,
    const field_client_config& config,
    std::uint64_t size,
    const journal& log
)
    : station(at), server_(server), config_(config), size_(size), log_(log) {}

void field_client::begin(network& net) {
    std::array<std::byte, request_size_max> out{};
    const auto used =
        encode_request(opcode::rrq, "file", transfer_mode::octet, config_.asked, out).value();
    last_.assign(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(used));
    send_last(net);
    restart(net);
}

void field_client::send_last(network& net) {
    if (log_.on()) {
        log_.line(net.now(), address(), fmt::format("  -> {}", describe(last_)));
    }
    net.send(address(), server_, last_, acked_);
    report_.acks_sent += heard_ ? 1U : 0U;
}

void field_client::restart(network& net) {
    const duration wait =
        repeats_ < config_.repeats.size() ? config_.repeats[repeats_] : config_.patience;
    net.wake(*this, net.now() + wait, ++timer_);
}

void field_client::on_arrival(network& net, const datagram& arrived) {
    if (report_.failed || (heard_ && arrived.from != server_)) {
        return;
    }
    if (log_.on()) {
        log_.line(net.now(), address(), fmt::format("  <- {}", describe(arrived.octets)));
    }
    const auto packet = decode(arrived.octets);
    require(packet.has_value(), "a client of the field got no TFTP packet");
    if (std::holds_alternative<error_view>(*packet)) {
        report_.failed = !report_.complete;
        return;
    }
    if (const auto* oack = std::get_if<oack_view>(&*packet)) {
        if (!heard_) {
            heard_ = true;
            server_ = arrived.from;
            agreed_ = accept_oack(*oack, config_.asked).value();
        }
        if (expected_ == 1) {
            const auto ack = encode_ack(0);
            last_.assign(ack.begin(), ack.end());
            send_last(net);
            restart(net);
        }
        return;
    }
    const auto* data = std::get_if<data_view>(&*packet);
    require(data != nullptr, "a client of the field got something else than DATA");
    heard_ = true;
    server_ = arrived.from;
    ++report_.data_received;
    on_data(net, data->block, data->payload);
}

void field_client::on_data(network& net, std::uint16_t wire, bytes_view payload) {
    const bool next = wire == to_wire(expected_, rollover::to_zero) && !report_.complete;
    if (!next) {
        const bool again = wire == to_wire(expected_ - 1, rollover::to_zero);
        if (config_.acks_each_stray || (config_.acks_repeats && again)) {
            const auto ack = encode_ack(to_wire(expected_ - 1, rollover::to_zero));
            last_.assign(ack.begin(), ack.end());
            acked_ = expected_ - 1;
            send_last(net);
        }
        return;
    }
    require(
        std::ranges::equal(payload, content::at(report_.bytes, payload.size())),
        "a client of the field got other octets than those of the file"
    );
    report_.bytes += payload.size();
    const bool last = payload.size() < agreed_.blksize;
    if (last || expected_ - acked_ >= agreed_.windowsize) {
        acked_ = expected_;
        const auto ack = encode_ack(to_wire(expected_, rollover::to_zero));
        last_.assign(ack.begin(), ack.end());
        send_last(net);
    }
    ++expected_;
    repeats_ = 0;
    if (last) {
        require(report_.bytes == size_, "the file ends early for a client of the field");
        report_.complete = true;
        report_.completed_at = net.now();
        ++timer_;
    } else {
        restart(net);
    }
}

void field_client::on_wake(network& net, std::uint32_t what) {
    if (what != timer_ || report_.complete || report_.failed) {
        return;
    }
    if (repeats_ >= config_.repeats.size()) {
        report_.failed = true;
        return;
    }
    ++repeats_;
    send_last(net);
    restart(net);
}

} // namespace tftp::sim
