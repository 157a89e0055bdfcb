#pragma once

#include <cstdint>
#include <sim/world.hpp>

namespace tftp::sim {

/// Returns a read of `size` bytes between two programs that do nothing odd, over a perfect path of
/// this round trip.
[[nodiscard]] inline schedule plain_read(std::uint64_t size, duration round_trip) {
    schedule s;
    s.size = size;
    s.to_server.delay = round_trip / 2;
    s.to_client.delay = round_trip / 2;
    s.client_driver.commit_lag = duration::zero();
    return s;
}

/// The same as a write.
[[nodiscard]] inline schedule plain_write(std::uint64_t size, duration round_trip) {
    schedule s = plain_read(size, round_trip);
    s.read = false;
    return s;
}

/// Loss of this many parts per million in both directions.
inline void lose(schedule& s, std::uint32_t ppm) {
    s.to_server.loss_ppm = ppm;
    s.to_client.loss_ppm = ppm;
}

} // namespace tftp::sim
