#include "server/acceptor.hpp"

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

namespace tftp {

namespace {

/// Shortest rest when requests come too fast, so that what follows is a batch again.
constexpr auto rest_min = std::chrono::milliseconds(1);
/// Requests taken at a time while few come; in a crowd it is as many as can be, so that the last is
/// answered before its client asks again. Transfers under way wait for no more than these.
constexpr std::size_t requests_few = 8;

/// An RRQ or WRQ by its opcode, whatever follows.
[[nodiscard]] bool is_request(bytes_view datagram) noexcept {
    return datagram.size() >= 2 && datagram[0] == std::byte{0} &&
           (datagram[1] == std::byte{1} || datagram[1] == std::byte{2});
}

/// Returns true when one of its datagrams is a request.
[[nodiscard]] bool has_request(const received& message) noexcept {
    bool any = false;
    message.for_each_datagram([&any](bytes_view datagram) { any = any || is_request(datagram); });
    return any;
}

} // namespace

acceptor::acceptor(
    shard_context& context, request_handler& handler, demultiplexer& others, time_point now
) noexcept
    : context_(context),
      handler_(handler),
      others_(others),
      pace_(context.config().limits.requests_per_second, now) {}

error_code acceptor::listen(std::unique_ptr<datagram_socket> socket) {
    context_.listening.push_back(socket->local_endpoint());
    auto added = std::make_unique<listener>(
        context_.needs.loop, static_cast<shared_port::reader&>(*this), std::move(socket)
    );
    if (const error_code failed = added->watch()) {
        context_.listening.pop_back();
        return failed;
    }
    listeners_.push_back(std::move(added));
    return {};
}

void acceptor::stop() noexcept {
    accepting_ = false;
    // Those that transfers use stay to the end, even when this shard has no transfer left: were
    // they closed, the kernel would spread the clients of other shards of the port anew.
    if (can_rest()) {
        unwatch();
        listeners_.clear();
    }
}

void acceptor::unwatch() noexcept {
    for (const auto& each : listeners_) {
        each->unwatch();
    }
}

void acceptor::take_more(time_point now) noexcept {
    for (const auto& each : listeners_) {
        if (each->crowded && !resuming_at_) {
            take(*each, now);
        }
    }
}

void acceptor::on_readable(shared_port& port, time_point now) noexcept {
    take(static_cast<listener&>(port), now);
}

void acceptor::take(listener& from, time_point now) noexcept {
    const std::size_t allowed = pace_.available(now);
    if (allowed == 0 && can_rest()) {
        rest(std::max<time_point>(pace_.next(now), now + rest_min));
        return;
    }
    const std::size_t room = from.crowded ? scratch::receive_slots : requests_few;
    const std::size_t most = can_rest() ? std::min(allowed, room) : scratch::receive_slots;
    const auto messages = from.socket().receive_batch(context_.requests, most);
    if (!messages) {
        if (messages.error() != boost::system::errc::operation_would_block) {
            rest(now + rest_after_failure);
        }
        return;
    }
    if (!can_rest()) {
        take_mixed(from, *messages, now);
        return;
    }
    pace_.take(messages->size());
    from.crowded = messages->size() == most;
    for (const received& message : *messages) {
        message.for_each_datagram([&](bytes_view datagram) {
            on_datagram(from.socket(), message, datagram, now);
        });
    }
}

/// Requests begin transfers, what else comes to a socket that is lent belongs to one.
void acceptor::take_mixed(
    listener& from, std::span<const received> messages, time_point now
) noexcept {
    while (!messages.empty()) {
        const auto mixed = std::ranges::find_if(messages, has_request);
        const auto count = static_cast<std::size_t>(mixed - messages.begin());
        others_.deliver(from, messages.first(count), now);
        messages = messages.subspan(count);
        if (messages.empty()) {
            return;
        }
        received one = messages.front();
        messages.front().for_each_datagram([&](bytes_view datagram) {
            one.bytes = datagram;
            if (!is_request(datagram)) {
                others_.deliver(from, {&one, 1}, now);
            } else if (!accepting_ || pace_.available(now) == 0) {
                const reason why = accepting_ ? reason::server_pace : reason::not_accepting;
                context_.drop(why, one.from, local_of(from.socket(), one));
            } else {
                pace_.take(1);
                on_datagram(from.socket(), one, datagram, now);
            }
        });
        messages = messages.subspan(1);
    }
}

void acceptor::on_datagram(
    datagram_socket& port, const received& message, bytes_view datagram, time_point now
) noexcept {
    const transfer_key who{message.from, local_of(port, message)};
    if (const auto why = context_.unanswerable(message)) {
        context_.drop(*why, who.peer, who.local);
        return;
    }
    incoming_request a{port, message.to, datagram, who, {}, now, message.waited};
    const auto packet = decode(datagram);
    if (!packet) {
        if (packet.error() != errc::unknown_opcode && is_request(datagram)) {
            a.request.op = static_cast<opcode>(datagram[1]);
            handler_.on_malformed(a, packet.error());
        } else {
            context_.drop(reason::not_a_request, who.peer, who.local);
        }
    } else if (const auto* const request = std::get_if<request_view>(&*packet)) {
        a.request = *request;
        handler_.on_request(a);
    } else {
        context_.drop(reason::not_a_request, who.peer, who.local);
    }
}

void acceptor::rest(time_point until) noexcept {
    unwatch();
    resuming_at_ = until;
}

void acceptor::resume(time_point now) noexcept {
    if (!resuming_at_ || *resuming_at_ > now) {
        return;
    }
    resuming_at_.reset();
    for (const auto& each : listeners_) {
        if (each->watch()) {
            // Out of kernel memory for now.
            resuming_at_ = now + rest_after_failure;
        }
    }
}

shared_port* acceptor::find(const datagram_socket& port) const noexcept {
    const auto found =
        std::ranges::find(listeners_, &port, [](const auto& each) { return &each->socket(); });
    return found == listeners_.end() ? nullptr : found->get();
}

} // namespace tftp
