#include <tftp/client/error.hpp>

#include <string_view>
#include <utility>

namespace tftp {

namespace {

/// What comes from a stranger must not move the cursor of a terminal.
[[nodiscard]] std::string escape(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    for (const char c : text) {
        if (c >= ' ' && c <= '~' && c != '\\') {
            out += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        out += "\\x";
        out += digits[byte / 16U];
        out += digits[byte % 16U];
    }
    return out;
}

} // namespace

std::string explain(const transfer_summary& ended) {
    std::string message = ended.outcome.message();
    switch (ended.failed) {
    case failing_side::peer:
        if (ended.outcome.category() != peer_category()) {
            return "the server broke the protocol: " + message;
        }
        if (ended.peer_text.empty()) {
            return message;
        }
        return "the server says \"" + escape(ended.peer_text) + "\" (" + message + ")";
    case failing_side::content:
        return "the content on this side: " + message;
    case failing_side::network:
        return ended.send_error && ended.send_error != ended.outcome
                   ? message + " (sending failed: " + ended.send_error.message() + ")"
                   : message;
    case failing_side::none:
    case failing_side::own:
        break;
    }
    return message;
}

error::error(const std::string& about, transfer_summary ended, const std::string& why)
    : system_error(ended.outcome),
      ended_(std::move(ended)),
      line_(escape(about) + ": "),
      reason_at_(line_.size()) {
    line_ += why.empty() ? explain(ended_) : why;
}

} // namespace tftp
