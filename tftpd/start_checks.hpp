#pragma once

#include <cstddef>

namespace tftpd {

/// Opens what is missing of the descriptors 0 to 2, so that no file of ours takes the number of a
/// standard stream and is written to as one. Call first.
void open_standard_streams() noexcept;

/// Closes every descriptor from `first` on. A program that starts this one may have left some open
/// by accident; they would be a way out of the confinement. Call before anything is opened.
void close_descriptors_from(unsigned first) noexcept;

/// Raises the soft limit of open files to the hard one, and returns the limit that holds then. A
/// transfer takes one descriptor or two; the usual soft limit of 1024 is there for select(2).
[[nodiscard]] std::size_t raise_descriptor_limit() noexcept;

/// Throws start_error when fewer than `least` more descriptors can be had, of `limit` in all.
void require_descriptors(std::size_t least, std::size_t limit);

/// Throws start_error, which names the call, when the kernel or a filter refuses one without which
/// nothing is served. Calls that have an older way are not among them. Call once confined.
///
/// writes: the same for uploads.
void require_calls(bool writes);

} // namespace tftpd
