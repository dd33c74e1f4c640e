// A global allocator that counts, for tests of memory bounds. In a translation unit of its own, so
// that the compiler cannot pair an inlined new with a foreign delete.
#pragma once

#include <cstddef>

namespace swarmfs {

/// Bytes ever asked of operator new, with 16 each for the allocator's own share. Never falls.
std::size_t bytes_allocated();

}  // namespace swarmfs
