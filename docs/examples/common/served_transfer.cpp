#include "common/served_transfer.hpp"

#include <tftp/engine/sender.hpp>
#include <tftp/socket/socket_address.hpp>
#include <tftp/transfer/make_transfer.hpp>
#include <tftp/transfer/summary.hpp>
#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>

#include <boost/system/system_error.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <variant>

#include <poll.h>
#include <sys/socket.h>

namespace example {

namespace {

/// The largest request of RFC 2347; one that is longer is cut, and refused.
constexpr std::size_t request_size_max = 512;

} // namespace

served_transfer::served_transfer(
    const tftp_request& request, const tftp::endpoint& where, tftp::content_provider& files
)
    : peer_(request.peer) {
    tftp::socket_options options;
    options.refusals = true;
    auto port = tftp::udp_socket::open(where.with_port(0), options);
    if (!port) {
        throw boost::system::system_error(port.error(), "port of a transfer");
    }
    port_ = std::move(*port);

    const auto packet = tftp::decode(request.datagram);
    const auto* asked = packet ? std::get_if<tftp::request_view>(&*packet) : nullptr;
    if (asked == nullptr) {
        refuse(tftp::peer_errc::illegal_operation, "not a request");
        return;
    }
    if (asked->op != tftp::opcode::rrq || asked->mode != tftp::transfer_mode::octet) {
        refuse(tftp::peer_errc::access_violation, "only reads in octet mode");
        return;
    }
    tftp::content_request wanted;
    wanted.name = asked->filename;
    wanted.peer = peer_;
    wanted.local = where;
    auto file = files.open_read(wanted);
    if (!file) {
        refuse(tftp::to_peer_errc(file.error()), "cannot be read");
        return;
    }
    const tftp::time_point now = tftp::clock::now();
    const tftp::answer answered = tftp::answer_request(*asked, {}, (*file)->size());
    descriptor_ = port_->native_handle();
    tftp::transfer_setup setup;
    setup.filename = asked->filename;
    setup.port = std::move(port_);
    memory_ = std::make_unique<tftp::scratch>();
    transfer_ = tftp::make_transfer(
        std::move(setup), tftp::sender::respond(answered, peer_, {}, now), std::move(*file), now
    );
    transfer_->start(*memory_, now);
}

void served_transfer::refuse(tftp::peer_errc code, const char* why) {
    std::array<std::byte, 64> error{};
    const auto size = tftp::encode_error(code, why, error);
    // Best effort: a client that does not hear it asks again.
    static_cast<void>(port_->send(peer_, {}, tftp::bytes_view(error).first(*size)));
    refused_ = why;
}

void served_transfer::go_on(bool readable, bool writable) {
    const tftp::time_point now = tftp::clock::now();
    if (readable) {
        transfer_->on_readable(*memory_, now);
    }
    if (writable) {
        transfer_->on_writable(*memory_, now);
    }
    if (const auto when = transfer_->deadline(); when && now >= *when) {
        transfer_->on_deadline(*memory_, now);
    }
}

std::string served_transfer::report() const {
    const std::string who = tftp::to_string(peer_);
    if (!transfer_) {
        return who + ": " + refused_;
    }
    const tftp::transfer_summary ended = transfer_->summary();
    return who + ": " + std::to_string(ended.counters.bytes) + " bytes, " +
           (ended.outcome ? ended.outcome.message() : "ok");
}

unique_fd listen_udp(const tftp::endpoint& where) {
    const bool ipv4 = where.family == tftp::address_family::ipv4;
    unique_fd socket = open_socket(ipv4 ? AF_INET : AF_INET6, SOCK_DGRAM);
    const socket_address address(where);
    check(::bind(socket.get(), address.data(), address.size()), "bind");
    return socket;
}

std::optional<tftp_request> next_request(const unique_fd& listener) {
    tftp_request out;
    out.datagram.resize(request_size_max);
    socket_address from;
    ::socklen_t size = socket_address::capacity;
    const ::ssize_t received =
        ::recvfrom(listener.get(), out.datagram.data(), out.datagram.size(), 0, from.data(), &size);
    out.peer = from.to_endpoint();
    // A socket that is shut down gives an empty datagram of nobody.
    if (received < 0 || out.peer.port == 0) {
        return std::nullopt;
    }
    out.datagram.resize(static_cast<std::size_t>(received));
    return out;
}

namespace {

/// Waits for one descriptor, or Ctrl-C. Returns what is ready of it.
short wait_for(const tftp::interest& wanted, const stop_signal& stop, int timeout_ms) {
    std::array<::pollfd, 2> both{{{wanted.fd, 0, 0}, {stop.fd(), POLLIN, 0}}};
    both[0].events = static_cast<short>((wanted.read ? POLLIN : 0) | (wanted.write ? POLLOUT : 0));
    return ::poll(both.data(), both.size(), timeout_ms) > 0 ? both[0].revents : short{0};
}

} // namespace

void run_to_end(served_transfer& served, const stop_signal& stop) {
    while (!served.over() && !stop.asked()) {
        const short ready = wait_for(served.wants(), stop, milliseconds_until(served.deadline()));
        served.go_on((ready & (POLLIN | POLLERR)) != 0, (ready & POLLOUT) != 0);
    }
}

void echo_to_end(const unique_fd& client, const stop_signal& stop) {
    std::array<char, 4096> buffer{};
    while (!stop.asked()) {
        // A recv that waits would do, but for Ctrl-C: a signal just before it would be lost.
        if (wait_for({client.get(), true, false}, stop, -1) == 0) {
            continue;
        }
        const ::ssize_t received = ::recv(client.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (received <= 0) {
            return;
        }
        for (::ssize_t sent = 0; sent < received;) {
            wait_for({client.get(), false, true}, stop, -1);
            const auto left = static_cast<std::size_t>(received - sent);
            const ::ssize_t part =
                ::send(client.get(), buffer.data() + sent, left, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (stop.asked() || (part < 0 && errno != EAGAIN)) {
                return;
            }
            sent += std::max<::ssize_t>(part, 0);
        }
    }
}

} // namespace example
