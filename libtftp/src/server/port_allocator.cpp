#include "server/port_allocator.hpp"

#include <tftp/transfer/receive_window.hpp>

#include <algorithm>
#include <new>
#include <utility>

namespace tftp {

namespace {

/// Holds what waits for a thousand neighbours that do not exist, for as long as the system asks for
/// them: a few packets of each, as the kernel counts them.
constexpr std::size_t shared_send_buffer = std::size_t{8} << 20;

/// Windows of several uploads wait in it.
constexpr std::size_t shared_receive_buffer = std::size_t{4} << 20;

} // namespace

result<opened_port>
port_allocator::open(const incoming_request& a, const parameters& receives) noexcept {
    error_code failed = errc::overloaded;
    if (may_be_exclusive()) {
        auto opened = open_exclusive(a, receives);
        if (opened) {
            return opened;
        }
        failed = opened.error();
    }
    if (opened_port lent = lend(a); lent.port) {
        return lent;
    }
    return failed;
}

bool port_allocator::has_other_pair(const incoming_request& a) const noexcept {
    if (context_.config().tids == tid_mode::single) {
        return false;
    }
    return may_be_exclusive() || shared_.size() < context_.config().limits.shared_ports_max ||
           std::ranges::any_of(shared_, [&](const auto& each) { return serves(*each, a); });
}

bool port_allocator::may_be_exclusive() const noexcept {
    const auto& transfers = runner_.transfers();
    return context_.config().tids == tid_mode::exclusive &&
           transfers.size() - transfers.pairs() < context_.config().limits.exclusive_ports_max;
}

result<opened_port>
port_allocator::open_exclusive(const incoming_request& a, const parameters& receives) noexcept {
    socket_options options;
    options.refusals = true;
    options.sends = context_.config().sends;
    if (receives.windowsize > 1) {
        options.coalesce = true;
        options.receive_buffer = receive_buffer_for(receives);
    }
    auto opened = context_.needs.ports.open(a.who.local.with_port(0), options);
    if (!opened) {
        return opened.error();
    }
    return opened_port{std::move(*opened)};
}

opened_port port_allocator::lend(const incoming_request& a) noexcept {
    shared_port* const behind = find_shared(a);
    if (behind == nullptr) {
        return {};
    }
    const endpoint local = a.who.local.with_port(behind->socket().local_endpoint().port);
    std::unique_ptr<shared_socket_view> port(new (std::nothrow
    ) shared_socket_view(behind->socket(), behind->users(), local));
    shared_socket_view* const lent = port.get();
    return {std::move(port), lent, behind};
}

/// Returns a socket through which no other transfer of the same client runs; null when there is
/// none.
shared_port* port_allocator::find_shared(const incoming_request& a) noexcept {
    if (context_.config().tids == tid_mode::single) {
        return listening_.find(a.port);
    }
    // As fresh as can be: one more as long as there may be more.
    const endpoint bound = a.port.local_endpoint().with_port(0);
    if (shared_.size() < context_.config().limits.shared_ports_max && !open_shared(bound)) {
        return shared_.back().get();
    }
    const std::size_t first = shared_.empty() ? 0 : context_.random() % shared_.size();
    for (std::size_t i = 0; i < shared_.size(); ++i) {
        shared_port& each = *shared_[(first + i) % shared_.size()];
        if (serves(each, a)) {
            return &each;
        }
    }
    return nullptr;
}

/// Returns true when `port` has the address that `a` was sent to, and no transfer with its client.
bool port_allocator::serves(const shared_port& port, const incoming_request& a) const noexcept {
    const endpoint local = port.socket().local_endpoint();
    const transfer_key ends{a.who.peer, a.who.local.with_port(local.port)};
    return local.with_port(0) == a.port.local_endpoint().with_port(0) &&
           runner_.transfers().find_pair(ends) == nullptr;
}

error_code port_allocator::open_shared(const endpoint& local) noexcept {
    socket_options options;
    options.local_addresses = true;
    options.coalesce = true;
    options.receive_buffer = shared_receive_buffer;
    options.send_buffer = shared_send_buffer;
    options.sends = context_.config().sends;
    auto opened = context_.needs.ports.open(local, options);
    if (!opened) {
        return opened.error();
    }
    try {
        shared_.push_back(std::make_unique<shared_port>(
            context_.needs.loop, static_cast<reader&>(*this), std::move(*opened)
        ));
    } catch (const std::bad_alloc&) {
        return make_error_code(boost::system::errc::not_enough_memory);
    }
    const error_code failed = shared_.back()->watch();
    if (failed) {
        shared_.pop_back();
    }
    return failed;
}

void port_allocator::on_readable(shared_port& port, time_point now) noexcept {
    const auto messages = port.socket().receive_batch(context_.requests, scratch::receive_slots);
    if (messages) {
        packets_.deliver(port, *messages, now);
    } else if (is_shortage(messages.error())) {
        port.unwatch();
        resuming_at_ = now + rest_after_failure;
    }
}

void port_allocator::resume(time_point now) noexcept {
    if (!resuming_at_ || *resuming_at_ > now) {
        return;
    }
    resuming_at_.reset();
    for (const auto& each : shared_) {
        if (each->watch()) {
            // Out of kernel memory for now.
            resuming_at_ = now + rest_after_failure;
        }
    }
}

void port_allocator::unwatch() noexcept {
    for (const auto& each : shared_) {
        each->unwatch();
    }
}

void port_allocator::close_unused() noexcept {
    std::erase_if(shared_, [](const auto& each) {
        if (each->users() != 0) {
            return false;
        }
        each->unwatch();
        return true;
    });
    if (shared_.empty()) {
        shared_.shrink_to_fit();
    }
}

} // namespace tftp
