#pragma once

#include <tftp/client/client_request.hpp>

#include <optional>
#include <tftp.h>

namespace tftp::capi {

/// Calls the user's `progress`, if there is one. Lifetime: borrows `options`.
class progress_caller {
public:
    explicit progress_caller(const tftp_options& options) noexcept : options_(options) {}

    [[nodiscard]] bool operator()(const progress& so_far) const;

private:
    const tftp_options& options_;
};

/// Returns `options` as this version knows them, those that the caller's version lacks as 0.
/// problem: becomes why they cannot be used, if so; a fixed English sentence.
[[nodiscard]] tftp_options read_options(const tftp_options* options, const char*& problem) noexcept;

/// Returns the request that `options`, which are valid, ask for. Lifetime: borrows `caller`.
[[nodiscard]] client_request
make_request(const tftp_options& options, progress_caller& caller) noexcept;

} // namespace tftp::capi
