#include <tftp/server/policy.hpp>

namespace tftp {

verdict default_policy::decide(const request_facts&, const service_config& config) const {
    verdict decided;
    decided.rule = "default";
    decided.options = config.options;
    decided.blksize_auto = config.blksize_auto;
    decided.engine = config.engine;
    return decided;
}

} // namespace tftp
