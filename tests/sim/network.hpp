#pragma once

#include <tftp/base/bytes.hpp>
#include <tftp/base/endpoint.hpp>
#include <tftp/base/time.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <queue>
#include <sim/pcap.hpp>
#include <sim/prng.hpp>
#include <unordered_map>
#include <vector>

namespace tftp::sim {

/// What one direction of the path does to datagrams. Probabilities are parts per million.
struct link_config {
    struct interval {
        /// Since the start of the simulation.
        duration from{};
        duration until{};
    };

    duration delay{};
    /// Added to the delay: 0..jitter, evenly.
    duration jitter{};
    /// Jitter keeps the order, as one queue does.
    bool in_order = true;
    std::uint32_t loss_ppm = 0;
    /// Gilbert-Elliott: chance to enter and to leave the bad state per datagram, loss inside.
    std::uint32_t burst_enter_ppm = 0;
    std::uint32_t burst_leave_ppm = 0;
    std::uint32_t burst_loss_ppm = 0;
    std::uint32_t duplicate_ppm = 0;
    /// The copy comes 0..this later.
    duration duplicate_lag{};
    std::uint32_t reorder_ppm = 0;
    /// A reordered datagram comes 0..this later.
    duration reorder_lag{};
    /// The checksum fails: the datagram is dropped.
    std::uint32_t corrupt_ppm = 0;
    /// The bottleneck: time to serve a datagram and one octet of it; both zero means none.
    duration per_datagram{};
    duration per_octet{};
    /// Datagrams that wait or are served; 0 means no bound.
    std::uint32_t queue = 0;
    /// The bottleneck is gone from then on; zero means that it stays.
    duration narrow_until{};
    std::vector<interval> blackouts;
    /// From `mtu_from` on, packets of more bytes than this, headers included, are dropped without
    /// a word; 0 means none are.
    std::uint32_t mtu = 0;
    duration mtu_from{};
};

struct link_counters {
    std::uint64_t offered = 0;
    /// Lost in any way: loss, bursts, checksum, full queue, blackout, MTU.
    std::uint64_t lost = 0;
    std::uint64_t burst = 0;
    std::uint64_t corrupt = 0;
    std::uint64_t dark = 0;
    std::uint64_t oversize = 0;
    std::uint64_t overflowed = 0;
    std::uint64_t duplicated = 0;
    std::uint64_t reordered = 0;
    /// Not lost on the way, but nobody took it.
    std::uint64_t unheard = 0;
};

/// One direction of the path.
class link {
public:
    link(const link_config& config, std::uint64_t seed) : config_(config), random_(seed) {}

    /// Returns when the copies of a datagram that leaves at `now` arrive: none, one or two.
    ///
    /// Lifetime: until the next call.
    [[nodiscard]] const std::vector<time_point>& carry(std::size_t size, time_point now);

    [[nodiscard]] const link_counters& counters() const noexcept { return counters_; }

    void note_unheard() noexcept { ++counters_.unheard; }

private:
    [[nodiscard]] bool drops(std::size_t size, time_point now) noexcept;

    link_config config_;
    prng random_;
    link_counters counters_;
    std::deque<time_point> served_;
    std::vector<time_point> arrivals_;
    time_point newest_;
    bool bad_ = false;
};

struct datagram {
    endpoint from;
    endpoint to;
    /// Of an ACK: the block it acknowledges, not reduced to 16 bits; for the checkers.
    std::uint64_t acked = 0;
    /// ICMP says that nobody listens at `from`; there are no bytes.
    bool refusal = false;
    std::vector<std::byte> octets;
};

class network;

/// Something with a port on the simulated network.
class station {
public:
    explicit station(const endpoint& at) noexcept : address_(at) {}

    station(const station&) = delete;
    station& operator=(const station&) = delete;
    virtual ~station() = default;

    /// A datagram came to this port.
    virtual void on_arrival(network& net, const datagram& arrived) = 0;

    /// Nobody listens at `closed`, where this port had sent something.
    virtual void on_refusal(network&, const endpoint& /*closed*/) {}

    /// A timer set with `network::wake` fired.
    virtual void on_wake(network& net, std::uint32_t what) = 0;

    [[nodiscard]] const endpoint& address() const noexcept { return address_; }

private:
    endpoint address_;
};

/// Virtual time, one queue of events, and the paths between a server and the hosts of its clients.
class network {
public:
    /// The clock starts here, far from the epoch so that nobody takes zero for "never".
    static constexpr time_point start{std::chrono::hours(1)};

    static constexpr endpoint client_host = endpoint::ipv4(10, 0, 0, 1, 0);
    static constexpr endpoint server_host = endpoint::ipv4(10, 0, 0, 2, 0);

    network() = default;
    /// With the path of `client_host`.
    network(const link_config& to_server, const link_config& to_client, prng& seeds);

    /// Adds the path between the server and another host.
    ///
    /// host: its port is 0.
    void add_path(
        const endpoint& host,
        const link_config& to_server,
        const link_config& to_client,
        prng& seeds
    );

    /// Lifetime: the station lives until it is detached, or as long as the network runs.
    void attach(station& s) { attach(s, s.address()); }

    /// Has what is sent to `at` arrive at `s`.
    void attach(station& s, const endpoint& at) { stations_.insert_or_assign(at, &s); }

    /// Nothing arrives at `s` any more.
    void detach(const station& s) {
        std::erase_if(stations_, [&s](const auto& entry) { return entry.second == &s; });
    }

    /// Sends a datagram; one to a host or a port that does not exist is lost.
    void send(const endpoint& from, const endpoint& to, bytes_view octets, std::uint64_t acked = 0);

    /// Puts a datagram in front of its destination: no link delays or loses it.
    void inject(const endpoint& from, const endpoint& to, bytes_view octets);

    /// Has the datagrams that leave from now on recorded, also those that get lost; null for no
    /// more. Lifetime: borrowed.
    void capture(pcap_writer* into) noexcept { capture_ = into; }

    /// Records a datagram that leaves now. `send` and `inject` do it; so does who hands one to a
    /// station without them.
    void record(const endpoint& from, const endpoint& to, bytes_view octets);

    /// Wakes `who` at `at`, or at once when that is past.
    void wake(station& who, time_point at, std::uint32_t what);

    /// Runs the next event; returns false when there is none.
    bool step();

    [[nodiscard]] time_point now() const noexcept { return now_; }

    [[nodiscard]] std::uint64_t events() const noexcept { return order_; }

    /// A datagram arrived where nobody takes it any more.
    void note_unheard() noexcept { ++unheard_; }

    /// The same for one that a host did not take, or that never left it.
    void note_unheard(const endpoint& from, const endpoint& to) noexcept;

    /// Returns how many datagrams arrived where nobody listens.
    [[nodiscard]] std::uint64_t unheard() const noexcept { return unheard_; }

    /// Says of each datagram that arrived where nobody listens whether ICMP goes back; none does
    /// when it is empty.
    std::function<bool(const datagram& arrived)> refuses;

    [[nodiscard]] const link& to_server(const endpoint& host = client_host) const {
        return paths_.at(host).to_server;
    }

    [[nodiscard]] const link& to_client(const endpoint& host = client_host) const {
        return paths_.at(host).to_client;
    }

private:
    struct path {
        link to_server;
        link to_client;
    };

    /// Bytes of an ICMP error without the headers of IP.
    static constexpr std::size_t refusal_size = 36;

    struct event {
        time_point at;
        std::uint64_t order;
        /// Whom to wake; null for an arrival.
        station* who;
        /// Slot of the datagram, or what to wake for.
        std::uint32_t what;

        bool operator>(const event& other) const noexcept {
            return at != other.at ? at > other.at : order > other.order;
        }
    };

    [[nodiscard]] std::uint32_t
    keep(const endpoint& from, const endpoint& to, bytes_view octets, std::uint64_t acked);
    /// Null when there is no path.
    [[nodiscard]] link* link_for(const endpoint& from, const endpoint& to) noexcept;
    void deliver(const datagram& d);

    time_point now_ = start;
    std::uint64_t order_ = 0;
    std::uint64_t unheard_ = 0;
    std::unordered_map<endpoint, path> paths_;
    std::unordered_map<endpoint, station*> stations_;
    std::priority_queue<event, std::vector<event>, std::greater<>> events_;
    std::deque<datagram> datagrams_;
    std::vector<std::uint32_t> free_;
    pcap_writer* capture_ = nullptr;
};

} // namespace tftp::sim
