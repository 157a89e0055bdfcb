#include <tftp/wire/packet.hpp>

#include <algorithm>
#include <sim/world.hpp>

namespace tftp::sim {

namespace {

/// A run that needs more events than this does not end.
constexpr std::uint64_t events_max = 20'000'000;

constexpr std::uint16_t request_port = 69;
constexpr std::uint16_t first_transfer_port = 3000;
constexpr std::uint16_t client_port = 1024;
constexpr std::size_t transfers_max = 8;

/// The listener of a server, and its transfers.
class server final : public station {
public:
    server(const schedule& plan, prng& seeds, const journal& log)
        : station(network::server_host.with_port(request_port)),
          plan_(plan),
          seeds_(seeds),
          log_(log) {}

    void on_arrival(network& net, const datagram& arrived) override {
        const auto packet = decode(arrived.octets);
        const auto* request = packet ? std::get_if<request_view>(&*packet) : nullptr;
        if (request == nullptr) {
            return;
        }
        const auto same = std::ranges::find_if(transfers_, [&](const auto& s) {
            return !s->report().closed && s->peer() == arrived.from;
        });
        if (plan_.joins && same != transfers_.end()) {
            (*same)->repeat_opening(net);
        } else if (transfers_.size() < transfers_max) {
            open(net, *request, arrived.from);
        }
    }

    void on_wake(network&, std::uint32_t) override {}

    [[nodiscard]] const std::vector<std::unique_ptr<driver>>& transfers() const noexcept {
        return transfers_;
    }

private:
    void open(network& net, const request_view& request, const endpoint& peer) {
        const bool read = request.op == opcode::rrq;
        const auto size = read && !plan_.server_driver.size_unknown
                              ? std::optional<std::uint64_t>(plan_.size)
                              : std::nullopt;
        const answer answered =
            plan_.ignores_options ? answer{} : answer_request(request, plan_.granted, size);
        const endpoint at = network::server_host.with_port(
            static_cast<std::uint16_t>(first_transfer_port + transfers_.size())
        );
        log_.line(net.now(), at, "  transfer opens");
        const auto with = [&](auto engine) -> std::unique_ptr<driver> {
            using side = std::conditional_t<
                std::is_same_v<decltype(engine), sender>,
                sending_driver,
                receiving_driver>;
            return std::make_unique<side>(
                at, plan_.server_driver, plan_.server, plan_.size, seeds_.next(), log_, engine
            );
        };
        transfers_.push_back(
            read ? with(sender::respond(answered, peer, plan_.server, net.now()))
                 : with(receiver::respond(answered, peer, plan_.server, net.now()))
        );
        net.attach(*transfers_.back());
        transfers_.back()->begin(net);
    }

    const schedule& plan_;
    prng& seeds_;
    const journal& log_;
    std::vector<std::unique_ptr<driver>> transfers_;
};

std::unique_ptr<driver> make_client(
    const schedule& plan, prng& seeds, const journal& log, std::uint16_t port, time_point now
) {
    const endpoint at = network::client_host.with_port(port);
    const endpoint to = network::server_host.with_port(request_port);
    const transfer_mode octet = transfer_mode::octet;
    if (plan.read) {
        return std::make_unique<receiving_driver>(
            at,
            plan.client_driver,
            plan.client,
            plan.size,
            seeds.next(),
            log,
            receiver::request("file", octet, plan.asked, to, plan.client, now).value()
        );
    }
    return std::make_unique<sending_driver>(
        at,
        plan.client_driver,
        plan.client,
        plan.size,
        seeds.next(),
        log,
        sender::request("file", octet, plan.asked, to, plan.client, now).value()
    );
}

void drain(network& net) {
    while (net.step()) {
        require(net.events() < events_max, "the run does not end");
    }
}

/// What only both sides together show.
void check_both(const schedule& plan, const report& seen) {
    const side_report& from = seen.sender(plan);
    const side_report& into = seen.receiver(plan);
    if (from.completed && !from.outcome) {
        require(into.committed, "the sender succeeded, the receiver has not committed");
        require(into.bytes_stored == plan.size, "the sender succeeded, octets are missing");
    }
    // A repeat needs a reason: something lost, late or twice, and each costs a window at most.
    const auto steady = [](const link_config& l) {
        return l.jitter == duration::zero() && l.delay < std::chrono::milliseconds(400) &&
               l.per_octet == duration::zero();
    };
    const bool orderly = steady(plan.to_server) && steady(plan.to_client) &&
                         seen.to_server.reordered + seen.to_client.reordered +
                                 seen.to_server.duplicated + seen.to_client.duplicated ==
                             0;
    const std::uint64_t lost = seen.to_server.lost + seen.to_client.lost + seen.unheard;
    const bool prompt = plan.client_driver.wake_lag + plan.server_driver.wake_lag +
                            plan.client_driver.block_lag + plan.server_driver.block_lag +
                            plan.client_driver.commit_lag + plan.server_driver.commit_lag +
                            plan.client_driver.stall + plan.server_driver.stall +
                            plan.client_driver.pause + plan.server_driver.pause +
                            plan.client_driver.busy + plan.server_driver.busy <
                        std::chrono::milliseconds(2);
    if (orderly && prompt && seen.transfers == 1) {
        require(
            from.counters.retransmissions <= lost * from.agreed.windowsize * 2,
            "more blocks were repeated than the losses explain"
        );
    }
}

report collect(const network& net, const server& s, const endpoint& client_took) {
    report seen;
    const auto& transfers = s.transfers();
    for (const auto& transfer : transfers) {
        require(transfer->report().closed, "a transfer of the server is never closed");
    }
    if (!transfers.empty()) {
        const auto taken = std::ranges::find_if(transfers, [&](const auto& transfer) {
            return transfer->address() == client_took;
        });
        seen.server = (taken != transfers.end() ? *taken : transfers.front())->report();
    }
    seen.transfers = transfers.size();
    seen.to_server = net.to_server().counters();
    seen.to_client = net.to_client().counters();
    seen.unheard = net.unheard();
    seen.events = net.events();
    return seen;
}

} // namespace

std::vector<report> run_together(
    const schedule& plan, std::size_t count, duration apart, std::uint64_t seed, bool trace
) {
    const journal log(trace);
    prng seeds(seed);
    network net(plan.to_server, plan.to_client, seeds);
    server listening(plan, seeds, log);
    net.attach(listening);
    std::vector<std::unique_ptr<driver>> clients;
    const auto begin_next = [&] {
        const auto port = static_cast<std::uint16_t>(client_port + clients.size());
        clients.push_back(make_client(plan, seeds, log, port, net.now()));
        net.attach(*clients.back());
        clients.back()->begin(net);
    };
    begin_next();
    do {
        while (clients.size() < count &&
               net.now() >= network::start + apart * static_cast<duration::rep>(clients.size())) {
            begin_next();
        }
        require(net.events() < events_max, "the run does not end");
    } while (net.step());
    std::vector<report> seen;
    for (const auto& client : clients) {
        require(client->report().closed, "a client is never closed");
        seen.push_back(collect(net, listening, client->peer()));
        seen.back().client = client->report();
    }
    return seen;
}

report run(const schedule& plan, std::uint64_t seed, bool trace, pcap_writer* capture) {
    const journal log(trace);
    prng seeds(seed);
    network net(plan.to_server, plan.to_client, seeds);
    net.capture(capture);
    server listening(plan, seeds, log);
    net.attach(listening);
    if (plan.field_client) {
        field_client client(
            network::client_host.with_port(client_port),
            listening.address(),
            *plan.field_client,
            plan.size,
            log
        );
        net.attach(client);
        client.begin(net);
        drain(net);
        report seen = collect(net, listening, {});
        seen.field_client = client.report();
        return seen;
    }
    const std::unique_ptr<driver> client =
        make_client(plan, seeds, log, client_port, network::start);
    net.attach(*client);
    client->begin(net);
    drain(net);
    require(client->report().closed, "the client is never closed");
    report seen = collect(net, listening, client->peer());
    seen.client = client->report();
    check_both(plan, seen);
    return seen;
}

} // namespace tftp::sim
