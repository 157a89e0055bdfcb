#include <tftp/io/name_policy.hpp>

#include <algorithm>

namespace tftp::io {

namespace {

bool is_separator(char c) noexcept {
    return c == '/' || c == '\\';
}

bool is_control(char c) noexcept {
    const auto octet = static_cast<unsigned char>(c);
    return octet < 0x20 || octet == 0x7f;
}

bool is_refused(std::string_view component) noexcept {
    return component == ".." || component.size() > component_octets_max ||
           component.starts_with(temporary_prefix);
}

} // namespace

result<std::size_t> normalise_name(std::string_view requested, std::span<char> out) noexcept {
    if (requested.empty() || std::any_of(requested.begin(), requested.end(), is_control)) {
        return make_error_code(errc::bad_name);
    }
    const bool ends_in_separator = is_separator(requested.back());
    const std::size_t limit = std::min(out.size(), name_octets_max);
    std::size_t length = 0;
    while (!requested.empty()) {
        const auto end = std::find_if(requested.begin(), requested.end(), is_separator);
        const auto size = static_cast<std::size_t>(end - requested.begin());
        const std::string_view component = requested.substr(0, size);
        requested.remove_prefix(std::min(size + 1, requested.size()));
        if (component.empty() || component == ".") {
            continue;
        }
        const std::size_t separator = length == 0 ? 0 : 1;
        if (is_refused(component) || component.size() + separator > limit - length) {
            return make_error_code(errc::bad_name);
        }
        if (separator != 0) {
            out[length++] = '/';
        }
        std::copy(component.begin(), component.end(), out.begin() + static_cast<long>(length));
        length += component.size();
    }
    if (length == 0) {
        return make_error_code(errc::bad_name);
    }
    if (ends_in_separator) {
        return make_error_code(errc::not_regular);
    }
    return length;
}

} // namespace tftp::io
