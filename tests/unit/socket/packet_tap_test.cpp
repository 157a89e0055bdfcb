#include "udp_support.hpp"

#include <tftp/socket/packet_tap.hpp>
#include <tftp/socket/udp_socket.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

using namespace tftp::test;
using namespace std::chrono_literals;
using tftp::bytes_view;
using tftp::datagram_socket;
using tftp::endpoint;
using tftp::error_code;
using tftp::packet_tap;
using tftp::received;
using tftp::refusal;
using tftp::result;
using tftp::scratch;
using tftp::socket_options;
using tftp::tapped_datagram;
using tftp::tapped_socket;
using tftp::tapped_socket_factory;
using tftp::time_point;
namespace conditions = boost::system::errc;

namespace {

struct entry {
    endpoint local;
    endpoint peer;
    datagram bytes;
    time_point when;

    friend bool operator==(const entry&, const entry&) = default;
};

class recorder final : public packet_tap {
public:
    void on_sent(const tapped_datagram& shown) noexcept override { sent.push_back(copy(shown)); }

    void on_received(const tapped_datagram& shown) noexcept override {
        taken.push_back(copy(shown));
    }

    [[nodiscard]] time_point now() const noexcept override { return time; }

    std::vector<entry> sent;
    std::vector<entry> taken;
    time_point time{5s};

private:
    static entry copy(const tapped_datagram& shown) {
        return {shown.local, shown.peer, {shown.bytes.begin(), shown.bytes.end()}, shown.when};
    }
};

const endpoint here = endpoint::ipv4(192, 0, 2, 2, 69);
const endpoint there = endpoint::ipv4(192, 0, 2, 1, 2000);

/// Does what a test tells it to.
class scripted_socket final : public datagram_socket {
public:
    [[nodiscard]] result<std::span<const received>>
    receive_batch(scratch&, std::size_t messages_max) noexcept override {
        asked_for = messages_max;
        return failure ? result<std::span<const received>>(failure)
                       : result<std::span<const received>>(messages);
    }

    [[nodiscard]] result<std::uint16_t>
    send_run(const endpoint&, const endpoint&, bytes_view, std::size_t) noexcept override {
        return failure ? result<std::uint16_t>(failure) : result<std::uint16_t>(takes);
    }

    [[nodiscard]] error_code cork(
        const endpoint&, const endpoint&, std::span<const ::iovec>, std::size_t
    ) noexcept override {
        corked = true;
        return {};
    }

    [[nodiscard]] error_code send(const endpoint&, const endpoint&, bytes_view) noexcept override {
        return failure;
    }

    [[nodiscard]] std::optional<refusal> next_refusal() noexcept override {
        return refusal{there, make_error_code(conditions::connection_refused)};
    }

    [[nodiscard]] endpoint local_endpoint() const noexcept override { return here; }

    [[nodiscard]] std::size_t receive_buffer() const noexcept override { return 4711; }

    [[nodiscard]] int native_handle() const noexcept override { return 42; }

    std::vector<received> messages;
    std::size_t asked_for = 0;
    std::uint16_t takes = 0;
    error_code failure;
    bool corked = false;
};

/// A tapped socket that is told what to do.
struct tapped {
    recorder tap;
    std::unique_ptr<scripted_socket> owned = std::make_unique<scripted_socket>();
    scripted_socket& inner = *owned;
    tapped_socket socket{std::move(owned), tap};
};

datagram part(const datagram& whole, std::size_t from, std::size_t size) {
    const bytes_view bytes = bytes_view(whole).subspan(from, size);
    return {bytes.begin(), bytes.end()};
}

} // namespace

TEST_CASE("a tap is shown the datagrams of a run that left", "[io][packet_tap]") {
    tapped t;
    const datagram run = pattern(2 * 516 + 100);
    const std::vector<entry> all = {
        {here, there, part(run, 0, 516), t.tap.time},
        {here, there, part(run, 516, 516), t.tap.time},
        {here, there, part(run, 1032, 100), t.tap.time}};
    const std::uint16_t taken = GENERATE(as<std::uint16_t>{}, 0, 1, 2, 3);
    t.inner.takes = taken;
    CHECK(t.socket.send_run(there, unset, run, 516).value() == taken);
    CHECK(t.tap.sent == std::vector<entry>(all.begin(), all.begin() + taken));
    CHECK(t.tap.taken.empty());
}

TEST_CASE("a tap is not shown what did not leave", "[io][packet_tap]") {
    tapped t;
    t.inner.failure = make_error_code(conditions::operation_would_block);
    const datagram run = pattern(1000);
    CHECK(t.socket.send_run(there, unset, run, 516).error() == t.inner.failure);
    CHECK(t.socket.send(there, unset, run) == t.inner.failure);
    scratch memory;
    CHECK(t.socket.receive_batch(memory, 7).error() == t.inner.failure);
    CHECK(t.tap.sent.empty());
    CHECK(t.tap.taken.empty());
}

TEST_CASE("a tap is shown single datagrams, and from which address", "[io][packet_tap]") {
    tapped t;
    const datagram words = pattern(4);
    CHECK_FALSE(t.socket.send(there, unset, words));
    t.tap.time += 1s;
    const endpoint asked = endpoint::ipv4(192, 0, 2, 77, 0);
    CHECK_FALSE(t.socket.send(there, asked, {}));
    t.inner.takes = 1;
    CHECK(t.socket.send_run(there, asked, words, 516).value() == 1);
    CHECK(
        t.tap.sent ==
        std::vector<entry>{
            {here, there, words, time_point(5s)},
            {asked.with_port(69), there, {}, time_point(6s)},
            {asked.with_port(69), there, words, time_point(6s)}}
    );
}

TEST_CASE("a tap is shown the datagrams of a coalesced message", "[io][packet_tap]") {
    tapped t;
    const datagram run = pattern(2 * 516 + 100);
    const datagram words = pattern(4);
    const endpoint other = endpoint::ipv4(192, 0, 2, 3, 2000);
    const endpoint asked = endpoint::ipv4(192, 0, 2, 77, 0);
    received coalesced;
    coalesced.bytes = run;
    coalesced.segment = 516;
    coalesced.from = there;
    received single;
    single.bytes = words;
    single.segment = 4;
    single.from = other;
    single.to = asked;
    received empty;
    empty.from = other;
    t.inner.messages = {coalesced, single, empty};
    scratch memory;
    const auto messages = t.socket.receive_batch(memory, 7);
    REQUIRE(messages.has_value());
    CHECK(messages->data() == t.inner.messages.data());
    CHECK(messages->size() == 3);
    CHECK(t.inner.asked_for == 7);
    CHECK(
        t.tap.taken ==
        std::vector<entry>{
            {here, there, part(run, 0, 516), t.tap.time},
            {here, there, part(run, 516, 516), t.tap.time},
            {here, there, part(run, 1032, 100), t.tap.time},
            {asked.with_port(69), other, words, t.tap.time},
            {here, other, {}, t.tap.time}}
    );
    CHECK(t.tap.sent.empty());
    t.inner.messages.clear();
    CHECK(t.socket.receive_batch(memory, 1)->empty());
    CHECK(t.tap.taken.size() == 5);
}

TEST_CASE("a tapped socket corks nothing: a run is to be sent otherwise", "[io][packet_tap]") {
    tapped t;
    datagram run = pattern(1000);
    const ::iovec part{run.data(), run.size()};
    CHECK(
        t.socket.cork(there, unset, std::span(&part, 1), 516) == conditions::operation_not_supported
    );
    CHECK_FALSE(t.inner.corked);
    CHECK(t.tap.sent.empty());
}

TEST_CASE("a tapped socket is otherwise the socket that it taps", "[io][packet_tap]") {
    tapped t;
    CHECK(t.socket.local_endpoint() == here);
    CHECK(t.socket.receive_buffer() == 4711);
    CHECK(t.socket.native_handle() == 42);
    const auto refused = t.socket.next_refusal();
    REQUIRE(refused.has_value());
    CHECK(refused->to == there);
    CHECK(refused->why == conditions::connection_refused);
}

TEST_CASE("sockets of the kernel are tapped, segmented and coalesced", "[io][packet_tap]") {
    tftp::udp_socket_factory kernel;
    recorder tap;
    tapped_socket_factory factory(kernel, tap);
    socket_options options;
    options.receive_buffer = 1 << 20;
    options.coalesce = true;
    const auto receiver = factory.open(loopback, options).value();
    const auto sender = factory.open(loopback, {}).value();
    const datagram run = pattern(19 * 516 + 100);
    REQUIRE(sender->send_run(receiver->local_endpoint(), unset, run, 516).value() == 20);
    CHECK(matches(take(*receiver, 20), run, 516));
    REQUIRE(tap.sent.size() == 20);
    REQUIRE(tap.taken.size() == 20);
    for (std::size_t i = 0; i < 20; ++i) {
        const datagram expected = part(run, i * 516, i == 19 ? 100 : 516);
        const endpoint from = sender->local_endpoint();
        const endpoint to = receiver->local_endpoint();
        CHECK(tap.sent[i] == entry{from, to, expected, tap.time});
        CHECK(tap.taken[i] == entry{to, from, expected, tap.time});
    }
}

TEST_CASE("a factory that cannot open a socket says so through the tap", "[io][packet_tap]") {
    tftp::udp_socket_factory kernel;
    recorder tap;
    tapped_socket_factory factory(kernel, tap);
    CHECK(factory.open(endpoint{}, {}).error() == conditions::address_family_not_supported);
}

TEST_CASE("a tap shows the time of the clock", "[io][packet_tap]") {
    class silent final : public packet_tap {
        void on_sent(const tapped_datagram&) noexcept override {}

        void on_received(const tapped_datagram&) noexcept override {}
    };

    const silent tap;
    const time_point before = tftp::clock::now();
    const time_point shown = tap.now();
    const time_point after = tftp::clock::now();
    CHECK((before <= shown && shown <= after));
}
