#include <tftp/server/held_requests.hpp>

#include <algorithm>
#include <utility>

namespace tftp {

std::vector<held_request>::iterator
held_requests::find(const endpoint& peer, const endpoint& asked) noexcept {
    return std::ranges::find_if(all_, [&](const held_request& each) {
        return each.peer == peer && each.asked == asked;
    });
}

void held_requests::add(held_request added) {
    if (const auto found = find(added.peer, added.asked); found != all_.end()) {
        *found = std::move(added);
    } else if (all_.size() < most) {
        all_.push_back(std::move(added));
    }
}

std::optional<held_request> held_requests::take_due(time_point now) noexcept {
    const auto found =
        std::ranges::find_if(all_, [now](const held_request& each) { return each.due <= now; });
    if (found == all_.end()) {
        return std::nullopt;
    }
    std::optional<held_request> taken(std::move(*found));
    remove(found);
    return taken;
}

bool held_requests::forget(const endpoint& peer, const endpoint& asked) noexcept {
    const auto found = find(peer, asked);
    if (found == all_.end()) {
        return false;
    }
    remove(found);
    return true;
}

void held_requests::remove(std::vector<held_request>::iterator which) noexcept {
    all_.erase(which);
    if (all_.empty()) {
        clear();
    }
}

void held_requests::clear() noexcept {
    // Gives its memory back, too.
    std::vector<held_request>().swap(all_);
}

std::optional<time_point> held_requests::due() const noexcept {
    const auto first = std::ranges::min_element(all_, {}, &held_request::due);
    return first == all_.end() ? std::nullopt : std::optional(first->due);
}

} // namespace tftp
