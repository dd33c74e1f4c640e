#include "tests/engine/counting_new.h"

#include <atomic>
#include <cstdlib>
#include <new>

static std::atomic<std::size_t> g_allocated{0};

void* operator new(std::size_t size) {
  g_allocated += size + 16;
  if (void* p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

std::size_t swarmfs::bytes_allocated() { return g_allocated; }
