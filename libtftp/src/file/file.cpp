#include <tftp/file/file.hpp>
#include <tftp/file/file_source.hpp>

namespace tftp {

namespace {

/// Twice as fast on a disk as pieces of 64 KiB, four times as fast as pages.
constexpr std::size_t piece_size = std::size_t{256} << 10;

[[nodiscard]] file_sink_options plain_options() noexcept {
    file_sink_options options;
    options.fsync = false;
    options.permissions.reset();
    options.piece_octets = piece_size;
    return options;
}

} // namespace

file::file(std::string path) : file(std::move(path), plain_options()) {}

file::operator content() const {
    result<std::unique_ptr<source>> opened = make_file_source(path_.c_str());
    return opened ? content(std::move(*opened)) : content(opened.error());
}

file::operator destination() const {
    result<std::unique_ptr<sink>> opened = make_file_sink(path_.c_str(), options_);
    return opened ? destination(std::move(*opened)) : destination(opened.error());
}

} // namespace tftp
