#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tftp {

/// The options of a request or an OACK: NUL-terminated name and value pairs in the datagram itself,
/// searched on demand. There are a handful at most, so there is no map.
///
/// Lifetime: borrows the datagram. RFC 2347.
class option_list {
public:
    /// One pair as it is on the wire. Lifetime: borrows the datagram.
    struct entry {
        std::string_view name;
        std::string_view value;
    };

    /// Steps over the pairs in wire order.
    class iterator {
    public:
        using value_type = entry;
        using difference_type = std::ptrdiff_t;

        iterator() noexcept = default;
        /// Stands on the first pair of `rest`, the validated tail of a datagram.
        explicit iterator(std::string_view rest) noexcept;

        [[nodiscard]] entry operator*() const noexcept { return current_; }

        iterator& operator++() noexcept;
        iterator operator++(int) noexcept;

        friend bool operator==(const iterator& a, const iterator& b) noexcept {
            return a.rest_.data() == b.rest_.data() && a.at_end_ == b.at_end_;
        }

    private:
        entry current_{};
        std::string_view rest_{};
        bool at_end_ = true;
    };

    option_list() noexcept = default;

    /// Takes the bytes behind the mode (or behind the opcode of an OACK); only complete pairs
    /// count, a trailing fragment is dropped as the field needs. An empty name ends the list: it is
    /// the padding that some clients and servers append.
    explicit option_list(std::string_view tail) noexcept;

    [[nodiscard]] iterator begin() const noexcept { return iterator(pairs_); }

    [[nodiscard]] iterator end() const noexcept;

    [[nodiscard]] bool empty() const noexcept { return pairs_.empty(); }

    /// Returns the value of the first option called `name` in any letter case.
    [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept;

private:
    std::string_view pairs_{};
};

} // namespace tftp
