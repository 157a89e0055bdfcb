#include "server/shard_context.hpp"

#include <algorithm>

namespace tftp {

shard_context::shard_context(const shard_dependencies& parts, const service_config& wanted)
    : needs(parts),
      config(wanted),
      own_admission(
          parts.admission != nullptr ? nullptr : std::make_unique<tftp::admission>(wanted.limits)
      ),
      admission(parts.admission != nullptr ? *parts.admission : *own_admission),
      random(static_cast<std::minstd_rand::result_type>(admission.seed())) {}

bool shard_context::is_server(const endpoint& peer) const noexcept {
    constexpr std::uint16_t well_known = 69;
    return peer.port == well_known || std::ranges::any_of(listening, [&peer](const endpoint& each) {
               return each.port == peer.port && each.family == peer.family;
           });
}

} // namespace tftp
