#pragma once

#include "common/server.hpp"
#include "common/socket.hpp"
#include "common/stop.hpp"
#include "common/tftp_service.hpp"

#include <tftp/base/endpoint.hpp>
#include <tftp/base/time.hpp>
#include <tftp/content/provider.hpp>
#include <tftp/socket/scratch.hpp>
#include <tftp/socket/udp_socket.hpp>
#include <tftp/transfer/transfer.hpp>

#include <cstddef>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace example {

/// A request as it came to port 69: who asks, and what.
struct tftp_request {
    tftp::endpoint peer;
    std::vector<std::byte> datagram;
};

/// One transfer of a TFTP server, for programs in which each client has its own thread of control:
/// a process, a thread, a coroutine, a greenlet. It waits, and says what came:
///
///     served_transfer served(request, where, files);
///     while (!served.over()) {
///         wait until served.wants() can be read or written, or served.deadline() has come;
///         served.go_on(readable, writable);
///     }
///
/// Not thread-safe; transfers of different threads have nothing in common.
class served_transfer {
public:
    /// Answers a request from a fresh port at `where`: with the file if it may be read, otherwise
    /// with an ERROR; it is over then. Reads only. files: outlives this, and is thread-safe.
    ///
    /// Throws std::system_error when the system gives no port.
    served_transfer(
        const tftp_request& request, const tftp::endpoint& where, tftp::content_provider& files
    );

    /// Returns whether it has ended, well or not.
    [[nodiscard]] bool over() const noexcept { return !transfer_ || transfer_->closed(); }

    /// Returns the descriptor it waits for, always the same one; -1 when it is over from the start.
    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

    /// Returns what to wait for.
    [[nodiscard]] tftp::interest wants() const noexcept { return transfer_->wants(); }

    /// Returns when to go on, though nothing is ready.
    [[nodiscard]] std::optional<tftp::time_point> deadline() const noexcept {
        return transfer_->deadline();
    }

    /// Takes what is there, and sends what is next.
    void go_on(bool readable, bool writable);

    /// Returns one line about what was done: "file: 1200 bytes to 127.0.0.1:4711, ok".
    [[nodiscard]] std::string report() const;

private:
    void refuse(tftp::peer_errc code, const char* why);

    tftp::endpoint peer_;
    std::string refused_;
    int descriptor_ = -1;
    std::unique_ptr<tftp::udp_socket> port_;
    /// 2 MiB of addresses, of which it touches the pages that it needs.
    std::unique_ptr<tftp::scratch> memory_;
    std::unique_ptr<tftp::transfer> transfer_;
};

/// Opens the UDP socket that takes requests. Throws std::system_error.
[[nodiscard]] unique_fd listen_udp(const tftp::endpoint& where);

/// Waits for the next request and takes it. Empty when the socket was shut down, or a signal came;
/// of a socket that does not block, also when there is none.
[[nodiscard]] std::optional<tftp_request> next_request(const unique_fd& listener);

/// The frame of servers in which each client has a thread of control: opens the socket that the
/// command line names, announces it, and calls `echo(listener, stop)` or
/// `tftp(listener, where, files, stop)`, which serve until Ctrl-C; that shuts the listener down.
/// Returns the exit status.
template <class Echo, class Tftp>
int serve_each(const arguments& given, Echo echo, Tftp tftp) {
    raise_descriptor_limit();
    stop_signal stop;
    const tftp::endpoint where = given.address("--listen");
    const bool serves_echo = given.one_of("--service", {"echo", "tftp"}) == "echo";
    const unique_fd listener = serves_echo ? listen_tcp(where) : listen_udp(where);
    stop.shuts_down(listener.get());
    if (serves_echo) {
        announce(local_address(listener));
        echo(listener, stop);
    } else {
        const auto files = open_directory(given.text("--root"));
        announce(local_address(listener));
        tftp(listener, where, *files, stop);
    }
    stop.shuts_down(-1);
    std::cout << "ended" << std::endl;
    return 0;
}

/// Carries a transfer to its end, or to Ctrl-C, in a thread that has nothing else to do.
void run_to_end(served_transfer& served, const stop_signal& stop);

/// Sends back what one TCP client sends, until it has said all, or to Ctrl-C, in a thread that has
/// nothing else to do.
void echo_to_end(const unique_fd& client, const stop_signal& stop);

} // namespace example
