#pragma once

#include <tftp/base/bytes.hpp>
#include <tftp/base/endpoint.hpp>
#include <tftp/base/time.hpp>

#include <stdexcept>
#include <string>
#include <string_view>

namespace tftp::sim {

/// An invariant of the simulation does not hold.
class violation : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Throws `violation` unless `holds`.
inline void require(bool holds, const char* invariant) {
    if (!holds) {
        throw violation(invariant);
    }
}

/// Writes every event to standard output, if asked to.
class journal {
public:
    explicit journal(bool on) noexcept : on_(on) {}

    [[nodiscard]] bool on() const noexcept { return on_; }

    /// Writes one line: the time since the start of the simulation, who, what.
    void line(time_point now, const endpoint& who, std::string_view what) const;

private:
    bool on_;
};

/// Describes a datagram in a few words.
[[nodiscard]] std::string describe(bytes_view datagram);

} // namespace tftp::sim
