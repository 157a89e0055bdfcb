#include "system/proc.hpp"

#include <filesystem>
#include <fstream>

namespace tftp::test {

namespace {

proc_status status_in(const std::filesystem::path& file) {
    proc_status fields;
    std::ifstream input(file);
    for (std::string line; std::getline(input, line);) {
        const std::size_t colon = line.find(':');
        const std::size_t value = line.find_first_not_of(" \t", colon + 1);
        fields[line.substr(0, colon)] = value == std::string::npos ? "" : line.substr(value);
    }
    return fields;
}

} // namespace

std::vector<proc_status> threads_of(::pid_t process) {
    std::vector<proc_status> threads;
    const std::filesystem::path tasks = "/proc/" + std::to_string(process) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(tasks)) {
        threads.push_back(status_in(task.path() / "status"));
    }
    return threads;
}

::pid_t child_of(::pid_t parent) {
    const std::string id = std::to_string(parent);
    ::pid_t child = 0;
    std::ifstream("/proc/" + id + "/task/" + id + "/children") >> child;
    return child;
}

} // namespace tftp::test
