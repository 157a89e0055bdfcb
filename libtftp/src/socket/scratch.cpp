#include <tftp/socket/scratch.hpp>

namespace tftp {

// Not value-initialised: that would touch every page of two megabytes that an idle thread never
// needs.
scratch::scratch()
    : arena_(std::make_unique_for_overwrite<std::byte[]>(arena_size)),
      ring_(std::make_unique_for_overwrite<std::byte[]>(receive_slots * slot_size)) {}

} // namespace tftp
