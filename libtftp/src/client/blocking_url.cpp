#include <tftp/client/blocking.hpp>
#include <tftp/client/resolver.hpp>

#include <new>
#include <utility>

namespace tftp {

namespace {

/// How a request by URL ended; `why` when a sentence says more than the outcome.
struct ending {
    transfer_summary summary;
    std::string why;
};

[[nodiscard]] ending fail(transfer_direction verb, error_code outcome, bool of_content) {
    ending e;
    e.summary.verb = verb;
    e.summary.outcome = outcome;
    e.summary.failed = side_of(outcome, of_content);
    return e;
}

/// Asks one address of the host after the other, as long as that may help. ask(request): makes the
/// request. Throws std::bad_alloc.
template <class Ask>
[[nodiscard]] ending
run(std::string_view url, client_request asked, transfer_direction verb, const Ask& ask) {
    result<location> where = parse_url(url);
    if (!where) {
        return fail(verb, where.error(), false);
    }
    const time_point limit = last_moment(asked, clock::now());
    const resolution found = resolve(where->host, where->service, family_of(asked));
    if (found.addresses.empty()) {
        ending e = fail(verb, found.error, false);
        e.summary.filename = where->filename;
        e.why = where->host + ": " + found.problem;
        return e;
    }
    asked.filename = where->filename;
    asked.mode = where->mode;
    ending e;
    for (const endpoint& server : found.addresses) {
        asked.server = server;
        if (asked.timeout) {
            asked.timeout = limit - clock::now(); // all addresses share it
        }
        e.summary = ask(asked);
        if (!worth_another_address(e.summary)) {
            break;
        }
    }
    return e;
}

[[nodiscard]] ending
get_from(std::string_view url, const destination& into, const client_request& how) {
    if (!into.opened()) {
        return fail(transfer_direction::read, into.opened().error(), true);
    }
    return run(url, how, transfer_direction::read, [&into](const client_request& asked) {
        error_code ignored; // the summary has it
        return get(asked, **into.opened(), ignored);
    });
}

[[nodiscard]] ending put_to(std::string_view url, const content& from, const client_request& how) {
    if (!from.opened()) {
        return fail(transfer_direction::write, from.opened().error(), true);
    }
    return run(url, how, transfer_direction::write, [&from](const client_request& asked) {
        error_code ignored;
        return put(asked, **from.opened(), ignored);
    });
}

[[nodiscard]] transfer_summary return_or_throw(std::string_view url, ending e) {
    if (e.summary.outcome) {
        throw error(std::string(url), std::move(e.summary), e.why);
    }
    return std::move(e.summary);
}

/// Calls `make`; what it throws is an outcome, too.
template <class Make>
[[nodiscard]] transfer_summary without_throwing(error_code& error, const Make& make) noexcept {
    transfer_summary ended;
    try {
        ended = make().summary;
    } catch (const std::bad_alloc&) {
        ended.outcome = make_error_code(boost::system::errc::not_enough_memory);
        ended.failed = failing_side::own;
    }
    error = ended.outcome;
    return ended;
}

} // namespace

download get(std::string_view url, const client_request& how) {
    client_request bounded = how;
    if (bounded.size_max_bytes == 0) {
        bounded.size_max_bytes = download::size_max_default;
    }
    auto into = std::make_shared<memory_sink>(bounded.size_max_bytes);
    transfer_summary ended = return_or_throw(url, get_from(url, into, bounded));
    return {std::move(into), std::move(ended)};
}

transfer_summary get(std::string_view url, const destination& into, const client_request& how) {
    return return_or_throw(url, get_from(url, into, how));
}

transfer_summary
get(std::string_view url, const destination& into, const client_request& how, error_code& error
) noexcept {
    return without_throwing(error, [&] { return get_from(url, into, how); });
}

transfer_summary put(std::string_view url, const content& from, const client_request& how) {
    return return_or_throw(url, put_to(url, from, how));
}

transfer_summary
put(std::string_view url, const content& from, const client_request& how, error_code& error
) noexcept {
    return without_throwing(error, [&] { return put_to(url, from, how); });
}

} // namespace tftp
