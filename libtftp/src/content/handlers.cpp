#include <tftp/content/handlers.hpp>

#include <boost/system/system_error.hpp>

#include <new>
#include <utility>

namespace tftp {

namespace {

/// Calls `handler`, which is the user's and may throw.
template <class Opened, class Handler>
[[nodiscard]] Opened call(const Handler& handler, const request& asked) noexcept {
    try {
        return handler(asked).opened();
    } catch (const boost::system::system_error& failed) {
        return failed.code().failed() ? failed.code() : make_error_code(peer_errc::undefined);
    } catch (const std::bad_alloc&) {
        return make_error_code(boost::system::errc::not_enough_memory);
    } catch (...) {
        return make_error_code(peer_errc::undefined);
    }
}

class handlers final : public content_provider {
public:
    handlers(read_handler reads, write_handler writes) noexcept
        : reads_(std::move(reads)), writes_(std::move(writes)) {}

    [[nodiscard]] result<std::shared_ptr<source>> open_read(const content_request& wanted
    ) noexcept override {
        return reads_ ? call<result<std::shared_ptr<source>>>(reads_, wanted)
                      : make_error_code(errc::forbidden);
    }

    [[nodiscard]] error_code check_write(const content_request&) noexcept override {
        return writes_ ? error_code() : make_error_code(errc::uploads_off);
    }

    [[nodiscard]] result<std::shared_ptr<sink>> open_write(const content_request& wanted
    ) noexcept override {
        return writes_ ? call<result<std::shared_ptr<sink>>>(writes_, wanted)
                       : make_error_code(errc::uploads_off);
    }

private:
    read_handler reads_;
    write_handler writes_;
};

} // namespace

std::shared_ptr<content_provider> handle_with(read_handler reads, write_handler writes) {
    return std::make_shared<handlers>(std::move(reads), std::move(writes));
}

} // namespace tftp
