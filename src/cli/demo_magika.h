// `nereid demo magika FILE`: an infer body for a file, so that curl can ask what kind of file it is.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nereid::cli {

int DemoMain(int argc, char** argv);

// Magika's input: the first and the last 1024 bytes of the content without white space at either end; 256 stands for "no byte".
std::vector<int> MagikaFeatures(std::string_view content);

}  // namespace nereid::cli
