// Loads a KServe v2 server over gRPC with one request again and again: closed loop, a fixed number of calls in flight. Prints JSON.
#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include "proto/grpc_service.grpc.pb.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Call {
  grpc::ClientContext context;
  inference::ModelInferResponse response;
  grpc::Status status;
  Clock::time_point start;
};

class Load {
 public:
  Load(const std::string& address, int in_flight, inference::ModelInferRequest request) : request_(std::move(request)) {
    constexpr int kCallsOfChannel = 16;
    for (int i = 0; i < in_flight; i += kCallsOfChannel) {
      grpc::ChannelArguments arguments;
      arguments.SetInt("grpc.use_local_subchannel_pool", 1);  // a connection each
      arguments.SetMaxReceiveMessageSize(-1);
      stubs_.push_back(
          inference::GRPCInferenceService::NewStub(grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments)));
    }
    for (int i = 0; i < in_flight; ++i) Start();
  }

  // Whether all answers were right.
  bool RunFor(double seconds) {
    Clock::time_point end = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    begin_ = Clock::now();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
      std::unique_ptr<Call> call(static_cast<Call*>(tag));
      --open_;
      Clock::time_point now = Clock::now();
      if (!call->status.ok()) {
        fmt::print(stderr, "{}\n", call->status.error_message());
        return false;
      }
      if (now < end) {
        latencies_.push_back(std::chrono::duration<double, std::milli>(now - call->start).count());
        last_ = now;
        Start();
      } else if (open_ == 0) {
        return true;
      }
    }
    return false;
  }

  void Print() {
    std::ranges::sort(latencies_);
    auto at = [this](double share) { return latencies_[static_cast<std::size_t>(share * static_cast<double>(latencies_.size() - 1))]; };
    double seconds = std::chrono::duration<double>(last_ - begin_).count();
    fmt::print("{{\"requests\":{},\"rps\":{:.1f},\"p50_ms\":{:.4f},\"p99_ms\":{:.4f},\"errors\":{{}}}}\n", latencies_.size(),
               static_cast<double>(latencies_.size()) / seconds, at(0.5), at(0.99));
  }

 private:
  void Start() {
    auto call = std::make_unique<Call>();
    call->start = Clock::now();
    auto& stub = *stubs_[next_++ % stubs_.size()];
    auto reader = stub.AsyncModelInfer(&call->context, request_, &queue_);
    Call* raw = call.release();
    reader->Finish(&raw->response, &raw->status, raw);
    ++open_;
  }

  const inference::ModelInferRequest request_;
  std::vector<std::unique_ptr<inference::GRPCInferenceService::Stub>> stubs_;
  grpc::CompletionQueue queue_;
  std::size_t next_ = 0;
  int open_ = 0;
  Clock::time_point begin_, last_;
  std::vector<double> latencies_;
};

}  // namespace

int main(int argc, char** argv) {
  std::string address, model, inputs = "INPUT0";
  int in_flight = 1, elements = 16;
  bool batched = false;
  double seconds = 2;
  CLI::App app("Loads a KServe v2 server over gRPC");
  app.add_option("address", address)->required();
  app.add_option("model", model)->required();
  app.add_option("--inputs", inputs, "names, with commas");
  app.add_option("--elements", elements, "FP32 elements of each input");
  app.add_flag("--batched", batched, "the model has a batch dimension");
  app.add_option("-c", in_flight, "calls in flight");
  app.add_option("-d", seconds, "seconds");
  CLI11_PARSE(app, argc, argv);
  inference::ModelInferRequest request;
  request.set_model_name(model);
  std::vector<float> data(static_cast<std::size_t>(elements));
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<float>(i);
  for (const std::string& name : CLI::detail::split(inputs, ',')) {
    auto& input = *request.add_inputs();
    input.set_name(name);
    input.set_datatype("FP32");
    if (batched) input.add_shape(1);
    input.add_shape(elements);
    request.add_raw_input_contents(data.data(), data.size() * sizeof(float));
  }
  Load load(address, in_flight, std::move(request));
  if (!load.RunFor(seconds)) return 1;
  load.Print();
}
