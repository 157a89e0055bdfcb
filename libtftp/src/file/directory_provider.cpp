#include <tftp/file/directory_provider.hpp>
#include <tftp/file/file_cache.hpp>
#include <tftp/file/file_source.hpp>

#include <boost/system/system_error.hpp>

#include <new>
#include <utility>

namespace tftp {

namespace {

[[nodiscard]] result<std::shared_ptr<source>>
source_of(result<std::shared_ptr<const opened_file>> file) noexcept {
    if (!file) {
        return file.error();
    }
    try {
        return std::make_shared<file_source>(std::move(*file));
    } catch (const std::bad_alloc&) {
        return make_error_code(boost::system::errc::not_enough_memory);
    }
}

} // namespace

result<std::shared_ptr<source>> directory_provider::try_open_read(const content_request& wanted
) noexcept {
    if (wanted.cache == nullptr) {
        return source_of(reads_.try_open_read(wanted.name));
    }
    // A look at the name is half as much work as to open and close the file once more.
    auto known = wanted.cache->find(wanted.name);
    if (known && reads_.leads_to(wanted.name, known->identity())) {
        return source_of(std::move(known));
    }
    auto file = reads_.try_open_read(wanted.name);
    if (file) {
        file = wanted.cache->share(std::move(*file), wanted.name);
    }
    return source_of(std::move(file));
}

result<std::shared_ptr<source>> directory_provider::open_read(const content_request& wanted
) noexcept {
    return source_of(reads_.open_read(wanted.name));
}

error_code directory_provider::check_write(const content_request& wanted) noexcept {
    return writes_.check_request(wanted.name, wanted.announced_size);
}

result<std::shared_ptr<sink>> directory_provider::open_write(const content_request& wanted
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

std::shared_ptr<content_provider> directory(const std::string& path, const access_policy& policy) {
    const result<export_root> root = export_root::open(path.c_str(), policy);
    if (!root) {
        throw boost::system::system_error(root.error(), path);
    }
    return std::make_shared<directory_provider>(*root);
}

} // namespace tftp
