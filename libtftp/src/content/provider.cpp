#include <tftp/content/provider.hpp>

namespace tftp {

result<std::shared_ptr<source>> content_provider::try_open_read(const content_request&) noexcept {
    return make_error_code(errc::would_block);
}

result<std::shared_ptr<sink>> content_provider::open_write(const content_request&) noexcept {
    return make_error_code(errc::uploads_off);
}

error_code content_provider::check_write(const content_request&) noexcept {
    return {};
}

} // namespace tftp
