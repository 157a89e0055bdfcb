#include "file/attributes.hpp"

#include "base/iovec.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace tftp {

namespace {

constexpr std::string_view access_list = "system.posix_acl_access";

/// What the kernel makes of the content itself, and takes away when that is written.
constexpr std::array<std::string_view, 3> of_content{
    "security.capability", "security.evm", "security.ima"};

/// The list can grow between the calls that ask for its size and for itself.
constexpr int attempts_max = 16;

/// Calls `get(memory, size)` with memory of the size it asks for. Returns what it gave.
template <class Get>
result<std::vector<char>> whole(Get&& get) {
    std::vector<char> memory;
    for (int attempt = 0; attempt < attempts_max; ++attempt) {
        const ::ssize_t size = get(nullptr, 0);
        if (size <= 0) {
            return size == 0 ? result<std::vector<char>>(std::vector<char>()) : last_error();
        }
        memory.resize(static_cast<std::size_t>(size));
        const ::ssize_t got = get(memory.data(), memory.size());
        if (got >= 0) {
            memory.resize(static_cast<std::size_t>(got));
            return memory;
        }
        if (errno != ERANGE) {
            return last_error();
        }
    }
    return system_error_code(ERANGE);
}

using names = std::vector<std::string>;

/// Returns the names of the attributes that another file can be given; none where the file system
/// has no attributes.
result<names> names_of(int fd) {
    const result<std::vector<char>> list =
        whole([fd](char* memory, std::size_t size) { return ::flistxattr(fd, memory, size); });
    if (!list) {
        return list.error().value() == EOPNOTSUPP ? result<names>(names()) : list.error();
    }
    names found;
    for (auto at = list->begin(); at != list->end();) {
        const auto end = std::find(at, list->end(), '\0');
        std::string name(at, end);
        if (std::find(of_content.begin(), of_content.end(), name) == of_content.end()) {
            found.push_back(std::move(name));
        }
        at = end == list->end() ? end : end + 1;
    }
    return found;
}

result<std::vector<char>> value_of(int fd, const std::string& name) {
    return whole([&](char* memory, std::size_t size) {
        return ::fgetxattr(fd, name.c_str(), memory, size);
    });
}

/// Takes away what `to` has and `from` has not, as an ACL that its directory gave it.
error_code remove_surplus(const names& wanted, int to, const names& present) {
    for (const std::string& name : present) {
        if (std::find(wanted.begin(), wanted.end(), name) != wanted.end() ||
            ::fremovexattr(to, name.c_str()) == 0) {
            continue;
        }
        // A label that the kernel gives to each file.
        if (!name.starts_with("security.")) {
            return last_error();
        }
    }
    return {};
}

error_code copy_extended(int from, int to, bool& has_list) {
    const result<names> wanted = names_of(from);
    const result<names> present = names_of(to);
    if (!wanted || !present) {
        return wanted ? present.error() : wanted.error();
    }
    error_code failed = remove_surplus(*wanted, to, *present);
    for (const std::string& name : *wanted) {
        has_list = has_list || name == access_list;
        const result<std::vector<char>> value = value_of(from, name);
        if (!value) {
            failed = value.error();
            continue;
        }
        const result<std::vector<char>> old = value_of(to, name);
        if ((!old || *old != *value) &&
            ::fsetxattr(to, name.c_str(), value->data(), value->size(), 0) != 0) {
            failed = last_error();
        }
    }
    return failed;
}

} // namespace

kept_attributes copy_attributes(int from, int to) noexcept {
    kept_attributes kept;
    struct ::stat old = {};
    struct ::stat now = {};
    if (::fstat(from, &old) != 0 || ::fstat(to, &now) != 0) {
        kept.others = last_error();
        return kept;
    }
    bool group = old.st_gid == now.st_gid;
    kept.owner = (group && old.st_uid == now.st_uid) || ::fchown(to, old.st_uid, old.st_gid) == 0;
    group = group || kept.owner || ::fchown(to, now.st_uid, old.st_gid) == 0;
    bool has_list = false;
    try {
        kept.others = copy_extended(from, to, has_list);
    } catch (const std::bad_alloc&) {
        kept.others = system_error_code(ENOMEM);
    }
    ::mode_t bits = old.st_mode & ACCESSPERMS;
    if (!group) {
        // What a list gives to the group of the file would be another group's now.
        const ::mode_t others = has_list ? 0 : (bits & S_IRWXO) << 3U;
        bits &= S_IRWXU | S_IRWXO | others;
    }
    if (::fchmod(to, bits) != 0 && !kept.others) {
        kept.others = last_error();
    }
    return kept;
}

} // namespace tftp
