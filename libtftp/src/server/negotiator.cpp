#include "server/negotiator.hpp"

#include <tftp/transfer/receive_window.hpp>

#include <algorithm>
#include <chrono>

namespace tftp {

namespace {

/// What one netascii transfer keeps of converted text.
constexpr std::size_t netascii_window_bytes = std::size_t{128} << 10;

/// Openings are sent this often when there are many: clients that mean it ask again, and a forged
/// address gets less.
constexpr std::uint8_t crowded_sends = 2;

/// They are waited for no less because of that: the last of thousands that boot at once may come to
/// its answer late.
constexpr std::chrono::duration<std::uint16_t> crowded_patience(10);

/// Answers `request` once more when what was agreed on is larger than `limits` allow.
void narrow(
    answer& answered,
    const request_view& request,
    const option_limits& limits,
    std::optional<std::uint64_t> size
) noexcept {
    const parameters& agreed = answered.agreed;
    if (agreed.windowsize > limits.windowsize || agreed.blksize > limits.blksize) {
        answered = answer_request(request, limits, size);
    }
}

/// Answers `request` once more when the window agreed on is larger than what `fits`.
void narrow_window(
    answer& answered,
    const request_view& request,
    option_limits limits,
    std::optional<std::uint64_t> size,
    std::size_t fits
) noexcept {
    if (answered.agreed.windowsize > fits) {
        limits.windowsize = static_cast<std::uint16_t>(fits);
        answered = answer_request(request, limits, size);
    }
}

} // namespace

content_request negotiator::content_for(const incoming_request& a, const grant& granted) noexcept {
    content_request wanted{
        granted.name_of(a), a.request.mode, a.who.peer, a.who.local, std::nullopt};
    if (a.request.op == opcode::wrq) {
        wanted.announced_size =
            answer_request(a.request, granted.decided.options, std::nullopt).agreed.tsize;
    }
    return wanted;
}

answer negotiator::answer_read(
    const incoming_request& a, const verdict& decided, std::optional<std::uint64_t> size
) noexcept {
    const option_limits limits = limits_for(a, decided);
    answer answered = answer_request(a.request, limits, size);
    if (a.request.mode == transfer_mode::netascii) {
        const std::size_t fits =
            std::max<std::size_t>(netascii_window_bytes / answered.agreed.blksize, 1);
        narrow_window(answered, a.request, limits, size, fits);
    }
    return answered;
}

void negotiator::bound_read(
    const incoming_request& a,
    const verdict& decided,
    bool port_is_lent,
    std::optional<std::uint64_t> size,
    answer& answered
) noexcept {
    const service_config& config = context_.config();
    const std::size_t lent = config.tids == tid_mode::single ? 1 : config.shared_ports_to_guess;
    const std::size_t bytes = unproven_bytes(port_is_lent ? lent : config.ports_to_guess);
    option_limits limits = limits_for(a, decided);
    limits.blksize = std::min(limits.blksize, answered.agreed.blksize);
    limits.windowsize = std::min(limits.windowsize, answered.agreed.windowsize);
    if (config.bound_blksize) {
        const std::size_t block = unproven_block(bytes);
        limits.blksize = static_cast<std::uint16_t>(std::min<std::size_t>(limits.blksize, block));
    }
    if (config.bound_windows) {
        const std::size_t most = port_is_lent ? shared_window_max : limits.windowsize;
        const std::size_t blocks = std::min(unproven_window(bytes, limits.blksize), most);
        limits.windowsize =
            static_cast<std::uint16_t>(std::min<std::size_t>(limits.windowsize, blocks));
    }
    limits.windowsize = owes(a) ? std::uint16_t{1} : limits.windowsize;
    narrow(answered, a.request, limits, size);
}

answer negotiator::answer_write(const incoming_request& a, const verdict& decided) noexcept {
    return answer_request(a.request, limits_for(a, decided), std::nullopt);
}

void negotiator::bound_write(
    const incoming_request& a,
    const verdict& decided,
    const datagram_socket& port,
    bool port_is_lent,
    bool stored_slowly,
    answer& answered
) noexcept {
    const std::uint16_t fits = stored_slowly && port_is_lent
                                   ? std::uint16_t{1}
                                   : window_that_fits(port, answered.agreed.blksize);
    const bool bound = port_is_lent && context_.config().bound_windows;
    const std::uint16_t most = bound ? std::min(fits, shared_window_max) : fits;
    narrow_window(answered, a.request, limits_for(a, decided), std::nullopt, most);
}

engine_config negotiator::engine_for(
    const incoming_request& a, const verdict& decided, std::size_t half_open
) const noexcept {
    engine_config engine = decided.engine;
    const bool in_debt = owes(a);
    if (in_debt || half_open > context_.config().limits.half_open_max / 8) {
        engine.opening_sends =
            std::min<std::uint8_t>(engine.opening_sends, in_debt ? 1 : crowded_sends);
        engine.opening_patience = crowded_patience;
    }
    return engine;
}

option_limits negotiator::limits_for(const incoming_request& a, const verdict& decided) noexcept {
    option_limits limits = decided.options;
    if (decided.blksize_auto && a.request.options.find("blksize")) {
        if (const auto mtu = routes_.mtu(a.who.peer, a.now)) {
            limits.blksize = std::min(limits.blksize, blksize_for_mtu(*mtu, a.who.peer.family));
        }
    }
    return limits;
}

/// Returns true when a client has not acknowledged much of what it was sent.
bool negotiator::owes(const incoming_request& a) const noexcept {
    return context_.admission.owed_by(a.who.peer, a.now) != destination_budget::state::free;
}

} // namespace tftp
