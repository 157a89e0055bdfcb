#pragma once

#include <tftp/transfer/summary.hpp>

#include <boost/system/system_error.hpp>

#include <string>

namespace tftp {

/// Says why a transfer failed, in one line for a person: whose failure it is, and what the server
/// said in its own words. What comes from a peer is escaped. Throws std::bad_alloc.
[[nodiscard]] std::string explain(const transfer_summary& ended);

/// A transfer that failed. `what()` is a line such as: tftp://boothost/boot.cfg: the server says
/// "No such file or directory" (The other side has no such file).
class error : public boost::system::system_error {
public:
    /// about: the URL or the name that was asked for. why: in place of explain(), if not empty.
    error(const std::string& about, transfer_summary ended, const std::string& why = {});

    [[nodiscard]] const char* what() const noexcept override { return line_.c_str(); }

    /// Returns how far it came.
    [[nodiscard]] const transfer_summary& summary() const noexcept { return ended_; }

    /// Returns whose failure it is.
    [[nodiscard]] failing_side side() const noexcept { return ended_.failed; }

    /// Returns the words of the server, as they came; empty when it said none.
    [[nodiscard]] const std::string& peer_text() const noexcept { return ended_.peer_text; }

private:
    transfer_summary ended_;
    std::string line_;
};

} // namespace tftp
