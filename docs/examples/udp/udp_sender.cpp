// Shows: how a program sends over UDP. A datagram is a message with an address on it: no connection
// is made first, each call sends one datagram, and nobody tells the sender whether it arrived.
//
// Run:     udp_receiver 127.0.0.1:9000               in one terminal
//          udp_sender 127.0.0.1:9000 one two three   in another
// Observe: three words are three datagrams, from a port that the system chose at the first. End the
//          receiver and send again: the sender says the same, and nothing arrives.

#include "common/program.hpp"
#include "common/socket.hpp"

#include <iostream>
#include <string>

namespace {

using example::check;

int send_words(const example::arguments& given) {
    const tftp::endpoint receiver = given.address("ADDRESS:PORT");
    if (receiver.port == 0) {
        throw example::usage_error("ADDRESS:PORT needs the port that the receiver listens on");
    }
    const example::socket_address to(receiver);
    const example::unique_fd socket(
        check(::socket(to.data()->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")
    );
    for (const std::string& word : given.rest()) {
        // All of it or nothing: a datagram is never sent in part. Success means that it left this
        // program and that the system has a way to go for it, no more.
        check(::sendto(socket.get(), word.data(), word.size(), 0, to.data(), to.size()), "sendto");
        std::cout << word.size() << " bytes from port " << example::local_address(socket).port
                  << " to " << tftp::to_string(receiver) << '\n';
    }
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    return example::run(
        argc,
        argv,
        "Sends each word as one UDP datagram.",
        {{"ADDRESS:PORT", "who is to receive them"}, {"TEXT...", "the words to send"}},
        send_words
    );
}
