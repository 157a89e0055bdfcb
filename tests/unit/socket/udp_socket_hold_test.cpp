#include "private_network.hpp"
#include "support/temp_directory.hpp"
#include "udp_support.hpp"

#include <tftp/socket/udp_socket.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <fcntl.h>
#include <netinet/udp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace tftp::test;
using tftp::endpoint;
using tftp::error_code;
using tftp::scratch;
using tftp::segmentation;
using tftp::socket_options;
namespace conditions = boost::system::errc;

namespace {

constexpr std::size_t header_size = 4;

/// Describes a run as a transfer does: a header and its payload in turn, neither next to the other.
class scattered {
public:
    scattered(const datagram& run, std::size_t segment) {
        for (std::size_t at = 0; at < run.size(); at += segment) {
            const tftp::bytes_view bytes =
                tftp::bytes_view(run).subspan(at, std::min(segment, run.size() - at));
            const tftp::bytes_view header = bytes.first(std::min(header_size, bytes.size()));
            const tftp::bytes_view payload = bytes.subspan(header.size());
            headers_.emplace_back(header.begin(), header.end());
            payloads_.emplace_back(payload.begin(), payload.end());
        }
        for (std::size_t i = 0; i < headers_.size(); ++i) {
            parts.push_back({headers_[i].data(), headers_[i].size()});
            parts.push_back({payloads_[i].data(), payloads_[i].size()});
        }
    }

    std::vector<::iovec> parts;

private:
    std::vector<std::vector<std::byte>> headers_;
    std::vector<std::vector<std::byte>> payloads_;
};

bool is_silent(tftp::datagram_socket& port) {
    scratch memory;
    // Datagrams on the loopback interface are there when the send returns.
    const auto none = port.receive_batch(memory, 32);
    return none && none->empty();
}

socket_options roomy() {
    socket_options options;
    options.receive_buffer = 1 << 20;
    return options;
}

/// Memory that was mapped and whose file has gone: system calls get EFAULT, programs SIGBUS.
class gone_memory {
public:
    explicit gone_memory(std::size_t size) : size_(size) {
        const std::string path = directory_.write("f", std::string(size, 'x'));
        const tftp::unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        bytes_ = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
        REQUIRE(bytes_ != MAP_FAILED);
        REQUIRE(::truncate(path.c_str(), 0) == 0);
    }

    ~gone_memory() { ::munmap(bytes_, size_); }

    gone_memory(const gone_memory&) = delete;
    gone_memory& operator=(const gone_memory&) = delete;

    [[nodiscard]] ::iovec part(std::size_t offset, std::size_t size) const {
        return {static_cast<std::byte*>(bytes_) + offset, size};
    }

private:
    temp_directory directory_;
    std::size_t size_;
    void* bytes_ = nullptr;
};

} // namespace

TEST_CASE("what a port holds leaves whole when it is released", "[io][udp_socket][hold]") {
    const endpoint local = GENERATE(as<endpoint>{}, loopback, ipv6("::1"));
    need_family(local);
    const std::size_t segment = GENERATE(as<std::size_t>{}, 516, 1472, 32753, 65468);
    const std::size_t count = std::min<std::size_t>(44, 65507 / segment);
    const bool short_last = GENERATE(true, false);
    const auto receiver = open(local, roomy());
    const auto sender = open(local);
    const datagram run = pattern(count * segment - (short_last ? 300 : 0));
    const scattered held(run, segment);
    for (int i = 0; i < 2; ++i) {
        REQUIRE_FALSE(sender->cork(receiver->local_endpoint(), unset, held.parts, segment));
        CHECK(is_silent(*receiver));
        REQUIRE_FALSE(sender->release());
        const std::vector<arrival> arrivals = take(*receiver, count);
        CHECK(arrivals.size() == count);
        CHECK(matches(arrivals, run, segment));
        CHECK(is_silent(*receiver));
    }
}

TEST_CASE("a port holds as many parts as a run can have", "[io][udp_socket][hold]") {
    const auto receiver = open(loopback, roomy());
    const auto sender = open(loopback);
    const datagram run = pattern(scratch::segments_max * 1023);
    const scattered held(run, 1023);
    REQUIRE(held.parts.size() == 2 * scratch::segments_max);
    REQUIRE_FALSE(sender->cork(receiver->local_endpoint(), unset, held.parts, 1023));
    REQUIRE_FALSE(sender->release());
    CHECK(matches(take(*receiver, scratch::segments_max), run, 1023));
}

TEST_CASE("a held run leaves from the address that was asked", "[io][udp_socket][hold]") {
    socket_options options = roomy();
    options.local_addresses = true;
    const auto sender = open(any_ipv4, options);
    const auto receiver = open(loopback, roomy());
    const datagram run = pattern(10 * 516);
    const scattered held(run, 516);
    const endpoint asked = endpoint::ipv4(127, 0, 0, 2, 0);
    REQUIRE_FALSE(sender->cork(receiver->local_endpoint(), asked, held.parts, 516));
    REQUIRE_FALSE(sender->release());
    const std::vector<arrival> arrivals = take(*receiver, 10);
    REQUIRE(arrivals.size() == 10);
    CHECK(matches(arrivals, run, 516));
    CHECK(arrivals[0].from == asked.with_port(sender->local_endpoint().port));
}

TEST_CASE("what a port held and discarded never leaves", "[io][udp_socket][hold]") {
    const endpoint local = GENERATE(as<endpoint>{}, loopback, ipv6("::1"));
    need_family(local);
    // Single and runs, small and the largest.
    const std::size_t size = GENERATE(as<std::size_t>{}, 100, 65468, 10 * 1472, 64 * 1023);
    const std::size_t segment = size == 10 * 1472 ? 1472 : size == 64 * 1023 ? 1023 : size;
    const std::size_t count = size / segment;
    const auto receiver = open(local, roomy());
    const auto other = open(local, roomy());
    socket_options options;
    options.refusals = true;
    const auto sender = open(local, options);
    const datagram secret(size, std::byte{0xee});
    const scattered discarded(secret, segment);
    REQUIRE_FALSE(sender->cork(receiver->local_endpoint(), unset, discarded.parts, segment));
    sender->drop_corked();
    CHECK(is_silent(*receiver));
    CHECK_FALSE(sender->next_refusal());

    const datagram words = pattern(50);
    REQUIRE_FALSE(sender->send(other->local_endpoint(), unset, words));
    const std::vector<arrival> alone = take(*other, 1);
    REQUIRE(alone.size() == 1);
    CHECK(alone[0].bytes == words);

    const datagram run = pattern(size);
    const scattered held(run, segment);
    REQUIRE_FALSE(sender->cork(receiver->local_endpoint(), unset, held.parts, segment));
    REQUIRE_FALSE(sender->release());
    CHECK(matches(take(*receiver, count), run, segment));
    CHECK(is_silent(*receiver));
    CHECK(is_silent(*other));
}

TEST_CASE("memory that has gone is an error, and nothing leaves", "[io][udp_socket][hold]") {
    const endpoint local = GENERATE(as<endpoint>{}, loopback, ipv6("::1"));
    need_family(local);
    const std::size_t count = GENERATE(as<std::size_t>{}, 1, 20);
    constexpr std::size_t segment = 1472;
    const auto receiver = open(local, roomy());
    const auto sender = open(local);
    const datagram run = pattern(count * segment);
    scattered held(run, segment);
    const ::iovec good = held.parts.back();
    // The last payload only: what was copied before it must not leave either.
    const gone_memory gone(1 << 16);
    held.parts.back() = gone.part(100, segment - header_size);
    CHECK(
        sender->cork(receiver->local_endpoint(), unset, held.parts, segment) ==
        conditions::bad_address
    );
    CHECK(is_silent(*receiver));
    CHECK(sender->segments(segment));

    held.parts.back() = good;
    REQUIRE_FALSE(sender->cork(receiver->local_endpoint(), unset, held.parts, segment));
    REQUIRE_FALSE(sender->release());
    CHECK(matches(take(*receiver, count), run, segment));
    CHECK(is_silent(*receiver));
}

TEST_CASE("a port that does not segment holds nothing", "[io][udp_socket][hold]") {
    socket_options options;
    options.sends = GENERATE(segmentation::batch, segmentation::single);
    const auto receiver = open(loopback, roomy());
    const auto sender = open(loopback, options);
    const std::size_t count = GENERATE(as<std::size_t>{}, 1, 3);
    const datagram run = pattern(count * 516);
    const scattered held(run, 516);
    CHECK(
        sender->cork(receiver->local_endpoint(), unset, held.parts, 516) ==
        conditions::operation_not_supported
    );
    CHECK(is_silent(*receiver));
    CHECK(sender->send_run(receiver->local_endpoint(), unset, run, 516).value() == count);
    CHECK(matches(take(*receiver, count), run, 516));
}

TEST_CASE("a kernel that refuses to segment what is held is remembered", "[io][udp_socket][hold]") {
    const endpoint local = GENERATE(as<endpoint>{}, loopback, ipv6("::1"));
    need_family(local);
    const auto receiver = open(local, roomy());
    const auto sender = open(local);
    // Without checksums the kernel does not segment: EINVAL, once the datagram is to leave.
    const auto turn_on = [on = 1](const tftp::udp_socket& port, int level, int option) {
        REQUIRE(::setsockopt(port.native_handle(), level, option, &on, sizeof on) == 0);
    };
    if (local.family == tftp::address_family::ipv4) {
        turn_on(*sender, SOL_SOCKET, SO_NO_CHECK);
    } else {
        turn_on(*sender, SOL_UDP, UDP_NO_CHECK6_TX);
        turn_on(*receiver, SOL_UDP, UDP_NO_CHECK6_RX);
    }
    const datagram run = pattern(20 * 1472);
    const scattered held(run, 1472);
    REQUIRE_FALSE(sender->cork(receiver->local_endpoint(), unset, held.parts, 1472));
    CHECK(sender->release() == conditions::operation_not_supported);
    CHECK(is_silent(*receiver));
    CHECK_FALSE(sender->segments(1472));
    CHECK(
        sender->cork(receiver->local_endpoint(), unset, held.parts, 1472) ==
        conditions::operation_not_supported
    );
    REQUIRE(sender->send_run(receiver->local_endpoint(), unset, run, 1472).value() == 20);
    CHECK(matches(take(*receiver, 20), run, 1472));
    CHECK(is_silent(*receiver));
}

TEST_CASE(
    "a held run of segments above the MTU is to be sent otherwise", "[io][udp_socket][hold]"
) {
    const endpoint local = GENERATE(as<endpoint>{}, loopback, ipv6("::1"));
    need_family(local);
    error_code refused;
    bool silent = false;
    bool remembered = false;
    bool small_arrived = false;
    bool single_arrived = false;
    in_private_network(1500, [&] {
        const auto receiver = open(local, roomy());
        const auto sender = open(local);
        const endpoint to = receiver->local_endpoint();
        const datagram large = pattern(7 * 8196);
        const scattered held(large, 8196);
        refused = sender->cork(to, unset, held.parts, 8196);
        if (!refused) {
            refused = sender->release();
        }
        silent = is_silent(*receiver);
        remembered = !sender->segments(8196) && sender->segments(1400);
        const datagram small = pattern(20 * 1400);
        const scattered held_small(small, 1400);
        small_arrived = !sender->cork(to, unset, held_small.parts, 1400) && !sender->release() &&
                        matches(take(*receiver, 20), small, 1400);
        // Neither is a single one held: it leaves in fragments.
        const datagram one = pattern(65468);
        const scattered held_one(one, 65468);
        single_arrived =
            sender->cork(to, unset, held_one.parts, 65468) == conditions::operation_not_supported &&
            !sender->send(to, unset, one) && matches(take(*receiver, 1), one, 65468);
    });
    CHECK(refused == conditions::operation_not_supported);
    CHECK(silent);
    CHECK(remembered);
    CHECK(small_arrived);
    CHECK(single_arrived);
}

TEST_CASE("a full socket buffer holds nothing", "[io][udp_socket][hold]") {
    const endpoint silent = endpoint::ipv4(10, 9, 9, 2, 9);
    constexpr std::size_t segment = 516;
    const std::size_t count = GENERATE(as<std::size_t>{}, 1, 64);
    const datagram run = pattern(count * segment);
    int ethernet = -1;
    int held_runs = 0;
    error_code full;
    bool whole_elsewhere = false;
    in_private_network(65536, [&] {
        ethernet = add_silent_ethernet();
        if (ethernet < 0) {
            return;
        }
        const auto port = open(endpoint::ipv4(0, 0, 0, 0, 0));
        const int size = 16 * 1024;
        ::setsockopt(port->native_handle(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        const scattered held(run, segment);
        while (!full && held_runs < 1000) {
            full = port->cork(silent, unset, held.parts, segment);
            if (!full) {
                full = port->release();
                ++held_runs;
            }
        }
        // With room again, nothing of what was refused goes with what comes next.
        const int more = 1 << 20;
        ::setsockopt(port->native_handle(), SOL_SOCKET, SO_SNDBUF, &more, sizeof more);
        const auto receiver = open(endpoint::ipv4(10, 9, 9, 1, 0), roomy());
        whole_elsewhere = !port->cork(receiver->local_endpoint(), unset, held.parts, segment) &&
                          !port->release() && matches(take(*receiver, count), run, segment) &&
                          is_silent(*receiver);
        ::close(ethernet);
    });
    need_ethernet(ethernet);
    CHECK(full == conditions::operation_would_block);
    CHECK(held_runs > 0);
    CHECK(whole_elsewhere);
}

TEST_CASE("a held run to a port that has gone reports the refusal", "[io][udp_socket][hold]") {
    socket_options options;
    options.refusals = true;
    const auto port = open(loopback, options);
    const endpoint closed = open(loopback)->local_endpoint();
    const datagram run = pattern(4 * 516);
    const scattered held(run, 516);
    REQUIRE_FALSE(port->cork(closed, unset, held.parts, 516));
    REQUIRE_FALSE(port->release());
    REQUIRE(wait(*port));
    // Said once, by whatever comes first; nothing is held then.
    const auto receiver = open(loopback, roomy());
    CHECK(
        port->cork(receiver->local_endpoint(), unset, held.parts, 516) ==
        conditions::connection_refused
    );
    CHECK(is_silent(*receiver));
    CHECK(port->next_refusal().value().to == closed);
    REQUIRE_FALSE(port->cork(receiver->local_endpoint(), unset, held.parts, 516));
    REQUIRE_FALSE(port->release());
    CHECK(matches(take(*receiver, 4), run, 516));
    CHECK(is_silent(*receiver));
}
