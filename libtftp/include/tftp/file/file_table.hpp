#pragma once

#include <tftp/file/opened_file.hpp>
#include <tftp/file/shared_by_file.hpp>

#include <cstddef>
#include <memory>

namespace tftp {

/// Lets transfers of the same file share one descriptor, for as long as one of them lives.
///
/// Not thread-safe: one belongs to each worker. It holds no file open by itself.
class file_table {
public:
    /// Returns the file to use in place of `file`: the one shared before when it has the same
    /// identity, else `file` itself, which is shared from now on.
    ///
    /// A file that was replaced or changed since is another one.
    [[nodiscard]] std::shared_ptr<const opened_file> share(std::shared_ptr<const opened_file> file
    ) noexcept;

    /// Returns how many files are open and shared.
    [[nodiscard]] std::size_t size() const noexcept { return files_.size(); }

private:
    shared_by_file<const opened_file> files_;
};

} // namespace tftp
