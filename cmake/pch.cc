// Carries the precompiled header that the modules reuse, and Asio's separately compiled parts.
#include <boost/asio/impl/src.hpp>
