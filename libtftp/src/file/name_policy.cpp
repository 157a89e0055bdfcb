#include <tftp/file/name_policy.hpp>

#include <algorithm>

namespace tftp {

namespace {

constexpr std::string_view parent = "..";

bool is_separator(char c, separators between) noexcept {
    return c == '/' || (between == separators::both && c == '\\');
}

bool is_ascii(char c) noexcept {
    return static_cast<unsigned char>(c) < 0x80;
}

/// Lowers the letters of US-ASCII.
char fold(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_control(char c) noexcept {
    const auto octet = static_cast<unsigned char>(c);
    return octet < 0x20 || octet == 0x7f;
}

/// Returns true for the names of temporary files, in any spelling for which a file system that
/// folds case, and passes over marks that cannot be seen, may take them.
bool is_temporary(std::string_view component) noexcept {
    std::string_view left = temporary_prefix;
    for (const char c : component) {
        if (left.empty() || !is_ascii(c)) {
            continue;
        }
        if (fold(c) != left.front()) {
            return false;
        }
        left.remove_prefix(1);
    }
    return left.empty();
}

bool is_refused(std::string_view component) noexcept {
    return component.size() > component_octets_max || is_temporary(component);
}

} // namespace

std::uint64_t name_lane(std::string_view requested) noexcept {
    std::string_view top;
    std::size_t depth = 0;
    while (!requested.empty()) {
        const auto end =
            requested.begin() +
            static_cast<std::ptrdiff_t>(std::min(requested.find_first_of("/\\"), requested.size()));
        const auto size = static_cast<std::size_t>(end - requested.begin());
        const std::string_view component = requested.substr(0, size);
        requested.remove_prefix(std::min(size + 1, requested.size()));
        if (component.empty() || component == ".") {
            continue;
        }
        if (component == "..") {
            depth -= depth == 0 ? 0 : 1;
            continue;
        }
        top = depth == 0 ? component : top;
        ++depth;
    }
    // FNV-1a. Whoever finds two names of one lane has no more of the threads by that.
    std::uint64_t lane = 14695981039346656037U;
    if (!std::all_of(top.begin(), top.end(), is_ascii)) {
        // It may be another spelling of any.
        top = {};
    }
    for (const char c : top) {
        lane = (lane ^ static_cast<unsigned char>(fold(c))) * 1099511628211U;
    }
    // Lanes with the highest bit are those of disks, and 0 is none.
    return (lane & (~std::uint64_t{0} >> 1)) | 1;
}

result<std::size_t>
normalise_name(std::string_view requested, std::span<char> out, separators between) noexcept {
    if (requested.empty() || std::any_of(requested.begin(), requested.end(), is_control)) {
        return make_error_code(errc::bad_name);
    }
    const bool ends_in_separator = is_separator(requested.back(), between);
    const std::size_t limit = std::min(out.size(), name_octets_max);
    std::size_t length = 0;
    bool is_parent = false;
    while (!requested.empty()) {
        const auto end = std::find_if(requested.begin(), requested.end(), [between](char c) {
            return is_separator(c, between);
        });
        const auto size = static_cast<std::size_t>(end - requested.begin());
        const std::string_view component = requested.substr(0, size);
        requested.remove_prefix(std::min(size + 1, requested.size()));
        if (component.empty() || component == ".") {
            continue;
        }
        is_parent = component == parent;
        const std::size_t separator = length == 0 ? 0 : 1;
        if (is_refused(component) || (is_parent && length == 0) ||
            component.size() + separator > limit - length) {
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
    if (ends_in_separator || is_parent) {
        return make_error_code(errc::not_regular);
    }
    return length;
}

bool climbs_out(std::string_view name) noexcept {
    std::size_t depth = 0;
    while (!name.empty()) {
        const std::string_view component = name.substr(0, name.find('/'));
        name.remove_prefix(std::min(component.size() + 1, name.size()));
        if (component != parent) {
            ++depth;
        } else if (depth-- == 0) {
            return true;
        }
    }
    return false;
}

std::string_view name_behind(std::string_view name, std::string_view directory) noexcept {
    if (directory.empty() || !name.starts_with(directory)) {
        return {};
    }
    const std::string_view rest = name.substr(directory.size());
    if (rest.empty()) {
        return rest;
    }
    return rest.front() == '/' ? rest.substr(1) : std::string_view();
}

} // namespace tftp
