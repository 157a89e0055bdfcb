#pragma once

#include <tftp/base/error.hpp>
#include <tftp/base/unique_fd.hpp>

#include <array>

namespace tftp {

/// A file that is written before it gets the name it is meant for, if it ever does.
///
/// It has no name (O_TMPFILE), or a hidden one (`temporary_prefix`) where the file system has no
/// such files. The destructor leaves nothing behind; a process that is killed leaves a hidden name
/// at most.
class temporary_file {
public:
    temporary_file() = default;
    temporary_file(const temporary_file&) = delete;
    temporary_file& operator=(const temporary_file&) = delete;
    ~temporary_file();

    /// Makes the file in `directory`, for reading and writing, with mode 0666 less what the umask
    /// or the default ACL of the directory takes away.
    ///
    /// directory: borrowed; stays open as long as this. May be opened with O_PATH. Errors: as
    /// open(2) says.
    [[nodiscard]] error_code open(int directory) noexcept;

    /// As open(), for a file that never gets a name: a hidden one is taken away at once.
    [[nodiscard]] error_code open_nameless(int directory) noexcept;

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }

    [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

    /// Returns true while the file has a hidden name.
    [[nodiscard]] bool is_hidden() const noexcept { return hidden_.front() != '\0'; }

    /// Gives a file without a name this one in its directory. Errors: EEXIST when it is taken;
    /// others as linkat(2) says.
    [[nodiscard]] error_code link_to(const char* name) noexcept;

    /// Gives a file without a name a hidden one.
    [[nodiscard]] error_code link_hidden() noexcept;

    /// Gives a hidden file this name instead. Errors: EEXIST when it is taken and may not be
    /// replaced; others as renameat2(2) says.
    [[nodiscard]] error_code rename_to(const char* name, bool replace) noexcept;

private:
    /// ".tftp-", 16 hexadecimal digits and the NUL.
    using hidden_name = std::array<char, 23>;

    [[nodiscard]] error_code open_hidden() noexcept;
    void make_name() noexcept;
    void discard_name() noexcept;

    int directory_ = -1;
    unique_fd fd_;
    /// Empty string when the file has none.
    hidden_name hidden_{};
};

} // namespace tftp
