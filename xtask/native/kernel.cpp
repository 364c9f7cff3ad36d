// An operation of MLX's graph on the CPU whose work a function of rmlx does (src/nn/kernels/cpu/operation.rs).
//
// MLX computes a CPU stream's operations in their order on a thread of the stream. This one is lazy like all others: what
// it is given are pointers to the inputs, which are row-contiguous, and to its result of 32-bit floats.

#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <vector>

#include "mlx/allocator.h"
#include "mlx/backend/cpu/encoder.h"
#include "mlx/c/error.h"
#include "mlx/c/private/array.h"
#include "mlx/c/private/stream.h"
#include "mlx/ops.h"
#include "mlx/primitives.h"
#include "mlx/scheduler.h"

using namespace mlx::core;

namespace {

// MLX makes room for the results of ten tasks before it waits for the first, and counts ten operations as a task. A kernel does
// the work of several, so a large result is a task of its own: otherwise those of several layers would be there at once.
constexpr size_t LARGE = 1 << 14;

// Must not throw or unwind. `parameters` are a copy of what the operation was made with; `strides`, in items, are those of the
// inputs that are as they lie, one input after the other.
using Work = void (*)(const void* parameters, const void* const* inputs, const int64_t* strides, float* result);

class Kernel : public UnaryPrimitive {
 public:
  Kernel(Stream stream, Work work, std::vector<uint64_t> parameters, size_t as_they_lie)
      : UnaryPrimitive(stream), work_(work), parameters_(std::move(parameters)), as_they_lie_(as_they_lie) {}

  void eval_cpu(const std::vector<array>& inputs, array& result) override {
    result.set_data(allocator::malloc(result.nbytes()));
    // Of the arrays themselves MLX takes care until the work is done.
    std::vector<const void*> pointers;
    std::vector<int64_t> strides;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const array& input = inputs[i];
      if (i < as_they_lie_) {
        strides.insert(strides.end(), input.strides().begin(), input.strides().end());
      } else if (!input.flags().row_contiguous) {
        throw std::runtime_error("[rmlx] a kernel's input is not contiguous");
      }
      pointers.push_back(input.data<char>());
    }
    const bool counts = result.nbytes() >= LARGE;
    if (counts) {
      scheduler::notify_new_task(stream());
    }
    cpu::get_command_encoder(stream()).dispatch(
        [work = work_,
         parameters = parameters_,
         pointers = std::move(pointers),
         strides = std::move(strides),
         to = result.data<float>()] { work(parameters.data(), pointers.data(), strides.data(), to); });
    if (counts) {
      scheduler::enqueue(stream(), [on = stream()] { scheduler::notify_task_completion(on); });
    }
  }

  void eval_gpu(const std::vector<array>&, array&) override {
    throw std::runtime_error("[rmlx] a kernel for the CPU is on a GPU's stream");
  }

  const char* name() const override {
    return "RmlxKernel";
  }

 private:
  Work work_;
  std::vector<uint64_t> parameters_;
  size_t as_they_lie_;
};

} // namespace

// `result` becomes a new array of `shape`; the first inputs, so many, are taken `as_they_lie`. 0, or 1 after telling mlx-c's error handler what was wrong.
extern "C" int rmlx_kernel(
    mlx_array* result,
    const mlx_array* inputs,
    size_t count,
    size_t as_they_lie,
    const int* shape,
    size_t dimensions,
    Work work,
    const uint64_t* parameters,
    size_t words,
    mlx_stream stream) {
  try {
    Stream on = mlx_stream_get_(stream);
    if (on.device != Device::cpu) {
      on = default_stream(Device(Device::cpu));
    }
    std::vector<array> arrays;
    for (size_t i = 0; i < count; ++i) {
      const array& input = mlx_array_get_(inputs[i]);
      // Weights are there already: an operation less for each.
      bool is_ready = i < as_they_lie || (input.is_available() && input.flags().row_contiguous);
      arrays.push_back(is_ready ? input : contiguous(input, false, on));
    }
    std::vector<uint64_t> copy(parameters, parameters + words);
    auto kernel = std::make_shared<Kernel>(on, work, std::move(copy), as_they_lie);
    mlx_array_set_(*result, array(Shape(shape, shape + dimensions), float32, std::move(kernel), std::move(arrays)));
    return 0;
  } catch (const std::exception& error) {
    mlx_error(error.what());
    return 1;
  }
}
