// `nereid ledger verify|rebuild --state-folder=DIR`.
#pragma once

namespace nereid {

// argv[0] is "ledger". Answers the exit code: 0 all is well, 1 a problem was found or the work could not be done,
// 2 wrong use.
int LedgerMain(int argc, char** argv);

}  // namespace nereid
