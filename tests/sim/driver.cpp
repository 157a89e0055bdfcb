#include <tftp/wire/packet.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <sim/driver.hpp>
#include <string_view>

namespace tftp::sim {

namespace {

/// Longest time the simulated program needs for anything, on top of what the engine waits for.
constexpr duration program_slack = std::chrono::seconds(2);

bytes_view as_bytes(std::string_view text) noexcept {
    return std::as_bytes(std::span(text.data(), text.size()));
}

} // namespace

driver::driver(
    const endpoint& at,
    const driver_config& config,
    const engine_config& engine,
    std::uint64_t size,
    std::uint64_t seed,
    const journal& log
)
    : station(at), config_(config), engine_(engine), size_(size), random_(seed), log_(log) {}

void driver::on_arrival(network& net, const datagram& arrived) {
    if (report_.closed) {
        // A real program would have destroyed the engine; it must stay silent all the same.
        net.note_unheard();
        input(arrived.octets, arrived.from, net.now());
        announce_deadline(net.now());
        drain(net);
        return;
    }
    inbox_.push_back(arrived);
    if (!work_pending_) {
        work_pending_ = true;
        net.wake(*this, net.now() + random_.up_to(config_.wake_lag) + cost(), wake_inbox);
    }
}

duration driver::cost() noexcept {
    const std::uint32_t number = ++datagrams_;
    const bool stalls = config_.stall_every != 0 && number % config_.stall_every == 0 &&
                        (config_.stall_last == 0 || number <= config_.stall_last);
    return (number >= config_.busy_from ? config_.busy : duration::zero()) +
           (stalls ? config_.stall : duration::zero());
}

void driver::on_wake(network& net, std::uint32_t what) {
    if (report_.closed) {
        return;
    }
    switch (what) {
    case wake_inbox:
        work(net);
        break;
    case wake_writable:
        drain(net);
        break;
    case wake_commit:
        on_commit(net);
        break;
    default:
        if (what == timer_number_) {
            fire(net);
        }
        break;
    }
    check_progress(net.now());
}

void driver::work(network& net) {
    work_pending_ = false;
    disturb(net);
    for (std::uint64_t i = random_.between(1, config_.batch_max);
         i > 0 && !inbox_.empty() && !report_.closed;
         --i) {
        const datagram d = std::move(inbox_.front());
        inbox_.pop_front();
        if (log_.on()) {
            log_.line(net.now(), address(), fmt::format("  <- {}", describe(d.octets)));
        }
        const auto packet = decode(d.octets);
        const bool answerable = packet && !std::holds_alternative<error_view>(*packet);
        stranger_ = answerable ? std::optional(d.from) : std::nullopt;
        feed(net, d);
    }
    if (!report_.closed) {
        settle(net);
    }
    if (!inbox_.empty() && !report_.closed) {
        work_pending_ = true;
        net.wake(*this, net.now() + cost(), wake_inbox);
    }
}

void driver::fire(network& net) {
    timer_.reset();
    if (!deadline_) {
        return;
    }
    if (net.now() < *deadline_) {
        arm(net, *deadline_);
        return;
    }
    if (work_pending_ && config_.busy + config_.stall > duration::zero()) {
        // A program reads what is there before it acts on a timer.
        arm(net, net.now() + std::max<duration>(config_.busy, std::chrono::milliseconds(1)));
        return;
    }
    log_.line(net.now(), address(), "  deadline");
    announce_deadline(net.now());
    drain(net);
    require(
        report_.closed || !rests_ || !deadline_ || *deadline_ > net.now(),
        "a deadline that was announced stands in the past: the program would spin"
    );
}

void driver::arm(network& net, time_point at) {
    timer_ = at;
    const bool late = config_.timer_lag != duration::zero();
    const duration lag = late ? random_.up_to(config_.timer_lag) : duration::zero();
    net.wake(*this, at + lag, ++timer_number_);
}

void driver::disturb(network& net) {
    if (random_.chance(config_.malformed_ppm)) {
        disturb_by_malformed(net);
    }
    if (random_.chance(config_.stranger_ppm)) {
        disturb_by_stranger(net);
    }
    if (random_.chance(config_.early_ppm) && deadline_ && net.now() < *deadline_ && rests_) {
        const auto before = deadline_;
        announce_deadline(net.now());
        drain(net);
        check_undisturbed(true, before);
    }
    if (random_.chance(config_.abort_ppm)) {
        log_.line(net.now(), address(), "  abort");
        stop();
        drain(net);
    }
}

void driver::note_disturbance(network& net, const endpoint& from, bytes_view octets) {
    if (log_.on()) {
        log_.line(net.now(), from, fmt::format("  -> {} (injected)", describe(octets)));
    }
    net.record(from, address(), octets);
}

void driver::disturb_by_malformed(network& net) {
    using namespace std::string_view_literals;
    static constexpr std::array packets = {
        ""sv,
        "\0"sv,
        "\0\3"sv,
        "\0\3\0"sv,
        "\0\4\0"sv,
        "\0\5\0"sv,
        "\0\0\0\1"sv,
        "\0\7\0\1"sv,
        "\1\4\0\1"sv,
        "\0\1file"sv,
        "\0\1file\0mail\0"sv,
    };
    const bool rested = rests_;
    const auto deadline = deadline_;
    const std::uint32_t before = counters().malformed;
    const bytes_view octets = as_bytes(packets[random_.below(packets.size())]);
    note_disturbance(net, peer(), octets);
    log_.line(net.now(), address(), "  <- malformed");
    input(octets, peer(), net.now());
    require(counters().malformed == before + 1, "a malformed datagram is not counted");
    drain(net);
    check_undisturbed(rested, deadline);
}

void driver::disturb_by_stranger(network& net) {
    using namespace std::string_view_literals;
    static constexpr std::array packets = {
        "\0\3\0\1forged"sv,
        "\0\3\0\2"sv,
        "\0\4\0\0"sv,
        "\0\4\0\1"sv,
        "\0\6blksize\0"
        "512\0"sv,
        "\0\1file\0octet\0"sv,
        "\0\5\0\1stop\0"sv,
        "\0\5\0\5"sv,
    };
    const bool other_port = !opening() && random_.chance(500'000);
    const auto port = static_cast<std::uint16_t>(random_.between(20'000, 30'000));
    const endpoint from = other_port ? peer().with_port(port) : endpoint::ipv4(192, 0, 2, 7, port);
    const std::string_view text = packets[random_.below(packets.size())];
    const bool answered = text[1] != '\5';

    const bool rested = rests_;
    const auto deadline = deadline_;
    const std::uint32_t before = counters().strangers;
    note_disturbance(net, from, as_bytes(text));
    log_.line(net.now(), address(), "  <- stranger's datagram");
    stranger_ = answered ? std::optional(from) : std::nullopt;
    input(as_bytes(text), from, net.now());
    require(counters().strangers == before + 1, "a stranger is not counted");
    drain(net);
    require(!stranger_, "a stranger got no ERROR 5");
    check_undisturbed(rested, deadline);
}

void driver::check_undisturbed(bool rested, std::optional<time_point> deadline) const {
    require(
        !rested || (rests_ && deadline_ == deadline),
        "a datagram that means nothing disturbed the transfer"
    );
}

void driver::check_progress(time_point now) {
    const bool open = opening();
    if (!progress_at_ || progressed() != progress_ || open != was_opening_ || waits_for_commit()) {
        progress_at_ = now;
    }
    progress_ = progressed();
    was_opening_ = open;
    const time_point since = report_.completed ? report_.completed_at : *progress_at_;
    report_.longest_stall = std::max(report_.longest_stall, now - since);
    require(
        report_.closed || now - since <= patience(), "no progress, and the transfer is not given up"
    );
}

duration driver::patience() const {
    using std::chrono::seconds;
    const duration asked = agreed().timeout.value_or(seconds(0));
    if (report_.completed) {
        // A sender that knows nothing yet may wait 0.7 s for each block of its first window.
        const auto blocks =
            static_cast<duration::rep>(std::min<std::uint64_t>(progressed(), agreed().windowsize));
        const duration first = std::min<duration>(
            2 * engine_.rto.initial + std::chrono::milliseconds(700) * blocks, engine_.give_up
        );
        return std::max<duration>({engine_.dally_max, 2 * engine_.rto.max, first}) + program_slack;
    }
    if (opening()) {
        return engine_.rto.initial * ((1U << engine_.opening_sends) - 1U) + program_slack;
    }
    // Fewer than four blocks in 30 s are no progress.
    return std::max<duration>(engine_.give_up, 2 * asked) + program_slack;
}

void driver::repeat_opening(network& net) {
    if (opening() && has_opening_) {
        log_.line(net.now(), address(), "  opening again for the same request");
        if (log_.on()) {
            log_.line(net.now(), address(), fmt::format("  -> {}", describe(opening_)));
        }
        net.send(address(), peer(), opening_);
    }
}

void driver::take(network& net, const send_control& control) {
    if (log_.on()) {
        log_.line(net.now(), address(), fmt::format("  -> {}", describe(control.datagram)));
    }
    require(!report_.closed, "a datagram after closed");
    const auto packet = decode(control.datagram);
    require(packet.has_value(), "a control datagram that is no TFTP packet");
    const auto* error = std::get_if<error_view>(&*packet);
    const bool unknown = error != nullptr && error->code == peer_errc::unknown_transfer_id;
    if (unknown || control.to != peer()) {
        require(unknown, "something else than ERROR 5 goes to a stranger");
        require(stranger_ == control.to, "an ERROR 5 that nobody asked for");
        stranger_.reset();
    } else {
        check_control(control);
    }
    if (!has_opening_ && opening()) {
        has_opening_ = true;
        opening_.assign(control.datagram.begin(), control.datagram.end());
    }
    net.send(address(), control.to, control.datagram, progressed());
}

void driver::take(network& net, const idle& rest) {
    require(!report_.closed, "idle after closed");
    rests_ = true;
    deadline_ = rest.deadline;
    if (deadline_ && (!timer_ || *deadline_ < *timer_)) {
        arm(net, *deadline_);
    }
}

void driver::take(network& net, const completed& end) {
    log_.line(net.now(), address(), fmt::format("  completed: {}", end.outcome.message()));
    require(!report_.completed, "completed twice");
    report_.completed = true;
    report_.completed_at = net.now();
    report_.outcome = end.outcome;
}

void driver::take(network& net, const closed&) {
    if (!report_.closed) {
        log_.line(net.now(), address(), "  closed");
    }
    require(report_.completed, "closed before completed");
    report_.closed = true;
    report_.counters = counters();
    report_.agreed = agreed();
}

} // namespace tftp::sim
