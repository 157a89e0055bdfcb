// A whole server on a network in memory, in virtual time, under any row of datagrams, faults of
// system calls, and times. What it puts on the wire is watched: nothing for what must not be
// answered, one ERROR for a refused request, no DATA before the ACK of the OACK. In the end nothing
// of any transfer is left.
//
// Input: limits and faults; then events, each an octet and its operands.
#include "fuzz/fuzz.hpp"
#include "support/builders.hpp"
#include "support/memory_content.hpp"
#include "support/sim_port.hpp"

#include <tftp/server/shard.hpp>
#include <tftp/wire/packet.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

using namespace tftp;
using namespace std::chrono_literals;
using fuzz::require;

namespace {

constexpr endpoint service_address = endpoint::ipv4(192, 0, 2, 2, 69);

/// A port of the server, as the wire shows it.
struct conversation {
    endpoint peer;
    bool offered_options = false;
    bool heard = false;
    unsigned sends = 0;
    std::size_t octets = 0;
};

class counting final : public observer {
public:
    std::size_t finished = 0;

    void on_finished(const transfer_summary& summary) noexcept override {
        ++finished;
        require(summary.peer.port != 0, "a request from port 0 was taken");
    }
};

class harness {
public:
    explicit harness(fuzz::input& in);

    void event(fuzz::input& in);
    /// Nobody speaks any more: only time passes.
    void finish();

private:
    [[nodiscard]] static service_config config_from(fuzz::input& in);
    [[nodiscard]] test::datagram request_from(fuzz::input& in) const;
    [[nodiscard]] static test::datagram answer_from(fuzz::input& in, const test::datagram& last);
    void ask(const test::datagram& octets, const endpoint& from, bool group);
    void answer(const test::datagram& octets, const endpoint& from, std::uint16_t port);
    void settle();
    void advance(duration d);
    void on_sent(const endpoint& from, const endpoint& to, bytes_view octets);
    void check_opening(conversation& c, opcode op, std::size_t octets) const;

    test::memory_content files_;
    counting finished_;
    test::sim_network network_;
    test::sim_host host_{network_, service_address};
    test::sim_loop loop_{network_};
    time_point now_{std::chrono::hours(1)};
    test::sim_port* listener_ = nullptr;
    std::unique_ptr<shard> shard_;
    std::map<std::uint16_t, conversation> conversations_;
    /// The newest datagram of the server to each of its peers, and the port it came from.
    std::unordered_map<endpoint, std::pair<std::uint16_t, test::datagram>> last_;
    /// How often each of them asked.
    std::unordered_map<endpoint, unsigned> asked_;
    std::unordered_map<endpoint, unsigned> refused_;
    std::size_t requests_ = 0;
};

service_config harness::config_from(fuzz::input& in) {
    service_config config;
    // No route can be asked for its MTU here.
    config.blksize_auto = false;
    const std::uint8_t flags = in.u8();
    config.limits.transfers_max = 1 + flags % 8;
    config.limits.half_open_max = 1 + flags / 8 % 4;
    const std::uint8_t paces = in.u8();
    if ((paces & 1U) != 0) {
        config.limits.requests_per_second = 1 + paces / 16;
    }
    if ((paces & 2U) != 0) {
        config.limits.requests_per_client_per_second = 1 + paces / 32;
    }
    if ((paces & 4U) != 0) {
        config.limits.transfers_per_client_max = 1 + paces / 64;
    }
    if ((paces & 8U) != 0) {
        config.limits.buffered_octets_max = std::size_t{1024} * paces;
    }
    config.options.allow_timeout = (flags & 32U) == 0;
    config.engine.wrap = (flags & 64U) == 0 ? rollover::to_zero : rollover::forbidden;
    return config;
}

harness::harness(fuzz::input& in) {
    const service_config config = config_from(in);
    const std::string numbers = "one\ntwo\r\n\rthree\n";
    files_.set("empty", "");
    files_.set("text", numbers);
    files_.set("file", std::string(1024, 'x'));
    files_.set("large", std::string(70000, 'y'));
    files_.fail("denied", errc::forbidden);
    files_.fail("full", make_error_code(boost::system::errc::no_space_on_device));
    for (std::uint8_t faults = in.u8() % 4; faults > 0; --faults) {
        constexpr int errors[] = {EAGAIN, EMFILE, ENETUNREACH, EMSGSIZE, ENOBUFS, ECONNREFUSED};
        const auto call = static_cast<test::port_call>(in.u8() % 4);
        const unsigned nth = in.u8() % 32;
        const int error = in.pick(errors);
        // Only a full buffer takes a part.
        const std::uint16_t taken = error == EAGAIN ? in.u8() % 4 : 0;
        network_.faults.push_back({call, nth, error, taken});
    }
    network_.refuses = false;
    network_.passes = [this](const endpoint& from, const endpoint& to, bytes_view octets) {
        on_sent(from, to, octets);
        return false; // Nobody else is on this network.
    };
    shard_ = std::make_unique<shard>(
        shard_dependencies{files_, host_, loop_, finished_, nullptr}, config, now_
    );
    socket_options options;
    options.local_addresses = true;
    auto port = network_.open(service_address, options);
    listener_ = port.get();
    require(!shard_->listen(std::move(port)), "cannot listen");
}

void harness::on_sent(const endpoint& from, const endpoint& to, bytes_view octets) {
    require(to.port != 0, "an answer to port 0");
    require(to != service_address, "an answer to itself");
    const auto packet = decode(octets);
    require(packet.has_value(), "a datagram that is no TFTP packet");
    const auto op = static_cast<opcode>(std::to_integer<unsigned>(octets[1]));
    if (from.port == service_address.port) {
        require(op == opcode::error, "the listening port sends something else than ERROR");
        require(asked_.contains(to), "an ERROR to somebody who did not ask");
        require(++refused_[to] <= asked_.at(to), "more than one answer to a refused request");
        return;
    }
    const auto* const error = std::get_if<error_view>(&*packet);
    if (error != nullptr && error->code == peer_errc::unknown_transfer_id) {
        return;
    }
    auto [at, fresh] = conversations_.try_emplace(from.port);
    conversation& c = at->second;
    if (fresh) {
        require(asked_.contains(to), "a transfer that nobody asked for");
        c.peer = to;
        c.offered_options = op == opcode::oack;
    }
    require(c.peer == to, "a datagram of a transfer to somebody else");
    check_opening(c, op, octets.size());
    last_[to] = {from.port, test::datagram(octets.begin(), octets.end())};
}

void harness::check_opening(conversation& c, opcode op, std::size_t octets) const {
    if (c.heard) {
        return;
    }
    require(op != opcode::data || !c.offered_options, "DATA before the ACK of the OACK");
    ++c.sends;
    c.octets += octets;
    // Each repeated request may cause one more.
    const unsigned asked = asked_.at(c.peer);
    require(c.sends <= 5 + asked, "too many datagrams to a peer that never answered");
    require(c.octets <= (5 + asked) * (header_size + blksize_default), "too many octets to it");
}

test::datagram harness::request_from(fuzz::input& in) const {
    const char* const names[] = {
        "file", "large", "empty", "text", "upload", "denied", "full", "nothing", "../file", ""};
    const char* const modes[] = {"octet", "netascii", "OCTET", "mail", ""};
    const char* const options[] = {
        "blksize", "windowsize", "timeout", "tsize", "BlkSize", "multicast"};
    const char* const values[] = {
        "8",
        "512",
        "1428",
        "65464",
        "65564",
        "1",
        "2",
        "4",
        "64",
        "0",
        "-1",
        "99999999999999999999",
        "255",
        ""};
    const std::uint8_t shape = in.u8();
    const char* const name = in.pick(names);
    test::option_pairs asked;
    for (unsigned i = shape / 16; i > 0; i /= 2) {
        const char* const option = in.pick(options);
        asked.emplace_back(option, in.pick(values));
    }
    const char* const mode = (shape & 8U) == 0 ? "octet" : in.pick(modes);
    test::datagram made = test::request((shape & 1U) == 0 ? 1 : 2, name, asked, mode);
    if ((shape & 2U) != 0) {
        made.resize(made.size() - std::min<std::size_t>(in.u8(), made.size()));
    }
    if ((shape & 4U) != 0) {
        const bytes_view tail = in.bytes(in.u8());
        made.insert(made.end(), tail.begin(), tail.end());
    }
    return made;
}

/// What a client says to `last`: the right answer, one nearby, or anything.
test::datagram harness::answer_from(fuzz::input& in, const test::datagram& last) {
    const std::uint8_t shape = in.u8();
    const auto wire = [&last] {
        return static_cast<std::uint16_t>(
            std::to_integer<unsigned>(last[2]) << 8U | std::to_integer<unsigned>(last[3])
        );
    };
    const bool numbered = last[1] == std::byte{3} || last[1] == std::byte{4};
    const auto near =
        static_cast<std::uint16_t>((numbered ? wire() : 0) + ((shape & 8U) == 0 ? 0 : in.u8() - 8));
    switch (shape % 8) {
    case 0:
    case 1:
    case 2:
        return test::ack(near);
    case 3:
        return test::data(static_cast<std::uint16_t>(near + 1), 512);
    case 4:
        return test::data(static_cast<std::uint16_t>(near + 1), std::size_t{in.u8()} * 8);
    case 5:
        return test::error_packet(in.u16());
    default: {
        const bytes_view any = in.bytes(in.u8());
        return {any.begin(), any.end()};
    }
    }
}

void harness::ask(const test::datagram& octets, const endpoint& from, bool group) {
    const std::uint64_t sent = network_.sent;
    const std::size_t reported = finished_.finished;
    const std::size_t transfers = shard_->transfers();
    const bool request = octets.size() >= 2 && octets[0] == std::byte{0} &&
                         (octets[1] == std::byte{1} || octets[1] == std::byte{2});
    const bool honest = from.port != 0 && from != service_address && !group && request;
    if (honest) {
        ++requests_;
        ++asked_[from];
    }
    listener_->group = group;
    listener_->deliver(from, service_address, octets);
    settle();
    if (!honest && !listener_->readable()) {
        require(network_.sent == sent, "an answer to what must not be answered");
        require(finished_.finished == reported, "a report of what is no request");
        require(shard_->transfers() == transfers, "a transfer for what is no request");
    }
}

void harness::answer(const test::datagram& octets, const endpoint& from, std::uint16_t port) {
    const auto found = conversations_.find(port);
    for (int fd = 1'000'000; fd < 1'000'400; ++fd) {
        test::sim_port* const to = network_.find(fd);
        if (to != nullptr && to->local_endpoint().port == port) {
            const auto packet = decode(octets);
            if (packet && found != conversations_.end() && from == found->second.peer) {
                found->second.heard = true;
            }
            to->deliver(from, to->local_endpoint(), octets);
        }
    }
    settle();
}

void harness::event(fuzz::input& in) {
    const std::uint8_t what = in.u8();
    const endpoint peer = endpoint::ipv4(
        192, 0, 2, 10 + what / 128, static_cast<std::uint16_t>(2000 + what / 32 % 4)
    );
    switch (what % 8) {
    case 0:
    case 1:
        ask(request_from(in), peer, false);
        break;
    case 2: {
        const bytes_view any = in.bytes(in.u8());
        ask({any.begin(), any.end()}, peer, false);
        break;
    }
    case 3: {
        const endpoint from[] = {peer, peer.with_port(0), service_address};
        const std::uint8_t which = in.u8();
        // What waits in the listener's queue takes its mark when it is read.
        const bool group = which % 3 == 0 && !listener_->readable();
        ask(request_from(in), from[which % 3], group);
        while (group && listener_->readable()) {
            advance(1s);
        }
        break;
    }
    case 4:
    case 5:
        if (const auto last = last_.find(peer); last != last_.end()) {
            const auto [port, octets] = last->second;
            answer(answer_from(in, octets), peer, port);
        }
        break;
    case 6:
        if (!last_.empty()) {
            // A stranger, or another peer, speaks to a transfer.
            answer(
                answer_from(in, last_.begin()->second.second), peer, last_.begin()->second.first
            );
        }
        break;
    default: {
        const std::uint8_t octet = in.u8();
        advance(duration((1 + octet % 8) * (std::int64_t{1} << (octet / 8 + 6))));
        break;
    }
    }
}

void harness::settle() {
    for (unsigned turns = 0; loop_.dispatch(*shard_, now_); ++turns) {
        require(turns < 10'000, "the service is never at rest");
    }
}

void harness::advance(duration d) {
    const time_point end = now_ + d;
    unsigned wakes = 0;
    for (auto due = shard_->deadline(); due && *due <= end; due = shard_->deadline()) {
        require(++wakes < 100'000, "the service wakes too often");
        now_ = std::max(now_, *due);
        shard_->step(now_);
        settle();
    }
    now_ = end;
}

void harness::finish() {
    advance(3h);
    require(shard_->running() == 0 && shard_->transfers() == 0, "a transfer never ends");
    require(network_.open_ports() == 1, "a port stays open");
    require(loop_.watched() == 1, "a descriptor stays watched");
    require(finished_.finished <= requests_, "more reports than requests");
    shard_->close_listeners();
    require(network_.open_ports() == 0 && loop_.watched() == 0, "a listener stays open");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::input in(data, size);
    harness h(in);
    for (int events = 0; !in.empty() && events < 100; ++events) {
        h.event(in);
    }
    h.finish();
    return 0;
}
