#include "server/service_internal.hpp"

#include <tftp/transfer/receive_window.hpp>

#include <algorithm>
#include <array>
#include <new>
#include <utility>
#include <variant>

/// Ports of transfers: their own, or lent by a socket that several share.
namespace tftp {

namespace {

/// Holds what waits for a thousand neighbours that do not exist, for as long as the system asks for
/// them: a few packets of each, as the kernel counts them.
constexpr std::size_t shared_send_buffer = std::size_t{8} << 20;

/// Windows of several uploads wait in it.
constexpr std::size_t shared_receive_buffer = std::size_t{4} << 20;

/// Returns true when what a peer answers first shows that it was asked for something itself: an
/// OACK; or ACK 0, which accepts a write, for the DATA that answered its read.
[[nodiscard]] bool shows_server(const received& message, bool opened_by_data) noexcept {
    const auto packet =
        decode(message.bytes.first(std::min(message.segment, message.bytes.size())));
    if (!packet) {
        return false;
    }
    const auto* const ack = std::get_if<ack_view>(&*packet);
    return std::holds_alternative<oack_view>(*packet) ||
           (ack != nullptr && ack->block == 0 && opened_by_data);
}

} // namespace

/// Returns true when `peer` sends from the well-known port of servers, or from a port where this
/// server listens: no client does, on this host or another one. The family counts, because a client
/// may happen to have the port of a listener of the other family.
bool service::is_server(const endpoint& peer) const noexcept {
    constexpr std::uint16_t well_known = 69;
    return peer.port == well_known || std::ranges::any_of(listeners_, [&peer](const auto& each) {
               const endpoint bound = each->port->local_endpoint();
               return bound.port == peer.port && bound.family == peer.family;
           });
}

/// Returns true when a request from the port of a transfer may get a pair of TIDs of its own.
bool service::has_other_pair(const incoming_request& a) const noexcept {
    if (config_.tids == tid_mode::single) {
        return false;
    }
    const std::size_t exclusive = transfers_.size() - pairs_.size();
    if (config_.tids == tid_mode::exclusive && exclusive < config_.limits.exclusive_ports_max) {
        return true;
    }
    return shared_.size() < config_.limits.shared_ports_max ||
           std::ranges::any_of(shared_, [&](const auto& each) {
               const endpoint bound = each->port->local_endpoint();
               return bound.with_port(0) == a.port.local_endpoint().with_port(0) &&
                      !pairs_.contains({a.who.peer, a.who.local.with_port(bound.port)});
           });
}

service::opened_port
service::open_port(const incoming_request& a, const parameters& receives) noexcept {
    error_code failed = errc::overloaded;
    const std::size_t exclusive = transfers_.size() - pairs_.size();
    if (config_.tids == tid_mode::exclusive && exclusive < config_.limits.exclusive_ports_max) {
        socket_options options;
        options.refusals = true;
        options.sends = config_.sends;
        if (receives.windowsize > 1) {
            options.coalesce = true;
            options.receive_buffer = receive_buffer_for(receives);
        }
        auto opened = parts_.ports.open(a.who.local.with_port(0), options);
        if (opened) {
            return {std::move(*opened)};
        }
        failed = opened.error();
    }
    if (opened_port lent = lend_port(a); lent.port) {
        return lent;
    }
    // Nothing the client asked for is wrong. One that never answered may hold what is missing.
    refuse(a, peer_errc::undefined, busy_text, failed);
    make_room(a);
    return {};
}

service::opened_port service::lend_port(const incoming_request& a) noexcept {
    shared* const behind = find_shared(a);
    if (behind == nullptr) {
        return {};
    }
    const endpoint local = a.who.local.with_port(behind->port->local_endpoint().port);
    std::unique_ptr<shared_socket_view> port(new (std::nothrow
    ) shared_socket_view(*behind->port, behind->users, local));
    shared_socket_view* const lent = port.get();
    return {std::move(port), lent, behind};
}

/// Returns a socket through which no other transfer of the same client runs; null when there is
/// none.
service::shared* service::find_shared(const incoming_request& a) noexcept {
    const endpoint bound = a.port.local_endpoint();
    if (config_.tids == tid_mode::single) {
        const auto found = std::ranges::find(listeners_, &a.port, [](const auto& each) {
            return each->port.get();
        });
        return found == listeners_.end() ? nullptr : found->get();
    }
    // As fresh as can be: one more as long as there may be more.
    if (shared_.size() < config_.limits.shared_ports_max && !open_shared(bound.with_port(0))) {
        return shared_.back().get();
    }
    const std::size_t first = shared_.empty() ? 0 : random_() % shared_.size();
    for (std::size_t i = 0; i < shared_.size(); ++i) {
        shared& each = *shared_[(first + i) % shared_.size()];
        const endpoint local = each.port->local_endpoint();
        const bool reaches = local.with_port(0) == bound.with_port(0);
        if (reaches && !pairs_.contains({a.who.peer, a.who.local.with_port(local.port)})) {
            return &each;
        }
    }
    return nullptr;
}

error_code service::open_shared(const endpoint& local) noexcept {
    socket_options options;
    options.local_addresses = true;
    options.coalesce = true;
    options.receive_buffer = shared_receive_buffer;
    options.send_buffer = shared_send_buffer;
    options.sends = config_.sends;
    auto opened = parts_.ports.open(local, options);
    if (!opened) {
        return opened.error();
    }
    try {
        shared_.push_back(std::make_unique<shared>(*this, std::move(*opened)));
    } catch (const std::bad_alloc&) {
        return make_error_code(boost::system::errc::not_enough_memory);
    }
    const error_code failed = watch(*shared_.back());
    if (failed) {
        shared_.pop_back();
    }
    return failed;
}

void service::on_shared(shared& port, time_point now) noexcept {
    const auto messages = port.port->receive_batch(requests_, scratch::receive_slots);
    if (messages) {
        deliver(port, *messages, now);
    } else if (is_shortage(messages.error())) {
        parts_.loop.unwatch(port.port->native_handle());
        resuming_at_ = now + rest_after_failure;
    }
}

/// Hands messages over to the transfers they belong to, those that follow each other together.
void service::deliver(shared& port, std::span<const received> messages, time_point now) noexcept {
    while (!messages.empty()) {
        const received& first = messages.front();
        const auto other = std::ranges::find_if_not(messages, [&](const received& each) {
            return each.from == first.from && each.to == first.to;
        });
        const auto count = static_cast<std::size_t>(other - messages.begin());
        const auto found = pairs_.find({first.from, local_of(*port.port, first)});
        if (found != pairs_.end()) {
            dispatch(*found->second, messages.first(count), now);
        } else {
            for (const received& each : messages.first(count)) {
                on_stranger(port, each);
            }
        }
        messages = messages.subspan(count);
    }
}

void service::dispatch(
    server_transfer& s, std::span<const received> messages, time_point now
) noexcept {
    if (s.half_open.linked() && s.opening() && shows_server(messages.front(), s.opened_by_data)) {
        // Somebody has set two servers upon each other. No ERROR: it would be answered, perhaps.
        s.drop(errc::not_a_client, memory_, now);
        update(s, now);
        return;
    }
    s.lent->put(messages);
    while (!s.lent->empty() && s.wants().read && !s.closed()) {
        s.on_readable(memory_, now);
    }
    // What it does not take, because it writes elsewhere, is lost as on the wire.
    s.lent->drop();
    update(s, now);
}

void service::on_stranger(shared& port, const received& message) noexcept {
    if (message.from.port == 0 || is_server(message.from) || message.to_group) {
        return;
    }
    message.for_each_datagram([&](bytes_view datagram) {
        const auto packet = decode(datagram);
        // An OACK answers a request, and no request leaves from here.
        if (!packet || std::holds_alternative<error_view>(*packet) ||
            std::holds_alternative<oack_view>(*packet)) {
            return;
        }
        constexpr auto code = peer_errc::unknown_transfer_id;
        std::array<std::byte, 64> out{};
        if (const auto size = encode_error(code, peer_message(code), out)) {
            // Best effort, as everything that a stranger draws.
            static_cast<void>(
                port.port->send(message.from, message.to, bytes_view(out).first(*size))
            );
        }
    });
}

/// Lets those that wait send one after the other, until the buffer is full again.
void service::on_writable(shared& port, time_point now) noexcept {
    std::vector<server_transfer*> waiting = std::exchange(port.waiting, {});
    auto next = waiting.begin();
    while (next != waiting.end() && port.waiting.empty()) {
        server_transfer& s = **next++;
        s.watching.write = false;
        s.on_writable(memory_, now);
        update(s, now);
    }
    waiting.erase(waiting.begin(), next);
    if (!waiting.empty()) {
        // There was room for all of them.
        waiting.insert(waiting.end(), port.waiting.begin(), port.waiting.end());
        port.waiting.swap(waiting);
    }
    // Changing what is watched needs no memory, so it does not fail.
    static_cast<void>(watch(port));
}

/// Notes that a transfer waits until the buffer of the socket behind it has room, or does not.
void service::wait_for_room(server_transfer& s, bool wanted) noexcept {
    if (s.watching.write == wanted) {
        return;
    }
    std::vector<server_transfer*>& waiting = s.behind->waiting;
    const bool others = waiting.size() > (wanted ? 0U : 1U);
    if (wanted) {
        try {
            waiting.push_back(&s);
        } catch (const std::bad_alloc&) {
            return; // its deadline has it look again
        }
    } else {
        waiting.erase(std::ranges::find(waiting, &s));
        if (!others) {
            waiting.shrink_to_fit();
        }
    }
    s.watching.write = wanted;
    if (!others) {
        static_cast<void>(watch(*s.behind));
    }
}

error_code service::watch(shared& port) noexcept {
    const interest wanted{port.port->native_handle(), true, !port.waiting.empty()};
    return parts_.loop.watch(wanted, port);
}

/// Closes sockets that no transfer uses any more: the next one that needs such a port gets a fresh
/// one.
void service::close_unused() noexcept {
    std::erase_if(shared_, [&](const auto& each) {
        if (each->users != 0) {
            return false;
        }
        parts_.loop.unwatch(each->port->native_handle());
        return true;
    });
    if (shared_.empty()) {
        shared_.shrink_to_fit();
    }
}

} // namespace tftp
