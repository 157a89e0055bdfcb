#include "bench/client.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <variant>

#include <netinet/in.h>
#include <sys/socket.h>

namespace tftp::bench {
namespace {

[[nodiscard]] std::uint16_t number_at(bytes_view datagram, std::size_t offset) noexcept {
    return std::uint16_t(
        std::to_integer<unsigned>(datagram[offset]) << 8 |
        std::to_integer<unsigned>(datagram[offset + 1])
    );
}

/// The end of an earlier transfer, sent again to a client whose port this one has now.
[[nodiscard]] bool is_late(bytes_view datagram) noexcept {
    return datagram.size() >= header_size && opcode{number_at(datagram, 0)} == opcode::data &&
           number_at(datagram, 2) != 1;
}

[[nodiscard]] offer offer_of(const plan& how) noexcept {
    offer out;
    if (how.blksize != blksize_default) {
        out.blksize = how.blksize;
    }
    if (how.windowsize != 1) {
        out.windowsize = how.windowsize;
    }
    return out;
}

} // namespace

client::client(common& with, const std::string& name, clock::time_point now)
    : with_(with),
      fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)),
      offered_(offer_of(with.how)),
      name_(name),
      begun_(now),
      last_sent_(now),
      last_progress_(now) {
    if (!fd_) {
        throw std::system_error(errno, std::generic_category(), "socket");
    }
    send_request(now);
}

clock::time_point client::deadline() const noexcept {
    return std::min(last_sent_ + with_.how.timeout, last_progress_ + with_.how.give_up);
}

void client::send_request(clock::time_point now) {
    std::array<std::byte, request_size_max> out{};
    const auto op = with_.how.put ? opcode::wrq : opcode::rrq;
    const auto size = encode_request(op, name_, transfer_mode::octet, offered_, out);
    if (!size) {
        throw usage_error("the request does not fit: " + size.error().message());
    }
    last_sent_ = now;
    ++requests_;
    // What the kernel does not take is lost, and repeated by the timer.
    const auto* to = reinterpret_cast<const sockaddr*>(&with_.how.server);
    if (::sendto(fd(), out.data(), *size, 0, to, sizeof with_.how.server) < 0 && errno != EAGAIN) {
        fail("request not sent");
    }
}

void client::send(bytes_view datagram, clock::time_point now) {
    last_sent_ = now;
    if (lost()) {
        return;
    }
    if (::send(fd(), datagram.data(), datagram.size(), 0) < 0 && errno == ECONNREFUSED) {
        fail("connection refused");
    }
}

void client::progress(clock::time_point now) {
    if (with_.how.waits && has_block_) {
        with_.counts.waits.push_back(
            std::chrono::duration_cast<std::chrono::microseconds>(now - last_progress_)
        );
    }
    last_progress_ = now;
    last_sent_ = now;
}

void client::first_block(clock::time_point now) {
    if (!has_block_) {
        has_block_ = true;
        with_.counts.first_block.push_back(
            std::chrono::duration_cast<std::chrono::microseconds>(now - begun_)
        );
    }
}

void client::complete(clock::time_point now) {
    if (!ended_) {
        ended_ = true;
        ++with_.counts.completed;
        with_.counts.completion.push_back(
            std::chrono::duration_cast<std::chrono::microseconds>(now - begun_)
        );
    }
}

void client::fail(const std::string& why) {
    if (!ended_) {
        ended_ = true;
        ++with_.counts.failed;
        ++with_.counts.reasons[why];
    }
}

void client::on_time(clock::time_point now) {
    if (now >= last_progress_ + with_.how.give_up) {
        fail("gave up");
    } else if (!connected_) {
        ++with_.counts.requests_again;
        send_request(now);
    } else {
        last_sent_ = now;
        repeat(now);
    }
}

void client::on_readable(clock::time_point now) {
    if (!connected_) {
        receive_first(now);
    } else if (with_.how.batched && agreed_.windowsize > 1) {
        receive_batches(now);
    } else {
        receive_one_by_one(now);
    }
}

void client::receive_first(clock::time_point now) {
    const bytes_span buffer = with_.ring.single();
    sockaddr_in from{};
    socklen_t from_size = sizeof from;
    auto* address = reinterpret_cast<sockaddr*>(&from);
    ssize_t size = ::recvfrom(fd(), buffer.data(), buffer.size(), 0, address, &from_size);
    if (size < 0) {
        on_receive_error();
        return;
    }
    // A server that takes a repeated request for a new one stands by its last answer.
    for (ssize_t later = requests_ > 1 ? size : -1; later >= 0;) {
        later = ::recvfrom(fd(), buffer.data(), buffer.size(), 0, address, &from_size);
        size = later >= 0 ? later : size;
    }
    if (from.sin_addr.s_addr != with_.how.server.sin_addr.s_addr || lost() ||
        is_late(buffer.first(std::size_t(size)))) {
        return;
    }
    // From here on the kernel keeps strangers out.
    if (::connect(fd(), address, from_size) != 0) {
        fail("not connected");
        return;
    }
    connected_ = true;
    progress(now);
    on_first(buffer.first(std::size_t(size)), now);
}

void client::on_first(bytes_view datagram, clock::time_point now) {
    const auto packet = decode(datagram);
    if (!packet) {
        fail("malformed answer");
    } else if (const auto* oack = std::get_if<oack_view>(&*packet)) {
        const auto agreed = accept_oack(*oack, offered_);
        if (!agreed) {
            fail("bad OACK");
            return;
        }
        agree(*agreed);
        on_agreed(false, now);
    } else if (std::holds_alternative<error_view>(*packet)) {
        static_cast<void>(on_other(datagram, now));
    } else {
        agree(parameters{});
        on_agreed(true, now);
        static_cast<void>(on_packet(datagram, now));
    }
}

void client::agree(const parameters& agreed) {
    agreed_ = agreed;
    with_.counts.agreed(agreed.blksize, agreed.windowsize);
    // The default holds one block of any size, and two windows have room for what is repeated.
    if (agreed.windowsize > 1) {
        size_buffers(fd(), std::size_t(2) * agreed.windowsize, agreed.blksize + header_size);
        if (with_.how.batched) {
            enable_coalescing(fd());
        }
    }
}

void client::receive_one_by_one(clock::time_point now) {
    const bytes_span buffer = with_.ring.single();
    next_step step = next_step::receive;
    while (step == next_step::receive && !ended_) {
        const ssize_t size = ::recv(fd(), buffer.data(), buffer.size(), 0);
        if (size < 0) {
            on_receive_error();
            return;
        }
        step = on_datagram(buffer.first(std::size_t(size)), now);
    }
}

void client::receive_batches(clock::time_point now) {
    next_step step = next_step::receive;
    while (step == next_step::receive && !ended_) {
        const int messages = with_.ring.receive(fd(), 0);
        if (messages < 0) {
            on_receive_error();
            return;
        }
        for (int i = 0; i < messages && !ended_; ++i) {
            with_.ring.split(i, [&](bytes_view datagram) {
                step = on_datagram(datagram, now);
                return !ended_;
            });
        }
    }
}

void client::on_receive_error() {
    if (errno == ECONNREFUSED) {
        fail("connection refused");
    } else if (errno != EAGAIN && errno != EINTR) {
        fail("receive error");
    }
}

client::next_step client::on_datagram(bytes_view datagram, clock::time_point now) {
    return lost() ? next_step::wait : on_packet(datagram, now);
}

client::next_step client::on_packet(bytes_view datagram, clock::time_point now) {
    if (datagram.size() < header_size) {
        fail("malformed answer");
        return next_step::wait;
    }
    switch (opcode{number_at(datagram, 0)}) {
    case opcode::data:
        return on_data(number_at(datagram, 2), datagram.subspan(header_size), now);
    case opcode::ack:
        return on_ack(number_at(datagram, 2), now);
    default:
        return on_other(datagram, now);
    }
}

client::next_step client::on_other(bytes_view datagram, clock::time_point now) {
    const auto packet = decode(datagram);
    if (packet && std::holds_alternative<oack_view>(*packet)) {
        // The answer to it was lost, or the request came twice.
        if (!has_block_) {
            repeat(now);
        }
        return next_step::wait;
    }
    const auto* error = packet ? std::get_if<error_view>(&*packet) : nullptr;
    fail(error ? "ERROR " + std::to_string(unsigned(error->code)) : "malformed answer");
    return next_step::wait;
}

} // namespace tftp::bench
