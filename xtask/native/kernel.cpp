// An operation of MLX's graph on the CPU whose work a function of rmlx does (src/nn/kernels/cpu/operation.rs).
//
// MLX computes a CPU stream's operations in their order on a thread of the stream. This one is lazy like all others: what
// it is given are pointers to the inputs and to its result of 32-bit floats. The first inputs may be as they lie, and then
// their strides are given too; the others are row-contiguous, if need be as copies.

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

// Copies `from`, whose items are `strides` apart, so that they follow each other; what is behind `to` then.
char* copy(const char* from, char* to, const Shape& shape, const Strides& strides, size_t axis, size_t item) {
  if (axis == shape.size()) {
    std::memcpy(to, from, item);
    return to + item;
  }
  if (axis + 1 == shape.size() && strides[axis] == 1) {
    std::memcpy(to, from, shape[axis] * item);
    return to + shape[axis] * item;
  }
  for (int i = 0; i < shape[axis]; ++i) {
    to = copy(from + i * strides[axis] * static_cast<int64_t>(item), to, shape, strides, axis + 1, item);
  }
  return to;
}

// What `input` is row-contiguous as: itself, or a copy that is made before what is dispatched next, and lives as long.
const void* contiguous_data(const array& input, cpu::CommandEncoder& encoder) {
  if (input.flags().row_contiguous) {
    return input.data<char>();
  }
  array made(input.shape(), input.dtype(), nullptr, {});
  made.set_data(allocator::malloc(made.nbytes()));
  char* to = made.data<char>();
  encoder.dispatch(
      [from = input.data<char>(), to, shape = input.shape(), strides = input.strides(), item = input.itemsize()] {
        copy(from, to, shape, strides, 0, item);
      });
  encoder.add_temporary(std::move(made));
  return to;
}

class Kernel : public UnaryPrimitive {
 public:
  Kernel(Stream stream, Work work, std::vector<uint64_t> parameters, size_t as_they_lie)
      : UnaryPrimitive(stream), work_(work), parameters_(std::move(parameters)), as_they_lie_(as_they_lie) {}

  void eval_cpu(const std::vector<array>& inputs, array& result) override {
    result.set_data(allocator::malloc(result.nbytes()));
    // Of the arrays themselves MLX takes care until the work is done.
    cpu::CommandEncoder& encoder = cpu::get_command_encoder(stream());
    std::vector<const void*> pointers;
    std::vector<int64_t> strides;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const array& input = inputs[i];
      if (i < as_they_lie_) {
        strides.insert(strides.end(), input.strides().begin(), input.strides().end());
        pointers.push_back(input.data<char>());
      } else {
        pointers.push_back(contiguous_data(input, encoder));
      }
    }
    const bool counts = result.nbytes() >= LARGE;
    if (counts) {
      scheduler::notify_new_task(stream());
    }
    encoder.dispatch(
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
      arrays.push_back(mlx_array_get_(inputs[i]));
    }
    std::vector<uint64_t> own(parameters, parameters + words);
    auto kernel = std::make_shared<Kernel>(on, work, std::move(own), as_they_lie);
    mlx_array_set_(*result, array(Shape(shape, shape + dimensions), float32, std::move(kernel), std::move(arrays)));
    return 0;
  } catch (const std::exception& error) {
    mlx_error(error.what());
    return 1;
  }
}
