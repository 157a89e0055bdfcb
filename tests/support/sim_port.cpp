#include "support/sim_port.hpp"

#include <tftp/base/assert.hpp>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <poll.h>

namespace tftp::test {

namespace {

[[nodiscard]] error_code system_error(int number) noexcept {
    return {number, boost::system::system_category()};
}

} // namespace

sim_port::sim_port(
    sim_network& network, const endpoint& local, const socket_options& options, int fd
)
    : network_(network), local_(local), options_(options), fd_(fd), queue_(room) {
    for (sim_datagram& slot : queue_) {
        // A DATA of the default size: traffic of it allocates nothing from the start.
        slot.octets.reserve(516);
    }
    network_.add(*this, fd);
}

sim_port::~sim_port() {
    network_.remove(*this);
}

result<std::span<const received>>
sim_port::receive_batch(scratch& memory, std::size_t messages_max) noexcept {
    if (const auto fault = network_.count(port_call::receive)) {
        return system_error(fault->error);
    }
    const auto messages = memory.messages();
    std::size_t count = 0;
    for (; waiting_ != 0; --waiting_, first_ = (first_ + 1) % room) {
        const sim_datagram& datagram = queue_[first_];
        const bool joined = count != 0 && joins(datagram, messages[count - 1]);
        if (!joined && count == messages_max) {
            break;
        }
        count += joined ? 0U : 1U;
        received& message = messages[count - 1];
        const std::size_t used = joined ? message.bytes.size() : 0;
        const bytes_span slot = memory.slot(count - 1).first(used + datagram.octets.size());
        std::ranges::copy(datagram.octets, slot.begin() + static_cast<std::ptrdiff_t>(used));
        if (joined) {
            message.bytes = slot;
            continue;
        }
        message = {slot, std::max<std::size_t>(slot.size(), 1), datagram.from, {}, group, {}};
        if (options_.local_addresses) {
            message.to = datagram.to.with_port(0);
        }
        if (options_.waiting_times) {
            message.waited = waited;
        }
    }
    return std::span<const received>(messages.first(count));
}

bool sim_port::joins(const sim_datagram& next, const received& message) const noexcept {
    return coalesces && next.from == message.from && !next.octets.empty() &&
           next.octets.size() <= message.segment && message.bytes.size() % message.segment == 0;
}

result<std::uint16_t> sim_port::send_run(
    const endpoint& peer, const endpoint&, bytes_view run, std::size_t segment
) noexcept {
    TFTP_ASSERT(held_segment_ == 0);
    const auto fault = network_.count(port_call::send_run);
    if (fault && fault->taken == 0) {
        return system_error(fault->error);
    }
    std::uint16_t taken = 0;
    for (bytes_view rest = run; !rest.empty() && !(fault && taken == fault->taken); ++taken) {
        const bytes_view datagram = rest.first(std::min(segment, rest.size()));
        rest = rest.subspan(datagram.size());
        network_.transmit(*this, peer, datagram);
    }
    return taken;
}

error_code sim_port::cork(
    const endpoint& peer, const endpoint& local, std::span<const ::iovec> parts, std::size_t segment
) noexcept {
    if (!network_.holds) {
        return datagram_socket::cork(peer, local, parts, segment);
    }
    TFTP_ASSERT(held_segment_ == 0);
    if (const auto fault = network_.count(port_call::cork)) {
        return system_error(fault->error);
    }
    held_.clear();
    for (const ::iovec& part : parts) {
        const auto* const octets = static_cast<const std::byte*>(part.iov_base);
        held_.insert(held_.end(), octets, octets + part.iov_len);
    }
    held_for_ = peer;
    held_segment_ = segment;
    return {};
}

error_code sim_port::release() noexcept {
    TFTP_ASSERT(held_segment_ != 0);
    const std::size_t segment = std::exchange(held_segment_, 0);
    if (const auto fault = network_.count(port_call::release)) {
        return system_error(fault->error);
    }
    for (bytes_view rest = held_; !rest.empty();) {
        const bytes_view datagram = rest.first(std::min(segment, rest.size()));
        rest = rest.subspan(datagram.size());
        network_.transmit(*this, held_for_, datagram);
    }
    return {};
}

void sim_port::drop_corked() noexcept {
    TFTP_ASSERT(held_segment_ != 0);
    held_segment_ = 0;
}

error_code sim_port::send(const endpoint& peer, const endpoint&, bytes_view datagram) noexcept {
    TFTP_ASSERT(held_segment_ == 0);
    if (const auto fault = network_.count(port_call::send)) {
        return system_error(fault->error);
    }
    network_.transmit(*this, peer, datagram);
    return {};
}

std::optional<refusal> sim_port::next_refusal() noexcept {
    if (refusals_.empty()) {
        return std::nullopt;
    }
    const refusal oldest = refusals_.front();
    refusals_.erase(refusals_.begin());
    return oldest;
}

void sim_port::deliver(const endpoint& from, const endpoint& to, bytes_view octets) {
    if (waiting_ == room) {
        return;
    }
    sim_datagram& slot = queue_[(first_ + waiting_) % room];
    slot.from = from;
    slot.to = to;
    slot.octets.assign(octets.begin(), octets.end());
    ++waiting_;
}

void sim_port::refuse(const refusal& what) {
    if (options_.refusals) {
        refusals_.push_back(what);
    }
}

std::optional<sim_datagram> sim_port::take() {
    if (waiting_ == 0) {
        return std::nullopt;
    }
    sim_datagram oldest = queue_[first_];
    first_ = (first_ + 1) % room;
    --waiting_;
    return oldest;
}

sim_port* sim_network::find(int fd) const noexcept {
    const auto found = by_fd_.find(fd);
    return found == by_fd_.end() ? nullptr : found->second;
}

std::unique_ptr<sim_port> sim_network::open(const endpoint& local, const socket_options& options) {
    const endpoint bound = local.port == 0 ? local.with_port(next_port_++) : local;
    return std::make_unique<sim_port>(*this, bound, options, next_fd_++);
}

std::optional<port_fault> sim_network::count(port_call call) noexcept {
    const unsigned nth = ++calls_[static_cast<std::size_t>(call)];
    const auto found = std::ranges::find_if(faults, [&](const port_fault& f) {
        return f.call == call && f.nth == nth;
    });
    return found == faults.end() ? std::nullopt : std::optional(*found);
}

void sim_network::transmit(sim_port& from, const endpoint& to, bytes_view octets) {
    ++sent;
    const endpoint source = from.local_endpoint();
    if (passes && !passes(source, to, octets)) {
        return;
    }
    for (const auto& [fd, port] : by_fd_) {
        if (port->local_endpoint() == to) {
            port->deliver(source, to, octets);
            return;
        }
    }
    if (refuses) {
        from.refuse({to, system_error(ECONNREFUSED)});
    }
}

void sim_network::add(sim_port& port, int fd) {
    by_fd_.emplace(fd, &port);
}

void sim_network::remove(const sim_port& port) noexcept {
    by_fd_.erase(port.native_handle());
}

result<std::unique_ptr<datagram_socket>>
sim_host::open(const endpoint& local, const socket_options& options) noexcept {
    if (const auto fault = network_.count(port_call::open)) {
        return system_error(fault->error);
    }
    last_options = options;
    return std::unique_ptr<datagram_socket>(network_.open(address_.with_port(local.port), options));
}

error_code sim_loop::watch(const interest& wanted, event_handler& handler) noexcept {
    if (fail_next != 0) {
        return system_error(std::exchange(fail_next, 0));
    }
    watched_[wanted.fd] = {wanted, &handler};
    return {};
}

void sim_loop::unwatch(int fd) noexcept {
    watched_.erase(fd);
}

bool sim_loop::dispatch(shard& target, time_point now) {
    ready_.clear();
    for (const auto& [fd, what] : watched_) {
        const sim_port* const port = network_.find(fd);
        // Anything else is a descriptor of the kernel: the shard's completion queue.
        ::pollfd real{fd, POLLIN, 0};
        const bool readable =
            what.wanted.read && (port != nullptr ? port->readable() : ::poll(&real, 1, 0) == 1);
        if (readable || what.wanted.write) {
            ready_.push_back({fd, what});
        }
    }
    for (const ready_entry& r : ready_) {
        // Once closed within this turn it is spoken of no more, as epoll has it.
        if (watched_.contains(r.fd)) {
            const sim_port* const port = network_.find(r.fd);
            const bool readable = r.what.wanted.read && (port == nullptr || port->readable());
            r.what.handler->on_event(readable, r.what.wanted.write, now);
        }
    }
    target.step(now);
    return !ready_.empty();
}

} // namespace tftp::test
