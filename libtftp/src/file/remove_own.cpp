#include "file/remove_own.hpp"

#include "runtime/random.hpp"

#include <tftp/file/name_policy.hpp>

#include <array>
#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <unistd.h>

namespace tftp {

namespace {

/// `temporary_prefix`, 16 hexadecimal digits and the NUL.
using hidden_name = std::array<char, 23>;

/// Gives a file back a name that it had; one that has got the name meanwhile keeps it.
void give_back(int directory, const char* hidden, const char* name) noexcept {
    if (::renameat2(directory, hidden, directory, name, RENAME_NOREPLACE) == 0) {
        return;
    }
    if (errno == EINVAL || errno == ENOSYS || errno == EPERM) {
        // A file system without RENAME_NOREPLACE, or a filter without the call: link refuses an
        // existing name as well.
        [[maybe_unused]] const int linked = ::linkat(directory, hidden, directory, name, 0);
    }
    ::unlinkat(directory, hidden, 0);
}

/// Returns a name that nobody can guess.
[[nodiscard]] hidden_name make_hidden_name() noexcept {
    hidden_name name{};
    std::snprintf(
        name.data(),
        name.size(),
        "%s%016llx",
        temporary_prefix.data(),
        static_cast<unsigned long long>(random_bits())
    );
    return name;
}

} // namespace

bool names_file(int directory, const char* name, const struct ::stat& file) noexcept {
    struct ::stat named = {};
    return ::fstatat(directory, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           named.st_dev == file.st_dev && named.st_ino == file.st_ino;
}

void remove_own(int directory, const char* name, const struct ::stat& own) noexcept {
    if (!names_file(directory, name, own)) {
        return;
    }
    // unlink(2) takes a name, whoever has it by then: the file is looked at once more where nobody
    // else gives names.
    const hidden_name hidden = make_hidden_name();
    if (::renameat2(directory, name, directory, hidden.data(), 0) != 0) {
        return;
    }
    if (names_file(directory, hidden.data(), own)) {
        ::unlinkat(directory, hidden.data(), 0);
    } else {
        give_back(directory, hidden.data(), name);
    }
}

} // namespace tftp
