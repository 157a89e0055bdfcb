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
    offer asked = config_.asked;
    if (probed_) {
        asked.tsize.reset();
    }
    const auto used =
        encode_request(opcode::rrq, config_.filename, transfer_mode::octet, asked, out).value();
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
        on_oack(net, *oack, arrived.from);
        return;
    }
    const auto* data = std::get_if<data_view>(&*packet);
    require(data != nullptr, "a client of the field got something else than DATA");
    heard_ = true;
    server_ = arrived.from;
    ++report_.data_received;
    on_data(net, data->block, data->payload);
}

void field_client::on_oack(network& net, const oack_view& oack, const endpoint& from) {
    if (config_.probes && !probed_) {
        std::array<std::byte, 32> out{};
        const auto size = encode_error(peer_errc::option_refused, "aborted", out).value();
        if (log_.on()) {
            log_.line(
                net.now(), address(), fmt::format("  -> {}", describe(bytes_view(out).first(size)))
            );
        }
        net.send(address(), from, bytes_view(out).first(size));
        probed_ = true;
        begin(net);
        return;
    }
    if (!heard_) {
        heard_ = true;
        server_ = from;
        agreed_ = accept_oack(oack, config_.asked).value();
    }
    if (expected_ == 1) {
        const auto ack = encode_ack(0);
        last_.assign(ack.begin(), ack.end());
        send_last(net);
        restart(net);
    }
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
        std::ranges::equal(payload, content::at(config_.shift + report_.bytes, payload.size())),
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
    if (what == wake_begin) {
        begin(net);
        return;
    }
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
