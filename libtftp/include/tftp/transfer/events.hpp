#pragma once

#include <tftp/transfer/summary.hpp>

namespace tftp {

/// Hears of every request that came to its end, refused ones included. Called on the service's
/// thread.
class observer {
public:
    observer() = default;
    observer(const observer&) = delete;
    observer& operator=(const observer&) = delete;
    virtual ~observer() = default;

    /// Takes the outcome of one request.
    virtual void on_finished(const transfer_summary& summary) noexcept = 0;
};

} // namespace tftp
