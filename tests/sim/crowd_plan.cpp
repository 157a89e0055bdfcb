#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <sim/crowd_plan.hpp>
#include <sim/random_schedule.hpp>

namespace tftp::sim {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

template <class T, std::size_t n>
T one_of(prng& random, const std::array<T, n>& values) {
    return values[random.below(n)];
}

/// What the seed has switched on; each run has a few.
struct swarm {
    prng& random;
    rollover wrap = rollover::to_zero;
    bool bad_links = false;
    bool bad_kernels = false;
    bool bad_disk = false;
    bool tight_limits = false;
    /// Bit n: the kind of peer n of `random_client` may come.
    std::uint64_t kinds = 0;
    /// All begin within this.
    duration spread{};

    [[nodiscard]] bool one_in(std::uint64_t n) const { return random.below(n) == 0; }

    [[nodiscard]] duration begins() const { return random.up_to(spread); }
};

std::uint32_t rate(const swarm& s) {
    static constexpr std::array<std::uint32_t, 5> rates = {1'000, 5'000, 20'000, 100'000, 300'000};
    return one_of(s.random, rates);
}

kernel_config random_kernel(const swarm& s) {
    static constexpr std::array<std::size_t, 5> buffers = {2'304, 4'608, 16'384, 65'536, 212'992};
    kernel_config k;
    k.coalesces = s.one_in(2);
    if (!s.bad_kernels) {
        return k;
    }
    k.silent = s.one_in(3);
    if (s.one_in(3)) {
        k.receive_buffer = one_of(s.random, buffers);
        k.receive_buffer_max = one_of(s.random, buffers);
    }
    k.open_ppm = s.one_in(4) ? rate(s) : 0;
    k.refuse_ppm = s.one_in(4) ? rate(s) / 2 : 0;
    k.lose_ppm = s.one_in(4) ? rate(s) / 2 : 0;
    if (s.one_in(4)) {
        k.full_ppm = rate(s);
        k.full_lag = s.random.up_to(s.one_in(4) ? milliseconds(1'500) : milliseconds(20));
    }
    k.watch_ppm = s.one_in(6) ? rate(s) / 10 : 0;
    k.mtu = s.one_in(8) ? s.random.between(540, 1'500) : 0;
    return k;
}

disk_config random_disk(const swarm& s) {
    disk_config d;
    d.pool = !s.one_in(3);
    d.unsized = s.one_in(5);
    d.remote = s.one_in(5);
    if (d.pool && s.one_in(2)) {
        d.cold_ppm = rate(s);
        d.lag = s.random.up_to(s.one_in(4) ? seconds(5) : milliseconds(30));
    }
    if (!s.bad_disk) {
        return d;
    }
    d.refuse_job_ppm = s.one_in(3) ? rate(s) : 0;
    d.open_error_ppm = s.one_in(4) ? rate(s) : 0;
    d.read_error_ppm = s.one_in(4) ? rate(s) / 10 : 0;
    d.shrink_ppm = s.one_in(4) ? rate(s) / 10 : 0;
    d.write_error_ppm = s.one_in(4) ? rate(s) / 10 : 0;
    d.commit_error_ppm = s.one_in(4) ? rate(s) : 0;
    return d;
}

engine_config random_engine(const swarm& s) {
    engine_config e;
    e.wrap = s.wrap;
    e.timeouts = s.one_in(2) ? timeout_policy::honour : timeout_policy::ceiling;
    if (s.one_in(8)) {
        e.opening_sends = static_cast<std::uint8_t>(s.random.between(1, 7));
        e.give_up = seconds(s.random.between(1, 60));
    }
    return e;
}

server_plan random_server(const swarm& s) {
    server_plan p;
    p.service.blksize_auto = false;
    p.service.engine = random_engine(s);
    p.service.options.windowsize =
        static_cast<std::uint16_t>(s.one_in(3) ? s.random.between(1, 64) : 256);
    p.service.options.blksize =
        static_cast<std::uint16_t>(s.one_in(3) ? s.random.between(8, 1500) : 1468);
    p.service.options.allow_timeout = !s.one_in(4);
    if (s.tight_limits) {
        p.service.limits.transfers_max = s.random.between(1, 12);
        p.service.limits.half_open_max = s.random.between(1, 6);
        p.service.limits.transfers_per_client_max = s.random.between(1, 4);
        p.service.limits.requests_per_second =
            static_cast<std::uint32_t>(s.one_in(2) ? s.random.between(1, 40) : 50'000);
        p.service.limits.requests_per_client_per_second =
            static_cast<std::uint32_t>(s.one_in(2) ? s.random.between(1, 8) : 20'000);
        // An upload to another machine collects up to 2 MiB.
        p.service.limits.buffered_octets_max =
            s.one_in(2) ? s.random.between(1 << 22, 1 << 23) : 1 << 25;
    }
    p.kernel = random_kernel(s);
    p.disk = random_disk(s);
    p.wake_lag = s.one_in(3) ? s.random.up_to(s.one_in(4) ? milliseconds(50) : milliseconds(1))
                             : duration::zero();
    if (s.one_in(12)) {
        p.stops_at = s.random.up_to(s.spread + seconds(5));
    }
    return p;
}

/// A file that only this client knows.
asked_file random_file(const swarm& s, std::uint64_t client, bool ours) {
    asked_file f;
    f.read = !s.one_in(3);
    f.options = random_offer(s.random);
    if (ours && s.one_in(5)) {
        f.mode = transfer_mode::netascii;
    }
    const std::uint64_t blksize = f.options.blksize.value_or(blksize_default);
    const std::uint64_t kind = s.random.below(100);
    std::uint64_t blocks = s.random.between(0, 10);
    if (kind < 3) {
        blocks = s.random.between(100, 600);
    } else if (kind < 35) {
        blocks = s.random.between(10, 60);
    }
    f.name.shift = client * 1'009 + s.random.below(1'000);
    f.name.size = blocks * blksize + (s.one_in(3) ? 0 : s.random.below(blksize));
    if (f.options.tsize && !f.read) {
        f.options.tsize = f.name.size;
    }
    return f;
}

/// Past block 65535: small blocks and a wide window, or the run takes too long.
asked_file huge_file(const swarm& s, std::uint64_t client) {
    asked_file f;
    f.read = s.one_in(2);
    f.options.blksize = 8;
    f.options.windowsize = 64;
    f.name.shift = client * 1'009;
    f.name.size = s.random.between(65'520, 65'700) * 8 + s.random.below(8);
    return f;
}

own_client_plan own_base(const swarm& s, std::uint64_t client) {
    own_client_plan p;
    p.begins = s.begins();
    p.first = random_file(s, client, true);
    p.engine = random_engine(s);
    p.kernel = random_kernel(s);
    p.kernel.watch_ppm = 0;
    p.wake_lag = s.one_in(3) ? s.random.up_to(milliseconds(2)) : duration::zero();
    p.fall_back = s.one_in(2);
    return p;
}

own_client_plan fixed_timeouts(const swarm& s, std::uint64_t client) {
    own_client_plan p = own_base(s, client);
    const duration interval = milliseconds(s.random.between(200, 5'000));
    p.engine.rto.initial = interval;
    p.engine.rto.max = interval;
    p.engine.rto.variance_min = interval;
    p.engine.fixed_interval = interval;
    return p;
}

own_client_plan vanishing(const swarm& s, std::uint64_t client, bool restarts) {
    own_client_plan p = own_base(s, client);
    p.vanishes_after = s.random.up_to(s.one_in(2) ? milliseconds(20) : seconds(2));
    p.silent = s.one_in(2);
    if (restarts) {
        // Through a port that transfers share, nothing in the protocol tells what the old transfer
        // still sends from what the new one sends. So blocks of one number are the same octets in
        // both, of the default size, or what is stored is not looked at.
        p.first.name.any = s.one_in(2);
        p.first.options = p.first.name.any ? p.first.options : offer{};
        p.second = p.first;
        if (p.first.read && s.one_in(2)) {
            // The same octets, so that what the old transfer still sends is right as well.
            p.second->name.size += s.random.below(3'000);
            p.second->options = random_offer(s.random);
            p.second->options.tsize.reset();
            p.second->options.blksize.reset();
        }
        p.restarts_after = s.random.up_to(s.one_in(2) ? milliseconds(500) : seconds(20));
    }
    return p;
}

own_client_plan late(const swarm& s, std::uint64_t client) {
    own_client_plan p = own_base(s, client);
    p.late_ppm = rate(s);
    p.late_lag = s.random.up_to(s.one_in(4) ? seconds(40) : seconds(3));
    return p;
}

raw_client_plan plain(const swarm& s, std::uint64_t client) {
    raw_client_plan p;
    p.begins = s.begins();
    p.asked = random_file(s, client, false);
    p.timeout = milliseconds(s.random.between(500, 5'000));
    p.sends_max = static_cast<unsigned>(s.random.between(3, 10));
    return p;
}

raw_client_plan rogue(const swarm& s, std::uint64_t client) {
    raw_client_plan p = plain(s, client);
    p.asked.name.any = !p.asked.read;
    p.future_ack_ppm = s.one_in(3) ? rate(s) : 0;
    p.double_ack_ppm = s.one_in(3) ? rate(s) : 0;
    p.stale_ack_ppm = s.one_in(3) ? rate(s) : 0;
    p.wrong_size_ppm = s.one_in(3) ? rate(s) : 0;
    p.error_ppm = s.one_in(6) ? rate(s) : 0;
    p.vanish_ppm = s.one_in(6) ? rate(s) : 0;
    p.garbage_ppm = s.one_in(3) ? rate(s) : 0;
    p.request_again_ppm = s.one_in(6) ? rate(s) : 0;
    if (s.one_in(3)) {
        p.late_ppm = rate(s);
        p.late_lag = s.random.up_to(seconds(3));
    }
    return p;
}

raw_client_plan flood(const swarm& s, std::uint64_t client) {
    raw_client_plan p = plain(s, client);
    p.flood = static_cast<unsigned>(s.random.between(1, 30));
    p.asked.name.any = true;
    return p;
}

field_plan field(const swarm& s, std::uint64_t client, happening kind) {
    const asked_file file = random_file(s, client, false);
    field_plan p;
    p.begins = s.begins();
    p.kind = kind;
    p.size = file.name.size;
    field_client_config& c = p.client;
    c.filename = file.name.text();
    c.shift = file.name.shift;
    c.asked.tsize = 0;
    switch (kind) {
    case happening::uboot:
        c.asked = {1468, static_cast<std::uint16_t>(s.one_in(2) ? 1 : 16), seconds(5), 0};
        c.repeats = std::vector<duration>(10, seconds(5));
        c.acks_each_stray = true;
        break;
    case happening::grub:
        c.asked.blksize = 1024;
        break;
    case happening::ipxe:
        c.asked.blksize = 1432;
        c.repeats = {milliseconds(250), milliseconds(500), seconds(1), seconds(2), seconds(4)};
        break;
    default:
        c.asked.blksize = 1468;
        c.asked.windowsize = 4;
        c.probes = true;
        c.repeats = std::vector<duration>(5, seconds(4));
        break;
    }
    return p;
}

bool calm_server(const server_plan& p) {
    const kernel_config& k = p.kernel;
    const disk_config& d = p.disk;
    return k.open_ppm + k.refuse_ppm + k.lose_ppm + k.full_ppm + k.watch_ppm + k.mtu == 0 &&
           k.receive_buffer >= 212'992 && d.lag <= seconds(1) && d.refuse_job_ppm == 0 &&
           d.open_error_ppm + d.read_error_ppm + d.shrink_ppm + d.write_error_ppm +
                   d.commit_error_ppm ==
               0 &&
           !p.stops_at && p.service.limits.transfers_max > 2'000 && patient(p.service.engine);
}

bool calm_client(const own_client_plan& p) {
    const kernel_config& k = p.kernel;
    const bool brisk = p.first.options.timeout.value_or(seconds(0)) <= seconds(5);
    return k.open_ppm + k.refuse_ppm + k.lose_ppm + k.full_ppm + k.mtu == 0 &&
           k.receive_buffer >= 212'992 && patient(p.engine) && brisk && p.late_ppm == 0 &&
           !p.vanishes_after;
}

bool orderly(const crowd_plan& plan, const client_plan& c, const own_client_plan& p) {
    const auto steady = [](const link_config& l) {
        return l.jitter == duration::zero() && l.delay < milliseconds(400) &&
               l.per_octet == duration::zero() && l.per_datagram == duration::zero() &&
               l.reorder_ppm + l.duplicate_ppm == 0;
    };
    const server_plan& s = plan.server;
    return steady(c.to_server) && steady(c.to_client) &&
           p.wake_lag + s.wake_lag + s.disk.lag + p.late_lag < milliseconds(2) &&
           p.kernel.full_ppm + s.kernel.full_ppm + s.disk.refuse_job_ppm == 0 &&
           !p.vanishes_after && p.engine.rto.initial == seconds(1) &&
           s.service.limits.requests_per_second == limits{}.requests_per_second &&
           s.service.limits.buffered_octets_max == limits{}.buffered_octets_max;
}

/// A copy of the request that comes more than a second after the first is taken for a new one: on
/// a path as long as that a repeat may overtake or be overtaken. And a writer whose timer is long
/// may find its server gone when the last ACK is lost, which stays for 3 s; one whose repeat is
/// lost, too, as well.
bool short_path(const client_plan& c, const own_client_plan& p) {
    const duration round_trip = c.to_server.delay + c.to_client.delay + 2 * c.to_server.jitter;
    return round_trip <= (p.first.read ? milliseconds(700) : milliseconds(100)) &&
           (p.first.read || c.to_server.loss_ppm + c.to_client.loss_ppm == 0) &&
           c.to_server.duplicate_lag <= milliseconds(500) && p.engine.rto.initial == seconds(1) &&
           !p.first.options.timeout;
}

using peer_plan = std::variant<own_client_plan, raw_client_plan, field_plan>;

peer_plan random_peer(const swarm& s, std::uint64_t client) {
    static constexpr std::uint64_t kinds = 13;
    std::uint64_t kind = s.random.below(kinds);
    // Another one when this is switched off; ours are never.
    kind = (s.kinds >> kind & 1U) != 0 ? kind : 0;
    switch (kind) {
    case 3:
        return fixed_timeouts(s, client);
    case 4:
        return vanishing(s, client, false);
    case 5:
        return vanishing(s, client, true);
    case 6:
        return late(s, client);
    case 7:
        return field(s, client, happening::uboot);
    case 8:
        return field(s, client, one_of(s.random, std::array{happening::grub, happening::ipxe}));
    case 9:
        return field(s, client, happening::edk2);
    case 10:
        return plain(s, client);
    case 11:
        return rogue(s, client);
    case 12:
        return flood(s, client);
    default:
        return own_base(s, client);
    }
}

client_plan random_client(const swarm& s, std::uint64_t client) {
    client_plan c;
    c.peer = random_peer(s, client);
    if (s.bad_links) {
        c.to_server = random_link(s.random, false);
        c.to_client = s.one_in(4) ? c.to_server : random_link(s.random, false);
        if (s.one_in(10)) {
            c.to_client.mtu = static_cast<std::uint32_t>(s.random.between(300, 1'500));
            c.to_client.mtu_from = s.one_in(2) ? duration::zero() : s.random.up_to(seconds(1));
        }
    } else {
        c.to_server.delay = s.random.up_to(milliseconds(5));
        c.to_client.delay = c.to_server.delay;
        c.to_server.loss_ppm = s.one_in(2) ? 10'000 : 0;
        c.to_client.loss_ppm = c.to_server.loss_ppm;
    }
    return c;
}

injector_plan random_injector(const swarm& s) {
    static constexpr std::array kinds = {
        happening::malformed_request,
        happening::malformed_in_transfer,
        happening::foreign_tid,
        happening::foreign_tid,
        happening::from_port_zero,
        happening::from_own_port,
        happening::to_group};
    injector_plan p;
    for (std::uint64_t i = s.one_in(2) ? s.random.between(1, 30) : 0; i > 0; --i) {
        const duration at = s.random.up_to(s.one_in(2) ? s.spread + milliseconds(50) : seconds(5));
        p.events.emplace_back(at, one_of(s.random, kinds));
    }
    return p;
}

/// How transfers get their ports.
void random_ports(const swarm& s, service_config& service) {
    static constexpr std::array modes = {
        tid_mode::exclusive, tid_mode::exclusive, tid_mode::pooled, tid_mode::single};
    service.tids = one_of(s.random, modes);
    if (s.one_in(2)) {
        service.limits.exclusive_ports_max = s.random.between(0, 5);
    }
    if (s.one_in(2)) {
        service.limits.shared_ports_max = s.random.between(1, 4);
    }
}

/// There is a pair of TIDs for a second transfer of one client.
bool has_two_pairs(const service_config& service) {
    return service.tids == tid_mode::exclusive
               ? service.limits.exclusive_ports_max > 1'000
               : service.tids == tid_mode::pooled && service.limits.shared_ports_max > 1;
}

/// No two transfers between the same two addresses use one pair of ports.
bool has_own_ports(const service_config& service) {
    return service.tids == tid_mode::exclusive && has_two_pairs(service);
}

/// Adds what somebody sends who knows addresses and ports of clients; drawn after all else, so that
/// the rest of a seed's plan is what it was.
void add_forger(crowd_plan& plan, prng random, duration spread) {
    static constexpr std::array kinds = {
        happening::forged_request,
        happening::forged_request,
        happening::forged_copy,
        happening::forged_packet};
    // Through a shared port, what is forged in the moment of a client's own request, or of a late
    // packet of its last transfer, is as good as the client's: nothing tells them apart.
    const bool own_ports =
        plan.server.service.tids == tid_mode::exclusive && has_two_pairs(plan.server.service);
    if (random.below(2) == 0 || !own_ports) {
        return;
    }
    const duration most = random.below(2) == 0 ? spread + milliseconds(50) : seconds(5);
    for (std::uint64_t i = random.between(1, 40); i > 0; --i) {
        const happening kind = one_of(random, kinds);
        const duration at = random.up_to(most);
        plan.injector.events.emplace_back(at, kind);
    }
    for (client_plan& c : plan.clients) {
        // A forged request that comes again has its answer repeated.
        c.orderly = false;
    }
}

std::uint64_t random_count(prng& random) {
    const std::uint64_t kind = random.below(100);
    if (kind < 3) {
        return random.between(20, 50);
    }
    return kind < 20 ? random.between(6, 20) : random.between(1, 6);
}

} // namespace

crowd_plan random_crowd(std::uint64_t seed) {
    prng random(seed ^ 0xc0'ffee'c0ffeeULL);
    swarm s{random};
    const std::uint64_t wrap = random.below(10);
    s.wrap = wrap < 8 ? rollover::to_zero : wrap == 8 ? rollover::to_one : rollover::forbidden;
    s.bad_links = !s.one_in(4);
    s.bad_kernels = s.one_in(3);
    s.bad_disk = s.one_in(4);
    s.tight_limits = s.one_in(5);
    s.kinds = random.next() | (s.one_in(8) ? ~std::uint64_t{0} : 0);
    s.spread = random.up_to(s.one_in(2) ? milliseconds(20) : seconds(10));
    crowd_plan plan;
    plan.server = random_server(s);
    const std::uint64_t count = random_count(random);
    for (std::uint64_t i = 0; i < count; ++i) {
        plan.clients.push_back(random_client(s, i));
    }
    plan.injector = random_injector(s);
    if (s.one_in(500)) {
        client_plan& c = plan.clients.front();
        own_client_plan p = own_base(s, 0);
        p.first = huge_file(s, 0);
        p.kernel = {};
        p.wake_lag = {};
        c.peer = p;
        c.to_server = random_link(random, true);
        c.to_client = random_link(random, true);
        for (link_config* const l : {&c.to_server, &c.to_client}) {
            if (!mild(*l) || l->delay > milliseconds(10)) {
                // Or it takes hours.
                *l = {};
                l->loss_ppm = 1'000;
            }
        }
    }
    random_ports(s, plan.server.service);
    for (client_plan& c : plan.clients) {
        if (const auto* const own = std::get_if<own_client_plan>(&c.peer)) {
            c.orderly = orderly(plan, c, *own);
            c.calm = has_own_ports(plan.server.service) && calm_server(plan.server) &&
                     calm_client(*own) && mild(c.to_server) && mild(c.to_client) &&
                     short_path(c, *own);
        }
    }
    add_forger(plan, prng(random.next()), s.spread);
    return plan;
}

namespace {

double ms(duration d) {
    return std::chrono::duration<double, std::milli>(d).count();
}

const char* name_of(tid_mode tids) {
    static constexpr std::array names = {"exclusive", "pooled", "single"};
    return names[static_cast<std::size_t>(tids)];
}

const char* kind_of(const client_plan& c) {
    if (const auto* const field = std::get_if<field_plan>(&c.peer)) {
        return to_string(field->kind).data();
    }
    if (const auto* const raw = std::get_if<raw_client_plan>(&c.peer)) {
        return raw->flood != 0 ? "flood" : raw->honest() ? "plain" : "rogue";
    }
    return "ours";
}

} // namespace

void print(const crowd_plan& plan) {
    const server_plan& s = plan.server;
    fmt::print(
        "server: {} transfers, {} half open, windowsize {}, blksize {}, pool {}, disk {} ms, "
        "{} kernel faults, {} ports\n",
        s.service.limits.transfers_max,
        s.service.limits.half_open_max,
        s.service.options.windowsize,
        s.service.options.blksize,
        s.disk.pool,
        ms(s.disk.lag),
        s.kernel.open_ppm + s.kernel.refuse_ppm + s.kernel.lose_ppm + s.kernel.full_ppm,
        name_of(s.service.tids)
    );
    for (const client_plan& c : plan.clients) {
        fmt::print(
            "{}{}{}: delay {} and {} ms, loss {} and {}\n",
            kind_of(c),
            c.calm ? ", calm" : "",
            c.orderly ? ", orderly" : "",
            ms(c.to_server.delay),
            ms(c.to_client.delay),
            c.to_server.loss_ppm,
            c.to_client.loss_ppm
        );
    }
}

} // namespace tftp::sim
