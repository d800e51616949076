// `nereid bench`: loads an HTTP server and measures it.
#pragma once

namespace nereid::cli {

int BenchMain(int argc, char** argv);

}  // namespace nereid::cli
