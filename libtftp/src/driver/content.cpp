#include <tftp/driver/content.hpp>
#include <tftp/io/file_source.hpp>

#include <new>
#include <utility>

namespace tftp::io {

result<std::shared_ptr<source>>
directory_content::open_read(const content_request& wanted, file_cache& cache) noexcept {
    auto file = reads_.open_read(wanted.name);
    if (!file) {
        return file.error();
    }
    try {
        return std::make_shared<file_source>(cache.files.share(std::move(*file)), &cache.chunks);
    } catch (const std::bad_alloc&) {
        return make_error_code(boost::system::errc::not_enough_memory);
    }
}

result<std::shared_ptr<sink>> directory_content::open_write(const content_request& wanted
) noexcept {
    auto created = writes_.create(wanted.name, wanted.announced_size);
    if (!created) {
        return created.error();
    }
    try {
        return std::shared_ptr<sink>(std::move(*created));
    } catch (const std::bad_alloc&) {
        return make_error_code(boost::system::errc::not_enough_memory);
    }
}

} // namespace tftp::io
