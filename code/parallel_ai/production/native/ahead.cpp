// A network that Inductor has compiled ahead of time, called without Python:
// ahead model.pt2 rows.bin answers.bin rows threads
#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <vector>

using Clock = std::chrono::steady_clock;

static double since(Clock::time_point begun) {
  return std::chrono::duration<double>(Clock::now() - begun).count();
}

int main(int count, char** words) {
  if (count != 6) return 2;
  const int64_t rows = std::stol(words[4]), size = 28 * 28, batch = 500;
  at::set_num_threads(std::stoi(words[5]));
  torch::inductor::AOTIModelPackageLoader model(words[1]);
  std::vector<float> pixels(rows * size);
  std::ifstream(words[2], std::ios::binary)
      .read(reinterpret_cast<char*>(pixels.data()), pixels.size() * 4);
  auto logits = [&](int64_t first, int64_t some) {
    // A view of our memory: nothing is copied, nothing is freed by ATen.
    auto x = at::from_blob(pixels.data() + first * size, {some, 1, 28, 28});
    return model.run({x})[0];
  };
  std::vector<double> each;
  for (int64_t i = 0; i < 1100; i++) {
    auto begun = Clock::now();
    logits(i % rows, 1);
    if (i >= 100) each.push_back(since(begun));
  }
  std::sort(each.begin(), each.end());
  std::ofstream out(words[3], std::ios::binary);
  double taken = 0;
  for (int64_t first = 0; first < rows; first += batch) {
    auto begun = Clock::now();
    auto y = logits(first, std::min(batch, rows - first)).contiguous();
    taken += since(begun);
    out.write(reinterpret_cast<const char*>(y.const_data_ptr<float>()),
              y.numel() * 4);
  }
  std::printf("{\"p50\": %g, \"p99\": %g, \"rate\": %g}\n", each[500],
              each[990], rows / taken);
}
