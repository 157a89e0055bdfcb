// Shows: the whole driving contract of an engine in one loop. `tftp::receiver` knows the protocol;
// it has no socket, no clock, no file. Here a plain UDP socket and poll(2) give it all three.
//
// Run:     engine_loop 127.0.0.1 6969 FILE >copy
// Observe: one line per effect on the standard error; the file on the standard output.
//
// Links tftp::core only. See docs/examples/README.md.

#include <tftp/engine/receiver.hpp>
#include <tftp/wire/packet.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <optional>
#include <string_view>
#include <variant>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;

constexpr const char* usage = "usage: engine_loop ADDRESS PORT FILE >COPY   (IPv4 only)\n";

/// Best effort: the engine's own timer repeats what is lost.
void send(int socket, const tftp::send_control& what) {
    ::sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(what.to.port);
    std::memcpy(&to.sin_addr, what.to.address.data(), sizeof to.sin_addr);
    auto* const address = reinterpret_cast<const ::sockaddr*>(&to);
    ::sendto(socket, what.datagram.data(), what.datagram.size(), 0, address, sizeof to);
}

tftp::endpoint to_endpoint(const ::sockaddr_in& a) {
    tftp::endpoint e = tftp::endpoint::ipv4(0, 0, 0, 0, ntohs(a.sin_port));
    std::memcpy(e.address.data(), &a.sin_addr, sizeof a.sin_addr);
    return e;
}

/// What the engine waits for once it has nothing more to do, and how it ended.
struct pause {
    bool over = false;
    std::optional<tftp::time_point> deadline;
    tftp::error_code outcome;
};

/// Step 2 of the contract: do what next() says until it has nothing left.
void act(tftp::receiver& engine, int socket, pause& state) {
    for (bool more = true; more;) {
        const auto effect = engine.next();
        if (const auto* control = std::get_if<tftp::send_control>(&effect)) {
            std::cerr << "send    " << control->datagram.size() << " bytes to port "
                      << control->to.port << '\n';
            send(socket, *control);
        } else if (const auto* store = std::get_if<tftp::store>(&effect)) {
            std::cerr << "store   " << store->payload.size() << " bytes at " << store->offset
                      << (store->last ? ", the last\n" : "\n");
            std::cout.write(
                reinterpret_cast<const char*>(store->payload.data()),
                static_cast<std::streamsize>(store->payload.size())
            );
            if (!std::cout.flush()) {
                // What is not stored must never be acknowledged.
                engine.abort(tftp::peer_errc::disk_full, "no room", tftp::errc::stopped);
            }
        } else if (const auto* done = std::get_if<tftp::completed>(&effect)) {
            std::cerr << "done    " << (done->outcome ? done->outcome.message() : "well") << '\n';
            state.outcome = done->outcome;
        } else if (const auto* idle = std::get_if<tftp::idle>(&effect)) {
            state.deadline = idle->deadline;
            more = false;
        } else {
            state.over = true;
            more = false;
        }
    }
}

int fetch(tftp::receiver& engine, int socket) {
    pause state;
    std::array<std::byte, 65536> memory{};
    act(engine, socket, state);
    while (!state.over) {
        // Step 3: wait for a datagram or the deadline, whichever comes first.
        ::pollfd wait{socket, POLLIN, 0};
        const auto until = state.deadline.value_or(tftp::clock::now() + 1s);
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - tftp::clock::now());
        ::poll(&wait, 1, static_cast<int>(std::max<long>(left.count(), 0)));
        const tftp::time_point now = tftp::clock::now();

        // Step 1: give it what came and what time it is; then act again.
        ::sockaddr_in from{};
        ::socklen_t size = sizeof from;
        auto* const address = reinterpret_cast<::sockaddr*>(&from);
        const auto came =
            ::recvfrom(socket, memory.data(), memory.size(), MSG_DONTWAIT, address, &size);
        if (came >= 0) {
            const auto octets = tftp::bytes_view(memory).first(static_cast<std::size_t>(came));
            engine.on_datagram(octets, to_endpoint(from), now);
            act(engine, socket, state);
            // Only now is everything offered in its place: this releases the ACK.
            engine.on_stored(now);
        } else {
            engine.on_deadline(now);
        }
        act(engine, socket, state);
    }
    return state.outcome ? 1 : 0;
}

} // namespace

int main(int argc, char** argv) {
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
        std::cout << usage;
        return 0;
    }
    ::sockaddr_in server{};
    const int port = argc == 4 ? std::atoi(argv[2]) : 0;
    if (port < 1 || port > 65535 || ::inet_pton(AF_INET, argv[1], &server.sin_addr) != 1) {
        std::cerr << usage;
        return 2;
    }
    server.sin_port = htons(static_cast<std::uint16_t>(port));
    tftp::offer options;
    options.windowsize = 4;
    auto engine = tftp::receiver::request(
        argv[3], tftp::transfer_mode::octet, options, to_endpoint(server), {}, tftp::clock::now()
    );
    if (!engine) {
        std::cerr << "engine_loop: " << engine.error().message() << '\n';
        return 2;
    }
    const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket < 0) {
        std::cerr << "engine_loop: no socket\n";
        return 1;
    }
    const int status = fetch(*engine, socket);
    ::close(socket);
    return status;
}
