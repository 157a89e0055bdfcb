#include <algorithm>
#include <sim/crowd.hpp>
#include <sim/heap.hpp>
#include <sim/injector.hpp>
#include <unordered_map>

namespace tftp::sim {

namespace {

/// A run that needs more events than this does not end.
constexpr std::uint64_t events_max = 8'000'000;

/// A client's requests come from here on; a flood uses the ports behind it.
constexpr std::uint16_t client_port = 2'000;

endpoint host_of(std::size_t client) {
    return endpoint::ipv4(
        10,
        1,
        static_cast<std::uint8_t>(client / 200),
        static_cast<std::uint8_t>(client % 200 + 1),
        0
    );
}

/// What the slowest disk, socket and program of this run may add to the engine's own waits.
duration slack_of(const crowd_plan& plan) {
    const server_plan& s = plan.server;
    duration client{};
    for (const client_plan& c : plan.clients) {
        if (const auto* const own = std::get_if<own_client_plan>(&c.peer)) {
            client = std::max(client, own->wake_lag + own->late_lag + own->kernel.full_lag);
        }
    }
    return std::chrono::seconds(3) + 4 * (s.disk.lag + s.kernel.full_lag + s.wake_lag + client);
}

class crowd {
public:
    crowd(const crowd_plan& plan, std::uint64_t seed, bool trace, pcap_writer* capture);

    [[nodiscard]] crowd_report run();

private:
    [[nodiscard]] watch_rules rules_for(const engine_config& engine, bool prompt) const;
    void add(const client_plan& plan, std::size_t index);
    void add(const field_plan& plan, const endpoint& at);
    void check_repeats(const wire_watch& over, const endpoint& host);
    [[nodiscard]] bool refuses(const datagram& d) const;
    void check_clients();
    void count_links(const endpoint& host);

    const crowd_plan& plan_;
    journal log_;
    prng seeds_;
    verdict judge_;
    crowd_report report_;
    network net_;
    kernel::parts world_;
    scratch memory_;
    duration slack_;
    crowd_server server_;
    std::vector<std::unique_ptr<own_client>> own_;
    std::vector<std::unique_ptr<raw_client>> raw_;
    std::vector<std::unique_ptr<field_client>> field_;
    std::unordered_map<endpoint, const client_plan*> plans_;
    std::unordered_map<endpoint, const own_client*> hosts_;
    std::unique_ptr<injector> injector_;
};

crowd::crowd(const crowd_plan& plan, std::uint64_t seed, bool trace, pcap_writer* capture)
    : plan_(plan),
      log_(trace),
      seeds_(seed),
      world_{net_, log_, judge_, report_.seen},
      slack_(slack_of(plan)),
      server_(
          plan.server,
          world_,
          rules_for(
              plan.server.service.engine,
              plan.server.disk.cold_ppm + plan.server.disk.refuse_job_ppm == 0
          ),
          seeds_
      ) {
    net_.capture(capture);
    for (std::size_t i = 0; i < plan.clients.size(); ++i) {
        add(plan.clients[i], i);
    }
    injector_ =
        std::make_unique<injector>(plan.injector, world_, server_.system(), own_, seeds_.next());
    net_.refuses = [this](const datagram& d) { return refuses(d); };
    server_.system().on_over = [this](const wire_watch& over) {
        check_repeats(over, over.peer().with_port(0));
    };
}

watch_rules crowd::rules_for(const engine_config& engine, bool prompt) const {
    return {engine, slack_, prompt};
}

void crowd::add(const client_plan& plan, std::size_t index) {
    const endpoint host = host_of(index);
    net_.add_path(host, plan.to_server, plan.to_client, seeds_);
    plans_[host] = &plan;
    if (const auto* const own = std::get_if<own_client_plan>(&plan.peer)) {
        own_.push_back(std::make_unique<own_client>(
            *own, world_, host, rules_for(own->engine, true), memory_, server_.files(), seeds_
        ));
        own_.back()->begin(net_);
        own_.back()->system().on_over = [this, host](const wire_watch& over) {
            check_repeats(over, host);
        };
        hosts_[host] = own_.back().get();
    } else if (const auto* const raw = std::get_if<raw_client_plan>(&plan.peer)) {
        raw_.push_back(
            std::make_unique<raw_client>(*raw, world_, host.with_port(client_port), seeds_.next())
        );
        net_.attach(*raw_.back());
        raw_.back()->begin(net_);
    } else if (const auto* const field = std::get_if<field_plan>(&plan.peer)) {
        add(*field, host.with_port(client_port));
    }
}

void crowd::add(const field_plan& plan, const endpoint& at) {
    field_.push_back(std::make_unique<field_client>(
        at, network::server_host.with_port(69), plan.client, plan.size, log_
    ));
    net_.attach(*field_.back());
    field_.back()->begin_at(net_, network::start + plan.begins);
    report_.seen.note(plan.kind);
}

bool crowd::refuses(const datagram& d) const {
    if (d.to.same_host(network::server_host)) {
        return !plan_.server.kernel.silent;
    }
    const auto found = hosts_.find(d.to.with_port(0));
    return found == hosts_.end() || !found->second->system().config().silent;
}

void crowd::check_repeats(const wire_watch& over, const endpoint& host) {
    const auto found = plans_.find(host);
    if (found == plans_.end() || !found->second->orderly) {
        return;
    }
    const link_counters& up = net_.to_server(host).counters();
    const link_counters& down = net_.to_client(host).counters();
    const std::uint64_t lost = up.lost + up.unheard + down.lost + down.unheard;
    judge_.require(
        over.repeats() <= lost * over.windowsize() * 2,
        "more DATA was sent again than the losses explain"
    );
}

void crowd::count_links(const endpoint& host) {
    tally& seen = report_.seen;
    for (const link* const l : {&net_.to_server(host), &net_.to_client(host)}) {
        const link_counters& c = l->counters();
        seen.note(happening::lost, c.lost);
        seen.note(happening::lost_in_burst, c.burst);
        seen.note(happening::duplicated, c.duplicated);
        seen.note(happening::reordered, c.reordered);
        seen.note(happening::corrupted, c.corrupt);
        seen.note(happening::queue_overflowed, c.overflowed);
        seen.note(happening::blacked_out, c.dark);
        seen.note(happening::above_mtu, c.oversize);
    }
}

void crowd::check_clients() {
    for (const auto& client : own_) {
        require(client->closed() && client->report().ended, "a client is never closed");
        const auto found = plans_.find(client->address());
        if (found->second->calm) {
            require(client->report().whole, "a transfer failed, though there was little trouble");
            report_.seen.note(happening::calm_transfer);
        }
        if (client->plan().engine.rto.max == client->plan().engine.rto.initial) {
            report_.seen.note(happening::own_fixed_timeouts, client->report().whole ? 1 : 0);
        }
    }
    for (const auto& client : raw_) {
        if (client->plan().honest()) {
            report_.seen.note(happening::plain_fixed_timeouts, client->whole() ? 1 : 0);
        } else {
            report_.seen.note(happening::rogue, client->received() != 0 ? 1 : 0);
        }
    }
}

crowd_report crowd::run() {
    while (judge_.broken() == nullptr && net_.step()) {
        require(net_.events() < events_max, "the run does not end");
    }
    require(judge_.broken() == nullptr, judge_.broken());
    check_clients();
    server_.check_idle();
    require(judge_.broken() == nullptr, judge_.broken());
    for (std::size_t i = 0; i < plan_.clients.size(); ++i) {
        count_links(host_of(i));
    }
    report_.clients = plan_.clients.size();
    report_.events = net_.events();
    report_.lasted = net_.now() - network::start;
    return report_;
}

} // namespace

crowd_report run(const crowd_plan& plan, std::uint64_t seed, bool trace, pcap_writer* capture) {
    const std::size_t blocks = heap::blocks();
    const std::size_t octets = heap::octets();
    crowd_report seen;
    {
        crowd all(plan, seed, trace, capture);
        seen = all.run();
    }
    require(heap::blocks() == blocks && heap::octets() == octets, "memory is lost");
    return seen;
}

} // namespace tftp::sim
