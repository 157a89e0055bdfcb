#include "transfer/unicast_transfer.hpp"

#include <utility>

namespace tftp {

unicast_transfer::unicast_transfer(
    transfer_setup setup, const sender& engine, std::shared_ptr<source> from, time_point now
)
    : request_(setup),
      state_(
          *this, std::move(setup.port), setup.host, setup.verb == transfer_direction::write, now
      ),
      path_(std::in_place_type<send_path>, state_, engine, std::move(from)),
      started_(now) {}

unicast_transfer::unicast_transfer(
    transfer_setup setup, const receiver& engine, std::shared_ptr<sink> into, time_point now
)
    : request_(setup),
      state_(*this, std::move(setup.port), setup.host, setup.verb == transfer_direction::read, now),
      path_(std::in_place_type<receive_path>, state_, engine, std::move(into), setup.mode),
      started_(now) {}

void unicast_transfer::start(scratch& memory, time_point now) noexcept {
    with_path([&](auto& path) { act(path, memory, now); });
}

bool unicast_transfer::on_readable(scratch& memory, time_point now) noexcept {
    return with_path([&](auto& path) { return receive(path, memory, now); });
}

template <class Path>
bool unicast_transfer::receive(Path& path, scratch& memory, time_point now) noexcept {
    if (!state_.use.may_receive() || !path.begin_batch(now)) {
        return false;
    }
    const auto messages = state_.port->receive_batch(memory, path.messages_max());
    const bool any = messages && !messages->empty();
    if (!any) {
        // An ICMP error makes the port readable too.
        path.take_refusals();
        if (!messages && is_shortage(messages.error())) {
            // It would be readable again at once.
            state_.pause(now);
            return false;
        }
    } else {
        state_.pool_waits = 0;
        for (const received& message : *messages) {
            message.for_each_datagram([&](bytes_view datagram) {
                if (!closed()) {
                    path.on_datagram(datagram, message.from, memory, now);
                }
            });
        }
        answered_ = answered_ || !path.engine().opening();
    }
    path.end_batch(memory, now);
    act(path, memory, now);
    return any;
}

template <class Path>
void unicast_transfer::act(Path& path, scratch& memory, time_point now) noexcept {
    // What comes next sets another deadline.
    state_.use.resting = false;
    path.act(memory, now);
}

void unicast_transfer::on_writable(scratch& memory, time_point now) noexcept {
    with_path([&](auto& path) { act(path, memory, now); });
}

void unicast_transfer::on_deadline(scratch& memory, time_point now) noexcept {
    with_path([&](auto& path) {
        path.engine().on_deadline(now);
        act(path, memory, now);
    });
}

void unicast_transfer::on_resumed(scratch& memory, time_point now) noexcept {
    with_path([&](auto& path) {
        path.on_resumed(now);
        act(path, memory, now);
    });
}

void unicast_transfer::on_repeated_request(scratch& memory, time_point now) noexcept {
    with_path([&](auto& path) {
        path.engine().on_repeated_request();
        act(path, memory, now);
    });
}

void unicast_transfer::abort(
    peer_errc code, std::string_view message, const error_code& why, scratch& memory, time_point now
) noexcept {
    with_path([&](auto& path) {
        path.engine().abort(code, message, why);
        act(path, memory, now);
    });
}

void unicast_transfer::drop(const error_code& why, scratch& memory, time_point now) noexcept {
    with_path([&](auto& path) {
        path.engine().on_refused(why);
        act(path, memory, now);
    });
}

bool unicast_transfer::committing() const noexcept {
    const auto* const receiving = std::get_if<receive_path>(&path_);
    return receiving != nullptr && receiving->engine().committing();
}

bool unicast_transfer::opening() const noexcept {
    return with_path([](const auto& path) { return path.engine().opening(); });
}

std::uint64_t unicast_transfer::bytes_sent() const noexcept {
    return with_path([](const auto& path) { return path.bytes_sent(); });
}

const endpoint& unicast_transfer::peer() const noexcept {
    return with_path([](const auto& path) -> const endpoint& { return path.engine().peer(); });
}

const engine_counters& unicast_transfer::counters() const noexcept {
    return with_path([](const auto& path) -> const engine_counters& {
        return path.engine().counters();
    });
}

const parameters& unicast_transfer::agreed() const noexcept {
    return with_path([](const auto& path) -> const parameters& { return path.engine().agreed(); });
}

void unicast_transfer::release_file() noexcept {
    with_path([](auto& path) { path.release_file(); });
}

transfer_summary unicast_transfer::summary() const {
    transfer_summary s;
    s.verb = request_.verb;
    s.peer = peer();
    s.local = state_.port->local_endpoint();
    s.filename = request_.filename;
    s.mode = request_.mode;
    s.asked = with_path([](const auto& path) { return path.engine().offered(); });
    s.agreed = agreed();
    s.counters = counters();
    s.elapsed = state_.end.at - started_;
    if (const auto* sending = std::get_if<send_path>(&path_)) {
        s.round_trip = sending->engine().round_trip();
    }
    s.outcome = state_.end.outcome;
    s.failed = side_of(s.outcome, s.outcome.failed() && s.outcome == state_.content_error);
    s.send_error = state_.send_error;
    s.answered = answered_;
    s.peer_text = with_path([](const auto& path) { return path.engine().peer_text(); });
    return s;
}

std::unique_ptr<transfer> make_transfer(
    transfer_setup setup, const sender& engine, std::shared_ptr<source> from, time_point now
) {
    return std::make_unique<unicast_transfer>(std::move(setup), engine, std::move(from), now);
}

std::unique_ptr<transfer> make_transfer(
    transfer_setup setup, const receiver& engine, std::shared_ptr<sink> into, time_point now
) {
    return std::make_unique<unicast_transfer>(std::move(setup), engine, std::move(into), now);
}

} // namespace tftp
