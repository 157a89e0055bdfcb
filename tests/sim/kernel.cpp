#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <sim/kernel.hpp>
#include <utility>

namespace tftp::sim {

namespace {

/// What a datagram is charged beyond its octets.
constexpr std::size_t bookkeeping = 768;

/// IPv4 and UDP.
constexpr std::size_t headers_size = 28;

[[nodiscard]] error_code system_error(int number) noexcept {
    return {number, boost::system::system_category()};
}

} // namespace

result<std::unique_ptr<datagram_socket>>
kernel::open(const endpoint& local, const socket_options& options) noexcept {
    static constexpr std::array errors = {EMFILE, ENFILE, ENOBUFS, EADDRINUSE};
    if (random_.chance(config_.open_ppm)) {
        world_.seen.note(happening::open_failed);
        return system_error(errors[random_.below(errors.size())]);
    }
    std::uint16_t port = local.port != 0 ? local.port : next_port;
    if (port == 0) {
        port = next_ephemeral_++;
        next_ephemeral_ = std::max<std::uint16_t>(next_ephemeral_, 32768);
    }
    // Who asks for its address has peers that asked several.
    const port_use use = options.local_addresses ? port_use::shared : port_use::exclusive;
    return std::unique_ptr<datagram_socket>(
        std::make_unique<sim_socket>(*this, host_.with_port(port), options, next_fd_++, use)
    );
}

sim_socket* kernel::find(int fd) const noexcept {
    const auto found = by_fd_.find(fd);
    return found == by_fd_.end() ? nullptr : found->second;
}

sim_socket* kernel::find(const endpoint& local) const noexcept {
    const auto found = std::ranges::find_if(by_fd_, [&local](const auto& entry) {
        return entry.second->address() == local;
    });
    return found == by_fd_.end() ? nullptr : found->second;
}

sim_socket::sim_socket(
    kernel& host, const endpoint& local, const socket_options& options, int fd, port_use use
)
    : station(local),
      host_(host),
      options_(options),
      fd_(fd),
      granted_(std::clamp(
          2 * options.receive_buffer,
          host.config_.receive_buffer,
          std::max(host.config_.receive_buffer, host.config_.receive_buffer_max)
      )),
      watch_(host.rules_, host.world_.judge, use, host.world_.net.now()) {
    host_.world_.net.attach(*this);
    host_.by_fd_.emplace(fd_, this);
}

sim_socket::~sim_socket() {
    watch_.on_close(host_.world_.net.now());
    if (watch_.use() == port_use::exclusive && host_.on_over) {
        host_.on_over(watch_.only());
    }
    host_.world_.net.detach(*this);
    host_.by_fd_.erase(fd_);
}

void sim_socket::on_outcome(const endpoint& peer, bool success) {
    const wire_watch* const ended = watch_.on_outcome(peer, success, host_.world_.net.now());
    if (watch_.use() == port_use::shared && ended != nullptr && host_.on_over) {
        host_.on_over(*ended);
    }
}

bool sim_socket::writable() const noexcept {
    return host_.world_.net.now() >= full_until_;
}

void sim_socket::on_arrival(network&, const datagram& arrived) {
    const std::size_t charge = arrived.octets.size() + bookkeeping;
    if (charged_ + charge > granted_) {
        host_.world_.seen.note(happening::receive_buffer_full);
        host_.world_.net.note_unheard(arrived.from, arrived.to);
        return;
    }
    charged_ += charge;
    queue_.push_back({arrived.from, arrived.to, arrived.octets, host_.world_.net.now()});
    host_.owner_->on_socket(*this);
}

void sim_socket::on_refusal(network&, const endpoint& closed) {
    if (options_.refusals) {
        host_.world_.seen.note(happening::refused_by_icmp);
        refusals_.push_back({closed, system_error(ECONNREFUSED)});
        pending_error_ = ECONNREFUSED;
        host_.owner_->on_socket(*this);
    }
}

bool sim_socket::joins(const waiting& next, const received& message) const noexcept {
    // As UDP_GRO has it: equal sizes of one sender, a shorter one ends the run.
    return options_.coalesce && host_.config_.coalesces && next.from == message.from &&
           !next.octets.empty() && next.octets.size() <= message.segment &&
           message.bytes.size() % message.segment == 0 &&
           message.bytes.size() + next.octets.size() <= scratch::slot_size &&
           message.bytes.size() / message.segment < scratch::segments_max;
}

result<std::span<const received>>
sim_socket::receive_batch(scratch& memory, std::size_t messages_max) noexcept {
    if (pending_error_ != 0) {
        return system_error(std::exchange(pending_error_, 0));
    }
    std::size_t count = 0;
    while (!queue_.empty()) {
        const waiting& next = queue_.front();
        if (count != 0 && joins(next, memory.messages()[count - 1])) {
            received& message = memory.messages()[count - 1];
            const std::size_t used = message.bytes.size();
            const bytes_span slot = memory.slot(count - 1);
            std::ranges::copy(next.octets, slot.begin() + static_cast<std::ptrdiff_t>(used));
            message.bytes = slot.first(used + next.octets.size());
            host_.world_.seen.note(happening::coalesced);
        } else if (count == messages_max) {
            break;
        } else {
            const bytes_span slot = memory.slot(count).first(next.octets.size());
            std::ranges::copy(next.octets, slot.begin());
            memory.messages()[count] = {
                slot, std::max<std::size_t>(slot.size(), 1), next.from, {}, false, {}};
            if (options_.local_addresses) {
                memory.messages()[count].to = next.to.with_port(0);
                memory.messages()[count].to_group = !next.to.same_host(address());
            }
            if (options_.waiting_times) {
                memory.messages()[count].waited = host_.world_.net.now() - next.since;
            }
            ++count;
        }
        if (host_.world_.log.on()) {
            host_.world_.log.line(
                host_.world_.net.now(),
                address(),
                fmt::format("<- :{} {}", next.from.port, describe(next.octets))
            );
        }
        watch_.on_received(next.from, next.octets, host_.world_.net.now());
        if (watch_.use() == port_use::requests) {
            for (const auto& [fd, port] : host_.by_fd_) {
                port->watch_.on_request(next.from);
            }
        }
        charged_ -= next.octets.size() + bookkeeping;
        queue_.pop_front();
    }
    return std::span<const received>(memory.messages()).first(count);
}

sim_socket::fate sim_socket::decide(bytes_view octets) noexcept {
    const kernel_config& c = host_.config_;
    tally& seen = host_.world_.seen;
    if (pending_error_ != 0) {
        send_error_ = std::exchange(pending_error_, 0);
        watch_.on_refused();
        return fate::refused;
    }
    if (writable() && host_.random_.chance(c.full_ppm)) {
        full_until_ =
            host_.world_.net.now() + host_.random_.up_to(c.full_lag) + std::chrono::microseconds(1);
        watch_.on_held_up();
        host_.owner_->on_socket(*this);
    }
    if (!writable()) {
        seen.note(happening::send_blocked);
        return fate::full;
    }
    if (c.mtu != 0 && octets.size() + headers_size > c.mtu) {
        seen.note(happening::send_too_large);
        send_error_ = EMSGSIZE;
        watch_.on_refused();
        return fate::refused;
    }
    if (host_.random_.chance(c.refuse_ppm)) {
        seen.note(happening::send_refused);
        send_error_ = host_.random_.below(2) == 0 ? EPERM : ENETUNREACH;
        watch_.on_refused();
        return fate::refused;
    }
    if (host_.random_.chance(c.lose_ppm)) {
        seen.note(happening::send_lost);
        return fate::lost;
    }
    return fate::sent;
}

void sim_socket::leave(const endpoint& peer, bytes_view octets, fate what) noexcept {
    const time_point now = host_.world_.net.now();
    if (host_.world_.log.on()) {
        const char* const note = what == fate::sent ? "" : " (lost in the kernel)";
        host_.world_.log.line(
            now, address(), fmt::format("-> :{} {}{}", peer.port, describe(octets), note)
        );
    }
    host_.world_.judge.require(
        !peer.same_host(unanswered_host), "an answer to a request that must be dropped"
    );
    // An ERROR that did not leave may be tried again.
    const bool error = octets.size() > 1 && octets[1] == std::byte{5};
    if (!(error && what == fate::lost)) {
        const bool answers = host_.working_on == fd_;
        const auto why = answers ? wire_watch::cause::datagram : wire_watch::cause::other;
        watch_.on_sent(peer, octets, why, now);
    }
    host_.world_.judge.require(peer.port != 0, "an answer to port 0");
    host_.world_.judge.require(peer != address(), "an answer to the server itself");
    if (what == fate::sent) {
        host_.world_.net.send(address(), peer, octets);
    } else {
        host_.world_.net.note_unheard(address(), peer);
    }
}

result<std::uint16_t> sim_socket::send_run(
    const endpoint& peer, const endpoint&, bytes_view run, std::size_t segment
) noexcept {
    std::uint16_t taken = 0;
    for (bytes_view rest = run; !rest.empty(); ++taken) {
        bytes_view datagram = rest.first(std::min(segment, rest.size()));
        const fate what = decide(datagram);
        if (what == fate::sent || what == fate::lost) {
            leave(peer, datagram, what);
            rest = rest.subspan(datagram.size());
            continue;
        }
        if (taken != 0) {
            host_.world_.seen.note(happening::run_taken_in_part);
            return taken;
        }
        if (what == fate::full) {
            return system_error(EAGAIN);
        }
        // To its sender the whole run is as good as sent.
        for (; !rest.empty(); rest = rest.subspan(datagram.size())) {
            datagram = rest.first(std::min(segment, rest.size()));
            leave(peer, datagram, fate::lost);
        }
        return system_error(send_error_);
    }
    return taken;
}

error_code sim_socket::send(const endpoint& peer, const endpoint&, bytes_view datagram) noexcept {
    const fate what = decide(datagram);
    // To its sender a control datagram is as good as sent whatever comes of it.
    leave(peer, datagram, what == fate::sent ? what : fate::lost);
    if (what == fate::full) {
        return system_error(EAGAIN);
    }
    return what == fate::refused ? system_error(send_error_) : error_code();
}

std::optional<refusal> sim_socket::next_refusal() noexcept {
    if (refusals_.empty()) {
        return std::nullopt;
    }
    const refusal oldest = refusals_.front();
    refusals_.pop_front();
    return oldest;
}

} // namespace tftp::sim
