#pragma once

#include <tftp/socket/datagram_socket.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>

namespace tftp {

/// What a transfer has in place of a port of its own: a socket that others use as well. It does not
/// read that socket; whoever does hands over what belongs to this transfer.
///
/// Lifetime: the socket and the count of its users outlive it.
class shared_socket_view final : public datagram_socket {
public:
    /// local: the address that the peer asked, with the socket's port.
    shared_socket_view(datagram_socket& from, std::size_t& users, const endpoint& local) noexcept
        : from_(from), users_(users), local_(local) {
        ++users_;
    }

    ~shared_socket_view() override { --users_; }

    /// Lays out what arrived, >= 1 messages, for receive_batch() to take.
    ///
    /// Lifetime: borrowed until it is taken or dropped.
    void put(std::span<const received> messages) noexcept {
        arrived_ = messages;
        next_ = messages.front();
    }

    /// Forgets what was put and not taken.
    void drop() noexcept { arrived_ = {}; }

    /// Returns true when all that was put is taken.
    [[nodiscard]] bool empty() const noexcept { return arrived_.empty(); }

    /// Takes one datagram, of a coalesced message as well, when `messages_max` is 1: that of a
    /// transfer without windows, which goes on only when the one before is done with. All of it
    /// otherwise, whatever the number: it was read with room for all.
    [[nodiscard]] result<std::span<const received>>
    receive_batch(scratch& memory, std::size_t messages_max) noexcept override {
        if (messages_max != 1 || arrived_.empty()) {
            return std::exchange(arrived_, {});
        }
        received& one = memory.messages().front();
        one = next_;
        one.bytes = next_.bytes.first(std::min(next_.segment, next_.bytes.size()));
        next_.bytes = next_.bytes.subspan(one.bytes.size());
        if (next_.bytes.empty()) {
            arrived_ = arrived_.subspan(1);
            next_ = arrived_.empty() ? received{} : arrived_.front();
        }
        return std::span<const received>(&one, 1);
    }

    [[nodiscard]] result<std::uint16_t> send_run(
        const endpoint& peer, const endpoint&, bytes_view run, std::size_t segment
    ) noexcept override {
        return from_.send_run(peer, local_, run, segment);
    }

    /// Nobody else sends before what is held is released or discarded: it comes next.
    [[nodiscard]] error_code cork(
        const endpoint& peer, const endpoint&, std::span<const ::iovec> parts, std::size_t segment
    ) noexcept override {
        return from_.cork(peer, local_, parts, segment);
    }

    [[nodiscard]] error_code release() noexcept override { return from_.release(); }

    void drop_corked() noexcept override { from_.drop_corked(); }

    [[nodiscard]] error_code
    send(const endpoint& peer, const endpoint&, bytes_view datagram) noexcept override {
        return from_.send(peer, local_, datagram);
    }

    /// Whose packet was refused cannot be told, so no refusal is passed on.
    [[nodiscard]] std::optional<refusal> next_refusal() noexcept override { return std::nullopt; }

    [[nodiscard]] endpoint local_endpoint() const noexcept override { return local_; }

    /// A part of the socket's: the others fill it, too.
    [[nodiscard]] std::size_t receive_buffer() const noexcept override {
        return from_.receive_buffer() / 16;
    }

    [[nodiscard]] int native_handle() const noexcept override { return -1; }

private:
    datagram_socket& from_;
    std::size_t& users_;
    endpoint local_;
    std::span<const received> arrived_;
    /// What is left of the first of them.
    received next_;
};

} // namespace tftp
