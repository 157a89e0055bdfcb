#pragma once

#include "privileges.hpp"
#include "start_error.hpp"

#include <tftp/base/error.hpp>
#include <tftp/base/unique_fd.hpp>

#include <optional>
#include <string>

namespace tftpd {

/// The log file cannot be had; `what()` is one line for the user.
class log_file_error : public start_error {
public:
    using start_error::start_error;
};

/// The name of --log-file: a directory that stays open, and a name in it. So it leads to the same
/// place after privileges are dropped, whoever may enter the directories above.
class log_file {
public:
    /// Opens the file for appending. One that does not exist is made with mode 0640 and given to
    /// `owner`, so that it can be opened again as that user.
    ///
    /// Throws log_file_error, also when it is no regular file: others can hold the writer up; and
    /// when it has a second name, `too_many_links`: others can have made one for any file of theirs
    /// or ours.
    log_file(const std::string& path, const std::optional<identity>& owner);

    /// Returns the descriptor of the directory (O_PATH).
    [[nodiscard]] int directory() const noexcept { return directory_.get(); }

    /// Returns the descriptor to write to, until reopen() succeeds.
    [[nodiscard]] int get() const noexcept { return file_.get(); }

    /// Opens what has the name now, and makes it when nothing has.
    ///
    /// Returns the file that was written to until then. After an error nothing has changed.
    [[nodiscard]] tftp::result<tftp::unique_fd> reopen() noexcept;

private:
    [[nodiscard]] tftp::result<tftp::unique_fd> open() const noexcept;

    tftp::unique_fd directory_;
    std::string name_;
    tftp::unique_fd file_;
};

} // namespace tftpd
