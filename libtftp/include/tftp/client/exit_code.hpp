#pragma once

#include <tftp/base/error.hpp>

#include <cstdint>

namespace tftp {

/// How a transfer ended, in as many kinds as scripts and programs act upon: the exit statuses of
/// tftp(1), and `tftp_status` of the C API. They never change their meaning. 11 is kept for a
/// failed checksum.
enum class exit_code : std::uint8_t {
    ok = 0,
    other = 1,
    usage = 2,
    timed_out = 3,
    local_file = 4,
    network = 5,
    not_found = 6,
    access = 7,
    disk_full = 8,
    exists = 9,
    option_refused = 10,
};

/// Returns the exit code for `outcome`; `ok` when it is no failure.
///
/// of_content: it is what the source or the sink answered, which a code of the system does not
/// show.
[[nodiscard]] exit_code exit_code_for(const error_code& outcome, bool of_content) noexcept;

} // namespace tftp
