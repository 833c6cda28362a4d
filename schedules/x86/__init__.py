"""Templates for x86-64: AVX2 and AVX-512 by parameters."""
