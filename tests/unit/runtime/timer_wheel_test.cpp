#include <tftp/runtime/timer_wheel.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <vector>

using namespace std::chrono_literals;
using tftp::duration;
using tftp::time_point;
using tftp::timer_entry;
using tftp::timer_wheel;

namespace {

constexpr time_point start{1000h};
constexpr duration tick = 65536ns;

std::optional<time_point> never(timer_entry&) {
    return std::nullopt;
}

/// Goes from one `next` to the following until `entry` comes up; returns when that was.
time_point wait_for(timer_wheel& wheel, const timer_entry& entry, int& wakeups) {
    std::optional<time_point> fired;
    while (!fired) {
        const time_point now = wheel.next().value();
        ++wakeups;
        wheel.expire(now, [&](timer_entry& e) -> std::optional<time_point> {
            if (&e == &entry) {
                fired = now;
            }
            return std::nullopt;
        });
    }
    return *fired;
}

} // namespace

TEST_CASE("a wheel without entries has no next deadline", "[io][timer_wheel]") {
    timer_wheel wheel(start);
    CHECK_FALSE(wheel.next());
    wheel.expire(start + 1h, [](timer_entry&) -> std::optional<time_point> {
        FAIL("nothing is queued");
        return std::nullopt;
    });
    CHECK_FALSE(wheel.next());
}

TEST_CASE("an entry comes up less than a tick after its deadline", "[io][timer_wheel]") {
    const duration due = GENERATE(
        0ns,
        1ns,
        100us,
        250us,
        1ms,
        16777215ns,
        16777216ns,
        20ms,
        999ms,
        4s,
        5s,
        30s,
        60s,
        1000s,
        1h,
        100h
    );
    const duration idle = GENERATE(0ns, 777us, 3s, 5h);
    INFO("due after " << due.count() << " ns, idle for " << idle.count() << " ns");
    timer_wheel wheel(start);
    wheel.expire(start + idle, never);
    timer_entry entry;
    wheel.schedule(entry, start + idle + due);
    CHECK(entry.queued());
    int wakeups = 0;
    const time_point fired = wait_for(wheel, entry, wakeups);
    CHECK(fired >= start + idle + due);
    CHECK(fired <= start + idle + due + tick);
    CHECK_FALSE(entry.queued());
    CHECK_FALSE(wheel.next());
    // One look on each lower level, and one for each turn of the last (18 minutes).
    CHECK(wakeups <= 3 + due / 1000s);
}

TEST_CASE("a wheel that nobody looked at for hours still keeps time", "[io][timer_wheel]") {
    timer_wheel wheel(start);
    timer_entry entry;
    const time_point now = start + 5h;
    wheel.schedule(entry, now + 100us);
    std::size_t reports = 0;
    const auto count = [&](timer_entry&) -> std::optional<time_point> {
        ++reports;
        return std::nullopt;
    };
    wheel.expire(now, count);
    CHECK(reports == 0);
    CHECK(wheel.next().value() >= now + 100us);
    CHECK(wheel.next().value() <= now + 100us + tick);
    wheel.expire(now + 100us + tick, count);
    CHECK(reports == 1);
}

TEST_CASE("a later deadline leaves the entry in its place until it is asked", "[io][timer_wheel]") {
    timer_wheel wheel(start);
    timer_entry entry;
    wheel.schedule(entry, start + 10ms);
    const time_point first = wheel.next().value();
    wheel.schedule(entry, start + 50ms);
    CHECK(wheel.next() == first);

    wheel.expire(first, [](timer_entry&) { return std::optional(start + 50ms); });
    REQUIRE(entry.queued());
    int wakeups = 0;
    CHECK(wait_for(wheel, entry, wakeups) >= start + 50ms);
}

TEST_CASE("an earlier deadline moves the entry", "[io][timer_wheel]") {
    timer_wheel wheel(start);
    timer_entry entry;
    wheel.schedule(entry, start + 30s);
    wheel.schedule(entry, start + 1ms);
    CHECK(wheel.next().value() <= start + 1ms + tick);
    int wakeups = 0;
    CHECK(wait_for(wheel, entry, wakeups) <= start + 1ms + tick);
    CHECK_FALSE(wheel.next());
}

TEST_CASE("a cancelled entry never comes up", "[io][timer_wheel]") {
    timer_wheel wheel(start);
    timer_entry entry;
    wheel.cancel(entry);
    wheel.schedule(entry, start + 1ms);
    wheel.cancel(entry);
    CHECK_FALSE(entry.queued());
    CHECK_FALSE(wheel.next());
    {
        timer_entry brief;
        wheel.schedule(brief, start + 1ms);
    }
    CHECK_FALSE(wheel.next());
}

TEST_CASE("a deadline in the past cannot hold the loop up", "[io][timer_wheel]") {
    timer_wheel wheel(start);
    timer_entry entry;
    wheel.schedule(entry, start - 1h);
    time_point now = start + 1s;
    for (int i = 0; i < 3; ++i) {
        int reports = 0;
        wheel.expire(now, [&](timer_entry&) {
            ++reports;
            return std::optional(start);
        });
        CHECK(reports == 1);
        const time_point next = wheel.next().value();
        CHECK(next > now);
        CHECK(next <= now + tick);
        now = next;
    }
}

TEST_CASE("a clock that seems to step back reports nothing", "[io][timer_wheel]") {
    timer_wheel wheel(start);
    wheel.expire(start + 1s, never);
    timer_entry entry;
    wheel.schedule(entry, start + 2s);
    int reports = 0;
    wheel.expire(start - 1s, [&](timer_entry&) -> std::optional<time_point> {
        ++reports;
        return std::nullopt;
    });
    CHECK(reports == 0);
    CHECK(entry.queued());
}

TEST_CASE("entries outlive a wheel that ends first", "[io][timer_wheel]") {
    timer_entry near;
    timer_entry far;
    {
        timer_wheel wheel(start);
        wheel.schedule(near, start + 1ms);
        wheel.schedule(far, start + 60s);
    }
    CHECK_FALSE(near.queued());
    CHECK_FALSE(far.queued());
}

TEST_CASE("a reported entry may end itself and others", "[io][timer_wheel]") {
    timer_wheel wheel(start);
    std::vector<std::unique_ptr<timer_entry>> entries;
    for (int i = 0; i < 8; ++i) {
        entries.push_back(std::make_unique<timer_entry>());
        wheel.schedule(*entries.back(), start + 1ms);
    }
    int reports = 0;
    wheel.expire(start + 2ms, [&](timer_entry&) -> std::optional<time_point> {
        ++reports;
        entries.clear();
        return std::nullopt;
    });
    CHECK(reports == 1);
    CHECK_FALSE(wheel.next());
}

namespace {

/// What `timer_wheel` promises, told by an ordered map.
class model {
public:
    explicit model(std::uint32_t seed) : random_(seed), wheel_(start), entries_(64) {
        for (auto& e : entries_) {
            e = std::make_unique<timer_entry>();
        }
    }

    void step() {
        switch (pick(8)) {
        case 0:
            cancel(pick(entries_.size()));
            break;
        case 1:
            destroy(pick(entries_.size()));
            break;
        case 2:
        case 3:
            expire(now_ + any_delay());
            break;
        case 4:
            if (const std::optional<time_point> next = wheel_.next()) {
                expire(std::max(now_, *next));
            }
            break;
        default:
            schedule(pick(entries_.size()), now_ + any_delay() - 1ms);
            break;
        }
        check_next();
    }

private:
    std::size_t pick(std::size_t n) { return random_() % n; }

    // Delays of every magnitude, so that all levels and their borders are met.
    duration any_delay() {
        const auto magnitude = std::uniform_int_distribution<int>(10, 42)(random_);
        return duration(static_cast<std::int64_t>(random_() % (std::uint64_t{1} << magnitude)));
    }

    std::size_t index_of(const timer_entry& entry) {
        const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const auto& e) {
            return e.get() == &entry;
        });
        REQUIRE(found != entries_.end());
        return static_cast<std::size_t>(found - entries_.begin());
    }

    void forget(std::size_t i) {
        const auto found = std::find_if(queued_.begin(), queued_.end(), [i](const auto& q) {
            return q.second == i;
        });
        if (found != queued_.end()) {
            queued_.erase(found);
        }
    }

    void note(std::size_t i, time_point due) {
        // What is put in for the past comes up at the tick after the last look.
        due = std::max(due, now_);
        const auto found = std::find_if(queued_.begin(), queued_.end(), [i](const auto& q) {
            return q.second == i;
        });
        if (found != queued_.end()) {
            due = std::min(due, found->first);
            queued_.erase(found);
        }
        queued_.emplace(due, i);
    }

    void schedule(std::size_t i, time_point due) {
        wheel_.schedule(*entries_[i], due);
        note(i, due);
    }

    void cancel(std::size_t i) {
        wheel_.cancel(*entries_[i]);
        forget(i);
    }

    void destroy(std::size_t i) {
        entries_[i] = std::make_unique<timer_entry>();
        forget(i);
    }

    void expire(time_point now) {
        now_ = now;
        std::vector<bool> reported(entries_.size());
        wheel_.expire(now, [&](timer_entry& entry) -> std::optional<time_point> {
            const std::size_t i = index_of(entry);
            CHECK_FALSE(reported[i]);
            reported[i] = true;
            const auto found = std::find_if(queued_.begin(), queued_.end(), [i](const auto& q) {
                return q.second == i;
            });
            REQUIRE(found != queued_.end());
            CHECK(found->first <= now);
            queued_.erase(found);
            CHECK_FALSE(entry.queued());
            return react(i);
        });
        if (!queued_.empty()) {
            CHECK(queued_.begin()->first > now - tick);
        }
    }

    /// What the owner of a reported entry does.
    std::optional<time_point> react(std::size_t i) {
        const std::size_t other = pick(entries_.size());
        switch (pick(6)) {
        case 0:
            destroy(i);
            return std::nullopt;
        case 1:
            cancel(other);
            return std::nullopt;
        case 2:
            if (other != i) {
                destroy(other);
            }
            return std::nullopt;
        case 3:
            schedule(other, now_ + any_delay() - 1ms);
            return std::nullopt;
        default:
            const time_point due = now_ + any_delay() - 1ms;
            note(i, due);
            return due;
        }
    }

    void check_next() {
        const std::optional<time_point> next = wheel_.next();
        REQUIRE(next.has_value() == !queued_.empty());
        if (next) {
            CHECK(*next > now_ - tick);
            CHECK(*next <= std::max(queued_.begin()->first, now_) + tick);
        }
        for (std::size_t i = 0; i < entries_.size(); ++i) {
            const bool expected = std::any_of(queued_.begin(), queued_.end(), [i](const auto& q) {
                return q.second == i;
            });
            REQUIRE(entries_[i]->queued() == expected);
        }
    }

    std::mt19937 random_;
    time_point now_ = start;
    timer_wheel wheel_;
    std::vector<std::unique_ptr<timer_entry>> entries_;
    std::multimap<time_point, std::size_t> queued_;
};

} // namespace

TEST_CASE("random schedules agree with an ordered map", "[io][timer_wheel]") {
    const auto seed = GENERATE(range(1U, 41U));
    INFO("seed " << seed);
    model m(seed);
    for (int i = 0; i < 1000; ++i) {
        m.step();
    }
}
