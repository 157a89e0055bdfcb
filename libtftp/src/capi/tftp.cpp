#include "capi/outcome.hpp"
#include "capi/request.hpp"
#include "capi/sinks.hpp"

#include <tftp/client/blocking.hpp>
#include <tftp/file/file.hpp>
#include <tftp/version.hpp>

#include <cstddef>
#include <cstdlib>
#include <exception>
#include <new>
#include <optional>
#include <span>
#include <tftp.h>

namespace tftp::capi {

namespace {

/// Makes a transfer of what a C program says, and tells how it ended; nothing is thrown.
///
/// arguments: null, or why they cannot be used. transfer(request): makes it, throws what `get` and
/// `put` by URL throw.
template <class Transfer>
[[nodiscard]] tftp_status
run(const char* url,
    const char* arguments,
    const tftp_options* options,
    tftp_result* into,
    const Transfer& transfer) noexcept {
    const char* problem = nullptr;
    const tftp_options known = read_options(options, problem);
    if (url == nullptr) {
        problem = "url is NULL";
    } else if (arguments != nullptr) {
        problem = arguments;
    }
    if (problem != nullptr) {
        return tell(TFTP_INVALID, problem, into);
    }
    progress_caller progress(known);
    try {
        return tell(transfer(make_request(known, progress)), "", into);
    } catch (const error& failed) {
        return tell(failed.summary(), failed.reason(), into);
    } catch (const std::bad_alloc&) {
        return tell(TFTP_NO_MEMORY, "Cannot allocate memory", into);
    } catch (const std::exception& failed) {
        return tell(TFTP_OTHER, failed.what(), into);
    }
}

/// Returns what to read from the user's function.
[[nodiscard]] stream_reader reader(tftp_read_function* read, void* user) {
    return [read, user](bytes_span into) -> result<std::size_t> {
        std::size_t size = 0;
        if (read(user, into.data(), into.size(), &size) != 0) {
            return make_error_code(errc::stopped);
        }
        if (size > into.size()) {
            return make_error_code(boost::system::errc::value_too_large);
        }
        return size;
    };
}

} // namespace

} // namespace tftp::capi

const char* tftp_version() {
    return tftp::version.data();
}

tftp_status
tftp_get_file(const char* url, const char* path, const tftp_options* options, tftp_result* result) {
    const char* const problem = path == nullptr ? "path is NULL" : nullptr;
    return tftp::capi::run(url, problem, options, result, [&](const tftp::client_request& how) {
        return tftp::get(url, tftp::file(path), how);
    });
}

tftp_status tftp_get_memory(
    const char* url, void** data, size_t* size, const tftp_options* options, tftp_result* result
) {
    if (data != nullptr) {
        *data = nullptr;
    }
    if (size != nullptr) {
        *size = 0;
    }
    const char* const problem = data == nullptr   ? "data is NULL"
                                : size == nullptr ? "size is NULL"
                                                  : nullptr;
    return tftp::capi::run(url, problem, options, result, [&](tftp::client_request how) {
        if (how.size_max_bytes == 0) {
            how.size_max_bytes = tftp::download::size_max_default;
        }
        tftp::capi::malloc_sink into;
        tftp::transfer_summary ended = tftp::get(url, into, how);
        *size = into.size();
        *data = into.release();
        return ended;
    });
}

void tftp_free(void* data) {
    std::free(data);
}

tftp_status tftp_get_callback(
    const char* url,
    tftp_write_function* write,
    void* user,
    const tftp_options* options,
    tftp_result* result
) {
    const char* const problem = write == nullptr ? "write is NULL" : nullptr;
    return tftp::capi::run(url, problem, options, result, [&](const tftp::client_request& how) {
        tftp::capi::callback_sink into(write, user);
        return tftp::get(url, into, how);
    });
}

tftp_status
tftp_put_file(const char* url, const char* path, const tftp_options* options, tftp_result* result) {
    const char* const problem = path == nullptr ? "path is NULL" : nullptr;
    return tftp::capi::run(url, problem, options, result, [&](const tftp::client_request& how) {
        return tftp::put(url, tftp::file(path), how);
    });
}

tftp_status tftp_put_memory(
    const char* url, const void* data, size_t size, const tftp_options* options, tftp_result* result
) {
    const char* const problem = data == nullptr && size != 0 ? "data is NULL" : nullptr;
    return tftp::capi::run(url, problem, options, result, [&](const tftp::client_request& how) {
        tftp::memory_source from(std::span(static_cast<const std::byte*>(data), size));
        return tftp::put(url, from, how);
    });
}

tftp_status tftp_put_callback(
    const char* url,
    tftp_read_function* read,
    void* user,
    uint64_t size,
    const tftp_options* options,
    tftp_result* result
) {
    const char* const problem = read == nullptr ? "read is NULL" : nullptr;
    return tftp::capi::run(url, problem, options, result, [&](const tftp::client_request& how) {
        const auto known = size == TFTP_SIZE_UNKNOWN ? std::nullopt : std::optional(size);
        return tftp::put(url, tftp::stream(tftp::capi::reader(read, user), known), how);
    });
}
