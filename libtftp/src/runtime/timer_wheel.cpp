#include <tftp/base/assert.hpp>
#include <tftp/runtime/timer_wheel.hpp>

#include <algorithm>
#include <bit>

namespace tftp {

namespace {

/// Returns the first index >= `from` whose bit is set; empty when there is none.
template <std::size_t Words>
std::optional<std::size_t>
first_set(const std::array<std::uint64_t, Words>& bits, std::size_t from) noexcept {
    for (std::size_t word = from / 64; word < Words; ++word) {
        const std::uint64_t mask =
            word == from / 64 ? ~std::uint64_t{0} << (from % 64) : ~std::uint64_t{0};
        if ((bits[word] & mask) != 0) {
            return word * 64 + static_cast<std::size_t>(std::countr_zero(bits[word] & mask));
        }
    }
    return std::nullopt;
}

} // namespace

timer_entry::~timer_entry() {
    if (wheel_ != nullptr) {
        wheel_->cancel(*this);
    }
}

timer_wheel::timer_wheel(time_point start) noexcept : start_(start) {}

timer_wheel::~timer_wheel() {
    for (level& l : levels_) {
        for (timer_entry* const& head : l.heads) {
            while (head != nullptr) {
                remove(*head);
            }
        }
    }
}

void timer_wheel::schedule(timer_entry& entry, time_point due) noexcept {
    TFTP_ASSERT(entry.wheel_ == nullptr || entry.wheel_ == this);
    // Rounded up, so that nothing comes up before its time; and always after the running or last
    // `expire`, so that a deadline in the past cannot keep the caller from going on.
    std::uint64_t tick = target_ + 1;
    if (due > start_) {
        const auto elapsed = static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::nanoseconds>(due - start_).count()
        );
        const std::uint64_t partial = std::uint64_t{1} << tick_bits;
        tick = std::max(tick, (elapsed >> tick_bits) + (elapsed % partial != 0 ? 1U : 0U));
    }
    if (entry.wheel_ != nullptr) {
        if (entry.tick_ <= tick) {
            return;
        }
        remove(entry);
    }
    entry.tick_ = tick;
    insert(entry);
}

void timer_wheel::cancel(timer_entry& entry) noexcept {
    TFTP_ASSERT(entry.wheel_ == nullptr || entry.wheel_ == this);
    if (entry.wheel_ != nullptr) {
        remove(entry);
    }
}

std::optional<time_point> timer_wheel::next() const noexcept {
    const std::optional<std::uint64_t> tick = next_tick();
    if (!tick) {
        return std::nullopt;
    }
    return start_ + std::chrono::nanoseconds(static_cast<std::int64_t>(*tick << tick_bits));
}

void timer_wheel::advance_to(time_point now) noexcept {
    const auto elapsed = std::chrono::duration_cast<std::chrono::nanoseconds>(now - start_).count();
    if (elapsed > 0) {
        target_ = std::max(target_, static_cast<std::uint64_t>(elapsed) >> tick_bits);
    }
}

/// Takes one entry out of the first slot at or before `target_`; empties slots of the upper levels
/// into the lower ones on the way. Moves `current_` to `target_` when nothing is left.
timer_entry* timer_wheel::take_due() noexcept {
    for (;;) {
        const std::optional<std::uint64_t> tick = next_tick();
        if (!tick || *tick > target_) {
            current_ = target_;
            return nullptr;
        }
        if (*tick != current_) {
            current_ = *tick;
            cascade(1);
            cascade(2);
        }
        if (timer_entry* const entry = levels_[0].heads[current_ % slots]) {
            remove(*entry);
            return entry;
        }
    }
}

/// Queues `entry` on the level of the highest digit (base 256) in which its tick differs from the
/// present one: on each level but the last all slots in use then lie after the present one, and the
/// levels follow each other in time.
void timer_wheel::insert(timer_entry& entry) noexcept {
    // One turn of the last level, less the slot under way. What is due later is put at its end and
    // looked at again there.
    constexpr std::uint64_t horizon = (slots - 1) << (2 * slot_bits);
    const std::uint64_t place = std::min(entry.tick_, current_ + horizon);
    const std::uint64_t difference = place ^ current_;
    unsigned index = 0;
    while (index + 1 < levels && (difference >> ((index + 1) * slot_bits)) != 0) {
        ++index;
    }
    level& l = levels_[index];
    const std::size_t slot = (place >> (index * slot_bits)) % slots;
    timer_entry*& head = l.heads[slot];
    entry.wheel_ = this;
    entry.slot_ = index * slots + slot;
    entry.next_ = head;
    entry.link_ = &head;
    if (head != nullptr) {
        head->link_ = &entry.next_;
    }
    head = &entry;
    l.occupied[slot / 64] |= std::uint64_t{1} << (slot % 64);
}

void timer_wheel::remove(timer_entry& entry) noexcept {
    *entry.link_ = entry.next_;
    if (entry.next_ != nullptr) {
        entry.next_->link_ = entry.link_;
    }
    level& l = levels_[entry.slot_ / slots];
    const std::size_t slot = entry.slot_ % slots;
    if (l.heads[slot] == nullptr) {
        l.occupied[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
    }
    entry.wheel_ = nullptr;
}

/// Empties the present slot of level `from` into the levels below, if it has just been reached.
void timer_wheel::cascade(unsigned from) noexcept {
    const std::uint64_t below = (std::uint64_t{1} << (from * slot_bits)) - 1;
    if ((current_ & below) != 0) {
        return;
    }
    timer_entry* const& head = levels_[from].heads[(current_ >> (from * slot_bits)) % slots];
    while (head != nullptr) {
        timer_entry& entry = *head;
        remove(entry);
        // Never back into this slot: its tick now agrees with the present one in this digit, or
        // lies beyond the horizon, whose slot is another one.
        insert(entry);
    }
}

/// Returns the first tick after which something has to be done: an entry of the first level comes
/// up, or a slot of an upper one is reached.
std::optional<std::uint64_t> timer_wheel::next_tick() const noexcept {
    for (unsigned index = 0; index < levels; ++index) {
        const level& l = levels_[index];
        const std::uint64_t here = current_ >> (index * slot_bits);
        std::optional<std::size_t> slot = first_set(l.occupied, here % slots);
        if (slot) {
            return (here - here % slots + *slot) << (index * slot_bits);
        }
        if (index + 1 == levels) {
            // Only the last level goes round.
            slot = first_set(l.occupied, 0);
            if (slot) {
                return (here - here % slots + slots + *slot) << (index * slot_bits);
            }
        }
    }
    return std::nullopt;
}

} // namespace tftp
