#pragma once

#include "server/incoming_request.hpp"

#include <tftp/content/provider.hpp>
#include <tftp/server/admission.hpp>
#include <tftp/server/policy.hpp>

#include <string_view>

namespace tftp {

/// What a request was granted: what was decided about it, and its place among the transfers.
struct grant {
    verdict decided;
    admission::permit permit;

    /// Returns the name that the content is asked for.
    [[nodiscard]] std::string_view name_of(const incoming_request& a) const noexcept {
        return decided.name.empty() ? a.request.filename : std::string_view(decided.name);
    }

    /// Returns where the content is.
    [[nodiscard]] content_provider& files_of(content_provider& otherwise) const noexcept {
        return decided.files != nullptr ? *decided.files : otherwise;
    }
};

} // namespace tftp
