// `nereid doctor`: what would keep the server from running with these flags, and what to do about it.
#pragma once

namespace nereid::cli {

// Takes the flags of serve. Answers 1 when something must be mended.
int DoctorMain(int argc, char** argv);

}  // namespace nereid::cli
