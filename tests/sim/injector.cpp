#include <fmt/core.h>

#include <array>
#include <sim/injector.hpp>
#include <string_view>

namespace tftp::sim {

namespace {

using namespace std::string_view_literals;

constexpr endpoint listening = network::server_host.with_port(69);
constexpr endpoint elsewhere = endpoint::ipv4(192, 0, 2, 7, 0);

bytes_view as_bytes(std::string_view text) noexcept {
    return std::as_bytes(std::span(text.data(), text.size()));
}

constexpr std::array not_tftp = {
    ""sv,
    "\0"sv,
    "\0\3"sv,
    "\0\3\0"sv,
    "\0\4\0"sv,
    "\0\5\0"sv,
    "\0\0\0\1"sv,
    "\0\7\0\1"sv,
    "\1\4\0\1"sv,
    "\0\1file"sv,
    "\0\1file\0mail\0"sv,
    "\0\2\0octet\0"sv,
};

constexpr std::array forged = {
    "\0\3\0\1forged"sv,
    "\0\3\0\2"sv,
    "\0\4\0\0"sv,
    "\0\4\0\1"sv,
    "\0\4\0\7"sv,
    "\0\6blksize\0"
    "512\0"sv,
    "\0\1f1-1\0octet\0"sv,
    "\0\5\0\1stop\0"sv,
    "\0\5\0\5"sv,
};

constexpr std::array requests = {
    "\0\1f1-5000\0octet\0"sv,
    "\0\2x1-5000\0octet\0"sv,
    "\0\1f1-5000\0octet\0blksize\0"
    "600\0"sv,
};

template <std::size_t n>
bytes_view one_of(prng& random, const std::array<std::string_view, n>& texts) {
    return as_bytes(texts[random.below(n)]);
}

} // namespace

injector::injector(
    const injector_plan& plan,
    const kernel::parts& world,
    const kernel& server,
    const std::vector<std::unique_ptr<own_client>>& clients,
    std::uint64_t seed
)
    : station(elsewhere),
      plan_(plan),
      world_(world),
      server_(server),
      clients_(clients),
      random_(seed) {
    for (std::uint32_t i = 0; i < plan_.events.size(); ++i) {
        world_.net.wake(*this, network::start + plan_.events[i].first, i);
    }
}

void injector::on_wake(network&, std::uint32_t what) {
    const happening kind = plan_.events[what].second;
    if (kind == happening::forged_request || kind == happening::forged_copy ||
        kind == happening::forged_packet) {
        forge(kind);
    } else if (kind == happening::malformed_in_transfer || kind == happening::foreign_tid) {
        to_transfer(kind);
    } else {
        to_listener(kind);
    }
}

void injector::inject(const endpoint& from, const endpoint& to, bytes_view octets) {
    if (world_.log.on()) {
        world_.log.line(
            world_.net.now(), from, fmt::format("-> :{} {} (injected)", to.port, describe(octets))
        );
    }
    world_.net.inject(from, to, octets);
}

void injector::to_listener(happening what) {
    const auto port = static_cast<std::uint16_t>(random_.between(1'024, 60'000));
    endpoint from = elsewhere.with_port(port);
    endpoint to = listening;
    bytes_view octets = one_of(random_, requests);
    switch (what) {
    case happening::from_port_zero:
        from = unanswered_host;
        break;
    case happening::from_own_port:
        from = listening;
        break;
    case happening::to_group:
        from = unanswered_host.with_port(port);
        to = endpoint::ipv4(255, 255, 255, 255, listening.port);
        break;
    default:
        octets = one_of(random_, not_tftp);
        break;
    }
    world_.seen.note(what);
    inject(from, to, octets);
}

void injector::foreign(const sim_socket& socket, const endpoint& host) {
    const auto port = static_cast<std::uint16_t>(random_.between(20'000, 30'000));
    world_.seen.note(happening::foreign_tid);
    inject(host.with_port(port), socket.address(), one_of(random_, forged));
}

/// To the port of requests, in the name of a client that has a transfer: whoever does so knows its
/// address and port. One that awaits its first answer is left alone: it would believe the answer to
/// the forged request, as nothing tells it from that to its own.
void injector::forge(happening what) {
    std::vector<const own_client*> victims;
    for (const auto& client : clients_) {
        const own_client_plan& plan = client->plan();
        if (client->under_way() && !plan.second && !plan.vanishes_after) {
            victims.push_back(client.get());
        }
    }
    if (victims.empty()) {
        return;
    }
    const own_client& victim = *victims[random_.below(victims.size())];
    const asked_file& file = victim.plan().first;
    std::array<std::byte, request_size_max> out{};
    bytes_view octets =
        what == happening::forged_packet ? one_of(random_, forged) : one_of(random_, requests);
    if (what == happening::forged_copy) {
        const opcode op = file.read ? opcode::rrq : opcode::wrq;
        const auto size = encode_request(op, file.name.text(), file.mode, file.options, out);
        octets = bytes_view(out).first(size.value());
    }
    world_.seen.note(what);
    inject(victim.local().value(), listening, octets);
}

void injector::to_transfer(happening what) {
    std::vector<sim_socket*> sockets;
    for (const auto& [fd, socket] : server_.sockets()) {
        if (socket->watch().use() != port_use::requests) {
            sockets.push_back(socket);
        }
    }
    for (const auto& client : clients_) {
        for (const auto& [fd, socket] : client->system().sockets()) {
            sockets.push_back(socket);
        }
    }
    if (sockets.empty()) {
        return;
    }
    sim_socket& socket = *sockets[random_.below(sockets.size())];
    const std::vector<endpoint> peers = socket.watch().peers();
    const std::size_t chosen = peers.size() > 1 ? random_.below(peers.size()) : 0;
    if (what == happening::foreign_tid) {
        // Before its server answered, a client takes what comes from that host.
        const bool near = !peers.empty() && random_.below(2) == 0;
        foreign(socket, near ? peers[chosen] : elsewhere);
    } else if (!peers.empty()) {
        world_.seen.note(what);
        inject(peers[chosen], socket.address(), one_of(random_, not_tftp));
    }
}

} // namespace tftp::sim
