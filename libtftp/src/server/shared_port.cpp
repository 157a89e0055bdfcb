#include "server/shared_port.hpp"

#include "server/server_transfer.hpp"
#include "server/transfer_runner.hpp"

#include <algorithm>
#include <new>

namespace tftp {

void shared_port::on_event(bool readable, bool writable, time_point now) noexcept {
    if (readable) {
        reader_.on_readable(*this, now);
    }
    if (writable) {
        on_writable(now);
    }
}

error_code shared_port::watch() noexcept {
    return loop_.watch({socket_->native_handle(), true, !waiting_.empty()}, *this);
}

/// Lets those that wait send one after the other, until the buffer is full again.
void shared_port::on_writable(time_point now) noexcept {
    std::vector<server_transfer*> waiting = std::exchange(waiting_, {});
    auto next = waiting.begin();
    while (next != waiting.end() && waiting_.empty()) {
        server_transfer& t = **next++;
        t.watching.write = false;
        t.owner.on_room(t, now);
    }
    waiting.erase(waiting.begin(), next);
    if (!waiting.empty()) {
        // There was room for all of them.
        waiting.insert(waiting.end(), waiting_.begin(), waiting_.end());
        waiting_.swap(waiting);
    }
    // Changing what is watched needs no memory, so it does not fail.
    static_cast<void>(watch());
}

void shared_port::wait_for_room(server_transfer& t, bool wanted) noexcept {
    if (t.watching.write == wanted) {
        return;
    }
    const bool others = waiting_.size() > (wanted ? 0U : 1U);
    if (wanted) {
        try {
            waiting_.push_back(&t);
        } catch (const std::bad_alloc&) {
            return; // its deadline has it look again
        }
    } else {
        waiting_.erase(std::ranges::find(waiting_, &t));
        if (!others) {
            waiting_.shrink_to_fit();
        }
    }
    t.watching.write = wanted;
    if (!others) {
        static_cast<void>(watch());
    }
}

} // namespace tftp
