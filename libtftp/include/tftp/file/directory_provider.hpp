#pragma once

#include <tftp/content/provider.hpp>
#include <tftp/file/export_root.hpp>

#include <memory>
#include <string>
#include <utility>

namespace tftp {

/// Serves a directory, or reads from one and writes to another.
class directory_provider final : public content_provider {
public:
    explicit directory_provider(const export_root& root) : reads_(root), writes_(root) {}

    directory_provider(export_root reads, export_root writes) noexcept
        : reads_(std::move(reads)), writes_(std::move(writes)) {}

    [[nodiscard]] result<std::shared_ptr<source>> try_open_read(const content_request& wanted
    ) noexcept override;
    [[nodiscard]] result<std::shared_ptr<source>> open_read(const content_request& wanted
    ) noexcept override;
    [[nodiscard]] error_code check_write(const content_request& wanted) noexcept override;
    [[nodiscard]] result<std::shared_ptr<sink>> open_write(const content_request& wanted
    ) noexcept override;

private:
    export_root reads_;
    export_root writes_;
};

/// Serves the directory at `path`: `server({.listen = ":69"}, directory("/srv/tftp"))`.
///
/// policy: what may be read, and whether it may be written; by default files that everybody may
/// read, and no uploads. Throws boost::system::system_error, with the path, when the directory
/// cannot be opened.
[[nodiscard]] std::shared_ptr<content_provider>
directory(const std::string& path, const access_policy& policy = {});

} // namespace tftp
