// Shows: a TFTP download with nothing but a UDP socket and RFC 1350: the request, the server's new
// port, one block and one ACK in turn, the short block that ends it, and what to do when something
// is lost, comes twice, or comes from a stranger.
//
// Run:     embed_server 127.0.0.1:6969 DIRECTORY       in one terminal
//          tftp_by_hand 127.0.0.1:6969 FILE copy       in another
// Observe: every packet that goes (->) or comes (<-). The request goes to port 6969, the rest to
//          the port that the first answer came from. Then see tftp_with_engine do the same.

#include "common/program.hpp"
#include "common/socket.hpp"
#include "common/text.hpp"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>

#include <poll.h>

namespace {

using clock = std::chrono::steady_clock;
using example::check;
using example::socket_address;
using example::unique_fd;
using tftp::to_string;

constexpr std::size_t header_size = 4;
constexpr std::size_t packet_size_max = header_size + 512;
constexpr int tries_max = 5;

enum opcode : unsigned { rrq = 1, data = 3, ack = 4, error = 5 }; // RFC 1350 s.5

/// Two bytes, the more significant one first: how TFTP writes opcodes, blocks and error codes.
std::string u16(unsigned value) {
    return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}

unsigned u16_at(const std::string& packet, std::size_t at) {
    const auto octet = [&](std::size_t i) { return static_cast<unsigned char>(packet[i]); };
    return octet(at) * 256U + octet(at + 1);
}

/// 0 for what is too short or too long for any packet here: it is dropped as if it had got lost.
unsigned opcode_of(const std::string& packet) {
    return packet.size() < header_size || packet.size() > packet_size_max ? 0 : u16_at(packet, 0);
}

std::string describe(const std::string& packet) {
    const unsigned op = opcode_of(packet);
    const std::string number = op == 0 ? "" : std::to_string(u16_at(packet, 2));
    const std::size_t payload = op == 0 ? 0 : packet.size() - header_size;
    return op == rrq     ? "RRQ " + example::printable(&packet[2]) // to the NUL behind the name
           : op == data  ? "DATA " + number + ", " + std::to_string(payload) + " bytes"
           : op == ack   ? "ACK " + number
           : op == error ? "ERROR " + number + ", " + example::printable(&packet[header_size])
                         : "no packet of this transfer";
}

struct transfer {
    unique_fd socket;
    tftp::endpoint server; // its request port, then the one it answers from
    bool answered = false;
};

/// Best effort, as UDP is: what does not leave is repeated like what gets lost.
void send(const transfer& t, const std::string& packet, const tftp::endpoint& to) {
    const socket_address address(to);
    const ::ssize_t sent =
        ::sendto(t.socket.get(), packet.data(), packet.size(), 0, address.data(), address.size());
    const char* const how = sent < 0 ? "-x " : "-> ";
    std::cout << how << describe(packet) << " to " << to_string(to) << std::endl;
}

/// Waits for a packet from the server; empty when the time is over.
std::optional<std::string> receive(transfer& t, clock::time_point until) {
    for (auto left = until - clock::now(); left.count() > 0; left = until - clock::now()) {
        ::pollfd wait{t.socket.get(), POLLIN, 0};
        const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
        check(::poll(&wait, 1, static_cast<int>(ms)), "poll");
        std::string packet(65536, '\0');
        socket_address peer;
        ::socklen_t size = socket_address::capacity;
        const ::ssize_t octets =
            ::recvfrom(wait.fd, packet.data(), packet.size(), MSG_DONTWAIT, peer.data(), &size);
        if (octets < 0 && errno == EAGAIN) {
            continue; // nothing, or a datagram that turned out to be damaged
        }
        packet.resize(static_cast<std::size_t>(check(octets, "recvfrom")));
        const tftp::endpoint from = peer.to_endpoint();
        std::cout << "<- " << describe(packet) << " from " << to_string(from) << std::endl;
        const unsigned op = opcode_of(packet);
        const bool opens = op == error || (op == data && u16_at(packet, 2) == 1);
        if (t.answered ? from == t.server : from.same_host(t.server) && opens) {
            // The server chose this port for the transfer: its transfer identifier, TID.
            t.server = from;
            t.answered = true;
            return packet;
        }
        // A stranger, or the answer to a second copy of our request, for which the server opened a
        // second transfer: it is told, and ours goes on (RFC 1350 s.4). An ERROR is never answered,
        // or two hosts could go on with that for ever.
        if (op != error) {
            send(t, u16(error) + u16(5) + "unknown transfer ID" + '\0', from);
        }
    }
    return std::nullopt;
}

/// Sends `packet` until it is answered by block `number`, which it returns.
std::string ask(transfer& t, const std::string& packet, unsigned number, clock::duration timeout) {
    for (int tries = 0; tries < tries_max; ++tries) {
        // Again, because it was lost, or its answer: both look the same from here (s.2).
        send(t, packet, t.server);
        const auto deadline = clock::now() + timeout;
        while (const auto came = receive(t, deadline)) {
            if (opcode_of(*came) == error) {
                throw std::runtime_error("the server says " + describe(*came));
            }
            if (opcode_of(*came) == data && u16_at(*came, 2) == number) {
                return *came;
            }
            // A duplicate gets no ACK. A server older than RFC 1123 sends the next block for every
            // ACK: one too many, and from there on every packet goes twice, to the end of the file,
            // the Sorcerer's Apprentice Syndrome (RFC 1123 s.4.2.3.1). If the block came again
            // because our ACK was lost, our own timer repeats that.
        }
    }
    throw std::runtime_error("no answer from " + to_string(t.server));
}

/// Takes the blocks in until the last is in `out`, and returns its ACK, which is not sent yet.
std::string take(transfer& t, const std::string& name, clock::duration timeout, std::ostream& out) {
    // The socket is not bound: the system chooses a port at this first send, and that is our TID.
    std::string last = u16(rrq) + name + '\0' + "octet" + '\0';
    // The RFC ends at block 65535; nearly all servers go on with 0.
    for (unsigned block = 1;; block = (block + 1) & 0xffff) {
        const std::string packet = ask(t, last, block, timeout);
        const auto size = static_cast<std::streamsize>(packet.size() - header_size);
        if (!out.write(&packet[header_size], size).flush()) {
            send(t, u16(error) + u16(3) + "no room for it" + '\0', t.server);
            throw std::runtime_error("the copy cannot be written");
        }
        last = u16(ack) + u16(block);
        // A short block is the last, and if need be an empty one (s.6).
        if (packet.size() < packet_size_max) {
            return last;
        }
    }
}

int download(const example::arguments& given) {
    const tftp::endpoint server = given.address("ADDRESS:PORT", 69);
    const std::chrono::milliseconds timeout(given.number("--timeout", 1, 60'000));
    const int family = socket_address(server).data()->sa_family;
    transfer t{unique_fd(check(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")), server};

    // The copy has a temporary name until it is whole: nobody finds half of a file.
    const std::string part = given.text("COPY") + ".part";
    std::string last;
    try {
        std::ofstream out(part, std::ios::binary);
        last = take(t, given.text("FILE"), timeout, out);
        check(std::rename(part.c_str(), given.text("COPY").c_str()), "COPY");
    } catch (const std::exception&) {
        std::remove(part.c_str());
        throw;
    }
    // Only now, so that it says that all is well. The server sends the last block again if this ACK
    // gets lost: somebody has to stay for a while and repeat it (s.6).
    send(t, last, t.server);
    const auto end = clock::now() + timeout;
    while (const auto came = receive(t, end)) {
        if (opcode_of(*came) == data) {
            send(t, last, t.server);
        }
    }
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Downloads a file by TFTP, printing each packet.",
        {{"ADDRESS:PORT", "the server; port 69 where none is given"},
         {"FILE", "the name that the server knows it by"},
         {"COPY", "where to put it"},
         {"--timeout", "milliseconds to wait for an answer", "1000"}},
        download
    );
}
