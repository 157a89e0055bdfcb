#pragma once

#include <tftp/base/bytes.hpp>
#include <tftp/base/error.hpp>
#include <tftp/wire/option_value.hpp>
#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace tftp::detail {

/// What a server's answer to an option may depend on.
struct answer_facts {
    const request_view& request;
    const option_limits& limits;
    /// Bytes of the file that is asked for; empty when that is not known.
    std::optional<std::uint64_t> file_size;
};

/// All that the negotiation knows of one option.
struct option_spec {
    /// As its RFC spells it.
    std::string_view name;
    /// Reads a value, whoever sent it; empty for what is none.
    std::optional<option_value> (*parse)(std::string_view text) noexcept;
    /// A server: returns the value to answer with; empty leaves the option out of the OACK.
    std::optional<option_value> (*answer
    )(const option_value& asked, const answer_facts& facts) noexcept;
    /// A client: returns the value that its request has; empty when it does not ask.
    std::optional<option_value> (*ask)(const offer& wanted) noexcept;
    /// A client: returns true when `value` is a legal answer to `asked`.
    bool (*accept)(const option_value& value, const option_value& asked) noexcept;
    /// Both: the value is agreed upon.
    void (*agree)(const option_value& value, parameters& agreed) noexcept;
    /// Nothing in a transfer depends on the value: where an OACK makes no sense of it, it is not
    /// known. With any other option that is an error.
    bool advisory = false;
};

/// Returns the options of this library, in the order of a request. An option is added by a row
/// there and its member of `parameters`, `offer` or `option_limits`.
[[nodiscard]] std::span<const option_spec> option_specs() noexcept;

/// As the functions of these names in `tftp`, for any options.
///
/// specs: at most `answer::options_max`.
[[nodiscard]] answer answer_request(
    std::span<const option_spec> specs,
    const request_view& request,
    const option_limits& limits,
    std::optional<std::uint64_t> file_size
) noexcept;

[[nodiscard]] result<parameters>
accept_oack(std::span<const option_spec> specs, const oack_view& oack, const offer& sent) noexcept;

[[nodiscard]] result<std::size_t> encode_request(
    std::span<const option_spec> specs,
    opcode op,
    std::string_view filename,
    transfer_mode mode,
    const offer& offered,
    bytes_span out
) noexcept;

} // namespace tftp::detail
