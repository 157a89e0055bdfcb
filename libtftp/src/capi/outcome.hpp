#pragma once

#include <tftp/transfer/summary.hpp>

#include <tftp.h>

namespace tftp::capi {

/// Writes how a transfer ended to `into`, unless that is null, and returns its status.
///
/// reason: one line for a person; it is not read when the transfer went well.
tftp_status tell(const transfer_summary& ended, const char* reason, tftp_result* into) noexcept;

/// As `tell`, for a transfer that failed before it could begin.
tftp_status tell(tftp_status status, const char* reason, tftp_result* into) noexcept;

} // namespace tftp::capi
