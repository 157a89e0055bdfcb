// Shows: a client of TCP. A connection carries a stream of bytes, not messages: what was sent with
// several calls may come back with one, or the other way round. The half-close says "no more from
// me" and leaves the other direction open, so that the rest of the answer can be read to its end.
//
// Run:     tcp_client 127.0.0.1:7000 one two three   (beside: tcp_server 127.0.0.1:7000)
// Observe: the words go out as lines; how many of them come back at once differs from run to run.
//          "end received" comes last: the server closed because we had.

#include "common/program.hpp"
#include "common/socket.hpp"
#include "common/text.hpp"

#include <array>
#include <deque>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>

#include <poll.h>
#include <sys/socket.h>

namespace {

using example::check;
using example::socket_address;
using example::unique_fd;

/// Ends of lines are visible.
std::string shown(std::string_view octets) {
    std::string out;
    for (const char& c : octets) {
        out += c == '\n' ? "\\n" : example::printable({&c, 1});
    }
    return out;
}

/// Sends what the system has room for, and the half-close behind the last octet.
void send_some(const unique_fd& socket, std::deque<std::string>& lines) {
    std::string& line = lines.front();
    // Without MSG_NOSIGNAL a connection that the other side has reset would end the process.
    const auto taken = ::send(socket.get(), line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (taken < 0 && errno == EAGAIN) {
        return;
    }
    const auto sent = static_cast<std::size_t>(check(taken, "send"));
    std::cout << "sent     " << sent << " bytes: " << shown(line.substr(0, sent)) << '\n';
    line.erase(0, sent);
    if (!line.empty()) {
        return;
    }
    lines.pop_front();
    if (lines.empty()) {
        check(::shutdown(socket.get(), SHUT_WR), "shutdown");
        std::cout << "end sent\n";
    }
}

/// Returns false at the end of what the other side sends.
bool receive_some(const unique_fd& socket) {
    std::array<char, 4096> octets{};
    const auto came = check(::recv(socket.get(), octets.data(), octets.size(), 0), "recv");
    if (came == 0) {
        std::cout << "end received\n";
        return false;
    }
    const std::string_view text(octets.data(), static_cast<std::size_t>(came));
    std::cout << "received " << came << " bytes: " << shown(text) << '\n';
    return true;
}

int talk(const example::arguments& given) {
    const tftp::endpoint server = given.address("ADDRESS:PORT");
    if (server.port == 0) {
        throw example::usage_error("ADDRESS:PORT lacks the port");
    }
    std::deque<std::string> lines;
    for (const std::string& word : given.rest()) {
        lines.push_back(word + '\n');
    }
    const socket_address address(server);
    const unique_fd socket = example::open_socket(address.data()->sa_family, SOCK_STREAM);
    check(::connect(socket.get(), address.data(), address.size()), "connect");
    std::cout << "connected " << tftp::to_string(example::local_address(socket)) << " to "
              << tftp::to_string(server) << '\n';

    // Both directions at once. One that sends all before it reads may wait forever: for a server
    // that does not read on before its answer is taken.
    for (bool open = true; open;) {
        const short events = lines.empty() ? POLLIN : POLLIN | POLLOUT;
        ::pollfd waiting{socket.get(), events, 0};
        check(::poll(&waiting, 1, -1), "poll");
        if ((waiting.revents & POLLOUT) != 0) {
            send_some(socket, lines);
        }
        // An error counts as something to read: recv tells which.
        if ((waiting.revents & ~POLLOUT) != 0) {
            open = receive_some(socket);
        }
    }
    if (!lines.empty()) {
        throw std::runtime_error("the server ended before all was sent");
    }
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Sends words as lines over TCP, prints what comes back, and reads to the end.",
        {{"ADDRESS:PORT", "the server"}, {"TEXT...", "words, a line each"}},
        talk
    );
}
