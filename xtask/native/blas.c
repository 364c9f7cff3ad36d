// Matrix products for MLX's CPU backend: OpenBLAS, which starts its threads only where a product is worth it.
//
// OpenBLAS uses all threads from 262,144 multiplications on. Waking and awaiting them then takes longer than the
// product, and on a busy machine a hundred times longer.

#include <stdatomic.h>

#define WORTH_THREADS (1L << 20)

void scipy_openblas_set_num_threads(int);
int scipy_openblas_get_num_threads(void);

// The number is OpenBLAS's own, for all callers; a product that meets another's number is right all the same.
static void choose_threads(long m, long n, long k)
{
    static atomic_int all, chosen;
    if (!atomic_load_explicit(&all, memory_order_relaxed)) {
        int threads = scipy_openblas_get_num_threads();
        atomic_store_explicit(&chosen, threads, memory_order_relaxed);
        atomic_store_explicit(&all, threads, memory_order_relaxed);
    }
    int wanted = m * n * k < WORTH_THREADS ? 1 : atomic_load_explicit(&all, memory_order_relaxed);
    if (atomic_exchange_explicit(&chosen, wanted, memory_order_relaxed) != wanted)
        scipy_openblas_set_num_threads(wanted);
}

#define GEMM(name, scalar)                                                                                  \
    void scipy_cblas_##name(int, int, int, int, int, int, scalar, const void *, int, const void *, int,     \
                            scalar, void *, int);                                                           \
    void rmlx_cblas_##name(int layout, int ta, int tb, int m, int n, int k, scalar alpha, const void *a,    \
                           int lda, const void *b, int ldb, scalar beta, void *c, int ldc)                  \
    {                                                                                                       \
        choose_threads(m, n, k);                                                                            \
        scipy_cblas_##name(layout, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);                   \
    }

GEMM(sgemm, float)
GEMM(dgemm, double)
GEMM(cgemm, const void *)
