/* Tells libFuzzer which places of compiled code were reached: gcc calls the function below at each
   of them, which libFuzzer by itself does not listen to. Loaded before everything else. */

#include <stdint.h>

#define BITS 16

uint8_t fuzz_counters[1 << BITS];
struct {
    uintptr_t place, flags;
} fuzz_places[1 << BITS];

void __sanitizer_cov_trace_pc(void) {
    uintptr_t place = (uintptr_t)__builtin_return_address(0);
    fuzz_counters[(uint64_t)place * 0x9E3779B97F4A7C15u >> (64 - BITS)]++;
}
