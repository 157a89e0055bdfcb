// Shows: the download of tftp_by_hand with the library's engine. The program keeps what is its own:
// the socket, the clock, the file. What it says when, whom it believes, what is repeated and when
// it ends is no longer here, and options (RFC 2347) and windows (RFC 7440) come along.
//
// Run:     embed_server 127.0.0.1:6969 DIRECTORY       in one terminal
//          tftp_with_engine 127.0.0.1:6969 FILE copy   in another
// Observe: the same copy, and what the engine did for it. Ask for --blksize 512 --window 1, which
//          is RFC 1350, then for more, and compare the packets sent.
//
// The driving contract step by step: engine_loop. Without a loop of your own: blocking_get.

#include "common/program.hpp"
#include "common/socket.hpp"
#include "common/text.hpp"

#include <tftp/engine/receiver.hpp>
#include <tftp/file/file_sink.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

#include <poll.h>
#include <sys/uio.h>

namespace {

using example::check;
using example::socket_address;
using example::unique_fd;

/// What is the program's own, and what the engine said last.
struct transfer {
    tftp::receiver engine;
    unique_fd socket;
    /// Keeps a temporary name, or none, until commit(): the partial file of tftp_by_hand.
    std::unique_ptr<tftp::sink> copy;
    std::uint64_t sent = 0;
    std::optional<tftp::time_point> deadline{};
    tftp::error_code outcome{};
    bool over = false;
};

/// Puts a payload in its place; the last one makes the copy visible.
tftp::error_code store(tftp::sink& copy, const tftp::store& what) {
    // An iovec is made for reading as well, so it knows no const.
    const ::iovec payload{const_cast<std::byte*>(what.payload.data()), what.payload.size()};
    const tftp::error_code failed = copy.write(what.offset, {&payload, 1});
    return failed || !what.last ? failed : copy.commit();
}

/// Does what the engine says until it has nothing more to do.
void act(transfer& t) {
    for (;;) {
        const auto effect = t.engine.next();
        if (const auto* control = std::get_if<tftp::send_control>(&effect)) {
            const socket_address to(control->to);
            const tftp::bytes_view octets = control->datagram;
            // Best effort: the engine repeats what is lost.
            ::sendto(t.socket.get(), octets.data(), octets.size(), 0, to.data(), to.size());
            ++t.sent;
        } else if (const auto* payload = std::get_if<tftp::store>(&effect)) {
            if (const auto failed = store(*t.copy, *payload)) {
                t.engine.abort(tftp::to_peer_errc(failed), "cannot be stored", failed);
            }
        } else if (const auto* done = std::get_if<tftp::completed>(&effect)) {
            t.outcome = done->outcome;
        } else if (const auto* idle = std::get_if<tftp::idle>(&effect)) {
            t.deadline = idle->deadline;
            return;
        } else {
            t.over = true;
            return;
        }
    }
}

/// Waits for a datagram or the deadline, and tells the engine.
void wait(transfer& t, tftp::bytes_span memory) {
    const tftp::duration left = t.deadline.value_or(tftp::clock::now()) - tftp::clock::now();
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    ::pollfd readable{t.socket.get(), POLLIN, 0};
    check(::poll(&readable, 1, static_cast<int>(std::max<long>(ms, 0))), "poll");

    socket_address from;
    ::socklen_t size = socket_address::capacity;
    const ::ssize_t came =
        ::recvfrom(t.socket.get(), memory.data(), memory.size(), MSG_DONTWAIT, from.data(), &size);
    const tftp::time_point now = tftp::clock::now();
    if (came >= 0) {
        const auto octets = memory.first(static_cast<std::size_t>(came));
        t.engine.on_datagram(octets, from.to_endpoint(), now);
        act(t);
        // What it offered is stored: only now may it be acknowledged.
        t.engine.on_stored(now);
        act(t);
    }
    // Harmless when it is early.
    t.engine.on_deadline(now);
    act(t);
}

void print_summary(const transfer& t) {
    const tftp::engine_counters& did = t.engine.counters();
    const tftp::parameters& agreed = t.engine.agreed();
    std::cout << did.bytes << " bytes in " << did.blocks << " blocks, " << t.sent
              << " packets sent\n"
              << "agreed: blksize " << agreed.blksize << ", windowsize " << agreed.windowsize
              << ", tsize " << (agreed.tsize ? std::to_string(*agreed.tsize) : "unknown") << '\n'
              << "retransmissions " << did.retransmissions << ", timeouts " << did.timeouts
              << ", ignored " << did.ignored << ", strangers " << did.strangers << '\n';
}

int download(const example::arguments& given) {
    const tftp::endpoint server = given.address("ADDRESS:PORT", 69);
    tftp::offer options;
    options.blksize =
        static_cast<std::uint16_t>(given.number("--blksize", tftp::blksize_min, tftp::blksize_max));
    options.windowsize =
        static_cast<std::uint16_t>(given.number("--window", 1, tftp::windowsize_max));
    options.tsize = 0; // "tell me"
    auto engine = tftp::receiver::request(
        given.text("FILE"), tftp::transfer_mode::octet, options, server, {}, tftp::clock::now()
    );
    if (!engine) {
        throw example::usage_error("FILE: " + engine.error().message());
    }
    auto copy = tftp::make_file_sink(given.text("COPY").c_str(), {});
    if (!copy) {
        throw std::runtime_error(given.text("COPY") + ": " + copy.error().message());
    }
    const int family = socket_address(server).data()->sa_family;
    unique_fd socket(check(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
    transfer t{*engine, std::move(socket), std::move(*copy)};

    std::array<std::byte, 65536> memory{};
    for (act(t); !t.over;) {
        wait(t, memory);
    }
    if (t.outcome) {
        const std::string text(t.engine.peer_text());
        throw std::runtime_error(
            t.outcome.message() + (text.empty() ? "" : ": " + example::printable(text))
        );
    }
    print_summary(t);
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Downloads a file by TFTP with the library's engine.",
        {{"ADDRESS:PORT", "the server; port 69 where none is given"},
         {"FILE", "the name that the server knows it by"},
         {"COPY", "where to put it"},
         {"--blksize", "bytes of a block to ask for", "1428"},
         {"--window", "blocks of a window to ask for", "16"}},
        download
    );
}
