#include "server/shard_context.hpp"

#include <algorithm>
#include <utility>

namespace tftp {

shard_context::shard_context(
    const shard_dependencies& parts, std::shared_ptr<const service_config> wanted
)
    : needs(parts),
      snapshot(std::move(wanted)),
      own_admission(
          parts.admission != nullptr ? nullptr : std::make_unique<tftp::admission>(config().limits)
      ),
      admission(parts.admission != nullptr ? *parts.admission : *own_admission),
      random(static_cast<std::minstd_rand::result_type>(admission.seed())) {}

std::optional<reason> shard_context::unanswerable(const received& message) const noexcept {
    if (message.from.port == 0) {
        return reason::source_port_zero;
    }
    if (is_server(message.from)) {
        return reason::source_is_server;
    }
    return message.to_group ? std::optional(reason::sent_to_group) : std::nullopt;
}

bool shard_context::is_server(const endpoint& peer) const noexcept {
    constexpr std::uint16_t well_known = 69;
    return peer.port == well_known || std::ranges::any_of(listening, [&peer](const endpoint& each) {
               return each.port == peer.port && each.family == peer.family;
           });
}

} // namespace tftp
