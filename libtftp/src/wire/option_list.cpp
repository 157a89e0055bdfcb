#include "wire/text.hpp"

#include <tftp/wire/option_list.hpp>

namespace tftp {

namespace {

/// One pair and the bytes it takes with both of its NULs; no byte when there is no complete pair
/// or when its name is empty.
struct parsed_pair {
    option_list::entry pair{};
    std::size_t size = 0;
};

parsed_pair parse_pair(std::string_view text) noexcept {
    const std::size_t name_size = text.find('\0');
    if (name_size == std::string_view::npos || name_size == 0) {
        return {};
    }
    const std::size_t value_at = name_size + 1;
    const std::size_t value_end = text.find('\0', value_at);
    if (value_end == std::string_view::npos) {
        return {};
    }
    return {
        {std::string_view(text.data(), name_size),
         std::string_view(text.data() + value_at, value_end - value_at)},
        value_end + 1};
}

} // namespace

option_list::iterator::iterator(std::string_view rest) noexcept : rest_(rest), at_end_(false) {
    ++*this;
}

option_list::iterator& option_list::iterator::operator++() noexcept {
    const parsed_pair next = parse_pair(rest_);
    current_ = next.pair;
    at_end_ = next.size == 0;
    rest_.remove_prefix(at_end_ ? rest_.size() : next.size);
    return *this;
}

option_list::iterator option_list::iterator::operator++(int) noexcept {
    const iterator before = *this;
    ++*this;
    return before;
}

option_list::option_list(std::string_view tail) noexcept {
    std::size_t size = 0;
    for (std::string_view rest = tail;;) {
        const parsed_pair next = parse_pair(rest);
        if (next.size == 0) {
            break;
        }
        size += next.size;
        rest.remove_prefix(next.size);
    }
    pairs_ = std::string_view(tail.data(), size);
}

option_list::iterator option_list::end() const noexcept {
    return iterator(std::string_view(pairs_.data() + pairs_.size(), 0));
}

std::optional<std::string_view> option_list::find(std::string_view name) const noexcept {
    for (const entry& each : *this) {
        if (detail::equal_ignoring_case(each.name, name)) {
            return each.value;
        }
    }
    return std::nullopt;
}

} // namespace tftp
