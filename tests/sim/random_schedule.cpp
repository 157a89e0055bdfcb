#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <sim/random_schedule.hpp>

namespace tftp::sim {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// From here on block numbers wrap, and a copy that is late by a whole cycle is taken for new: no
/// receiver can tell. So late copies must not be that late.
constexpr std::uint64_t many_blocks = 60'000;

template <class T, std::size_t n>
T one_of(prng& random, const std::array<T, n>& values) {
    return values[random.below(n)];
}

bool third(prng& random) {
    return random.below(3) == 0;
}

} // namespace

offer random_offer(prng& random) {
    static constexpr std::array<std::uint16_t, 6> blksizes = {8, 9, 64, 512, 1024, 1468};
    static constexpr std::array<std::uint16_t, 9> windowsizes = {1, 2, 3, 4, 8, 16, 32, 63, 64};
    static constexpr std::array<seconds, 4> timeouts = {
        seconds(1), seconds(2), seconds(5), seconds(40)};
    offer asked;
    if (random.below(5) == 0) {
        return asked;
    }
    if (random.below(4) != 0) {
        asked.blksize = one_of(random, blksizes);
    }
    if (random.below(3) != 0) {
        asked.windowsize = one_of(random, windowsizes);
    }
    if (random.below(5) == 0) {
        asked.timeout = one_of(random, timeouts);
    }
    if (random.below(2) == 0) {
        asked.tsize = 0;
    }
    return asked;
}

namespace {

std::uint64_t random_size(prng& random, std::uint64_t blksize) {
    const std::uint64_t kind = random.below(1000);
    std::uint64_t blocks = random.between(0, 12);
    if (kind < 2) {
        blocks = random.between(65'520, 66'000);
    } else if (kind < 50) {
        blocks = random.between(300, 2'500);
    } else if (kind < 500) {
        blocks = random.between(12, 300);
    }
    const std::uint64_t rest = third(random) ? 0 : random.below(blksize);
    return blocks * blksize + rest;
}

} // namespace

link_config random_link(prng& random, bool many) {
    static constexpr std::array<std::uint32_t, 6> losses = {
        1'000, 10'000, 20'000, 100'000, 250'000, 500'000};
    static constexpr std::array<duration, 8> delays = {
        microseconds(0),
        microseconds(50),
        microseconds(500),
        milliseconds(2),
        milliseconds(10),
        milliseconds(60),
        milliseconds(200),
        milliseconds(900)};
    const duration late = many ? duration(milliseconds(10)) : duration(seconds(3));
    link_config l;
    l.delay = one_of(random, delays);
    if (!many && random.below(100) == 0) {
        l.delay = random.up_to(seconds(4));
    }
    if (third(random)) {
        l.jitter = random.up_to(l.delay / 2 + milliseconds(1));
        l.in_order = random.below(2) == 0;
    }
    if (third(random)) {
        l.loss_ppm = one_of(random, losses);
    }
    if (random.below(6) == 0) {
        l.burst_enter_ppm = static_cast<std::uint32_t>(random.between(1'000, 50'000));
        l.burst_leave_ppm = static_cast<std::uint32_t>(random.between(100'000, 500'000));
        l.burst_loss_ppm = static_cast<std::uint32_t>(random.between(500'000, 1'000'000));
    }
    if (third(random)) {
        l.duplicate_ppm = one_of(random, losses) * (random.below(4) == 0 ? 2U : 1U);
        l.duplicate_lag = random.below(2) == 0 ? duration::zero() : random.up_to(late);
    }
    if (random.below(4) == 0) {
        l.reorder_ppm = one_of(random, losses);
        l.reorder_lag = random.up_to(random.below(2) == 0 ? milliseconds(5) : late);
    }
    if (random.below(6) == 0) {
        l.corrupt_ppm = one_of(random, losses) / 4;
    }
    if (random.below(4) == 0) {
        l.per_datagram = random.up_to(microseconds(500)) + microseconds(1);
        l.per_octet = random.below(2) == 0 ? duration::zero() : random.up_to(microseconds(10));
        l.queue = static_cast<std::uint32_t>(random.between(2, 80));
    }
    if (random.below(8) == 0) {
        for (std::uint64_t i = random.between(1, 3); i > 0; --i) {
            const duration from = random.up_to(seconds(random.below(2) == 0 ? 1 : 10));
            const duration length = random.up_to(seconds(random.below(4) == 0 ? 60 : 3));
            l.blackouts.push_back({from, from + length});
        }
    }
    return l;
}

namespace {

driver_config random_driver(prng& random) {
    static constexpr std::array<std::uint16_t, 6> runs = {1, 2, 7, 16, 45, 64};
    static constexpr std::array<std::uint16_t, 4> batches = {1, 4, 16, 64};
    driver_config d;
    d.run_max = one_of(random, runs);
    d.batch_max = one_of(random, batches);
    if (third(random)) {
        d.wake_lag = random.up_to(random.below(4) == 0 ? milliseconds(50) : milliseconds(1));
    }
    if (random.below(5) == 0) {
        d.partial_ppm = 300'000;
    }
    if (random.below(5) == 0) {
        d.block_ppm = 200'000;
        d.block_lag = random.up_to(milliseconds(20));
    }
    if (third(random)) {
        d.commit_lag = random.up_to(random.below(4) == 0 ? seconds(40) : seconds(1));
    }
    d.early_ppm = random.below(5) == 0 ? 100'000 : 0;
    d.malformed_ppm = random.below(5) == 0 ? 100'000 : 0;
    d.stranger_ppm = random.below(5) == 0 ? 100'000 : 0;
    d.abort_ppm = random.below(20) == 0 ? 20'000 : 0;
    d.size_unknown = third(random);
    return d;
}

engine_config random_engine(prng& random) {
    engine_config e;
    e.timeouts = random.below(2) == 0 ? timeout_policy::honour : timeout_policy::ceiling;
    if (random.below(8) == 0) {
        e.opening_sends = static_cast<std::uint8_t>(random.between(1, 7));
        e.give_up = seconds(random.between(1, 60));
    }
    return e;
}

} // namespace

schedule random_schedule(std::uint64_t seed) {
    prng random(seed ^ 0x5eed'5eed'5eed'5eedULL);
    schedule s;
    s.read = random.below(2) == 0;
    s.asked = random_offer(random);
    s.granted.windowsize = static_cast<std::uint16_t>(third(random) ? random.between(1, 64) : 256);
    s.granted.blksize = third(random) ? static_cast<std::uint16_t>(random.between(8, 1500)) : 1468;
    s.granted.allow_timeout = random.below(4) != 0;
    s.ignores_options = random.below(10) == 0;
    s.joins = random.below(4) != 0;
    std::uint64_t blksize = blksize_default;
    if (s.asked.blksize && !s.ignores_options) {
        blksize = std::min(*s.asked.blksize, s.granted.blksize);
    }
    s.size = random_size(random, blksize);
    const bool many = s.size / blksize >= many_blocks;
    if (many) {
        // Small blocks and a wide window, or the run takes too long.
        s.asked.blksize = 8;
        s.asked.windowsize = 64;
        s.granted.windowsize = 64;
        s.ignores_options = false;
        s.size = s.size / blksize * 8 + s.size % 8;
    }
    if (s.asked.tsize && !s.read) {
        s.asked.tsize = s.size;
    }
    s.client = random_engine(random);
    s.server = random_engine(random);
    static constexpr std::array<rollover, 4> wraps = {
        rollover::to_zero, rollover::to_zero, rollover::to_one, rollover::forbidden};
    s.client.wrap = one_of(random, wraps);
    s.server.wrap = random.below(8) == 0 ? rollover::forbidden : s.client.wrap;
    s.client_driver = random_driver(random);
    s.server_driver = random_driver(random);
    s.to_server = random_link(random, many);
    s.to_client = random.below(4) == 0 ? s.to_server : random_link(random, many);
    return s;
}

bool mild(const link_config& l) noexcept {
    return l.loss_ppm <= 20'000 && l.burst_enter_ppm == 0 && l.corrupt_ppm <= 5'000 &&
           l.blackouts.empty() && l.queue == 0 && l.mtu == 0 && l.delay <= milliseconds(900) &&
           l.reorder_lag <= milliseconds(100);
}

bool patient(const engine_config& e) noexcept {
    return e.wrap != rollover::forbidden && e.opening_sends >= 5 && e.give_up >= seconds(30);
}

bool must_arrive(const schedule& plan) noexcept {
    // While a commit runs the sender hears nothing; it waits for 30 s.
    const auto prompt = [](const driver_config& d) {
        return d.abort_ppm == 0 && d.commit_lag < seconds(20);
    };
    // One loss costs an interval, and one of 40 s is longer than the other side waits.
    const bool brisk = plan.asked.timeout.value_or(seconds(0)) <= seconds(5);
    return brisk && mild(plan.to_server) && mild(plan.to_client) && patient(plan.client) &&
           patient(plan.server) && prompt(plan.client_driver) && prompt(plan.server_driver);
}

namespace {

double ms(duration d) {
    return std::chrono::duration<double, std::milli>(d).count();
}

void print(const char* name, const link_config& l) {
    fmt::print(
        "{}: delay {} ms, jitter {} ms{}, loss {}, bursts {}/{}/{}, copies {} within {} ms, "
        "reordered {} within {} ms, corrupt {}, {} ms a datagram, {} us an octet, queue {}\n",
        name,
        ms(l.delay),
        ms(l.jitter),
        l.in_order ? " in order" : "",
        l.loss_ppm,
        l.burst_enter_ppm,
        l.burst_leave_ppm,
        l.burst_loss_ppm,
        l.duplicate_ppm,
        ms(l.duplicate_lag),
        l.reorder_ppm,
        ms(l.reorder_lag),
        l.corrupt_ppm,
        ms(l.per_datagram),
        ms(l.per_octet) * 1000,
        l.queue
    );
    for (const link_config::interval& i : l.blackouts) {
        fmt::print("  dark from {} to {} ms\n", ms(i.from), ms(i.until));
    }
}

void print(const char* name, const driver_config& d, const engine_config& e) {
    fmt::print(
        "{}: runs of {}, batches of {}, wakes within {} ms, partial {}, blocked {} for {} ms, "
        "commit {} ms, early {}, malformed {}, strangers {}, abort {}{}; "
        "rollover {}, {}, {} sends, gives up {} ms\n",
        name,
        d.run_max,
        d.batch_max,
        ms(d.wake_lag),
        d.partial_ppm,
        d.block_ppm,
        ms(d.block_lag),
        ms(d.commit_lag),
        d.early_ppm,
        d.malformed_ppm,
        d.stranger_ppm,
        d.abort_ppm,
        d.size_unknown ? ", size unknown" : "",
        static_cast<int>(e.wrap),
        e.timeouts == timeout_policy::honour ? "honour" : "ceiling",
        e.opening_sends,
        ms(e.give_up)
    );
}

} // namespace

void print(const schedule& plan) {
    fmt::print(
        "{} of {} octets; asked:{}{}{}{}{}; {}\n",
        plan.read ? "RRQ" : "WRQ",
        plan.size,
        plan.asked.blksize ? fmt::format(" blksize {}", *plan.asked.blksize) : "",
        plan.asked.windowsize ? fmt::format(" windowsize {}", *plan.asked.windowsize) : "",
        plan.asked.timeout ? fmt::format(" timeout {}", plan.asked.timeout->count()) : "",
        plan.asked.tsize ? " tsize" : "",
        plan.ignores_options ? ", ignored" : "",
        plan.joins ? "repeated requests join" : "each request opens a transfer"
    );
    print("client", plan.client_driver, plan.client);
    print("server", plan.server_driver, plan.server);
    print("to server", plan.to_server);
    print("to client", plan.to_client);
}

} // namespace tftp::sim
