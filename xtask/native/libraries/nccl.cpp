// What MLX calls in place of NCCL. An error becomes an exception, where MLX would end the process; and a group that fell apart can
// be left: NCCL's kernels wait for a lost rank without end.

#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <mutex>
#include <stdexcept>
#include <string>

namespace {

// As nccl.h has them.
using Result = int;
using Comm = struct ncclComm*;
struct UniqueId {
  char internal[128];
};
constexpr Result success = 0;

} // namespace

extern "C" {

Result ncclGetUniqueId(UniqueId* id);
Result ncclCommInitRank(Comm* comm, int ranks, UniqueId id, int rank);
Result ncclAllReduce(const void* from, void* to, size_t count, int type, int operation, Comm comm, void* stream);
Result ncclAllGather(const void* from, void* to, size_t count, int type, Comm comm, void* stream);
Result ncclCommAbort(Comm comm);
// Newer ones have it: what has been set to work ends, and what it works with stays.
__attribute__((weak)) Result ncclCommRevoke(Comm comm, int flags);
const char* ncclGetErrorString(Result result);
const char* ncclGetLastError(Comm comm);

} // extern "C"

namespace {

std::mutex joining;
Comm joined = nullptr;
std::atomic<bool> left{false};

Result checked(const char* call, Result result, Comm comm) {
  if (result == success) {
    return result;
  }
  std::string message = std::string("[nccl] ") + call + ": " + ncclGetErrorString(result);
  const char* more = ncclGetLastError(comm);
  if (more != nullptr && *more != '\0') {
    message += std::string(" (") + more + ")";
  }
  throw std::runtime_error(message);
}

} // namespace

extern "C" {

Result rmlx_ncclGetUniqueId(UniqueId* id) {
  return checked("ncclGetUniqueId", ncclGetUniqueId(id), nullptr);
}

Result rmlx_ncclCommInitRank(Comm* comm, int ranks, UniqueId id, int rank) {
  checked("ncclCommInitRank", ncclCommInitRank(comm, ranks, id, rank), nullptr);
  std::lock_guard<std::mutex> lock(joining);
  joined = *comm;
  return success;
}

// After the group was left nothing is sent: who reads what comes of it asks first whether the group is there.
Result rmlx_ncclAllReduce(
    const void* from, void* to, size_t count, int type, int operation, Comm comm, void* stream) {
  return left ? success
              : checked("ncclAllReduce", ncclAllReduce(from, to, count, type, operation, comm, stream), comm);
}

Result rmlx_ncclAllGather(const void* from, void* to, size_t count, int type, Comm comm, void* stream) {
  return left ? success : checked("ncclAllGather", ncclAllGather(from, to, count, type, comm, stream), comm);
}

// Ends what the group's kernels wait for. From any thread, any number of times.
void rmlx_nccl_leave() {
  std::lock_guard<std::mutex> lock(joining);
  if (joined == nullptr || left.exchange(true)) {
    return;
  }
  if (ncclCommRevoke == nullptr || ncclCommRevoke(joined, 0) != success) {
    ncclCommAbort(joined);
  }
}

// MLX ends the process where a connection breaks while a group forms. The thread is kept, and is given up by who started it.
[[noreturn]] void rmlx_exit(int) {
  for (;;) {
    pause();
  }
}

} // extern "C"
