#include <tftp/transfer/events.hpp>

#include <array>

namespace tftp {

std::string_view to_string(reason why) noexcept {
    static constexpr std::array<std::string_view, reasons> names = {
        "source_port_zero", "source_is_server", "sent_to_group",   "not_a_request",
        "stranger",         "not_accepting",    "server_pace",     "client_pace",
        "unacknowledged",   "repeated",         "overtaken",       "committing",
        "disks_busy",       "opening_stalled",  "opening_evicted", "malformed",
        "unsupported_mode", "policy",           "overloaded",      "client_overloaded",
        "content",          "no_port",          "shortage",
    };
    const auto index = static_cast<std::size_t>(why);
    return index < reasons ? names[index] : std::string_view();
}

} // namespace tftp
