#pragma once

#include <tftp/base/time.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace tftp {

class timer_wheel;

/// One deadline's place in a `timer_wheel`; a base or member of what waits. Does not move. Its
/// end cancels it.
class timer_entry {
public:
    timer_entry() noexcept = default;
    timer_entry(const timer_entry&) = delete;
    timer_entry& operator=(const timer_entry&) = delete;
    ~timer_entry();

    /// Returns true while a wheel holds it.
    [[nodiscard]] bool queued() const noexcept { return wheel_ != nullptr; }

private:
    friend class timer_wheel;

    timer_wheel* wheel_ = nullptr;
    timer_entry* next_ = nullptr;
    timer_entry** link_ = nullptr;
    std::uint64_t tick_ = 0;
    std::size_t slot_ = 0;
};

/// Deadlines of one thread's transfers: three levels of 256 slots. `schedule` and `cancel` take
/// constant time, and nothing allocates after construction.
///
/// A tick lasts 2^16 ns (65.5 us): an entry is reported less than a tick after its deadline, never
/// before it, as far as the caller comes when `next` says. Deadlines that move later cost nothing:
/// the entry stays where it is, and when its place comes up `expire` asks for the true deadline.
/// Not thread-safe; reads no clock.
class timer_wheel {
public:
    /// Starts empty. start: no later than any time given afterwards.
    explicit timer_wheel(time_point start) noexcept;
    timer_wheel(const timer_wheel&) = delete;
    timer_wheel& operator=(const timer_wheel&) = delete;
    ~timer_wheel();

    /// Has `entry` come up at `due`. When it is queued for that time or an earlier one it stays
    /// there. A time that has passed comes up at the next tick.
    ///
    /// Precondition: `entry` is in no other wheel. Lifetime: borrowed until reported, cancelled or
    /// destroyed.
    void schedule(timer_entry& entry, time_point due) noexcept;

    /// Takes `entry` out; nothing when it is not queued. Precondition: it is in no other wheel.
    void cancel(timer_entry& entry) noexcept;

    /// Reports the entries whose time has come, each at most once: takes it out and calls
    /// `f(timer_entry&)`, which returns its true deadline as `std::optional<time_point>`, empty
    /// when it has none, or no longer exists. An entry with a deadline is queued for it again.
    ///
    /// f may schedule, cancel and destroy any entry, but not call `expire`. A `now` before that of
    /// an earlier call reports nothing.
    template <class Function>
    void expire(time_point now, Function&& f) {
        advance_to(now);
        while (timer_entry* const entry = take_due()) {
            if (const std::optional<time_point> due = f(*entry)) {
                schedule(*entry, *due);
            }
        }
    }

    /// Returns when to call `expire` next: no later than the first deadline plus a tick, and later
    /// than the time of the last `expire`. Empty when nothing is queued.
    ///
    /// May be earlier than the first deadline when that is far away. Constant time.
    [[nodiscard]] std::optional<time_point> next() const noexcept;

private:
    static constexpr unsigned tick_bits = 16;
    static constexpr unsigned slot_bits = 8;
    static constexpr unsigned levels = 3;
    static constexpr std::size_t slots = std::size_t{1} << slot_bits;

    /// The slots of one level and which of them hold something.
    struct level {
        std::array<timer_entry*, slots> heads{};
        std::array<std::uint64_t, slots / 64> occupied{};
    };

    void advance_to(time_point now) noexcept;
    [[nodiscard]] timer_entry* take_due() noexcept;
    void insert(timer_entry& entry) noexcept;
    void remove(timer_entry& entry) noexcept;
    void cascade(unsigned from) noexcept;
    [[nodiscard]] std::optional<std::uint64_t> next_tick() const noexcept;

    std::array<level, levels> levels_;
    time_point start_;
    // Every slot before `current_` has been emptied; `target_` is where the running `expire` ends.
    std::uint64_t current_ = 0;
    std::uint64_t target_ = 0;
};

} // namespace tftp
