#include <tftp/wire/packet.hpp>

#include <fmt/core.h>

#include <sim/journal.hpp>
#include <sim/network.hpp>

namespace tftp::sim {

void journal::line(time_point now, const endpoint& who, std::string_view what) const {
    if (on_) {
        const auto ns = (now - network::start).count();
        const auto host = [&who] {
            if (who.same_host(network::server_host)) {
                return std::string("server");
            }
            return who.same_host(network::client_host)
                       ? std::string("client")
                       : fmt::format("client {}.{}", who.address[2], who.address[3]);
        };
        fmt::print(
            "{:>6}.{:06} {} :{:<5} {}\n",
            ns / 1'000'000'000,
            ns / 1'000 % 1'000'000,
            host(),
            who.port,
            what
        );
    }
}

std::string describe(bytes_view datagram) {
    const auto packet = decode(datagram);
    if (!packet) {
        return fmt::format("malformed, {} octets", datagram.size());
    }
    if (const auto* data = std::get_if<data_view>(&*packet)) {
        return fmt::format("DATA {} ({} octets)", data->block, data->payload.size());
    }
    if (const auto* ack = std::get_if<ack_view>(&*packet)) {
        return fmt::format("ACK {}", ack->block);
    }
    if (const auto* error = std::get_if<error_view>(&*packet)) {
        return fmt::format("ERROR {} {}", static_cast<unsigned>(error->code), error->message);
    }
    std::string text = "OACK";
    option_list options;
    if (const auto* request = std::get_if<request_view>(&*packet)) {
        text = request->op == opcode::rrq ? "RRQ" : "WRQ";
        options = request->options;
    } else if (const auto* oack = std::get_if<oack_view>(&*packet)) {
        options = oack->options;
    }
    for (const option_list::entry option : options) {
        text += fmt::format(" {}={}", option.name, option.value);
    }
    return text;
}

} // namespace tftp::sim
